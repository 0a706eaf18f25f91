# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove what a restart was for: the server runs the installed program, standbys stream and have caught up."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_instance
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    query,
    query_json,
    quoted,
    run,
    wait_until,
)

PRODUCT = "(PostgreSQL) "
POSITION = "SELECT pg_current_wal_insert_lsn()"
STANDBYS = """
SELECT coalesce(json_object_agg(application_name, json_build_object('state', state,
  'behind', coalesce(greatest(pg_wal_lsn_diff({lsn}, replay_lsn), 0), -1)) ORDER BY (state = 'streaming'), pid), '{{}}')
FROM pg_stat_replication
"""


def program(instance: Instance) -> str:
    """Return the server's version, which has to be that of the program that is installed.

    Raises:
        CommandError: it is another, or the file of the running program is gone.
    """
    running = query(instance, "SHOW server_version").strip()
    installed = run([_observe_instance.program(instance), "--version"]).strip().partition(PRODUCT)[2]
    if running != installed or _observe_instance.is_replaced(instance):
        raise CommandError(f"{instance.label} runs {running}, and the installed program is {installed}")
    return running


def standbys(instance: Instance, names: Sequence[str], limit: float) -> None:
    """Wait until standbys stream and have replayed what the primary has written by now.

    Args:
        instance: the primary.
        names: of the standbys, in PostgreSQL.
        limit: seconds for all of them.

    Raises:
        CommandError: one does not, in words.
    """
    lsn = quoted(query(instance, POSITION).strip())
    left: list[str] = []

    def caught_up() -> bool:
        seen = query_json(instance, STANDBYS.format(lsn=lsn))
        left[:] = [words for name in names if (words := _wanting(name, seen.get(name)))]
        return not left

    try:
        wait_until(caught_up, limit, "", interval=0.2)
    except CommandError as error:
        raise CommandError(f"{'; '.join(left)}, after {limit:g} s") from error


def _wanting(name: str, seen: dict[str, str | int] | None) -> str:
    """Say what a standby lacks."""
    if seen is None:
        return f"{name} is not connected"
    if seen["state"] != "streaming":
        return f"{name} does not stream: {seen['state']}"
    behind = int(seen["behind"])
    if behind < 0:
        return f"{name} has not said how far it is"
    return f"{name} is {behind} bytes behind" if behind else ""
