# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that standbys, backups and poolers log in as: how they are seen, what is amiss, what mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _backup_role,
    _pooler_files,
    _pooler_role,
    _role_attributes,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_config import DATABASE_ROLE
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, WARNING, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, REPLICATOR
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change

Json = Mapping[str, Any]
Changes = list[dict[str, str]]

NAMES = (REPLICATOR, DATABASE_ROLE, _pooler_files.ROLE)

# In the database postgres, where the rights on functions are.
SEEN = """
SELECT json_build_object(
  'roles', (SELECT coalesce(json_object_agg(rolname, @ATTRIBUTES@), '{}')
    FROM pg_authid WHERE rolname IN ('@NAMES@')),
  'function', (@FUNCTION@),
  'rights', (@RIGHTS@),
  'lacking', (@LACKING@))
"""
SEEN = (
    SEEN.replace("@ATTRIBUTES@", _role_attributes.SEEN)
    .replace("@NAMES@", "', '".join(NAMES))
    .replace("@FUNCTION@", _pooler_role.FOUND)
    .replace("@RIGHTS@", _pooler_role.RIGHTS)
    .replace("@LACKING@", _backup_role.LACKING)
)
NOTHING: Json = {"roles": {}, "function": None, "rights": [], "lacking": _backup_role.FUNCTIONS}


@dataclass(frozen=True)
class Services:
    """Who besides people logs in to a cluster.

    Attributes:
        replication: whether standbys do.
        backups: whether backups do.
        poolers: whether poolers do.
    """

    replication: bool = False
    backups: bool = False
    poolers: bool = False

    @classmethod
    def of(cls, cluster: Json) -> Services:
        """Return who does in a cluster of the inventory, as preflight returned it."""
        return cls(
            replication=sum(DATABASE in member["duties"] for member in cluster["members"]) > 1,
            backups=bool(cluster.get("repositories")),
            poolers=bool(cluster.get("pools")),
        )


def mend(seen: Json, services: Services) -> Iterator[tuple[list[str], Changes]]:
    """Yield the SQL that makes or mends each role that is wanted, and what it changes.

    Args:
        seen: what SEEN returns.
        services: whose roles are wanted.
    """
    roles = seen["roles"]
    if services.replication:
        yield _replicator(roles.get(REPLICATOR))
    if services.backups:
        yield _backup_role.statements(roles.get(DATABASE_ROLE), seen["lacking"])
    if services.poolers:
        yield _pooler_role.statements(roles.get(_pooler_files.ROLE), seen["function"])


def changes(seen: Json | None, services: Services) -> Changes:
    """Return what is amiss, as a run would list it; nothing where nobody looked."""
    return [entry for _, made in mend(seen, services) for entry in made] if seen else []


def findings(host: str, seen: Json | None, services: Services) -> Iterator[Finding]:
    """Yield what an operator should know of the roles on the primary."""
    for entry in changes(seen, services):
        text = f"The {entry['kind']} {entry['name']} on {host} is not as it has to be: {entry['from']}."
        yield Finding(ERROR, host, text, "Run site.yml, which sets it right.")
    if seen and services.poolers and seen["rights"]:
        text = f"The role {_pooler_files.ROLE} has rights beyond its function: on {listed(seen['rights'])}."
        advice = f"Take them away on {host} (REVOKE ... FROM {_pooler_files.ROLE}): a pooler only asks for verifiers."
        yield Finding(WARNING, host, text, advice)


def _replicator(found: Json | None) -> tuple[list[str], Changes]:
    wanted = _role_attributes.Wanted(REPLICATOR, replication=True)
    if found is None:
        return _role_attributes.create(wanted), [change("role", REPLICATOR, "absent", "replication")]
    sql, words = _role_attributes.mend(wanted, found)
    return sql, [change("role", REPLICATOR, ", ".join(words), "replication")] if words else []
