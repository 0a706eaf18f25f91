"""The order of restarts: standbys first, except for what a standby must not have lower than its primary."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _restart
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from ansible_collections.steadfast.postgresql.plugins.module_utils._restart import Plan, Running, Waiting

MINIMA = dict.fromkeys(STANDBY_MINIMA, 100)
DATABASES = ["db1", "db2", "db3"]


def running(**waiting: int | str) -> Running:
    """A host whose settings wait; the parameters that standbys must not have lower run with 100."""
    return Running({name: Waiting("100", str(value)) for name, value in waiting.items()}, MINIMA)


QUIET = running()
BUFFERS = running(shared_buffers="2GB")
RAISED = running(max_connections=200)
LOWERED = running(max_connections=50)
MIXED = running(max_connections=200, max_wal_senders=50)
MORE = Running({}, MINIMA | {"max_connections": 200})

NEEDS = MINIMA | {"max_connections": 50}


@pytest.mark.parametrize(
    ("host", "hosts", "allowed", "expected"),
    [
        pytest.param("db2", {"db1": QUIET, "db2": QUIET, "db3": QUIET}, True, Plan("none"), id="nothing waits"),
        pytest.param("db1", {"db1": BUFFERS, "db2": QUIET, "db3": QUIET}, True, Plan("primary"), id="primary"),
        pytest.param(
            "db1",
            {"db1": BUFFERS, "db2": QUIET, "db3": QUIET},
            False,
            Plan("held", reason="postgresql_server_restart is false"),
            id="primary not allowed",
        ),
        pytest.param("db2", {"db1": BUFFERS, "db2": BUFFERS}, False, Plan("standby"), id="standby always may"),
        pytest.param(
            "db2", {"db2": BUFFERS}, True, Plan("held", reason="the primary did not answer"), id="primary silent"
        ),
        pytest.param("db2", {"db1": RAISED, "db2": RAISED, "db3": RAISED}, True, Plan("standby"), id="raise: standby"),
        pytest.param("db1", {"db1": RAISED, "db2": RAISED, "db3": RAISED}, True, Plan("primary"), id="raise: primary"),
        pytest.param("db1", {"db1": RAISED, "db2": MORE, "db3": RAISED}, True, Plan("primary"), id="standby has more"),
        pytest.param(
            "db1",
            {"db1": RAISED, "db2": RAISED},
            True,
            Plan("held", reason="db3 would still run with less max_connections than 200"),
            id="raise: a standby is unknown",
        ),
        pytest.param(
            "db1",
            {"db1": RAISED, "db2": QUIET, "db3": RAISED},
            True,
            Plan("held", reason="db2 would still run with less max_connections than 200"),
            id="raise: a standby does not raise",
        ),
        pytest.param(
            "db2",
            {"db1": LOWERED, "db2": LOWERED, "db3": LOWERED},
            True,
            Plan("after_primary", NEEDS),
            id="lower: standby waits",
        ),
        pytest.param(
            "db1", {"db1": LOWERED, "db2": LOWERED, "db3": LOWERED}, True, Plan("primary"), id="lower: primary"
        ),
        pytest.param(
            "db2",
            {"db1": LOWERED, "db2": LOWERED},
            False,
            Plan("held", reason="postgresql_server_restart is false"),
            id="lower: standby waits with the primary",
        ),
        pytest.param(
            "db2",
            {"db1": BUFFERS, "db2": LOWERED, "db3": QUIET},
            True,
            Plan("held", reason="db1 has more max_connections, and keeps it"),
            id="lower: the primary does not",
        ),
        pytest.param(
            "db1",
            {"db1": MIXED, "db2": MIXED, "db3": MIXED},
            True,
            Plan("held", reason=_restart.MIXED),
            id="mixed: primary",
        ),
        pytest.param(
            "db2",
            {"db1": MIXED, "db2": MIXED, "db3": MIXED},
            True,
            Plan("held", reason=_restart.MIXED),
            id="mixed: standby",
        ),
        pytest.param("db9", {"db1": BUFFERS}, True, Plan("none"), id="host that does not answer"),
    ],
)
def test_plan(host: str, hosts: dict[str, Any], allowed: bool, expected: Plan) -> None:
    assert _restart.plan(host, hosts, DATABASES, "db1", allowed) == expected


@pytest.mark.parametrize(
    ("hosts", "allowed", "expected"),
    [
        pytest.param({"db1": QUIET, "db2": QUIET, "db3": QUIET}, True, [], id="nothing waits"),
        pytest.param(
            {"db1": BUFFERS, "db2": BUFFERS, "db3": BUFFERS}, True, ["db3", "db2", "db1"], id="standbys first"
        ),
        pytest.param({"db1": BUFFERS, "db2": BUFFERS, "db3": BUFFERS}, False, ["db3", "db2"], id="without the primary"),
        pytest.param({"db1": LOWERED, "db2": LOWERED, "db3": BUFFERS}, True, ["db3", "db1", "db2"], id="one lowers"),
        pytest.param({"db1": MIXED, "db2": MIXED, "db3": MIXED}, True, [], id="mixed"),
    ],
)
def test_order(hosts: dict[str, Any], allowed: bool, expected: list[str]) -> None:
    assert _restart.order(hosts, ["db3", "db1", "db2"], "db1", allowed) == expected


def test_without_a_primary_everything_is_held() -> None:
    assert _restart.plan("db2", {"db2": BUFFERS}, DATABASES, None, allowed=True).phase == "held"
