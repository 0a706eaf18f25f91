# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: shares of totals, the sum of all that may be opened, and every mistake with its exact words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _pools, _pools_budget, _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools import Account, Limits, Pool
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools_budget import Cluster
from pooled import account, entry, pool
from preflight_members import member, platform

TAKES = "PgBouncer takes at most 63 of A-Z, a-z, 0-9 and _.- for a database, not"
A = "postgresql_applications"


@pytest.mark.parametrize(
    ("total", "poolers", "expected"),
    [
        (Limits(50, 0, 50, 1000), 3, Limits(16, 0, 16, 333)),
        (Limits(20, 6, 100, 1000), 3, Limits(6, 2, 33, 333)),
        (Limits(50, 0, 50, 1000), 1, Limits(50, 0, 50, 1000)),
    ],
)
def test_each_pooler_gets_its_share(total: Limits, poolers: int, expected: Limits) -> None:
    assert total.share(poolers) == expected


@pytest.mark.parametrize(
    ("limits", "accounts", "expected"),
    [
        (Limits(16, 0, 16, 333), 7, 16),
        (Limits(6, 2, 33, 333), 1, 8),
        (Limits(6, 2, 33, 333), 3, 24),
        (Limits(6, 2, 33, 333), 5, 33),
    ],
)
def test_what_a_share_may_open(limits: Limits, accounts: int, expected: int) -> None:
    assert limits.opens(accounts) == expected


def test_what_is_not_written_has_its_default() -> None:
    found = _pools.applications([{"name": "shop", "accounts": [{"name": "app"}], "pool": pool()}])
    assert found[0].pools == (Pool("shop", "shop", "transaction", Limits(20, 0, 20, 1000)),)
    assert found[0].accounts == (Account("app", None, False, "accounts[0]"),)
    assert found[0].migrator == "shop_migrator"


def test_the_second_pool_leads_to_a_standby() -> None:
    given = entry(database="store", pool=pool(mode="session", read_only={"size": 9, "reserve": 3}))
    assert _pools.applications([given])[0].pools == (
        Pool("store", "store", "session", Limits(20, 0, 20, 1000)),
        Pool("store_ro", "store", "session", Limits(9, 3, 12, 1000), True),
    )


def test_an_account_that_alternates_is_two_logins() -> None:
    given = entry("shop", account("app", rotation="alternating", connection_limit=-1))
    names = [(found.name, found.limit) for found in _pools.applications([given])[0].accounts]
    assert names == [("app_a", None), ("app_b", None)]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="types are wrong"),
        pytest.param({"name": None}, id="no name"),
        pytest.param({"name": "old", "state": "absent"}, id="is to go"),
    ],
)
def test_entries_that_are_passed_over(given: dict[str, Any] | None) -> None:
    assert _pools.applications([given]) == []


def test_a_pool_with_a_mistake_is_none() -> None:
    assert _pools.applications([{"name": "shop", "pool": pool() | {"size": None}}])[0].pools == ()


def test_plain_data_is_the_same_application() -> None:
    given = entry(migrator={"name": "shop_migrator"}, pool=pool(read_only={}), networks=["10.1.2.0/24"])
    for found in _pools.applications([given, entry("other")]):
        assert _pools.from_plain(asdict(found)) == found


SYNERGYFLOW = entry(
    "synergyflow",
    *(account(f"synergyflow_{module}") for module in ("users", "incidents")),
    migrator={},
    pool=pool(size=50, max_client_connections=1000),
)
CLOUDFLOW = entry("cloudflow", account("cloudflow_app", connection_limit=100), pool=pool(size=20))
REPORTS = entry("reports", account("reporter", connection_limit=10), migrator={})


def items(*given: dict[str, Any], **cluster: Any) -> list[tuple[str, int]]:
    found = _pools_budget.items(_pools.applications(given), Cluster(3, 200, **cluster))
    return [(item.words, item.connections) for item in found]


def test_the_parts_of_the_sum() -> None:
    found = items(
        SYNERGYFLOW,
        CLOUDFLOW,
        REPORTS,
        reserved=(("superuser_reserved_connections", 3), ("reserved_connections", 0)),
        administrators=2,
        backups=True,
    )
    assert found == [
        ("synergyflow (3 poolers x 16)", 48),
        ("cloudflow (3 poolers x 6)", 18),
        ("reporter", 10),
        ("migrators (3 x 2)", 6),
        ("administrators (2 x 2)", 4),
        ("log-ins of poolers (3 x 2)", 6),
        ("backups", 4),
        ("superuser_reserved_connections", 3),
    ]


