# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a write from the primary to a standby; a failure is an answer, so that all answers are judged together."""

from __future__ import annotations

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    query,
    quoted,
    wait_until,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._probe import Answer

WRITE = "SELECT pg_logical_emit_message(true, 'steadfast', 'probe')"
POSITION = "SELECT pg_current_wal_lsn()"
PAUSED = "SELECT pg_is_wal_replay_paused()"


def write(instance: Instance, check_mode: bool) -> tuple[Answer, str]:
    """Commit a WAL record that changes no row; returns the answer and the position after it, "" where it failed.

    Args:
        instance: the primary.
        check_mode: write nothing; the position is that of what was written before.
    """
    try:
        if not check_mode:
            query(instance, WRITE)
        lsn = query(instance, POSITION).strip()
    except CommandError as error:
        # What follows shows the statement, which is ours.
        return Answer(False, str(error).splitlines()[0]), ""
    return Answer(True, lsn), lsn


def replay(instance: Instance, lsn: str, limit: float) -> Answer:
    """Wait until a standby has replayed a position."""
    replayed = f"SELECT pg_last_wal_replay_lsn() >= {quoted(lsn)}"
    try:
        wait_until(lambda: query(instance, replayed).strip() == "t", limit, f"replay of {lsn}", interval=0.2)
    except CommandError as error:
        return Answer(False, f"{error}{_pause(instance)}")
    return Answer(True, lsn)


def _pause(instance: Instance) -> str:
    try:
        return "; replay is paused" if query(instance, PAUSED).strip() == "t" else ""
    except CommandError:
        return ""  # it does not answer, which is said already
