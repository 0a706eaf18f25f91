# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that are loaded, confirmed, taken back: there is always a way back while nobody has confirmed them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.action import firewall as action
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _firewall,
    _firewall_apply,
    _host_files,
    _observe_guard,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

OLD, NEW = "the old rules\n", "the new rules\n"
UNIT = "steadfast-firewall-main.service"
FORMER = "steadfast-firewall-back-main-1.timer"


class Host:
    """A host with nft and systemd: what is live, which timers run, what was called."""

    def __init__(self, root: Path) -> None:
        self.root, self.live, self.timers = root, "", [FORMER]
        self.calls: list[str] = []
        self.refuses = ""

    @property
    def file(self) -> Path:
        """The file that is loaded at boot."""
        return self.root / "firewall_main.nft"

    def run(self, command: list[Any]) -> str:
        """Answer a program's call."""
        words = " ".join(map(str, command)).replace(str(self.root), "")
        if self.refuses and self.refuses in words:
            raise CommandError(f"{self.refuses} ended with status 1")
        if "--stateless" in words:
            if not self.live:
                raise CommandError("no such table")
            return f"listed: {self.live}"
        self.calls.append(words)
        if words.startswith("/usr/sbin/nft --file"):
            self.live = Path(str(command[-1])).read_text()
        if words.startswith("/usr/sbin/nft delete"):
            self.live = ""
        if words.startswith("systemctl list-units"):
            return "".join(f"{name} loaded active waiting x\n" for name in self.timers)
        return ""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(_firewall_apply, "run", found.run)
    monkeypatch.setattr(_observe_guard, "run", found.run)
    monkeypatch.setattr(_firewall_apply, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(time, "time_ns", lambda: 7)
    monkeypatch.setattr(_host_files, "FIREWALL_FOLDER", str(tmp_path))
    monkeypatch.setattr(_host_files, "enabled", lambda cluster: str(tmp_path / "wants"))
    monkeypatch.setattr(_observe_guard, "STATE_DIRECTORY", tmp_path / "state")
    return found


def proven(host: Host, rules: str = OLD) -> None:
    """Bring a host's firewall into force."""
    host.live = rules
    _firewall_apply.confirm("main", rules, _observe_guard.live("main"))
    host.calls.clear()


TIMER = (
    "systemd-run --quiet --unit=steadfast-firewall-back-main-7 --collect --on-active=60 "
    "--timer-property=AccuracySec=100ms /bin/sh -c if [ -s /firewall_main.nft ]; then exec /usr/sbin/nft -f "
    "/firewall_main.nft; else exec /usr/sbin/nft delete table inet steadfast_main; fi"
)


def test_the_way_back_is_there_before_the_rules(host: Host) -> None:
    proven(host)
    assert _firewall_apply.apply("main", NEW, 60) == _firewall.fingerprint(f"listed: {NEW}")
    assert host.calls == [
        "/usr/sbin/nft --check --file /run/firewall_main.nft",
        "systemctl list-units --all --plain --no-legend steadfast-firewall-back-main-[0-9]*.timer",
        TIMER,
        f"systemctl stop {FORMER}",
        "/usr/sbin/nft --file /run/firewall_main.nft",
    ]
    # What is loaded at boot is still what was confirmed.
    assert host.file.read_text() == OLD


@pytest.mark.parametrize("program", ["--check", "systemd-run"])
def test_without_a_way_back_nothing_is_loaded(host: Host, program: str) -> None:
    proven(host)
    host.refuses = program
    with pytest.raises(CommandError):
        _firewall_apply.apply("main", NEW, 60)
    assert host.live == OLD


def test_confirmed_rules_stay(host: Host) -> None:
    live = _firewall_apply.apply("main", NEW, 60)
    host.calls.clear()
    _firewall_apply.confirm("main", NEW, live)
    assert host.file.read_text() == NEW
    assert host.file.stat().st_mode & 0o777 == 0o600
    record = json.loads((host.root / "state/main/firewall.json").read_text())
    assert record == {"rules": _firewall.fingerprint(NEW), "live": live}
    assert host.calls == [
        "systemctl list-units --all --plain --no-legend steadfast-firewall-back-main-[0-9]*.timer",
        f"systemctl stop {FORMER}",
        "systemctl daemon-reload",
        f"systemctl enable --quiet --now {UNIT}",
    ]


def test_rules_that_were_taken_back_are_not_confirmed(host: Host) -> None:
    proven(host)
    live = _firewall_apply.apply("main", NEW, 60)
    host.live = OLD
    with pytest.raises(CommandError) as error:
        _firewall_apply.confirm("main", NEW, live)
    assert str(error.value) == "the new rules were taken back before a new connection could confirm them; run again"
    assert host.file.read_text() == OLD


def test_a_way_back_that_was_just_taken(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    live = _firewall_apply.apply("main", NEW, 60)
    answers = iter([live, "other"])
    monkeypatch.setattr(_observe_guard, "live", lambda cluster: next(answers))
    with pytest.raises(CommandError, match="were taken back"):
        _firewall_apply.confirm("main", NEW, live)
    assert not (host.root / "state/main/firewall.json").exists()


def test_a_firewall_is_removed(host: Host) -> None:
    proven(host)
    (host.root / "wants").symlink_to("/unit")
    host.refuses = "systemctl stop --quiet"
    _firewall_apply.remove("main")
    assert host.live == ""
    assert [path.name for path in host.root.iterdir() if path.is_symlink() or path.is_file()] == []
    assert not (host.root / "state/main/firewall.json").exists()
    assert host.calls[-1] == "/usr/sbin/nft delete table inet steadfast_main"


def rules(text: str) -> str:
    return f"rules {_firewall.fingerprint(text)[:8]}"


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        (OLD, NEW, (rules(OLD), rules(NEW))),
        (OLD, "", (rules(OLD), "absent")),
        (OLD, OLD, ("not loaded at boot", rules(OLD))),
        ("", OLD, ("absent", rules(OLD))),
        ("by hand", OLD, ("unconfirmed rules", rules(OLD))),
    ],
)
def test_what_is_going_to_change(host: Host, live: str, wanted: str, expected: tuple[str, str]) -> None:
    proven(host)
    host.live = live
    change = {"kind": "firewall", "name": "inet steadfast_main", "from": expected[0], "to": expected[1]}
    assert _firewall_apply.planned("main", wanted) == [change]
    assert _firewall_apply.shown("main") == OLD


