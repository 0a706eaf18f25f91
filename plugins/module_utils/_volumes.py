# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether data and WAL are encrypted at rest, in words, and the refusal where they have to be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed

Json = Mapping[str, Any]

REQUIRED = "required"
_PLACES = {"data": "data", "wal": "write-ahead log"}


def words(volume: Json) -> str:
    """Say how what lies on a volume is kept."""
    if volume["encrypted"]:
        return f"on an encrypted volume ({', '.join(volume['ciphers'])})"
    return "not encrypted" if volume["device"] else f"not known to be encrypted ({volume['file_system']})"


def lines(seen: Mapping[str, Json]) -> list[str]:
    """Return what the summary says; hosts that are alike are named together.

    Args:
        seen: the volumes of each database host that was observed, by its name.
    """
    alike: dict[str, list[str]] = {}
    for host, volumes in seen.items():
        alike.setdefault(_of_host(volumes), []).append(host)
    return [f"  {listed(hosts)}: {what}" for what, hosts in alike.items()]


def refusals(members: Sequence[Json], observed: Mapping[str, Json | None]) -> Iterator[str]:
    """Refuse volumes that are not encrypted where they have to be."""
    for member in members:
        if DATABASE not in member["duties"] or member["host"]["encryption"] != REQUIRED:
            continue
        volumes = (observed.get(member["name"]) or {}).get("volumes", {})
        for place, what in _PLACES.items():
            if place in volumes and not volumes[place]["encrypted"]:
                yield _refusal(member["name"], what, volumes[place])


def _refusal(host: str, what: str, volume: Json) -> str:
    if volume["device"]:
        where = f"{volume['device']}, which is not encrypted"
    else:
        where = f"a file system of type {volume['file_system']}, of which it cannot be told whether it is encrypted"
    return (
        f"{host}: postgresql_host_encryption is required, but the {what} is on {where}; mount a LUKS volume at "
        f"{volume['mount']} or below it, or write observed"
    )


def _of_host(volumes: Json) -> str:
    found = {what: words(volumes[place]) for place, what in _PLACES.items() if place in volumes}
    if len(set(found.values())) == 1:
        return f"{' and '.join(found)} {next(iter(found.values()))}"
    return ", ".join(f"{what} {text}" for what, text in found.items())
