# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: an entry is on disk or the journal is as it was, whoever else writes, whatever was cut off before."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.action import journal as action
from ansible_collections.steadfast.postgresql.plugins.module_utils import _journal
from ansible_collections.steadfast.postgresql.plugins.modules import journal as module

ENTRY = {"event": "synchronous set", "to": ["db2"], "time": "t1"}
OLD = {"event": "synchronous set", "to": [], "time": "t0"}
OTHER = {"event": "restore point", "name": "before"}
SAME = ["to"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "steadfast" / "main" / "journal.jsonl"


def fill(path: Path, *lines: Any) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


APPENDS = [
    pytest.param([], ENTRY, [], {**ENTRY, "from": None}, id="a new journal"),
    pytest.param([OLD], ENTRY, [], {**ENTRY, "from": []}, id="what was before is known"),
    pytest.param([OLD, OTHER], ENTRY, SAME, {**ENTRY, "from": []}, id="other events do not matter"),
    pytest.param([OLD], OTHER, [], OTHER, id="an event without a state"),
    pytest.param([ENTRY], ENTRY, [], None, id="there already"),
    pytest.param([ENTRY | {"from": []}, OLD], ENTRY, [], None, id="there already, with more behind it"),
    pytest.param([ENTRY], ENTRY | {"time": "t2"}, [], {**ENTRY, "time": "t2", "from": ["db2"]}, id="at another time"),
    pytest.param([ENTRY, OTHER], ENTRY | {"time": "t2"}, SAME, None, id="the last says the same"),
    pytest.param([ENTRY, OLD], ENTRY, SAME, {**ENTRY, "from": []}, id="the last says something else"),
    pytest.param([OLD], {**ENTRY, "from": ["db9"]}, [], {**ENTRY, "from": ["db9"]}, id="what was before is given"),
]


@pytest.mark.parametrize(("present", "entry", "same", "expected"), APPENDS)
def test_append(path: Path, *, present: list[Any], entry: Mapping[str, Any], same: list[str], expected: Any) -> None:
    if present:
        fill(path, *present)
    predicted = _journal.planned(path, entry, same)
    assert (lines(path) if path.exists() else []) == present
    written = _journal.append(path, entry, same)
    assert written == predicted
    assert written[1] is (expected is not None)
    assert lines(path) == present + ([expected] if expected else [])
    assert written[0] in lines(path)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("left", [b'{"event": "synchronous set", "to": ["db', b"\xff\xfe", bytes(20)])
def test_a_line_that_was_cut_off_takes_nothing_with_it(path: Path, left: bytes) -> None:
    fill(path, OLD)
    with path.open("ab") as stream:
        stream.write(left)
    assert _journal.last(path, "synchronous set") == OLD
    _journal.append(path, ENTRY)
    assert path.read_bytes().splitlines()[1] == left
    assert _journal.last(path, "synchronous set") == {**ENTRY, "from": []}


@pytest.mark.parametrize("line", ["synchronous set\n", '["synchronous set"]\n', '{"by": "synchronous set"}\n', "\n"])
def test_lines_that_are_no_entry_are_passed_over(path: Path, line: str) -> None:
    fill(path, OLD, line)
    assert _journal.last(path, "synchronous set") == OLD
    assert _journal.last(path, "restore point") is None


def test_no_journal_has_no_entry(path: Path) -> None:
    assert _journal.last(path, "synchronous set") is None


def test_it_is_on_disk_before_it_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    expected = [str(path), *map(str, list(path.parents)[:3])]
    _journal.append(path, ENTRY)
    assert synced == expected
    # Whoever wrote it may have been killed before it was on disk.
    _journal.append(path, ENTRY)
    assert synced == 2 * expected


class FullDisk:
    """Takes so many bytes, and no more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = self.write(descriptor, data[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("room", [0, 10])
def test_a_full_disk_leaves_the_journal_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    fill(path, OLD)
    monkeypatch.setattr(os, "write", FullDisk(room))
    with pytest.raises(_journal.JournalError) as error:
        _journal.append(path, ENTRY)
    assert str(error.value) == f"{path} does not take the entry: [Errno 28] No space left on device"
    assert lines(path) == [OLD]


def test_a_disk_that_fails_later_leaves_the_journal_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, OLD)

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(_journal.JournalError, match="Input/output error"):
        _journal.append(path, ENTRY)
    assert lines(path) == [OLD]


def test_a_directory_in_the_place_of_the_journal(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(_journal.JournalError, match="Is a directory"):
        _journal.append(path, ENTRY)


def test_a_writer_that_does_not_end(path: Path) -> None:
    fill(path, OLD)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(_journal.JournalError) as error:
            _journal.append(path, ENTRY, limit=0)
    assert str(error.value) == (
        f"{path} does not take the entry: {path} is being written by another process, for 0 s now"
    )
    assert lines(path) == [OLD]
    _journal.append(path, ENTRY, limit=0)
    assert len(lines(path)) == 2


def test_many_writers_at_once(path: Path) -> None:
    entries = [{"event": "drill", "to": number} for number in range(20)]
    writers = [threading.Thread(target=_journal.append, args=(path, entry)) for entry in entries]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = lines(path)
    assert sorted(entry["to"] for entry in found) == list(range(20))
    # Each knows the one before it.
    assert [entry["from"] for entry in found] == [None, *(entry["to"] for entry in found[:-1])]


@pytest.mark.parametrize(
    ("value", "text"), [(["db2", "db4"], "db2, db4"), ([], "empty"), (None, "nothing"), ("passed", "passed")]
)
def test_a_change_in_words(value: Any, text: str) -> None:
    assert module.worded(value) == text


@pytest.mark.parametrize(
    ("environment", "person"),
    [({"SUDO_USER": "ada", "LOGNAME": "root"}, "ada"), ({"SUDO_USER": "", "LOGNAME": "eve"}, "eve")],
)
def test_the_operator(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], person: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert action.operator() == f"{person}@laptop"
