# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules of pg_hba.conf let applications in: each into its own database, with its own accounts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._hba import host_network, literal

Json = Mapping[str, Any]

MIGRATIONS = "migrations"


def rules(cluster: Json, members: Sequence[Json]) -> list[dict[str, Any]]:
    """Return the rules, as _hba_check accepts them from roles.

    Args:
        cluster: what preflight returned about it.
        members: its members with their addresses; who migrates comes from there.
    """
    hosts = [host_network(one["address"]) for one in members if MIGRATIONS in one["duties"] and one["address"]]
    found: list[dict[str, Any]] = []
    for entry in cluster.get("applications", ()):
        application = Application.of(entry)
        if not application.absent:
            found += _of(application, cluster, hosts, pooled=bool(entry.get("pool")))
    return found


def _of(application: Application, cluster: Json, hosts: Sequence[str], pooled: bool) -> Iterator[dict[str, Any]]:
    """Yield the rules of an application; past its pool its accounts would take what others count on."""
    accounts = [role.name for role in application.accounts]
    networks = application.networks or cluster["application_networks"]
    if accounts and networks and not pooled:
        yield _rule(f"Accounts of {application.name}", application, accounts, networks)
    from_where = [*hosts, *cluster["management_networks"]]
    if from_where:
        yield _rule(f"Migrations of {application.name}", application, [application.migrator.name], from_where)


def _rule(comment: str, application: Application, users: Sequence[str], addresses: Sequence[str]) -> dict[str, Any]:
    return {
        "comment": comment,
        "databases": [literal(application.database)],
        "users": [literal(name) for name in users],
        "addresses": list(addresses),
        "method": "scram-sha-256",
    }
