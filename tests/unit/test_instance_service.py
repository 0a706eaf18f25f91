# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, reload and restart: what is run in which order, what is waited for, what is said when it fails."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _instance_service,
    _observe_instance,
    _observe_sql,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance, change

INSTANCE = Instance("16", "main", Path("/data"))
UNIT = "postgresql@16-main.service"
START = ["systemctl daemon-reload", f"systemctl enable --quiet {UNIT}"]
CLEARED = f"systemctl reset-failed {UNIT}*"


@dataclass
class Host:
    """A host's systemd and server; a statement's answers are given one after the other, the last for ever."""

    active: str = "active"
    enabled: str = "enabled"
    after_failure: str = "auto-restart"
    stale_unit: str = "no"
    answers: dict[str, list[Any]] = field(default_factory=dict)
    fails: str = ""
    failures: int = 1
    calls: list[str] = field(default_factory=list)

    def run(self, command: list[str], timeout: int = 60) -> str:
        words = " ".join(command)
        if "--property=ActiveState" in command:
            return f"{self.active}\n"
        if "--property=UnitFileState" in command:
            return f"{self.enabled}\n"
        if "--property=SubState" in command:
            return f"{self.after_failure}\n"
        if "--property=NeedDaemonReload" in command:
            return f"{self.stale_unit}\n"
        self.calls.append(words)
        if self.failures and self.fails and words == f"systemctl {self.fails} {UNIT}":
            self.failures -= 1
            raise CommandError("systemctl ended with status 1: job failed")
        return ""

    def query(self, instance: Instance, sql: str) -> Any:
        answers = self.answers.get(sql, ["1\n" if sql == "SELECT 1" else ""])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, CommandError):
            raise answer
        self.calls.append(sql)
        return answer

    def query_json(self, instance: Instance, sql: str) -> Any:
        answer = self.query(instance, sql)
        return json.loads(json.dumps([] if answer == "" else answer))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    made = Host()
    for name in ("run", "query", "query_json"):
        monkeypatch.setattr(_instance_service, name, getattr(made, name))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(Instance, "configuration", tmp_path)
    monkeypatch.setattr(Instance, "drop_ins", tmp_path / "unit.d")
    made.answers[_instance_service.START_TIME] = ["10.5"]
    monkeypatch.setattr(_instance_service, "log_tail", lambda instance: "FATAL: no")
    return made


STARTED = change("service", UNIT, "stopped", "started")
ENABLED = change("service", UNIT, "disabled", "enabled")
DONE = [*START, CLEARED, f"systemctl start {UNIT}", "SELECT 1"]
AGAIN = ["systemctl daemon-reload", CLEARED, f"systemctl restart {UNIT}", "SELECT 1"]


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
@pytest.mark.parametrize(
    ("active", "enabled", "changes"),
    [
        ("active", "enabled", []),
        ("inactive", "enabled", [STARTED]),
        ("failed", "disabled", [STARTED, ENABLED]),
        ("active", "disabled", [ENABLED]),
        ("activating", "enabled", [STARTED]),
    ],
)
def test_start(host: Host, *, active: str, enabled: str, changes: list[dict[str, str]], check_mode: bool) -> None:
    host.active, host.enabled = active, enabled
    assert _instance_service.start(INSTANCE, 5, check_mode) == changes
    expected = DONE if STARTED in changes else START if changes else []
    assert host.calls == ([] if check_mode else expected)


def test_start_waits_for_an_answer(host: Host) -> None:
    host.active = "inactive"
    host.answers["SELECT 1"] = [CommandError("the database system is starting up"), "1\n"]
    _instance_service.start(INSTANCE, 5, False)
    assert host.calls == DONE


@pytest.mark.parametrize(("verb", "arguments"), [("start", []), ("restart", [{}])])
def test_a_server_that_does_not_come_up(host: Host, verb: str, arguments: list[dict[str, Any]]) -> None:
    host.active, host.fails = "failed", verb
    text = f"16/main did not {verb}: systemctl ended with status 1: job failed. Its log ends: FATAL: no."
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        getattr(_instance_service, verb)(INSTANCE, *arguments, 5, False)


