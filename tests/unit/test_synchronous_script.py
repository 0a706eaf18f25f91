# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script on the hosts that writes the synchronous set, and watches over it where durability is "preferred"."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils import _journal

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "replication" / "files" / "synchronous.py"
OWNER = pwd.getpwuid(os.getuid())
CONF = "etc/postgresql/16/main/conf.d/30-synchronous.conf"
JOURNAL = "var/lib/steadfast/main/journal.jsonl"
LOCK = "run/steadfast/synchronous-16-main.lock"
MISSED = "run/steadfast/no-candidate-16-main"
HEAD = "# Written by /usr/local/lib/steadfast/synchronous.\n"


class Server:
    """A server that takes its set from the file at each reload."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state: dict[str, Any] = {"recovery": False, "set": "", "streaming": []}
        self.ran: list[str] = []
        self.obeys = True

    def psql(self, version: str, port: str, sql: str) -> str:
        assert (version, port) == ("16", "5433")
        self.ran.append(sql)
        if sql == "SELECT pg_reload_conf()" and self.obeys:
            line = (self.root / CONF).read_text().removeprefix(HEAD)
            self.state["set"] = line.removeprefix("synchronous_standby_names = '").removesuffix("'\n")
        if sql.startswith("SHOW"):
            return str(self.state["set"])
        return json.dumps({"lsn": "0/5000000", "timeline": 3} if "walfile" in sql else self.state)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setitem(sys.modules, "steadfast_journal", _journal)
    spec = importlib.util.spec_from_file_location("synchronous", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for folder in (Path(CONF).parent, Path(JOURNAL).parent, Path(MISSED).parents[1]):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(module, "Path", lambda name: tmp_path / name.lstrip("/"))
    monkeypatch.setattr(module, "pwd", SimpleNamespace(getpwnam=lambda name: OWNER))
    return module


@pytest.fixture
def server(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    made = Server(tmp_path)
    monkeypatch.setattr(script, "psql", made.psql)
    return made


def at(script: ModuleType, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    """Set the clock that counts since the host's start."""
    clock = SimpleNamespace(CLOCK_BOOTTIME=7, clock_gettime=lambda which: now, monotonic=lambda: now, sleep=None)
    monkeypatch.setattr(script, "time", clock)


