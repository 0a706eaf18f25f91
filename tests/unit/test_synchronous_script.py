# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script on the hosts that writes the synchronous set, and watches over it where durability is "preferred"."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "replication" / "files" / "synchronous.py"
OWNER = pwd.getpwuid(os.getuid())
CONF = "etc/postgresql/16/main/conf.d/30-synchronous.conf"
JOURNAL = "var/lib/steadfast/main/journal.jsonl"
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
        return self.state["set"] if sql.startswith("SHOW") else json.dumps(self.state)


@pytest.fixture
def script(monkeypatch, tmp_path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("synchronous", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for folder in (Path(CONF).parent, Path(JOURNAL).parent, Path(MISSED).parents[1]):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(module, "Path", lambda name: tmp_path / name.lstrip("/"))
    monkeypatch.setattr(module, "pwd", SimpleNamespace(getpwnam=lambda name: OWNER))
    return module


@pytest.fixture
def server(script, monkeypatch, tmp_path) -> Server:
    made = Server(tmp_path)
    monkeypatch.setattr(script, "psql", made.psql)
    return made


def at(script, monkeypatch, now: float) -> None:
    """Set the clock that counts since the host's start."""
    clock = SimpleNamespace(CLOCK_BOOTTIME=7, clock_gettime=lambda which: now, monotonic=lambda: now, sleep=None)
    monkeypatch.setattr(script, "time", clock)


def journal(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / JOURNAL
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [([], ""), (["db2"], 'ANY 1 ("db2")'), (["db4", "db2"], 'ANY 1 ("db2", "db4")')],
)
def test_set(script, server, tmp_path, members, wanted):
    server.state["set"] = 'ANY 1 ("db9")'
    script.change("16", "main", "5433", *members)
    assert (tmp_path / CONF).read_text() == f"{HEAD}synchronous_standby_names = '{wanted}'\n"
    assert (tmp_path / CONF).stat().st_mode & 0o777 == 0o644
    assert server.state["set"] == wanted
    assert server.ran == ["SELECT pg_reload_conf()", "SHOW synchronous_standby_names"]
    assert [path.name for path in (tmp_path / CONF).parent.iterdir()] == ["30-synchronous.conf"]


def test_set_waits_for_the_effect(script, server, monkeypatch):
    server.obeys = False
    naps = []
    monkeypatch.setattr(script, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(naps), sleep=naps.append))
    path = Path("etc/postgresql/16/main/conf.d/30-synchronous.conf")
    with pytest.raises(SystemExit) as stopped:
        script.change("16", "main", "5433", "db2")
    assert str(stopped.value) == (
        f"""synchronous_standby_names is not 'ANY 1 ("db2")' 15 s after {server.root / path} was written and loaded"""
    )
    assert naps == [0.05, 0.05]


FULL = 'ANY 1 ("db2")'
LEFT = {"event": "synchronous set", "from": ["db2"], "to": [], "by": "watch"}
BACK = {"event": "synchronous set", "from": [], "to": ["db2"], "by": "watch"}
TAKEN = {"event": "synchronous set", "from": ["db2"], "to": ["db4"], "by": "watch"}

WATCH = [
    pytest.param({"set": FULL, "streaming": ["db2"]}, None, FULL, [], None, id="it streams"),
    pytest.param({"set": FULL, "streaming": ["db2"]}, 60.0, FULL, [], None, id="it streams again in time"),
    pytest.param({"set": FULL, "streaming": []}, None, FULL, [], 100.0, id="the first look without it"),
    pytest.param({"set": FULL, "streaming": ["db3"]}, 80.0, FULL, [], 80.0, id="not yet; a stranger does not count"),
    pytest.param({"set": FULL, "streaming": []}, 70.0, "", [LEFT], 70.0, id="the time is over"),
    pytest.param({"set": FULL, "streaming": ["db4"]}, 80.0, FULL, [], 80.0, id="not yet; another candidate streams"),
    pytest.param({"set": FULL, "streaming": ["db4"]}, 70.0, 'ANY 1 ("db4")', [TAKEN], 70.0, id="another takes over"),
    pytest.param({"set": "", "streaming": []}, 10.0, "", [], 10.0, id="empty already"),
    pytest.param({"set": "", "streaming": ["db2", "db3"]}, 10.0, FULL, [BACK], None, id="it is back"),
    pytest.param({"recovery": True, "set": FULL, "streaming": []}, 10.0, FULL, [], None, id="a standby forgets"),
    pytest.param({"recovery": True, "set": "", "streaming": ["db2"]}, None, "", [], None, id="a standby does nothing"),
]


@pytest.mark.parametrize(("state", "since", "after", "lines", "counted"), WATCH)
def test_watch(script, server, monkeypatch, tmp_path, *, state, since, after, lines, counted):
    at(script, monkeypatch, 100.0)
    server.state |= state
    if since is not None:
        (tmp_path / MISSED).parent.mkdir()
        (tmp_path / MISSED).write_text(str(since))
    script.watch("16", "main", "5433", "30", "db2", "db4")
    assert server.state["set"] == after
    assert journal(tmp_path) == lines
    found = (tmp_path / MISSED).read_text() if (tmp_path / MISSED).exists() else None
    assert found == (None if counted is None else str(counted))


@pytest.mark.parametrize(("streaming", "recorded_first"), [([], True), (["db2"], False)])
def test_a_weakening_is_recorded_before_it_happens(script, server, monkeypatch, streaming, recorded_first):
    at(script, monkeypatch, 100.0)
    order = []
    monkeypatch.setattr(script, "journal", lambda *given: order.append("journal"))
    monkeypatch.setattr(script, "change", lambda *given: order.append("change"))
    monkeypatch.setattr(script, "waited", lambda path: 30.0)
    server.state |= {"set": "" if streaming else FULL, "streaming": streaming}
    script.watch("16", "main", "5433", "30", "db2")
    assert order == (["journal", "change"] if recorded_first else ["change", "journal"])


def test_without_the_record_the_set_stays(script, server, monkeypatch, tmp_path):
    at(script, monkeypatch, 100.0)
    monkeypatch.setattr(script, "waited", lambda path: 30.0)
    (tmp_path / JOURNAL).parent.rmdir()
    server.state |= {"set": FULL}
    with pytest.raises(FileNotFoundError):
        script.watch("16", "main", "5433", "30", "db2")
    assert server.state["set"] == FULL


def test_the_journal_grows(script, tmp_path):
    (tmp_path / JOURNAL).write_text('{"event": "restore point"}\n')
    script.journal("main", [], ["db2"])
    first, second = (tmp_path / JOURNAL).read_text().splitlines()
    assert first == '{"event": "restore point"}'
    line = json.loads(second)
    assert line.pop("time").endswith("+00:00")
    assert line == BACK


def test_psql(script, monkeypatch):
    asked = {}

    def run(command, **options):
        asked.update(options, command=command)
        return subprocess.CompletedProcess(command, 0, "on\n", "")

    monkeypatch.setattr(script.subprocess, "run", run)
    assert script.psql("16", "5433", "SHOW ssl") == "on"
    assert asked["command"][0] == "/usr/lib/postgresql/16/bin/psql"
    assert asked["command"][-6:] == ["-p", "5433", "-d", "postgres", "-c", "SHOW ssl"]
    assert (asked["user"], asked["group"], asked["extra_groups"]) == (OWNER.pw_uid, OWNER.pw_gid, [])


def test_psql_that_fails(script, monkeypatch):
    failed = subprocess.CompletedProcess([], 2, "", "psql: error: no such socket\n")
    monkeypatch.setattr(script.subprocess, "run", lambda *command, **options: failed)
    with pytest.raises(SystemExit) as stopped:
        script.psql("16", "5433", "SHOW ssl")
    assert stopped.value.code == "psql: error: no such socket"
