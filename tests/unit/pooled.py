# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications with pools, and platforms that pool, for the tests of poolers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import situations
import whole
import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _arguments,
    _pooler_context,
    _pooler_plan,
    _pools,
    _pools_budget,
    _topology,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import facts, observations

SPEC = yaml.safe_load((Path(__file__).parents[2] / "roles/cluster/meta/argument_specs.yml").read_text())
POOL = SPEC["argument_specs"]["main"]["options"]["postgresql_applications"]["options"]["pool"]
ADDRESSES = situations.ADDRESSES


def pool(**given: Any) -> dict[str, Any]:
    """What an application writes as its pool, with the defaults of what it does not write."""
    converted, mistakes = _arguments.check("pool", POOL, given)
    assert not mistakes
    return dict(converted)


def account(name: str = "shop_app", **given: Any) -> dict[str, Any]:
    """An account of an application."""
    return {"name": name, "connection_limit": 50, "session": False, "rotation": "none", **given}


def entry(name: str = "shop", *accounts: dict[str, Any], **given: Any) -> dict[str, Any]:
    """An application of the inventory."""
    return {"name": name, "database": "", "accounts": list(accounts) or [account(f"{name}_app")], **given}


SHOP = entry(pool=pool(size=50, max_client_connections=1000))
READERS = entry(pool=pool(size=30, read_only={"size": 12, "max_client_connections": 300}))


def pools(*entries: dict[str, Any], poolers: int = 3) -> dict[str, Any]:
    """The pools as preflight resolves them."""
    applications = _pools.applications(entries or [SHOP])
    cluster = _pools_budget.Cluster(poolers, 200, (("superuser_reserved_connections", 3),), 1)
    return {
        "port": 6432,
        "applications": [asdict(application) for application in _pools.pooled(applications)],
        "budget": [asdict(item) for item in _pools_budget.items(applications, cluster)],
        "max_connections": 200,
    }


def context(
    host: str = "db1",
    hosts: dict[str, Any] | None = None,
    *entries: dict[str, Any],
    members: tuple[dict[str, Any], ...] = (whole.DB1, whole.DB2, whole.DB3, whole.OPS1),
    seen: dict[str, Any] | None = None,
    none: bool = False,
) -> _pooler_plan.Context:
    """A platform as the poolers' plan sees it from a host; at rest unless hosts are given."""
    found = {} if none else pools(*entries)
    cluster = whole.cluster(*members, pools=found, application_networks=["10.1.0.0/16"])
    given = whole.given(host, hosts, cluster=cluster)
    if seen is not None:
        whole.seen(given, host)["pooler"] = seen
    topology = _topology.decide(facts(given), observations(given.observed))
    return _pooler_context.context(given, topology)


def database(**changes: Any) -> dict[str, Any]:
    """A pool at rest, as it is seen on the console."""
    at_rest = {"host": "10.0.0.1", "paused": False, "clients": {}, "connections": 16, "busy": 0, "waiting": 0}
    at_rest["figures"] = figures()
    return at_rest | {"longest_wait": 0.0} | changes


def figures(size: int = 16, clients: int = 333) -> dict[str, int]:
    """What a pool may open; by default the share of one of three poolers of the application shop."""
    return {
        "pool_size": size,
        "reserve_pool": 0,
        "max_db_connections": size,
        "max_db_client_connections": clients,
    }


def at_work(**changes: Any) -> dict[str, Any]:
    """A pooler at rest, as it is seen."""
    return {
        "user": True,
        "units": {
            "pgbouncer.service": {"active": False, "enabled": False},
            "pgbouncer@1.service": {"active": True, "enabled": True},
            "pgbouncer@2.service": {"active": False, "enabled": False},
        },
        "current": 1,
        "processes": {"1": process()},
        "stale": {"reload": [], "restart": []},
        "targets": {"primary": "10.0.0.1", "standby": "10.0.0.2"},
        "files": ["/etc/pgbouncer/steadfast/primary.ini"],
        "writable": [],
    } | changes


def process(**databases: Any) -> dict[str, Any]:
    """A process that answers."""
    return {
        "active": True,
        "answers": True,
        "error": "",
        "databases": {"shop": database(), "steadfast_login": database(connections=2)} | databases,
    }


def draining() -> dict[str, Any]:
    """A pooler whose second process has taken over, and whose first one still has clients."""
    units = at_work()["units"] | {
        "pgbouncer@1.service": {"active": True, "enabled": False},
        "pgbouncer@2.service": {"active": True, "enabled": True},
    }
    both = {"1": {"active": True, "answers": False, "error": "", "databases": {}}, "2": process()}
    return at_work(units=units, current=2, processes=both)
