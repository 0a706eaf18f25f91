# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a host: a line of JSON for each thing that was done, on disk before the writer goes on.

The role replication also puts this file beside its script on the hosts, so it needs nothing but Python.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/steadfast")
NAME = "journal.jsonl"
SYNCHRONOUS = "synchronous set"
LIMIT = 15.0  # seconds that another writer is waited for

Entry = Mapping[str, Any]


class JournalError(Exception):
    """An entry is not in the journal for certain."""


def journal_of(cluster: str) -> Path:
    """Return the file of a cluster's journal."""
    return FOLDER / cluster / NAME


def append(path: Path, entry: Entry, same: Sequence[str] = (), limit: float = LIMIT) -> tuple[dict[str, Any], bool]:
    """Append an entry unless it is there; it is on disk once this returns.

    An entry that says what holds from now on, in `to`, gets the `from` that the journal knew before it.

    Args:
        path: the journal.
        entry: what to write; it has at least the key event.
        same: nothing is appended when the last entry of that event agrees in these keys; with none of them, when an
            entry with all that is given is there.
        limit: seconds to wait for another writer.

    Returns:
        The entry as it is in the journal, and whether it was appended.

    Raises:
        JournalError: it could not be written; the journal is as it was.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            lock(descriptor, f"{path} is being written by another process", limit)
            written = _append_locked(descriptor, path, entry, same)
        finally:
            os.close(descriptor)
        # Its folder and the one above may be new.
        for folder in list(path.parents)[:3]:
            sync_directory(folder)
    except (OSError, TimeoutError) as error:
        raise JournalError(f"{path} does not take the entry: {error}") from error
    return written


def planned(path: Path, entry: Entry, same: Sequence[str] = ()) -> tuple[dict[str, Any], bool]:
    """Return what append would, without writing."""
    return _resolved(_read(path) if path.exists() else "", entry, same)


def last(path: Path, event: str) -> dict[str, Any] | None:
    """Return the last entry of an event; None where there is none, or no journal."""
    try:
        text = _read(path)
    except FileNotFoundError:
        return None
    return next(_entries(text, event), None)


def lock(descriptor: int, refusal: str, limit: float) -> None:
    """Lock an open file for this process alone; the kernel frees it when the process ends.

    Raises:
        TimeoutError: another process has held it for the whole limit.
    """
    deadline = time.monotonic() + limit
    while not _locked(descriptor):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{refusal}, for {limit:g} s now")
        time.sleep(0.05)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> str:
    # What a crash left may be no text; the lines before and after it are.
    return path.read_text(encoding="utf-8", errors="replace")


def _append_locked(descriptor: int, path: Path, entry: Entry, same: Sequence[str]) -> tuple[dict[str, Any], bool]:
    text = _read(path)
    whole, is_new = _resolved(text, entry, same)
    if is_new:
        # A line that a crash cut off ends here, or it would take this one with it.
        line = ("\n" if text and not text.endswith("\n") else "") + json.dumps(whole, sort_keys=True) + "\n"
        _write(descriptor, line.encode())
    else:
        os.fsync(descriptor)  # whoever wrote it may have been killed before this
    return whole, is_new


def _resolved(text: str, entry: Entry, same: Sequence[str]) -> tuple[dict[str, Any], bool]:
    before = next(_entries(text, entry["event"]), None)
    compared = [before] if same and before else _entries(text, entry["event"])
    keys = same or entry.keys()
    found = next((one for one in compared if all(one.get(key) == entry.get(key) for key in keys)), None)
    if found is not None:
        return found, False
    known = {"from": before.get("to") if before else None} if "to" in entry else {}
    return {**known, **entry}, True


def _entries(text: str, event: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of an event, the last first; a line that is none is passed over."""
    for line in reversed(text.splitlines()):
        if f'"{event}"' not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") == event:
            yield entry


def _write(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    try:
        left = line
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def sync_directory(folder: Path) -> None:
    """Make what was made or renamed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
