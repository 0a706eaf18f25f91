# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of backups on a host: what pgBackRest says, units, files that it has not read, the file for need."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_backup
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError
from ansible_collections.steadfast.postgresql.plugins.module_utils._seal import seal

ABSENT = {"answers": True, "error": "", "stanza": False, "systems": [], "full": None}
FULL = {"type": "full", "error": False, "timestamp": {"start": 500}}


def stanza(code: int, *backups: dict[str, Any], message: str = "ok") -> str:
    repository = {"key": 1, "status": {"code": code, "message": message}}
    return json.dumps([{"repo": [repository], "backup": backups, "db": [{"system-id": 73}]}])


def failed(words: str) -> CommandError:
    return CommandError(f"runuser ended with status 1: {words}")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(stanza(0, FULL), ABSENT | {"stanza": True, "systems": ["73"], "full": 500}, id="whole"),
        pytest.param(
            stanza(0, FULL, FULL | {"timestamp": {"start": 900}}, FULL | {"type": "incr", "timestamp": {"start": 990}}),
            ABSENT | {"stanza": True, "systems": ["73"], "full": 900},
            id="the newest full one counts",
        ),
        pytest.param(
            stanza(0, FULL | {"error": True}), ABSENT | {"stanza": True, "systems": ["73"]}, id="a full one with errors"
        ),
        pytest.param(stanza(2), ABSENT | {"stanza": True, "systems": ["73"]}, id="no backup yet"),
        pytest.param(stanza(1), ABSENT | {"systems": ["73"]}, id="no stanza"),
        pytest.param("[]", ABSENT, id="nothing"),
        pytest.param(
            "no JSON",
            ABSENT | {"answers": False, "error": "Expecting value: line 1 column 1 (char 0)"},
            id="no answer that can be read",
        ),
        pytest.param(
            stanza(99, message="[CryptoError]"),
            ABSENT | {"answers": False, "error": "[CryptoError]", "systems": ["73"]},
            id="it cannot be read",
        ),
        pytest.param(
            stanza(
                99, message="[FormatError] unable to load info file 'a' or 'b':\nFormatError: at line 1: \ufffd\x1b"
            ),
            ABSENT
            | {
                "answers": False,
                "error": "[FormatError] unable to load info file 'a' or 'b': it was written with another passphrase, "
                "or is damaged",
                "systems": ["73"],
            },
            id="another passphrase",
        ),
        pytest.param(failed("pgbackrest: No such file or directory"), ABSENT, id="not installed"),
        pytest.param(failed("ERROR: [037]: requires option: repo2-path"), ABSENT, id="not configured yet"),
        pytest.param(
            CommandError("runuser did not end within 8.0 s"),
            ABSENT | {"answers": False, "error": "runuser did not end within 8.0 s"},
            id="no answer",
        ),
    ],
)
def test_a_repository(monkeypatch: pytest.MonkeyPatch, answer: str | CommandError, expected: dict[str, Any]) -> None:
    def run(command: Sequence[str], *_: Any, **__: Any) -> str:
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(_observe_backup, "run", run)
    assert _observe_backup.info("main", "pgbackrest", 1) == expected


def test_without_the_user_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_observe_backup, "UNITS", tmp_path)
    monkeypatch.setattr(_observe_backup, "run", lambda command, *_, **__: "\n")
    found = _observe_backup.backup("main", "nobody-here", [1], certificates=tmp_path, places=[])
    assert (found["user"], found["units"]) == (False, {})
    assert found["repositories"] == {}


@pytest.mark.parametrize(
    ("secrets", "sealed"),
    [
        ("[global]\nrepo1-cipher-pass=one\nrepo2-cipher-pass=a=b\n", seal("a=b", "main /main b s3.example.com")),
        ("", ""),
    ],
    ids=["written", "not yet"],
)
def test_where_a_repository_is_and_its_sealed_passphrase(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: str, sealed: str
) -> None:
    monkeypatch.setattr(_observe_backup, "CONFIGURATION", tmp_path)
    options = "repo1-path=/srv/local\nrepo2-path=/main\nrepo2-s3-bucket=b\nrepo2-s3-endpoint=s3.example.com\n"
    (tmp_path / "pgbackrest.conf").write_text(f"[global]\n{options}")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "secrets.conf").write_text(secrets)
    assert _observe_backup.written("main", 3) == {}
    place = ["/main", "b", "s3.example.com"]
    assert _observe_backup.written("main", 2) == {"place": place, "seal": sealed}


