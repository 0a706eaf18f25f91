# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each account is tried with, and which answers are surprises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _isolation
from ansible_collections.steadfast.postgresql.plugins.module_utils._isolation import Ground, Try
from applications import PASSWORD, application, contents, declared

ENTRY = application(
    "crm",
    schemas=[{"name": "public"}, {"name": "audit"}],
    accounts=[
        {"name": "writer", "password": PASSWORD, "member_of": ["crm_rw"]},
        {"name": "reader", "password": PASSWORD, "member_of": ["crm_ro"]},
    ],
)


def tried(name: str, entry: dict[str, Any] = ENTRY, others: tuple[str, ...] = ("shop",)) -> list[Try]:
    one = declared(entry)
    role = next(role for role in one.roles if role.name == name)
    return _isolation.tries(role, Ground(one, _isolation.samples(one, contents(one).relations), others))


def words(name: str, allowed: bool, entry: dict[str, Any] = ENTRY) -> list[str]:
    return [one.what for one in tried(name, entry) if one.allowed is allowed]


NOBODY = [
    "read pg_authid",
    "read pg_shadow",
    "read files of the server",
    "act as a role of PostgreSQL's own",
    "create a role",
    "connect to the database shop",
]
AUDIT = [
    "look into the schema audit",
    "create a table in the schema audit",
    "read audit.orders",
    "insert into audit.orders",
    "delete from audit.orders",
]
NOTHING_NEW = ["act as crm_owner", "create a temporary table", "create a schema"]


def test_an_account_that_writes() -> None:
    assert words("writer", True) == [
        "look into the schema public",
        "read public.orders",
        "insert into public.orders",
        "delete from public.orders",
    ]
    assert words("writer", False) == ["create a table in the schema public", *AUDIT, *NOTHING_NEW, *NOBODY]


def test_an_account_that_reads() -> None:
    assert words("reader", True) == ["look into the schema public", "read public.orders"]
    assert words("reader", False)[:3] == [
        "create a table in the schema public",
        "insert into public.orders",
        "delete from public.orders",
    ]


def test_a_migrator_acts_as_the_owner() -> None:
    assert words("crm_migrator", True) == [
        "act as crm_owner",
        "create a table in the schema public",
        "create a table in the schema audit",
    ]
    assert words("crm_migrator", False) == NOBODY


def test_what_is_granted_besides_is_no_surprise() -> None:
    entry = ENTRY | {
        "grants": [
            {"role": "crm_rw", "privileges": ["TEMPORARY", "CREATE"], "kind": "database"},
            {"role": "crm_rw", "privileges": ["USAGE", "CREATE"], "kind": "schema", "schema": "audit"},
            {"role": "crm_rw", "privileges": ["SELECT"], "schema": "audit", "names": ["orders"]},
        ]
    }
    assert words("writer", False, entry) == ["create a table in the schema public", "act as crm_owner", *NOBODY]


def test_a_table_with_other_rights_is_no_sample() -> None:
    schemas = [{"name": "public", "exceptions": [{"tables": "ord*"}]}]
    one = declared(ENTRY | {"schemas": schemas})
    assert _isolation.samples(one, contents(one).relations) == {}


@pytest.mark.parametrize(
    ("allowed", "state", "expected"),
    [
        (False, "42501", []),
        (False, "22012", []),
        (False, "00000", ["writer can fly"]),
        (False, "42P01", ["writer can fly"]),
        (True, "00000", []),
        (True, "42P01", []),
        (True, "42501", ["writer cannot fly"]),
        (True, "25P02", ["writer cannot fly"]),
        (False, "55P03", []),
        (True, "55P03", []),
    ],
)
def test_surprises(allowed: bool, state: str, expected: list[str]) -> None:
    role = next(role for role in declared(ENTRY).roles if role.name == "writer")
    assert _isolation.surprises(role, [Try("fly", "FLY", allowed)], [state]) == expected


def test_tables_with_rights_of_their_own_are_tried() -> None:
    exceptions = [{"tables": "ord*", "read_write": ["SELECT", "INSERT"]}]
    one = declared(ENTRY | {"schemas": [{"name": "audit", "exceptions": exceptions}]})
    tables = _isolation.exceptional(one, contents(one).relations)
    assert tables == [("audit", "orders", ("SELECT", "INSERT"), ("SELECT",))]
    writer = replace(one.accounts[0], member_of=("audit_rw",))
    found = {one.what: one.allowed for one in _isolation.tries(writer, Ground(one, {}, (), tables))}
    assert found["read audit.orders"] is found["insert into audit.orders"] is True
    assert found["delete from audit.orders"] is False


def test_no_code_of_the_owner_runs_in_a_session_of_a_superuser() -> None:
    for role in ("writer", "reader", "crm_migrator"):
        assert not any(one.sql.startswith("EXPLAIN") for one in tried(role))
