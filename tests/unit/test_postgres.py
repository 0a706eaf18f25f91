# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How programs are run, SQL is written, files are replaced."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _postgres
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance

INSTANCE = Instance("16", "main", Path("/data"), 5433)


def test_places() -> None:
    assert INSTANCE.binaries == Path("/usr/lib/postgresql/16/bin")
    assert INSTANCE.configuration == Path("/etc/postgresql/16/main")
    assert INSTANCE.unit == "postgresql@16-main.service"
    assert INSTANCE.label == "16/main"
    assert INSTANCE.marker == Path("/var/lib/steadfast/main/instance.json")


@pytest.mark.parametrize(("wal", "path"), [(None, None), ("", None), ("/wal", Path("/wal"))])
def test_the_instance_that_arguments_name(wal: str | None, path: Path | None) -> None:
    given = {"version": "16", "cluster": "main", "data_directory": "/data", "port": 5433, "wal_directory": wal}
    assert Instance.of(given | {"operation": "start"}) == replace(INSTANCE, wal_directory=path)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    text = "import os, sys; print(os.environ['LC_ALL'], os.environ.get('LANG'), os.environ['X'], sys.stdin.read())"
    assert _postgres.run(python(text), env={"X": "1"}, input="in") == "C None 1 in\n"


@pytest.mark.parametrize(
    ("command", "timeout", "text"),
    [
        (["/no/such/program"], 5, "/no/such/program is not there"),
        (python("import sys; print('out'); sys.exit(' words ')"), 5, f"{sys.executable} ended with status 1: words"),
        (python("import sys; print('out'); sys.exit(3)"), 5, f"{sys.executable} ended with status 3: out"),
        (python("input()"), 0.01, f"{sys.executable} did not end within 0.01 s"),
    ],
)
def test_run_that_fails(command: list[str], timeout: float | int, text: str) -> None:
    # A pipe that nobody writes to lets a program wait.
    reading, writing = os.pipe()
    try:
        with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
            _postgres.run(command, timeout, stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)


def test_run_as_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    account = SimpleNamespace(pw_uid=101, pw_gid=104, pw_dir="/var/lib/postgresql")
    groups = [SimpleNamespace(gr_gid=103, gr_mem=["postgres"]), SimpleNamespace(gr_gid=0, gr_mem=["root"])]
    asked: dict[str, Any] = {}
    monkeypatch.setattr(_postgres, "pwd", SimpleNamespace(getpwnam=lambda name: account))
    monkeypatch.setattr(_postgres, "grp", SimpleNamespace(getgrall=lambda: groups))
    monkeypatch.setattr(_postgres, "run", lambda command, timeout, **options: asked.update(options) or "done")
    assert _postgres.run_as_owner(["initdb"], input="x") == "done"
    assert asked == {"user": 101, "group": 104, "extra_groups": [103], "cwd": "/var/lib/postgresql", "input": "x"}


def test_query(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[Path | str], timeout: int, **options: dict[str, str] | str) -> str:
        asked.update(options, command=command, timeout=timeout)
        return "{}"

    monkeypatch.setattr(_postgres, "run_as_owner", run)
    assert _postgres.query_json(INSTANCE, "SELECT 'secret'") == {}
    assert asked["command"] == [INSTANCE.binaries / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    assert asked["input"] == "SELECT 'secret'"
    assert asked["env"] == {
        "PGHOST": "/var/run/postgresql",
        "PGPORT": "5433",
        "PGDATABASE": "postgres",
        "PGAPPNAME": "steadfast",
        "PGCONNECT_TIMEOUT": "5",
        "PGOPTIONS": "-c synchronous_commit=local -c lock_timeout=5s -c statement_timeout=15s -c lc_messages=C",
    }


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("db2", "'db2'"),
        ("it's", "'it''s'"),
        ("a\\b", "E'a\\\\b'"),
        ("a\\'b", "E'a\\\\''b'"),
        ("", "''"),
    ],
)
def test_quoted(text: str, literal: str) -> None:
    assert _postgres.quoted(text) == literal


@pytest.mark.parametrize(("name", "written"), [("ada", '"ada"'), ('a"b', '"a""b"')])
def test_identifier(name: str, written: str) -> None:
    assert _postgres.identifier(name) == written


def test_wait_until(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool | CommandError] = [False, CommandError("not yet"), True]
    naps: list[float] = []

    def look() -> bool:
        found = looks.pop(0)
        if isinstance(found, CommandError):
            raise found
        return found

    monkeypatch.setattr(time, "sleep", naps.append)
    _postgres.wait_until(look, 5, "it", interval=0.2)
    assert naps == [0.2, 0.2]


@pytest.mark.parametrize(
    ("error", "text"),
    [("", "it did not happen within 0 s"), ("no socket", "it did not happen within 0 s (no socket)")],
)
def test_wait_until_in_vain(error: str, text: str) -> None:
    def look() -> bool:
        if error:
            raise CommandError(error)
        return False

    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        _postgres.wait_until(look, 0, "it")


def test_write_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    _postgres.write_atomically(path, "new", 0o640)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)

    def fail(candidate: Path, target: Path) -> None:
        assert candidate.read_text() == "newer"
        raise OSError(5, "killed here")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="killed here"):
        _postgres.write_atomically(path, "newer")
    assert path.read_text() == "new"


def test_read_json(tmp_path: Path) -> None:
    assert _postgres.read_json(tmp_path / "none") is None
    (tmp_path / "one").write_text('{"a": 1}')
    assert _postgres.read_json(tmp_path / "one") == {"a": 1}


@pytest.mark.parametrize(("owner", "there"), [("root", True), ("no_such_user_of_a_test", False)])
def test_owner_exists(monkeypatch: pytest.MonkeyPatch, owner: str, there: bool) -> None:
    monkeypatch.setattr(_postgres, "OWNER", owner)
    assert _postgres.owner_exists() is there
