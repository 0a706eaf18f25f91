# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distributions the collection knows, and what it refuses of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, POOLER, RECORDERS

Json = Mapping[str, Any]
DISTRIBUTION = "distribution"
PROJECT = "pgdg"


def key(seen: Json) -> str:
    """Return the name of the data file of the distribution that was seen on a host."""
    host = seen["host"]
    return f"{host['distribution'].lower()}_{host['distribution_version']}"


def refusals(cluster: Json, platforms: Mapping[str, Json], observed: Mapping[str, Json | None]) -> list[str]:
    """Return why members cannot be managed on the distribution that they run.

    Args:
        cluster: what preflight returned.
        platforms: the data of every known distribution, by key.
        observed: what was seen on each member.
    """
    found: list[str] = []
    for member in cluster["members"]:
        seen = observed.get(member["name"])
        if seen:
            found += _of_member(cluster, member, key(seen), platforms)
            found += _of_project_key(cluster, member, seen, platforms.get(key(seen)))
    return found


def lacks_project_key(cluster: Json, member: Json, seen: Json) -> bool:
    """Whether packages come from the PostgreSQL project, whose key is not on the host yet."""
    return uses_project(cluster, member) and not seen.get("project_key")


def uses_project(cluster: Json, member: Json) -> bool:
    """Whether a member's packages come from the PostgreSQL project; not every duty needs some."""
    duties = {*(RECORDERS if cluster.get("repositories") else {DATABASE}), *([POOLER] if cluster.get("pools") else [])}
    return bool(member["package_source"] == PROJECT and duties & set(member["duties"]))


def _of_project_key(cluster: Json, member: Json, seen: Json, platform: Json | None) -> Iterator[str]:
    """Refuse a key that is not the project's, or not it alone, whenever it came to the host."""
    found = seen.get("project_key")
    if platform is None or not found or not uses_project(cluster, member):
        return
    expected = platform["pgdg_fingerprint"]
    what = f"the key {found['fingerprint']}" if "fingerprint" in found else f"no single key ({found['error']})"
    if found.get("fingerprint") != expected:
        yield (
            f"{member['name']}: {platform['pgdg_key']} holds {what}, where the PostgreSQL project's key "
            f"{expected} has to be: find out who replaced it before you go on"
        )


def _of_member(cluster: Json, member: Json, found: str, platforms: Mapping[str, Json]) -> Iterator[str]:
    name, platform = member["name"], platforms.get(found)
    known = ", ".join(sorted(platforms))
    if platform is None:
        yield f"{name}: runs {found}, which the collection does not know; it knows {known}"
        return
    if not platform["tested"] and not member["allow_untested_platform"]:
        yield (
            f"{name}: runs {found}, for which there is data but no test; to go on, "
            "write postgresql_allow_untested_platform: true"
        )
    has = platform["distribution_postgresql"]
    from_distribution = member["package_source"] == DISTRIBUTION and DATABASE in member["duties"]
    if from_distribution and cluster["version"] != has:
        yield (
            f"{name}: postgresql_server_package_source is distribution, and {found} has PostgreSQL {has}, not "
            f'{cluster["version"]}; write postgresql_version: "{has}" or another source'
        )
