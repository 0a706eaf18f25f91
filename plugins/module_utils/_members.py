# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who belongs to a cluster: members with their duties and places, as the inventory states them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DATABASE, REPOSITORY, POOLER = "database", "repository", "pooler"
RECORDERS = frozenset({DATABASE, REPOSITORY})
"""Whose hosts keep the cluster's journal."""

REQUIRED = "required"
PREFERRED = "preferred"
ASYNCHRONOUS = "asynchronous"

REPLICATOR = "replicator"
"""The role that standbys log in as, by their certificates."""

RESERVED_ROLES = (
    "postgres",
    REPLICATOR,
    "pgbackrest",
    "pgbouncer",
    "public",
    "none",
    "all",
    "sameuser",
    "samerole",
    "samegroup",
    "replication",
)
"""Names that no person and no application has: PostgreSQL's own words, and the roles of the collection."""

ADMINISTRATOR_GROUPS = ("pg_monitor", "pg_signal_backend")
"""Over the network an administrator sees everything and ends sessions; a superuser logs in on the host alone."""

STANDBY_MINIMA = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""Parameters that a standby must not have lower than its primary (PostgreSQL's documentation, "Hot Standby")."""

NAME_LIMIT = 63
"""Bytes of a PostgreSQL name (NAMEDATALEN - 1); longer ones are cut by the server."""


def member_name(inventory_name: str) -> str:
    """Return a host's name in PostgreSQL: its slot, its application_name, its place in the synchronous set."""
    return re.sub(r"[^a-z0-9_]", "_", inventory_name.lower())[:NAME_LIMIT]


def is_ip(address: str) -> bool:
    """Whether an address is a number, and no name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Member:
    """One host of a cluster.

    Attributes:
        name: inventory name.
        duties: what it does: database, repository, pooler, migrations, drill.
        region: postgresql_region.
        zone: postgresql_zone.
        address: postgresql_address; "" stands for the address that is observed.
    """

    name: str
    duties: frozenset[str]
    region: str = ""
    zone: str = ""
    address: str = ""

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Member:
        """Build a member from a mapping with the attributes as keys."""
        return cls(
            name=given["name"],
            duties=frozenset(given["duties"]),
            region=given.get("region") or "",
            zone=given.get("zone") or "",
            address=given.get("address") or "",
        )

    @property
    def member_name(self) -> str:
        """The host's name in PostgreSQL."""
        return member_name(self.name)

    def is_candidate_for(self, primary: Member) -> bool:
        """Whether it may be synchronous beside this primary: the same region, and certainly another zone."""
        zones_are_known = bool(self.zone) and bool(primary.zone)
        return zones_are_known and self.region == primary.region and self.zone != primary.zone


@dataclass(frozen=True)
class Cluster:
    """What the inventory states about a cluster; preflight has checked it.

    Attributes:
        members: every host of the cluster, whatever its duty.
        initial_primary: postgresql_initial_primary; "" with one database host.
        name: postgresql_cluster_name.
        version: postgresql_version, the major.
        durability: postgresql_replication_durability.
        adopt: postgresql_adopt, a system identifier.
        locale: locale of a new cluster.
        locale_provider: libc or icu, of a new cluster.
        auto_conf_allowed: settings that postgresql.auto.conf may hold.
    """

    members: tuple[Member, ...]
    initial_primary: str = ""
    name: str = "main"
    version: str = "16"
    durability: str = REQUIRED
    adopt: str = ""
    locale: str = "C.UTF-8"
    locale_provider: str = "libc"
    auto_conf_allowed: frozenset[str] = frozenset()

    @property
    def databases(self) -> dict[str, Member]:
        """The database hosts by inventory name, in its order."""
        ordered = sorted(self.members, key=lambda member: member.name)
        return {member.name: member for member in ordered if DATABASE in member.duties}

    @property
    def first_primary(self) -> str:
        """The initial primary; a lone database host needs no naming."""
        databases = list(self.databases)
        return databases[0] if len(databases) == 1 and not self.initial_primary else self.initial_primary

    @property
    def service(self) -> str:
        """The systemd unit that runs the cluster's instance on each database host."""
        return f"postgresql@{self.version}-{self.name}"

    @property
    def marker(self) -> str:
        """The file on each database host that says which cluster is the collection's own."""
        return f"/var/lib/steadfast/{self.name}/instance.json"
