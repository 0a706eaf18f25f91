# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in: on the servers themselves, and through poolers, whose sessions outlive their clients. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _pooler_plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import POOLER

Json = Mapping[str, Any]


def elsewhere(members: Iterable[Json], observed: Mapping[str, Json | None]) -> dict[str, Any]:
    """Return who is logged in as the primary does not see it.

    That is how many clients each login has through poolers (clients), from which addresses only those count
    (addresses), and the sessions on standbys (standbys).

    A pooler that does not say all of its clients is left out, so that its sessions on the server count.

    Args:
        members: the members of the cluster with their addresses.
        observed: what was seen on each; None for one that was not.
    """
    clients: Counter[str] = Counter()
    addresses, standbys = [], []
    for member in members:
        standbys += ((observed.get(member["name"]) or {}).get("server") or {}).get("sessions", [])
        seen = (observed.get(member["name"]) or {}).get("pooler") if POOLER in member["duties"] else None
        process = _telling(seen) if seen else None
        if process:
            addresses.append(str(member["address"]))
            for database in process["databases"].values():
                clients.update(database["clients"])
    return {"addresses": addresses, "clients": dict(clients), "standbys": standbys}


def sessions(found: Iterable[Sequence[Any]], others: Json) -> dict[str, int]:
    """Return how many sessions each login has.

    Args:
        found: login, address of the client and number, as the primary says it.
        others: what elsewhere returned; nothing where nobody else was asked.
    """
    counts: Counter[str] = Counter(others.get("clients", {}))
    for login, address, number in [*found, *others.get("standbys", ())]:
        if address not in others.get("addresses", ()):
            counts[login] += number
    return dict(counts)


def _telling(seen: Json) -> Json | None:
    """Return the process of a pooler that names all clients: one that only waits for its last ones names none."""
    live = _pooler_plan.serving(seen)
    process: Json | None = seen["processes"][str(live)] if live else None
    return process if process and process["answers"] and not _pooler_plan.draining(seen) else None