def test_without_pools_no_pooler_logs_in() -> None:
    assert items(REPORTS) == [("reporter", 10), ("migrators (1 x 2)", 2)]


def mistakes(*given: dict[str, Any] | None, **cluster: Any) -> list[str]:
    whole = Cluster(**{"poolers": 3, "max_connections": 200, **cluster})
    return [f"{found.variable}: {found.text}" for found in _pools_budget.mistakes(_pools.applications(given), whole)]


def test_nothing_is_wrong() -> None:
    assert mistakes(SYNERGYFLOW, CLOUDFLOW, REPORTS) == []
    assert mistakes() == []


LEAVES_NONE = "over 3 poolers leaves none for each; write at least 3"
WRONG = [
    pytest.param(
        [entry(pool=pool(size=2))],
        [f"{A}[0].pool.size: 2 {LEAVES_NONE}", f"{A}[0].pool.max_database_connections: 2 {LEAVES_NONE}"],
        id="too few",
    ),
    pytest.param(
        [entry(pool=pool(reserve=1))], [f"{A}[0].pool.reserve: 1 {LEAVES_NONE}, or 0"], id="too few in reserve"
    ),
    pytest.param(
        [entry(pool=pool(max_client_connections=0))],
        [f"{A}[0].pool.max_client_connections: 0 {LEAVES_NONE}"],
        id="no clients",
    ),
    pytest.param(
        [entry(pool=pool(read_only={"size": 1, "max_database_connections": 30}))],
        [f"{A}[0].pool.read_only.size: 1 {LEAVES_NONE}"],
        id="too few readers",
    ),
    pytest.param(
        [entry(pool=pool(size=20, max_database_connections=10))],
        [f"{A}[0].pool.max_database_connections: 10 is less than size, 20, which would never be reached; lower size"],
        id="size that is never reached",
    ),
    pytest.param(
        [entry("shop", account("listener", session=True), pool=pool())],
        [
            f"{A}[0].accounts[0].session: the account depends on the state of its session, and the pool of shop is in "
            "transaction mode: after each transaction its server connection serves another client, with its settings, "
            "advisory locks, LISTEN and temporary tables; write pool.mode: session, or session: false once it needs "
            "none of these"
        ],
        id="session state in transaction mode",
    ),
    pytest.param(
        [entry("shop", account("app", connection_limit=40), pool=pool(size=50))],
        [
            f"{A}[0].accounts[0].connection_limit: the pools may open 48 connections for app [shop (3 poolers x 16)], "
            "and the server takes 40; write connection_limit: 48, or a lower pool.size"
        ],
        id="limit of the role",
    ),
    pytest.param(
        [entry("shop", account("app", connection_limit=50), pool=pool(size=48, read_only={"size": 12}))],
        [
            f"{A}[0].accounts[0].connection_limit: the pools may open 60 connections for app [shop (3 poolers x 16), "
            "shop_ro (3 poolers x 4)], and the server takes 50; write connection_limit: 60, or a lower pool.size"
        ],
        id="limit of the role with readers",
    ),
    pytest.param(
        [entry("shop", account("app", rotation="alternating", connection_limit=3), pool=pool())],
        [
            f"{A}[0].accounts[0].connection_limit: the pools may open 18 connections for app_b [shop (3 poolers x 6)], "
            "and the server takes 3; write connection_limit: 18, or a lower pool.size"
        ],
        id="limit of an account that alternates",
    ),
    pytest.param(
        [entry("shop", database="shop@eu", pool=pool())],
        [f"{A}[0].pool: {TAKES} shop@eu; give shop another database"],
        id="a name that its file does not take",
    ),
    pytest.param(
        [entry("shop", database="d" * 61, pool=pool(read_only={"size": 3}))],
        [f"{A}[0].pool: {TAKES} {'d' * 61}_ro; give shop another database"],
        id="a name that is too long with its ending",
    ),
    pytest.param(
        [entry("steadfast_login_ro", pool=pool())],
        [
            f"{A}[0].pool: clients would connect to the database steadfast_login_ro, which is that of PgBouncer; give "
            "steadfast_login_ro another database"
        ],
        id="the read-only database of log-ins",
    ),
    pytest.param(
        [entry("pgbouncer", pool=pool())],
        [
            f"{A}[0].pool: clients would connect to the database pgbouncer, which is that of PgBouncer; give pgbouncer "
            "another database"
        ],
        id="the console's database",
    ),
    pytest.param(
        [entry("shop", pool=pool(read_only={})), entry("shop_ro", pool=pool())],
        [
            f"{A}[1].pool: clients would connect to the database shop_ro, which is that of shop; give shop_ro another "
            "database"
        ],
        id="two pools of one name",
    ),
    pytest.param(
        [entry(pool=pool()), entry("reports", account("reporter", connection_limit=-1))],
        [
            f"{A}[1].accounts[0].connection_limit: the account has no pool, and without a limit it may take the "
            "connections that the pools of others count on; write how many it needs"
        ],
        id="no limit beside pools",
    ),
]


