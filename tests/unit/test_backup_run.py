# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting with pgBackRest: what is repeated, what is waited for, what fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_run
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_run import Backup, Progress
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, change

LOCKED = CommandError("pgbackrest ended with status 50: ERROR: [050]: unable to acquire lock")
FULL = Backup("local", "full")


def answers(monkeypatch: pytest.MonkeyPatch, *given: str | CommandError) -> list[Sequence[str]]:
    """Let pgBackRest answer in turn; returns what it was asked."""
    asked: list[Sequence[str]] = []
    left = list(given)

    def pgbackrest(user: str, arguments: Sequence[str], limit: float) -> str:
        asked.append(arguments)
        answer = left.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(_backup_run, "pgbackrest", pgbackrest)
    return asked


STANZA = [change("repository", "local", "without a stanza", "stanza main")]


def test_a_stanza_waits_for_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, LOCKED, LOCKED, "")
    assert _backup_run.make_stanza("pgbackrest", "main", ["local"], check_mode=False) == STANZA
    assert asked == [["--stanza=main", "stanza-create"]] * 3


def test_a_stanza_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, CommandError("no route"))
    with pytest.raises(CommandError, match="no route"):
        _backup_run.make_stanza("pgbackrest", "main", ["local"], check_mode=False)
    assert len(asked) == 1


def test_a_repository_with_the_backups_of_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, CommandError("ERROR: [028]: backup and archive info files exist but do not match"))
    with pytest.raises(CommandError, match=r"holds backups of another cluster that had the name main, .*lost_cluster"):
        _backup_run.make_stanza("pgbackrest", "main", ["local"], check_mode=False)


@pytest.mark.parametrize(("names", "check_mode", "changes"), [([], False, []), (["local"], True, STANZA)])
def test_no_stanza_is_made(
    monkeypatch: pytest.MonkeyPatch, names: list[str], check_mode: bool, changes: list[dict[str, str]]
) -> None:
    asked = answers(monkeypatch)
    assert _backup_run.make_stanza("pgbackrest", "main", names, check_mode) == changes
    assert asked == []


def systemd(monkeypatch: pytest.MonkeyPatch, states: Callable[[str], str]) -> list[Sequence[str]]:
    """Answer what systemctl and journalctl are asked; returns what was done."""
    done: list[Sequence[str]] = []

    def run(command: Sequence[str], *_: Any, **__: Any) -> str:
        if command[0] == "journalctl":
            return "P00 ERROR: [082]: WAL segment\nwas not archived\n"
        if command[1] == "show":
            return states(command[-1]) if "ActiveState" in command[2] else "abc"
        done.append(command[1:])
        return ""

    monkeypatch.setattr(_backup_run, "run", run)
    return done


def test_backups_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    done = systemd(monkeypatch, lambda unit: "inactive")
    backups = [FULL, Backup("offsite", "incremental")]
    assert _backup_run.make("pgbackrest", "main", backups, begin=True, patience=1) == Progress(finished=True)
    units = ["steadfast-backup@local-full.service", "steadfast-backup@offsite-incremental.service"]
    assert done[-1] == ["start", "--no-block", *units]


def test_a_backup_that_failed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd(monkeypatch, lambda unit: "failed")
    words = "steadfast-backup@local-full.service failed: P00 ERROR: \\[082\\]: WAL segment was not archived"
    with pytest.raises(CommandError, match=f"^{words}$"):
        _backup_run.make("pgbackrest", "main", [FULL], begin=False, patience=1)


def test_a_long_backup_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd(monkeypatch, lambda unit: "activating")
    answers(monkeypatch, '[{"status": {"lock": {"backup": {"held": true, "size": 200, "size-cplt": 50}}}}]')
    found = _backup_run.make("pgbackrest", "main", [FULL], begin=False, patience=0)
    assert found == Progress(finished=False, running=(FULL.unit,), bytes=50, expected=200)


@pytest.mark.parametrize(
    ("before", "size", "check_mode", "after", "words"),
    [
        (None, 4096, False, 4096, ("absent", "4096 bytes")),
        (None, 4096, True, None, ("absent", "4096 bytes")),
        (4096, 4096, False, 4096, None),
        (10, 4096, False, 4096, ("10 bytes", "4096 bytes")),
        (4096, 0, False, None, ("4096 bytes", "absent")),
        (None, 0, False, None, None),
    ],
)
def test_emergency_file(
    tmp_path: Path,
    *,
    before: int | None,
    size: int,
    check_mode: bool,
    after: int | None,
    words: tuple[str, str] | None,
) -> None:
    path = tmp_path / "main.emergency"
    if before is not None:
        path.write_bytes(b"x" * before)
    changes = _backup_run.emergency_file(path, size, check_mode)
    assert changes == ([change("file", str(path), *words)] if words else [])
    assert (path.stat().st_size if path.exists() else None) == after
