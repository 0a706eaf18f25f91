# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of members in PostgreSQL, and who may be synchronous beside whom."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster, Member, member_name


@pytest.mark.parametrize(
    ("inventory_name", "name"),
    [
        ("db1", "db1"),
        ("db-2", "db_2"),
        ("DB2", "db2"),
        ("db2.example.com", "db2_example_com"),
        ("zürich", "z_rich"),
        ("10.0.0.1", "10_0_0_1"),
        ("fd00::1", "fd00__1"),
        ("x" * 70, "x" * 63),
    ],
)
def test_member_name(inventory_name: str, name: str) -> None:
    assert member_name(inventory_name) == name
    assert Member(inventory_name, frozenset()).member_name == name


def at(region: str, zone: str) -> Member:
    return Member("db", frozenset({"database"}), region, zone)


@pytest.mark.parametrize(
    ("standby", "primary", "candidate"),
    [
        (at("eu", "b"), at("eu", "a"), True),
        (at("", "b"), at("", "a"), True),
        (at("eu", "a"), at("eu", "a"), False),
        (at("us", "b"), at("eu", "a"), False),
        (at("eu", ""), at("eu", "a"), False),
        (at("eu", "b"), at("eu", ""), False),
    ],
)
def test_candidate(standby: Member, primary: Member, candidate: bool) -> None:
    assert standby.is_candidate_for(primary) is candidate


def test_a_member_from_json() -> None:
    given = {"name": "db1", "duties": ["pooler", "database"], "region": None, "zone": "a", "other": 1}
    assert Member.from_json(given) == Member("db1", frozenset({"database", "pooler"}), "", "a", "")
    assert Member.from_json(given | {"region": "eu", "address": "10.0.0.1"}) == Member(
        "db1", frozenset({"database", "pooler"}), "eu", "a", "10.0.0.1"
    )


DB1, DB2 = (Member(name, frozenset({"database"})) for name in ("db1", "db2"))
OPS1 = Member("ops1", frozenset({"repository"}))


@pytest.mark.parametrize(
    ("members", "initial_primary", "first"),
    [
        ((DB1, OPS1), "", "db1"),
        ((DB1, OPS1), "ops1", "ops1"),
        ((DB2, DB1), "db2", "db2"),
        ((DB2, DB1), "", ""),
        ((OPS1,), "", ""),
    ],
)
def test_first_primary(members: tuple[Any, ...], initial_primary: str, first: str) -> None:
    assert Cluster(members, initial_primary).first_primary == first


def test_names_of_a_cluster() -> None:
    cluster = Cluster((OPS1, DB2, DB1), name="orders", version="17")
    assert list(cluster.databases) == ["db1", "db2"]
    assert cluster.service == "postgresql@17-orders"
    assert cluster.marker == "/var/lib/steadfast/orders/instance.json"