def journal(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / JOURNAL
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for line in lines:
        assert line.pop("time").endswith("+00:00")
    return lines


@pytest.mark.parametrize(
    ("members", "wanted"),
    [([], ""), (["db2"], 'ANY 1 ("db2")'), (["db4", "db2"], 'ANY 1 ("db2", "db4")')],
)
def test_set(script: ModuleType, server: Server, tmp_path: Path, members: list[str], wanted: str) -> None:
    server.state["set"] = 'ANY 1 ("db9")'
    script.change("16", "main", "5433", 'ANY 1 ("db9")', *members)
    assert (tmp_path / CONF).read_text() == f"{HEAD}synchronous_standby_names = '{wanted}'\n"
    assert (tmp_path / CONF).stat().st_mode & 0o777 == 0o644
    assert server.state["set"] == wanted
    show = "SHOW synchronous_standby_names"
    assert server.ran == [show, "SELECT pg_reload_conf()", show]
    assert [path.name for path in (tmp_path / CONF).parent.iterdir()] == ["30-synchronous.conf"]


def test_set_refuses_when_another_set_is_in_force(script: ModuleType, server: Server, tmp_path: Path) -> None:
    server.state["set"] = FULL
    with pytest.raises(SystemExit) as stopped:
        script.change("16", "main", "5433", "", "db4")
    assert str(stopped.value) == (
        """the set is 'ANY 1 ("db2")' by now, not '': another run or the watch changed it; run again"""
    )
    assert not (tmp_path / CONF).exists()


@pytest.mark.parametrize("command", ["change", "watch"])
def test_only_one_writer_works_on_a_set(
    script: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(script, "LIMIT", 0)
    (tmp_path / LOCK).parent.mkdir()
    server.state["set"] = FULL
    arguments = {"change": [FULL], "watch": ["db1", "0", "db2"]}[command]
    with (tmp_path / LOCK).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SystemExit) as stopped:
            getattr(script, command)("16", "main", "5433", *arguments)
    assert str(stopped.value) == (
        f"another process is changing the synchronous set of 16/main (fuser {tmp_path / LOCK} shows it), for 0 s now"
    )
    assert server.ran == []
    getattr(script, command)("16", "main", "5433", *arguments)
    assert server.state["set"] == ""


def test_set_waits_for_the_effect(script: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.obeys = False
    naps: list[float] = []
    monkeypatch.setattr(script, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(naps), sleep=naps.append))
    path = Path("etc/postgresql/16/main/conf.d/30-synchronous.conf")
    with pytest.raises(SystemExit) as stopped:
        script.change("16", "main", "5433", "", "db2")
    assert str(stopped.value) == (
        f"""synchronous_standby_names is not 'ANY 1 ("db2")' 15 s after {server.root / path} was written and loaded"""
    )
    assert naps == [0.05, 0.05]


FULL = 'ANY 1 ("db2")'


def line(before: list[str] | None, after: list[str]) -> dict[str, Any]:
    return {
        "event": "synchronous set",
        "operation": "watch",
        "operator": "steadfast-watch timer",
        "primary": "db1",
        "durability": "preferred",
        "from": before,
        "to": after,
        "lsn": "0/5000000",
        "timeline": 3,
    }


LEFT, BACK = [line(None, [])], [line(None, ["db2"])]
# Meanwhile a commit may be on either.
TAKEN = [line(None, ["db2", "db4"]), line(["db2", "db4"], ["db4"])]

WATCH = [
    pytest.param({"set": FULL, "streaming": ["db2"]}, None, FULL, [], None, id="it streams"),
    pytest.param({"set": FULL, "streaming": ["db2"]}, 60.0, FULL, [], None, id="it streams again in time"),
    pytest.param({"set": FULL, "streaming": []}, None, FULL, [], 100.0, id="the first look without it"),
    pytest.param({"set": FULL, "streaming": ["db3"]}, 80.0, FULL, [], 80.0, id="not yet; a stranger does not count"),
    pytest.param({"set": FULL, "streaming": []}, 70.0, "", LEFT, 70.0, id="the time is over"),
    pytest.param({"set": FULL, "streaming": ["db4"]}, 80.0, FULL, [], 80.0, id="not yet; another candidate streams"),
    pytest.param({"set": FULL, "streaming": ["db4"]}, 70.0, 'ANY 1 ("db4")', TAKEN, 70.0, id="another takes over"),
    pytest.param({"set": "", "streaming": []}, 10.0, "", [], 10.0, id="empty already"),
    pytest.param({"set": "", "streaming": ["db2", "db3"]}, 10.0, FULL, BACK, None, id="it is back"),
    pytest.param({"recovery": True, "set": FULL, "streaming": []}, 10.0, FULL, [], None, id="a standby forgets"),
    pytest.param({"recovery": True, "set": "", "streaming": ["db2"]}, None, "", [], None, id="a standby does nothing"),
]


@pytest.mark.parametrize(("state", "since", "after", "lines", "counted"), WATCH)
def test_watch(
    script: ModuleType,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    state: dict[str, Any],
    since: float | None,
    after: str,
    lines: list[dict[str, Any]],
    counted: float | None,
) -> None:
    at(script, monkeypatch, 100.0)
    server.state |= state
    if since is not None:
        (tmp_path / MISSED).parent.mkdir()
        (tmp_path / MISSED).write_text(str(since))
    script.watch("16", "main", "5433", "db1", "30", "db2", "db4")
    assert server.state["set"] == after
    assert journal(tmp_path) == lines
    found = (tmp_path / MISSED).read_text() if (tmp_path / MISSED).exists() else None
    assert found == (None if counted is None else str(counted))


WEAKENED = ["record []", "put", "record []"]
TAKEN_OVER = ["record ['db2', 'db4']", "put db4", "record ['db4']"]
RESTORED = ["put db2", "record ['db2']"]


@pytest.mark.parametrize(
    ("members", "streaming", "steps"),
    [(FULL, [], WEAKENED), (FULL, ["db4"], TAKEN_OVER), ("", ["db2"], RESTORED)],
)
def test_a_weakening_is_recorded_before_it_happens(
    script: ModuleType,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    *,
    members: str,
    streaming: list[str],
    steps: list[str],
) -> None:
    at(script, monkeypatch, 100.0)
    order = []
    monkeypatch.setattr(script, "record", lambda *given: order.append(f"record {given[-1]}"))
    monkeypatch.setattr(script, "put", lambda *given: order.append(" ".join(["put", *given[3:]])))
    monkeypatch.setattr(script, "waited", lambda path: 30.0)
    server.state |= {"set": members, "streaming": streaming}
    script.watch("16", "main", "5433", "db1", "30", "db2", "db4")
    assert order == steps


def test_without_the_record_the_set_stays(
    script: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at(script, monkeypatch, 100.0)
    monkeypatch.setattr(script, "waited", lambda path: 30.0)
    (tmp_path / JOURNAL).mkdir()
    server.state |= {"set": FULL}
    with pytest.raises(_journal.JournalError, match="does not take the entry"):
        script.watch("16", "main", "5433", "db1", "30", "db2")
    assert server.state["set"] == FULL


def test_the_script_reads_the_journal_that_lies_beside_it() -> None:
    installed = yaml.safe_load((ROOT / "roles/replication/vars/main.yml").read_text())["__postgresql_replication_files"]
    source = next(file["content"] for file in installed if file["path"].endswith("/steadfast_journal.py"))
    beside = re.search(r"'/([./\w]+_journal\.py)'", source)
    assert beside
    assert Path(_journal.__file__).samefile(ROOT / "roles/replication" / beside[1])
    assert "import steadfast_journal\n" in SCRIPT.read_text()
    alone = [sys.executable, "-I", "-c", f"exec(open({_journal.__file__!r}).read())"]
    subprocess.run(alone, check=True, cwd="/")


def test_psql(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[str], **options: bool | int | list[Any] | str) -> subprocess.CompletedProcess[str]:
        asked.update(options, command=command)
        return subprocess.CompletedProcess(command, 0, "on\n", "")

    monkeypatch.setattr(script.subprocess, "run", run)
    assert script.psql("16", "5433", "SHOW ssl") == "on"
    assert asked["command"][0] == "/usr/lib/postgresql/16/bin/psql"
    assert asked["command"][-6:] == ["-p", "5433", "-d", "postgres", "-c", "SHOW ssl"]
    assert (asked["user"], asked["group"], asked["extra_groups"]) == (OWNER.pw_uid, OWNER.pw_gid, [])


def test_psql_that_fails(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 2, "", "psql: error: no such socket\n")
    monkeypatch.setattr(script.subprocess, "run", lambda *command, **options: failed)
    with pytest.raises(SystemExit) as stopped:
        script.psql("16", "5433", "SHOW ssl")
    assert stopped.value.code == "psql: error: no such socket"
