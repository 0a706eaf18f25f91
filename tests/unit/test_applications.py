# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an entry comes to, and the rules of pg_hba.conf that follow."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _applications,
    _applications_hba,
    _hba,
    _hba_check,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application, TableRights
from applications import PASSWORD, application, declared

SYNERGYFLOW = application(
    "synergyflow",
    schemas=[{"name": "synergyflow_users"}, {"name": "public", "read_only": "viewers"}],
    accounts=[
        {
            "name": "app",
            "password": PASSWORD,
            "second_password": "another one, for b",
            "rotation": "alternating",
            "member_of": ["synergyflow_users_rw"],
            "connection_limit": 50,
        }
    ],
)


def test_names_that_nobody_declared() -> None:
    one = declared(SYNERGYFLOW)
    assert (one.database, one.owner.name, one.migrator.name) == (
        "synergyflow",
        "synergyflow_owner",
        "synergyflow_migrator",
    )
    assert [role.name for role in one.group_roles] == [
        "synergyflow_users_rw",
        "synergyflow_users_ro",
        "synergyflow_rw",
        "viewers",
    ]
    assert [schema.name for schema in declared(application("crm")).schemas] == ["public"]
    assert [role.name for role in declared(application("crm", database="crm_dev")).group_roles] == [
        "crm_dev_rw",
        "crm_dev_ro",
    ]


def test_an_alternating_account_is_two_logins_that_are_alike() -> None:
    first, second = declared(SYNERGYFLOW).accounts
    assert (first.name, second.name) == ("app_a", "app_b")
    assert (first.member_of, first.connection_limit) == (second.member_of, second.connection_limit)
    assert _applications.passwords(SYNERGYFLOW) == {
        "synergyflow_migrator": PASSWORD,
        "app_a": PASSWORD,
        "app_b": "another one, for b",
    }


def test_resolving_twice_changes_nothing() -> None:
    plain = _applications.without_secrets(SYNERGYFLOW)
    assert Application.of(plain) == Application.of(SYNERGYFLOW)
    assert PASSWORD not in str(plain)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("public", ("public",)),
        ('"$user", public', ("$user", "public")),
        ('"a, b","c""d" , E', ("a, b", 'c"d', "e")),
        ('""', ("",)),
    ],
)
def test_lists_of_names(text: str, expected: tuple[str, ...]) -> None:
    assert _applications.elements(text) == expected


@pytest.mark.parametrize(
    ("pattern", "table", "covered"),
    [
        ("audit_events", "audit_events", True),
        ("audit_events", "audit_events_2026", False),
        ("audit_events*", "audit_events_2026", True),
        ("a.c", "abc", False),
        ("*", "anything", True),
    ],
)
def test_exceptions_cover(pattern: str, table: str, covered: bool) -> None:
    assert TableRights(pattern).covers(table) is covered


CLUSTER = {
    "application_networks": ["10.0.0.0/8"],
    "management_networks": ["192.168.0.0/24"],
    "applications": [
        _applications.without_secrets(SYNERGYFLOW),
        application("crm", networks=["10.1.0.0/16"]),
        application("old", state="absent"),
    ],
}
MEMBERS = [
    {"name": "db1", "duties": ["database"], "address": "10.9.0.1"},
    {"name": "ops1", "duties": ["migrations"], "address": "10.9.0.4"},
    {"name": "ops2", "duties": ["migrations"], "address": ""},
]


def test_each_account_reaches_its_own_database() -> None:
    found = _applications_hba.rules(CLUSTER, MEMBERS)
    assert [(rule["comment"], rule["databases"], rule["users"], rule["addresses"]) for rule in found] == [
        ("Accounts of synergyflow", ["synergyflow"], ["app_a", "app_b"], ["10.0.0.0/8"]),
        ("Migrations of synergyflow", ["synergyflow"], ["synergyflow_migrator"], ["10.9.0.4/32", "192.168.0.0/24"]),
        ("Migrations of crm", ["crm"], ["crm_migrator"], ["10.9.0.4/32", "192.168.0.0/24"]),
    ]
    networks = _hba.Networks(["10.0.0.0/8"], ["192.168.0.0/24"], {"db1": "10.9.0.1"})
    assert _hba_check.check(found, networks, contributed=True) == []


def test_nobody_is_let_in_from_nowhere() -> None:
    cluster = CLUSTER | {"application_networks": [], "management_networks": []}
    assert _applications_hba.rules(cluster, MEMBERS[:1]) == []