@pytest.mark.parametrize(("given", "expected"), WRONG)
def test_what_is_wrong_with_one(given: list[dict[str, Any]], expected: list[str]) -> None:
    assert mistakes(*given) == expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(entry("shop", account("listener", session=True), pool=pool(mode="session")), id="session mode"),
        pytest.param(entry("shop", account("listener", session=True)), id="no pool"),
        pytest.param(entry("reports", account("reporter", connection_limit=-1)), id="no limit and no pools"),
        pytest.param(entry("shop", account("app", connection_limit=-1), pool=pool()), id="no limit and a pool"),
    ],
)
def test_what_is_in_order(given: dict[str, Any]) -> None:
    assert mistakes(given) == []


def test_too_much_is_spelled_out() -> None:
    assert mistakes(SYNERGYFLOW, REPORTS, max_connections=60, administrators=1, backups=True) == [
        f"{A}: together 74 connections may be open on the primary, and max_connections is 60 "
        "[synergyflow (3 poolers x 16): 48, reporter: 10, migrators (2 x 2): 4, "
        "administrators (1 x 2): 2, log-ins of poolers (3 x 2): 6, "
        "backups: 4]; lower them, or write max_connections: 74 in postgresql_server_parameters"
    ]


def test_a_sum_that_just_fits() -> None:
    assert mistakes(SYNERGYFLOW, REPORTS, max_connections=74, administrators=1, backups=True) == []


def test_a_mistake_in_max_connections_is_said_elsewhere() -> None:
    assert mistakes(SYNERGYFLOW, max_connections=None) == []


SECRET = "correct horse battery"
DECLARED = SYNERGYFLOW | {
    "migrator": {"password": SECRET},
    "accounts": [given | {"password": SECRET, "member_of": ["synergyflow_rw"]} for given in SYNERGYFLOW["accounts"]],
}


def connections(**given: Any) -> dict[str, Any]:
    return {"postgresql_server_parameters": given}


BUDGET = (
    "together 59 connections may be open on the primary, and max_connections is {} [synergyflow (3 poolers x 16): 48, "
)


@pytest.mark.parametrize(
    ("hosts", "limit", "rest"),
    [
        pytest.param(
            {host: connections(max_connections=50) for host in ("db1", "db2", "db3")},
            50,
            "migrators (1 x 2): 2, log-ins of poolers (3 x 2): 6, superuser_reserved_connections: 3",
            id="everywhere",
        ),
        pytest.param(
            {"db2": connections(max_connections="40")},
            40,
            "migrators (1 x 2): 2, log-ins of poolers (3 x 2): 6, superuser_reserved_connections: 3",
            id="on the host that takes the fewest",
        ),
    ],
)
def test_the_sum_is_compared_with_the_server_that_takes_the_fewest(hosts: Any, limit: int, rest: str) -> None:
    found = _preflight.mistakes("main", platform(everywhere={A: [DECLARED]}, **hosts))
    assert found == [
        f"cluster main: {A}: {BUDGET.format(limit)}{rest}]; lower them, or write max_connections: 59 in "
        "postgresql_server_parameters"
    ]


def test_reserved_connections_count() -> None:
    hosts = {host: connections(superuser_reserved_connections=150) for host in ("db1", "db2", "db3")}
    found = _preflight.mistakes("main", platform(everywhere={A: [DECLARED]}, **hosts))
    assert "superuser_reserved_connections: 150]" in found[0]


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (80, "80 is no port of an unprivileged service; write 1024 to 65535"),
        (5432, "5432 is the port of PostgreSQL; write another one"),
        (8432, "8432 is the port of pgBackRest; write another one"),
    ],
)
def test_ports(port: int, text: str) -> None:
    found = _preflight.mistakes("main", platform(everywhere={"postgresql_pooler_port": port}))
    assert found == [f"all hosts: postgresql_pooler_port: {text}"]


def test_the_cluster_knows_its_pools() -> None:
    resolved = _preflight.resolve("main", platform(everywhere={A: [SYNERGYFLOW, REPORTS]}))["pools"]
    assert (resolved["port"], resolved["max_connections"]) == (6432, 200)
    assert [item["name"] for item in resolved["applications"]] == ["synergyflow"]
    assert sum(item["connections"] for item in resolved["budget"]) == 71
    assert _preflight.resolve("main", [member("db1")])["pools"] == {}
