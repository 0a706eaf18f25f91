# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act with pgBackRest on the repository host: make the stanza, make backups and follow them."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    change,
    run,
    wait_until,
)

Changes = list[dict[str, str]]

STANZA_LIMIT, INFO_LIMIT, LOCK_LIMIT = 120, 60, 60  # seconds
LOCKED, MISMATCH = "ERROR: [050]", "ERROR: [028]"
ANOTHER = (
    "a repository holds backups of another cluster that had the name {0}, and nothing was stored there. To get its "
    "data back, or to begin anew beside it, see docs/runbooks/lost_cluster.md ({1})"
)
STARTING = {"activating", "active", "reloading"}


@dataclass(frozen=True)
class Backup:
    """One backup: into which repository, and full, differential or incremental."""

    repository: str
    kind: str

    @property
    def unit(self) -> str:
        """The unit that makes it, which timers start as well."""
        return f"steadfast-backup@{self.repository}-{self.kind}.service"


@dataclass(frozen=True)
class Progress:
    """How far backups are.

    Attributes:
        finished: none of them runs any more, and none failed.
        running: their units.
        bytes: how much of the data has been copied.
        expected: how much there is to copy; 0 while that is not known.
    """

    finished: bool
    running: tuple[str, ...] = ()
    bytes: int = 0
    expected: int = 0


def pgbackrest(user: str, arguments: Sequence[str], limit: float) -> str:
    """Run pgBackRest as the user that owns the repositories.

    Raises:
        CommandError: it failed; the text holds its own words.
    """
    owner = pwd.getpwnam(user)
    command = ["runuser", "-u", user, "--", "pgbackrest", *arguments]
    return run(command, limit, cwd=owner.pw_dir)


def make_stanza(user: str, stanza: str, repositories: Sequence[str], check_mode: bool) -> Changes:
    """Make the stanza in every repository that lacks it.

    Args:
        user: the owner of the repositories.
        stanza: name of the cluster.
        repositories: names of those that lack it, for the list of changes.
        check_mode: only say what would change.
    """
    changes = [change("repository", name, "without a stanza", f"stanza {stanza}") for name in repositories]
    if changes and not check_mode:
        _create_stanza(user, stanza)
    return changes


def _create_stanza(user: str, stanza: str) -> None:
    """Make the stanza; while the primary hands WAL over, which takes the same lock, it is tried again."""
    errors: list[CommandError] = []

    def made() -> bool:
        try:
            pgbackrest(user, [f"--stanza={stanza}", "stanza-create"], STANZA_LIMIT)
        except CommandError as error:
            if LOCKED in str(error):
                return False
            errors.append(CommandError(ANOTHER.format(stanza, error)) if MISMATCH in str(error) else error)
        return True

    wait_until(made, LOCK_LIMIT, "the lock of the stanza", interval=0.2)
    if errors:
        raise errors[0]


def emergency_file(path: Path, size: int, check_mode: bool) -> Changes:
    """Make a file of a size in bytes that may be deleted when the disk is full, or remove it where 0 is wanted."""
    before = path.stat().st_size if path.exists() else None
    if (before or 0) == size:
        return []
    if not check_mode:
        path.unlink(missing_ok=True)
        if size:
            with path.open("xb") as stream:
                path.chmod(0o600)
                os.posix_fallocate(stream.fileno(), 0, size)
    was = "absent" if before is None else f"{before} bytes"
    return [change("file", str(path), was, f"{size} bytes" if size else "absent")]


def make(user: str, stanza: str, backups: Sequence[Backup], begin: bool, patience: float) -> Progress:
    """Make backups side by side and wait for a while; one that runs already is waited for.

    Args:
        user: the owner of the repositories.
        stanza: name of the cluster.
        backups: what is to be made.
        begin: start those that do not run; without it, only look.
        patience: seconds to wait.

    Raises:
        CommandError: one of them failed; the others go on.
    """
    if begin:
        for backup in backups:
            if _state(backup.unit) not in STARTING:
                run(["systemctl", "reset-failed", f"{backup.unit}*"])
        run(["systemctl", "start", "--no-block", *(backup.unit for backup in backups)])
    try:
        wait_until(lambda: not _running(backups), patience, "the end of the backups", interval=0.1)
    except CommandError:
        held = _lock(user, stanza)
        return Progress(False, tuple(_running(backups)), int(held.get("size-cplt") or 0), int(held.get("size") or 0))
    failed = [backup for backup in backups if _state(backup.unit) == "failed"]
    if failed:
        raise CommandError("; ".join(f"{backup.unit} failed: {_last_words(backup.unit)}" for backup in failed))
    return Progress(True)


def _running(backups: Sequence[Backup]) -> list[str]:
    return [backup.unit for backup in backups if _state(backup.unit) in STARTING]


def _state(unit: str) -> str:
    return run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip()


def _last_words(unit: str) -> str:
    invocation = run(["systemctl", "show", "--property=InvocationID", "--value", unit]).strip()
    words = run(
        ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=6", f"_SYSTEMD_INVOCATION_ID={invocation}"]
    )
    return " ".join(words.split())


def _lock(user: str, stanza: str) -> Mapping[str, Any]:
    """Return what pgBackRest says of the backup that runs; nothing when it does not answer in time."""
    try:
        text = pgbackrest(user, [f"--stanza={stanza}", "--output=json", "info"], INFO_LIMIT)
        found: Mapping[str, Any] = json.loads(text)[0]["status"]["lock"]["backup"]
    except (CommandError, ValueError, LookupError):
        return {}
    return found