class Connection:
    """An SSH connection's options."""

    transport = "ssh"

    def __init__(self) -> None:
        self.arguments = "-o ControlMaster=auto -o ControlPersist=60s"

    def get_option(self, name: str) -> str:
        assert name == "ssh_args"
        return self.arguments

    def set_option(self, name: str, value: str) -> None:
        assert name == "ssh_args"
        self.arguments = value


APPLIED = {"changed": True, "changes": ["one"], "live": "fingerprint"}


def act(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[dict[str, Any], list[Any], Connection]:
    """Run the action; answers are those of the module, one after the other."""
    left, asked, connection = list(answers), [], Connection()
    plugin = action.ActionModule.__new__(action.ActionModule)
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    plugin._task = SimpleNamespace(args={"cluster": "main", "rules": NEW, "take_back_after": 9})
    plugin._connection = connection

    def execute(module_args: dict[str, Any], task_vars: Any) -> Any:
        asked.append((module_args.get("operation", "apply"), module_args.get("live"), connection.arguments))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    monkeypatch.setattr(plugin, "_execute_module", execute, raising=False)
    return plugin.run(None, {}), asked, connection


SHARED = "-o ControlMaster=auto -o ControlPersist=60s"
OF_ITS_OWN = f"-o ControlMaster=no -o ControlPath=none {SHARED}"


def test_a_connection_of_its_own_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked, connection = act(monkeypatch, APPLIED, {"changed": True})
    assert found == {"changed": True, "changes": ["one"]}
    assert asked == [("apply", None, SHARED), ("confirm", "fingerprint", OF_ITS_OWN)]
    assert connection.arguments == SHARED


@pytest.mark.parametrize(
    "answer", [{"changed": True, "changes": ["predicted"]}, {"failed": True, "msg": "nft ended with status 1"}]
)
def test_what_loaded_nothing_is_not_confirmed(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
    found, asked, _ = act(monkeypatch, answer)
    assert found == answer
    assert len(asked) == 1


def test_rules_that_lock_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, connection = act(monkeypatch, APPLIED, AnsibleConnectionFailure("connect to\n host timed out"))
    assert found["failed"]
    assert found["changes"] == []
    assert found["msg"] == (
        "no new SSH connection to the host with the new rules, which are taken back within 9 s of their loading: "
        "connect to host timed out. postgresql_host_ssh_networks has to hold the address that this run comes from"
    )
    assert connection.arguments == SHARED


def test_rules_that_are_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, _ = act(monkeypatch, APPLIED, {"failed": True, "msg": "the new rules were taken back"})
    assert (found["failed"], found["changes"], found["msg"]) == (True, [], "the new rules were taken back")


def test_another_kind_of_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._connection = SimpleNamespace(transport="paramiko", reset=lambda: closed.append(True))
    plugin._forget_connection()
    plugin._share_again()
    assert closed == [True]