@pytest.mark.parametrize("restarts", [False, True], ids=["start", "restart"])
@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (["pg_hba.conf.before-reload"], "The former pg_hba.conf is back in place"),
        (["conf.d/10-server.conf.before-restart"], "The former 10-server.conf is back in place"),
        (
            ["unit.d/steadfast.conf.before-restart", "environment.before-restart", "pg_hba.conf.before-reload"],
            "The former environment, pg_hba.conf, steadfast.conf are back in place",
        ),
    ],
)
def test_a_server_that_does_not_come_up_serves_with_the_former_files(
    host: Host, tmp_path: Path, *, restarts: bool, kept: list[str], words: str
) -> None:
    put(tmp_path, *kept, *(name.rpartition(".")[0] for name in kept))
    host.active, host.fails = "failed", "restart" if restarts else "start"
    with pytest.raises(CommandError, match=rf"FATAL: no\. {re.escape(words)}, and the server serves with that\.$"):
        getattr(_instance_service, host.fails)(INSTANCE, *([{}] if restarts else []), 5, False)
    assert host.calls[-4:] == AGAIN
    assert files(tmp_path) == {name.rpartition(".")[0]: name for name in kept}


def test_a_server_that_does_not_start_with_the_former_files_either(host: Host, tmp_path: Path) -> None:
    put(tmp_path, "environment", "environment.before-restart")
    host.active, host.fails, host.failures = "failed", "restart", 2
    words = "is back in place, and it does not start with that either: systemctl ended with status 1: job failed"
    with pytest.raises(CommandError, match=f"{re.escape(words)}$"):
        _instance_service.restart(INSTANCE, {}, 5, False)
    assert files(tmp_path) == {"environment": "environment.before-restart"}


def test_a_server_that_recovers_is_let_be(host: Host, tmp_path: Path) -> None:
    put(tmp_path, "environment", "environment.before-restart")
    host.active, host.after_failure = "activating", "start"
    host.answers["SELECT 1"] = [CommandError("the database system is starting up")]
    with pytest.raises(CommandError, match=r"It may still come up; run again once it answers\.$"):
        _instance_service.restart(INSTANCE, {}, 0, False)
    assert set(files(tmp_path)) == {"environment", "environment.before-restart"}
    assert host.calls == [CLEARED, f"systemctl restart {UNIT}"]


def test_a_server_that_does_not_answer(host: Host) -> None:
    host.active = "inactive"
    host.answers["SELECT 1"] = [CommandError("no socket")]
    host.after_failure = "dead"
    text = "16/main did not start: an answer of 16/main did not happen within 0 s (no socket). Its log ends: FATAL: no."
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        _instance_service.start(INSTANCE, 0, False)


RESTARTED = [change("service", UNIT, "running", "restarted")]


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
def test_restart(host: Host, check_mode: bool) -> None:
    assert _instance_service.restart(INSTANCE, {}, 5, check_mode) == RESTARTED
    assert host.calls == ([] if check_mode else [CLEARED, f"systemctl restart {UNIT}", "SELECT 1"])