def test_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("pgbackrest.service", "steadfast-backup-local-full.timer", "steadfast-watch-16-main.timer"):
        (tmp_path / name).touch()
    shown = (
        "Id=pgbackrest.service\nActiveState=active\nUnitFileState=enabled\n\n"
        "Id=steadfast-backup-local-full.timer\nActiveState=inactive\nUnitFileState=disabled\n"
    )
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], *_: Any, **__: Any) -> str:
        asked.append(command[3:])
        return shown

    monkeypatch.setattr(_observe_backup, "UNITS", tmp_path)
    monkeypatch.setattr(_observe_backup, "run", run)
    assert _observe_backup.units() == {
        "pgbackrest.service": {"active": True, "enabled": True},
        "steadfast-backup-local-full.timer": {"active": False, "enabled": False},
    }
    assert asked == [["pgbackrest.service", "steadfast-backup-local-full.timer"]]


@pytest.mark.parametrize(
    ("since", "age", "expected"),
    [
        pytest.param("Sat 2026-11-21 15:00:00.500000 UTC", 1, ["conf"], id="newer"),
        pytest.param("Sat 2026-11-21 15:00:00.500000 UTC", -1, [], id="older"),
        pytest.param("", 1, [], id="it never ran"),
    ],
)
def test_files_that_were_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, since: str, age: int, expected: list[str]
) -> None:
    path = tmp_path / "pgbackrest.conf"
    path.touch()
    moment = 1_795_273_200.5 + age
    os.utime(path, (moment, moment))
    monkeypatch.setattr(_observe_backup, "CONFIGURATION", tmp_path)
    monkeypatch.setattr(_observe_backup, "UNITS", tmp_path)
    monkeypatch.setattr(_observe_backup, "run", lambda command, *_, **__: f"{since}\n")
    assert _observe_backup.stale(tmp_path) == ([str(path)] if expected else [])


def test_the_emergency_file_lies_in_the_file_system_of_the_wal(tmp_path: Path) -> None:
    directory = tmp_path / "main"
    beside = {"path": str(tmp_path / "main.emergency"), "bytes": None}
    assert _observe_backup.emergency_file(directory) == beside
    directory.mkdir()
    (tmp_path / "main.emergency").write_bytes(b"123")
    assert _observe_backup.emergency_file(directory) == beside | {"bytes": 3}
    assert _observe_backup.emergency_file(Path("/proc"))["path"] == "/proc/steadfast.emergency"


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        pytest.param((0, "[]", ""), [], id="nothing"),
        pytest.param((1, '[{"name": "wal_gap", "text": "x"}]', ""), [{"name": "wal_gap", "text": "x"}], id="a finding"),
        pytest.param(
            (2, "", "Traceback\nboom\n"),
            [{"name": "check_failed", "text": "the look at the database failed: Traceback boom"}],
            id="it failed",
        ),
        pytest.param(
            None,
            [{"name": "check_failed", "text": "the look at the database did not end within 60 s"}],
            id="too long",
        ),
    ],
)
def test_findings(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    done: tuple[int, str, str] | None,
    expected: list[dict[str, str]],
) -> None:
    def run(command: Sequence[str], **_: Any) -> SimpleNamespace:
        assert command[-3:] == ["database", "/etc/pgbackrest/steadfast.json", "--json"]
        if done is None:
            raise subprocess.TimeoutExpired(command, 60)
        return SimpleNamespace(returncode=done[0], stdout=done[1], stderr=done[2])

    script = tmp_path / "check_archive"
    monkeypatch.setattr(_observe_backup, "SCRIPT", script)
    monkeypatch.setattr(subprocess, "run", run)
    assert _observe_backup.findings("postgres", ["database"]) == []
    script.touch()
    assert _observe_backup.findings("postgres", ["database"]) == expected
