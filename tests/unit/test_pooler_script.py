# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the hosts that steers a pooler: pools never stay paused, and nobody is cut by a take-over."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _console
from ansible_collections.steadfast.postgresql.plugins.module_utils._console import ConsoleError

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "pooler" / "files" / "pooler.py"
FILE = "# head\n\n[databases]\na = host=10.0.0.1 port=5432 dbname=a\nb = host=10.0.0.1 port=5432 dbname=b\n"
STOP = "systemctl stop steadfast-pooler-resume.timer"


class World:
    """Two pools in transaction mode and one in session mode, on each process; and what was said to them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ran: list[str] = []
        self.paused: set[tuple[int, str]] = set()
        self.stuck = ""

    def console(self, path: Path, limit: float = 5.0) -> Any:
        return Session(self, int(path.parent.name))

    def run(self, command: list[str], **_: Any) -> Any:
        self.ran.append(" ".join(command))
        return type("Done", (), {"stdout": "4711\n"})


class Session:
    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, command: str) -> list[dict[str, str]]:
        if command == "SHOW DATABASES":
            modes = {"a": "transaction", "b": "transaction", "c": "session", "pgbouncer": "statement"}
            return [
                {"name": name, "pool_mode": mode, "paused": str(int((self.number, name) in self.world.paused))}
                for name, mode in modes.items()
            ]
        self.world.said.append(f"{self.number}: {command}")
        verb, _, name = command.partition(" ")
        if name and name == self.world.stuck:
            raise ConsoleError("it does not answer in time")
        if verb == "PAUSE":
            self.world.paused.add((self.number, name))
        if verb == "RESUME":
            self.world.paused.discard((self.number, name))
        return []


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World) -> ModuleType:
    monkeypatch.setitem(sys.modules, "steadfast_console", _console)
    spec = importlib.util.spec_from_file_location("pooler", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "primary.ini").write_text(FILE)
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "loaded").touch()
    monkeypatch.setattr(module, "RUN", tmp_path)
    monkeypatch.setattr(module, "FILES", {"primary": tmp_path / "primary.ini"})
    monkeypatch.setattr(module, "Console", world.console)
    monkeypatch.setattr(module.subprocess, "run", world.run)
    monkeypatch.setattr(module, "_sockets", lambda: {1: tmp_path / "1" / "s"})
    return module


def do(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pooler", *words])
    return int(script.main())


def both(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(script, "_sockets", lambda: {number: tmp_path / str(number) / "s" for number in (1, 2)})
    monkeypatch.setattr(script.Path, "is_socket", lambda path: True)


def test_pause_and_resume(script: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both(script, monkeypatch, tmp_path)
    assert do(script, monkeypatch, "pause") == 0
    assert world.paused == {(1, "a"), (1, "b"), (2, "a"), (2, "b")}
    timer = "systemd-run --quiet --collect --unit=steadfast-pooler-resume --on-active=30 "
    assert world.ran[0] == STOP
    assert world.ran[1].startswith(timer)
    assert world.ran[1].endswith("pooler.py resume")
    assert do(script, monkeypatch, "resume") == 0
    assert world.paused == set()
    assert world.ran[2:] == [STOP]


def test_a_pause_that_does_not_come_about_is_taken_back(
    script: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.stuck = "b"
    assert do(script, monkeypatch, "pause") == 1
    assert world.paused == set()
    assert capsys.readouterr().err == "pooler: PAUSE b: it does not answer in time\n"


def test_point(script: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both(script, monkeypatch, tmp_path)
    os.utime(tmp_path / "1" / "loaded", (0, 0))
    assert do(script, monkeypatch, "point", "primary", "10.0.0.2") == 0
    assert (tmp_path / "primary.ini").read_text() == FILE.replace("10.0.0.1", "10.0.0.2")
    assert (tmp_path / "primary.ini").stat().st_mode & 0o777 == 0o644
    assert world.said == ["1: RELOAD", "2: RELOAD"]
    # What was written is older than what was read, so no run reads it once more.
    assert (tmp_path / "1" / "loaded").stat().st_mtime >= (tmp_path / "primary.ini").stat().st_mtime - 0.01


def test_point_to_where_it_is(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = (tmp_path / "primary.ini").stat()
    assert do(script, monkeypatch, "point", "primary", "10.0.0.1") == 0
    assert (tmp_path / "primary.ini").stat().st_mtime_ns == before.st_mtime_ns


def test_take_over(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(script.os, "kill", lambda pid, number: told.append((pid, number)))
    both(script, monkeypatch, tmp_path)
    (tmp_path / "current").symlink_to("1")
    assert do(script, monkeypatch, "take_over", "2") == 0
    assert (tmp_path / "current").readlink().name == "2"
    assert told == [(4711, signal.SIGTERM)]
    # It restarted after a crash: a second signal would end the former one with its clients.
    assert do(script, monkeypatch, "take_over", "2") == 0
    assert told == [(4711, signal.SIGTERM)]


@pytest.mark.parametrize("process", ["0", "4711"])
def test_a_former_process_that_has_gone(script: ModuleType, monkeypatch: pytest.MonkeyPatch, process: str) -> None:
    def kill(pid: int, number: int) -> None:
        assert pid == 4711  # zero would be the program's own group
        raise ProcessLookupError

    monkeypatch.setattr(script.os, "kill", kill)
    monkeypatch.setattr(script.subprocess, "run", lambda command, **_: type("Done", (), {"stdout": f"{process}\n"}))
    assert do(script, monkeypatch, "take_over", "2") == 0


def test_the_first_start(script: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "2")
    assert do(script, monkeypatch, "take_over", "1") == 0
    assert (tmp_path / "current").readlink().name == "1"
    assert world.ran == []


def test_words_for_the_console(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert do(script, monkeypatch, "console", "SHOW", "DATABASES") == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "# process 1",
        "name       pool_mode    paused",
        "a          transaction  0",
    ]


def test_a_former_process_follows_to_another_server(
    script: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no console any more."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(script.os, "kill", lambda pid, number: told.append((pid, number)))
    assert do(script, monkeypatch, "point", "primary", "10.0.0.2") == 0
    assert (told, world.said) == ([(4711, signal.SIGHUP)] * 2, [])


def test_a_process_that_never_answers(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, limit: float = 5.0) -> Any:
        raise ConsoleError("No such file or directory")

    monkeypatch.setattr(script, "Console", refuse)
    monkeypatch.setattr(script, "START_LIMIT", 0.05)
    assert do(script, monkeypatch, "take_over", "1") == 1
    assert capsys.readouterr().err == "pooler: process 1 did not answer within 0.05 s\n"