def test_a_standby_restarts_once_it_has_replayed_what_its_primary_lowered(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [None, {"max_connections": 200, "max_wal_senders": 10}, {"max_connections": 100, "max_wal_senders": 10}]
    monkeypatch.setattr(_observe_instance, "control", lambda instance: seen.pop(0))
    needed = {"max_connections": 100, "max_wal_senders": 10}
    assert _instance_service.restart(INSTANCE, needed, 5, False) == RESTARTED
    assert seen == []


def test_a_standby_that_does_not_replay_it_keeps_running(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_instance, "control", lambda instance: {"max_connections": 200})
    with pytest.raises(CommandError, match=r"^replay of the primary's settings did not happen within 0 s$"):
        _instance_service.restart(INSTANCE, {"max_connections": 100}, 0, False)
    assert host.calls == []


RELOADED = [change("service", UNIT, "files newer than its last load", "reloaded")]
WAITING = f"SELECT {_observe_sql.PENDING}"
PENDING = {"shared_buffers": {"running": "128MB", "configured": "2GB"}}


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


@pytest.mark.parametrize("waiting", [PENDING, {}], ids=["something waits", "nothing waits"])
@pytest.mark.parametrize("stale_unit", ["no", "yes"])
def test_reload(host: Host, tmp_path: Path, waiting: dict[str, dict[str, str]], stale_unit: str) -> None:
    put(tmp_path, "pg_hba.conf", "pg_hba.conf.before-reload", "environment.before-restart")
    host.stale_unit = stale_unit
    host.answers |= {
        _instance_service.LOAD_TIME: ["10.5", "10.5", "10.5", "12.1"],
        WAITING: [waiting],
    }
    assert _instance_service.reload(INSTANCE, 5, False) == (RELOADED, waiting)
    load = _instance_service.LOAD_TIME
    checks = [_instance_service.HBA_ERRORS, _instance_service.FILE_ERRORS]
    unit = ["systemctl daemon-reload"] if stale_unit == "yes" else []
    after = [load, load, load, WAITING, _instance_service.START_TIME]
    assert host.calls == [*unit, *checks, load, "SELECT pg_reload_conf()", *after]
    assert set(files(tmp_path)) == {"pg_hba.conf", *(["environment.before-restart"] if waiting else [])}


def test_a_new_file_of_the_service_waits_for_a_restart(host: Host, tmp_path: Path) -> None:
    put(tmp_path, "environment", "environment.before-restart", "unit.d/steadfast.conf", "unit.d/x.conf", "start.conf")
    os.utime(tmp_path / "unit.d/x.conf", (10.2, 10.2))
    host.answers |= {_instance_service.LOAD_TIME: ["10.5", "12.1"], WAITING: [{}]}
    new = {"running": "as it was", "configured": "the new file"}
    expected = {str(tmp_path / name): new for name in ("environment", "unit.d/steadfast.conf")}
    assert _instance_service.reload(INSTANCE, 5, False) == (RELOADED, expected)
    assert (tmp_path / "environment.before-restart").exists()


def test_take_back(host: Host, tmp_path: Path) -> None:
    put(tmp_path, "environment", "environment.before-restart", "pg_hba.conf.before-reload")
    host.answers[_instance_service.LOAD_TIME] = ["10.5", "12.1"]
    expected = [change("file", str(tmp_path / "environment"), "waits for a restart", "taken back")]
    assert _instance_service.take_back(INSTANCE, 5, False) == expected
    assert files(tmp_path) == {
        "environment": "environment.before-restart",
        "pg_hba.conf.before-reload": "pg_hba.conf.before-reload",
    }
    assert "SELECT pg_reload_conf()" in host.calls
    host.calls.clear()
    assert _instance_service.take_back(INSTANCE, 5, False) == []
    assert host.calls == []


TIMER = "steadfast-watch-16-main.timer"


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
@pytest.mark.parametrize(
    ("active", "wanted", "changes"),
    [
        ("inactive", True, [change("service", TIMER, "stopped", "started")]),
        ("active", False, [change("service", TIMER, "running", "ended")]),
        # Its files are new.
        ("active", True, []),
    ],
)
def test_watch(host: Host, *, active: str, wanted: bool, changes: list[dict[str, str]], check_mode: bool) -> None:
    host.active = active
    assert _instance_service.watch(INSTANCE, wanted, check_mode) == changes
    verb = "enable" if wanted else "disable"
    done = ["systemctl daemon-reload", f"systemctl {verb} --quiet --now {TIMER}"]
    assert host.calls == ([] if check_mode else done)


def test_reload_in_check_mode(host: Host) -> None:
    assert _instance_service.reload(INSTANCE, 5, True) == (RELOADED, {})
    assert host.calls == []


def test_a_reload_without_effect(host: Host, tmp_path: Path) -> None:
    put(tmp_path, "pg_hba.conf.before-reload")
    host.answers[_instance_service.LOAD_TIME] = ["10.5"]
    with pytest.raises(CommandError, match=r"^the reload did not happen within 0 s$"):
        _instance_service.reload(INSTANCE, 0, False)
    assert (tmp_path / "pg_hba.conf.before-reload").exists()


@pytest.mark.parametrize(
    ("errors", "kept", "text"),
    [
        pytest.param(
            {_instance_service.HBA_ERRORS: [["/etc/pg_hba.conf line 7: invalid mask"]]},
            ["pg_hba.conf.before-reload"],
            "16/main refuses its configuration: /etc/pg_hba.conf line 7: invalid mask. "
            "The former pg_hba.conf is back in place.",
            id="rule",
        ),
        pytest.param(
            {_instance_service.FILE_ERRORS: [["10-server.conf line 3: x: bad"]], _instance_service.HBA_ERRORS: [["y"]]},
            ["pg_hba.conf.before-reload", "pg_ident.conf.before-reload"],
            "16/main refuses its configuration: y; 10-server.conf line 3: x: bad. "
            "The former pg_hba.conf, pg_ident.conf are back in place.",
            id="both",
        ),
        pytest.param(
            {_instance_service.FILE_ERRORS: [["10-server.conf line 3: x: bad"]]},
            [],
            "16/main refuses its configuration: 10-server.conf line 3: x: bad.",
            id="nothing to put back",
        ),
    ],
)
def test_a_bad_file_does_not_stay(
    host: Host, tmp_path: Path, errors: dict[str, list[list[str]]], kept: list[str], text: str
) -> None:
    host.answers |= errors
    put(tmp_path, "pg_hba.conf", "pg_ident.conf", *kept)
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        _instance_service.reload(INSTANCE, 5, False)
    assert "SELECT pg_reload_conf()" not in host.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pg_hba.conf", "pg_ident.conf"]
    for name in ("pg_hba.conf", "pg_ident.conf"):
        previous = f"{name}.before-reload"
        assert (tmp_path / name).read_text() == (previous if previous in kept else name)


@pytest.mark.parametrize(("verb", "arguments"), [("start", []), ("restart", [{}])])
def test_a_server_that_comes_up_accepts_the_files(
    host: Host, tmp_path: Path, verb: str, arguments: list[dict[str, Any]]
) -> None:
    host.active = "inactive"
    put(tmp_path, "pg_hba.conf", "pg_hba.conf.before-reload", "conf.d/10-server.conf.before-restart")
    getattr(_instance_service, verb)(INSTANCE, *arguments, 5, False)
    assert set(files(tmp_path)) == {"pg_hba.conf"}


def test_one_that_only_has_to_be_enabled_accepts_nothing(host: Host, tmp_path: Path) -> None:
    host.enabled = "disabled"
    put(tmp_path, "environment.before-restart")
    _instance_service.start(INSTANCE, 5, False)
    assert set(files(tmp_path)) == {"environment.before-restart"}


def test_log_tail_without_a_log() -> None:
    assert _instance_service.log_tail(Instance("16", "no_such_cluster", Path("/data"))) == "no log yet"


@pytest.mark.parametrize(
    ("text", "tail"),
    [("", ""), ("one\ntwo\n", "one | two"), ("x" * 9000 + "\na\nb\nc\n", "b | c"), ("\xff\nc\n", "\ufffd | c")],
)
def test_log_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, tail: str) -> None:
    log = tmp_path / "postgresql-16-main.log"
    log.write_bytes(text.encode("latin-1"))
    monkeypatch.setattr(_instance_service, "Path", lambda name: tmp_path)
    assert _instance_service.log_tail(INSTANCE, 2) == tail
