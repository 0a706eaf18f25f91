# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong in the variables about pools, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _pools, _pools_budget, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import APPLICATIONS
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools_budget import Cluster
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning_fixed import MAX_CONNECTIONS

Values = Mapping[str, Any]

PORT = "postgresql_pooler_port"
PORTS_OF_OTHERS = {"postgresql_port": "PostgreSQL", "postgresql_backup_port": "pgBackRest"}
PARAMETERS = "postgresql_server_parameters"
# What PostgreSQL keeps back for superusers, and for members of pg_use_reserved_connections.
RESERVED = {"superuser_reserved_connections": 3, "reserved_connections": 0}


def mistakes(databases: Sequence[Values], poolers: int) -> Iterator[Mistake]:
    """Yield what is wrong with the pools of a cluster.

    Args:
        databases: the variables of the database hosts; the first speaks for all.
        poolers: how many hosts pool.
    """
    if databases and poolers and databases[0].get(APPLICATIONS):
        found = _pools.applications(databases[0][APPLICATIONS])
        yield from _pools_budget.mistakes(found, _cluster(databases, poolers))


def member_mistakes(values: Values) -> Iterator[Mistake]:
    """Yield what is wrong in the variables of one member."""
    port = values.get(PORT)
    if port is None:
        return
    if not 1024 <= port <= 65535:
        yield Mistake(PORT, f"{port} is no port of an unprivileged service; write 1024 to 65535")
    for variable, service in PORTS_OF_OTHERS.items():
        if port == values.get(variable):
            yield Mistake(PORT, f"{port} is the port of {service}; write another one")


def resolve(databases: Sequence[Values], poolers: int) -> dict[str, Any]:
    """Return the pools of a cluster without mistakes, and the sum that they are a part of; nothing without pools."""
    given = _pools.applications(databases[0].get(APPLICATIONS) or [])
    pooled = _pools.pooled(given)
    if not pooled:
        return {}
    cluster = _cluster(databases, poolers)
    return {
        "port": databases[0][PORT],
        "applications": [asdict(application) for application in pooled],
        "budget": [asdict(item) for item in _pools_budget.items(given, cluster)],
        "max_connections": cluster.max_connections,
    }


def _cluster(databases: Sequence[Values], poolers: int) -> Cluster:
    values = databases[0]
    return Cluster(
        poolers=poolers,
        max_connections=_max_connections(databases),
        reserved=tuple((name, _largest(databases, name, default)) for name, default in RESERVED.items()),
        administrators=len(values.get("postgresql_administrators") or []),
        backups=bool(values.get("postgresql_backup_repositories")),
    )


def _max_connections(databases: Sequence[Values]) -> int | None:
    """Return what the server takes that takes the fewest; any of them may be the primary one day."""
    given = [_number(values, "max_connections") for values in databases]
    default = max([MAX_CONNECTIONS, *(number for number in given if number is not None)])
    found = [default if number is None else number for number in given]
    return None if any(number <= 0 for number in found) else min(found)


def _largest(databases: Sequence[Values], name: str, default: int) -> int:
    given = [_number(values, name) for values in databases]
    return max(default if number is None else number for number in given)


def _number(values: Values, name: str) -> int | None:
    """Return a parameter's number, None where it is not given; what is no number is a mistake of its own."""
    given = (values.get(PARAMETERS) or {}).get(name)
    try:
        return None if given is None else _units.parse_integer(str(given))
    except _units.NumberError:
        return 0
