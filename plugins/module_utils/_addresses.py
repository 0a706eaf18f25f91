# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which address each member is reached: as the inventory says, as it was observed, or as it last was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def addresses(members: Sequence[Json], observed: Mapping[str, Json | None]) -> dict[str, str]:
    """Return the address of each member by its name; "" for one that is not known.

    A member that cannot be asked keeps the address that the last run wrote down on the others, unless another member
    has it now: then the rules on the others, which name it, can be written while it is away.

    Args:
        members: the members as the inventory states them.
        observed: what was seen on each member.
    """
    known = {member["name"]: member["address"] or _seen(observed.get(member["name"])) for member in members}
    for name, address in _written(observed).items():
        if known.get(name) == "" and address not in known.values():
            known[name] = address
    return known


def refusals(members: Sequence[Json]) -> list[str]:
    """Refuse two members with one address."""
    holders: dict[str, list[str]] = {}
    for member in members:
        if member["address"]:
            holders.setdefault(member["address"], []).append(member["name"])
    return [
        f"{' and '.join(names)}: both have the address {address}; write postgresql_address for each of them"
        for address, names in holders.items()
        if len(names) > 1
    ]


def left(databases: Mapping[str, str]) -> Iterator[str]:
    """Yield which database hosts have no rule, because nobody knows their address."""
    for name, address in databases.items():
        if not address:
            yield (
                f"pg_hba.conf: has no rule for the replication of {name}, whose address is not known; run site.yml "
                f"once it answers, or write postgresql_address for {name}"
            )


def _seen(observed: Json | None) -> str:
    host = (observed or {}).get("host", {})
    return str(host.get("ipv4") or host.get("ipv6") or "")


def _written(observed: Mapping[str, Json | None]) -> dict[str, str]:
    """Return the addresses that stand in the members' files; the primary's file is the one that counts."""
    found: dict[str, str] = {}
    for seen in sorted(filter(None, observed.values()), key=_takes_writes):
        found |= ((seen.get("backup") or {}).get("check") or {}).get("addresses", {})
        found |= seen.get("replicas") or {}
    return found


def _takes_writes(seen: Json) -> bool:
    server = seen.get("server") or {"in_recovery": True}
    return not server["in_recovery"]
