# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with applications, by its exact message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _applications_check, _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications_check import Surroundings
from applications import PASSWORD, application
from preflight_members import platform

PATH = "postgresql_applications"
AROUND = Surroundings(
    networks=["10.0.0.0/8"], administrators=["ada"], max_connections=100, preloaded=["pg_stat_statements"]
)
FROM_SECRETS = "write at least 12 characters, from a secrets manager or an environment variable"


def messages(*entries: Any, around: Surroundings = AROUND) -> list[str]:
    return [f"{found.variable}: {found.text}" for found in _applications_check.check(list(entries), around)]


def account(**given: Any) -> dict[str, Any]:
    return application("crm", accounts=[{"name": "crm_app", "password": PASSWORD, "member_of": ["crm_rw"]} | given])


def test_a_good_application_has_no_mistake() -> None:
    good = application(
        "crm",
        comment="Customers",
        schemas=[
            {"name": "public"},
            {"name": "audit", "exceptions": [{"tables": "events*", "read_write": ["select"]}]},
        ],
        groups=[{"name": "crm_signers"}],
        accounts=[
            {
                "name": "crm_app",
                "password": PASSWORD,
                "second_password": PASSWORD,
                "rotation": "alternating",
                "member_of": ["crm_rw", "audit_rw"],
                "connection_limit": 50,
                "settings": {"search_path": ["audit", "public"], "statement_timeout": "30s", "crm.tenant": "none"},
            }
        ],
        extensions=[{"name": "pgcrypto"}, {"name": "pg_stat_statements", "schema": "audit"}],
        grants=[
            {"role": "crm_signers", "privileges": ["execute"], "kind": "function", "names": ["sign"]},
            {"role": "crm_rw", "privileges": ["TEMPORARY"], "kind": "database"},
        ],
        networks=["10.1.0.0/16"],
    )
    assert messages(good, application("shop")) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "CRM"}, '{P}.name: "CRM" is not made of a-z, 0-9 and _; write such as crm'),
        ({"database": "postgres"}, "{P}.database: postgres is reserved; write another name, such as crm"),
        (
            {"database": "my crm"},
            '{P}.database: "my crm" is not made of letters, digits and _ . @ -; write such as crm',
        ),
        ({"database": "d" * 55}, "{P}.migrator.name: has 64 bytes and PostgreSQL takes 63; write a shorter name"),
        ({"owner": "pg_owner"}, "{P}.owner: pg_owner is reserved; write another name, such as crm_owner"),
        ({"owner": "public"}, "{P}.owner: public is reserved; write another name, such as crm_owner"),
        ({"owner": "none"}, "{P}.owner: none is reserved; write another name, such as crm_owner"),
        ({"owner": "replicator"}, "{P}.owner: replicator is reserved; write another name, such as crm_owner"),
        ({"owner": "pgbackrest"}, "{P}.owner: pgbackrest is reserved; write another name, such as crm_owner"),
        ({"owner": "ada"}, "{P}.owner: ada is an administrator; write another name"),
        (
            {"owner": "crm_migrator"},
            "{P}.migrator.name: crm_migrator is a role of the application itself already ({P}.owner), and roles "
            "are the "
            "cluster's; write another name",
        ),
        ({"migrator": {}}, "{P}.migrator.password: is empty; " + FROM_SECRETS),
        ({"migrator": {"password": "short"}}, "{P}.migrator.password: has 5 characters; " + FROM_SECRETS),
        (
            {"migrator": {"password": "gr\u00fcn wie das Gras"}},
            "{P}.migrator.password: has characters outside printable ASCII; write letters, digits and punctuation",
        ),
        (
            {"schemas": [{"name": "pg_x"}]},
            "{P}.schemas[0].name: pg_x is reserved; write another name, such as crm_billing",
        ),
        (
            {"schemas": [{"name": "a"}, {"name": "a"}]},
            "{P}.schemas[1].name: a is {P}.schemas[0] already; remove one of the two",
        ),
        (
            {"schemas": [{"name": "a", "read_write": "both", "read_only": "both"}]},
            "{P}.schemas[0].read_only: both is a role of the application itself already "
            "({P}.schemas[0].read_write), and "
            "roles are the cluster's; write another name",
        ),
        ({"schemas": [{"name": "a", "read_write": "w"}, {"name": "b", "read_write": "w"}]}, ""),
        (
            {"schemas": [{"name": "a", "exceptions": [{"tables": "t", "read_only": ["READ"]}]}]},
            '{P}.schemas[0].exceptions[0].read_only: "READ" is no right on a table; write one of SELECT, '
            "INSERT, UPDATE, "
            "DELETE, TRUNCATE, REFERENCES, TRIGGER",
        ),
        (
            {"extensions": [{"name": "pgcrypto"}, {"name": "pgcrypto"}]},
            "{P}.extensions[1].name: pgcrypto is {P}.extensions[0] already; remove one of the two",
        ),
        (
            {"extensions": [{"name": "pgcrypto; DROP"}]},
            '{P}.extensions[0].name: "pgcrypto; DROP" is no name of an extension; write such as pgcrypto',
        ),
        (
            {"extensions": [{"name": "pgcrypto", "schema": "tools"}]},
            "{P}.extensions[0].schema: tools is no schema of crm; write one of public",
        ),
        (
            {"extensions": [{"name": "pg_cron"}]},
            "{P}.extensions[0].name: pg_cron works only when it is preloaded; add it to "
            "postgresql_server_preload_libraries",
        ),
        (
            {"grants": [{"role": "crm_xx", "privileges": ["SELECT"], "names": ["t"]}]},
            "{P}.grants[0].role: crm_xx is no group role of crm; write one of crm_rw, crm_ro",
        ),
        (
            {"grants": [{"role": "crm_rw", "privileges": ["EXECUTE"], "names": ["t"]}]},
            '{P}.grants[0].privileges: "EXECUTE" is no right on a table; write one of SELECT, INSERT, UPDATE, DELETE, '
            "TRUNCATE, REFERENCES, TRIGGER",
        ),
        (
            {"grants": [{"role": "crm_rw", "privileges": [], "kind": "schema"}]},
            "{P}.grants[0].privileges: is empty; write one of CREATE, USAGE",
        ),
        (
            {"grants": [{"role": "crm_rw", "privileges": ["TRUNCATE"]}]},
            "{P}.grants[0].names: is empty; write the names of the tables",
        ),
        (
            {"grants": [{"role": "crm_rw", "privileges": ["CREATE"], "kind": "schema", "names": ["t"]}]},
            "{P}.grants[0].names: a right on a schema has no other objects; remove them",
        ),
        (
            {"grants": [{"role": "crm_rw", "privileges": ["TRUNCATE"], "schema": "x", "names": ["t"]}]},
            "{P}.grants[0].schema: x is no schema of crm; write one of public",
        ),
        (
            {"networks": ["10.1.0.0"]},
            "{P}.networks[0]: 10.1.0.0 has no prefix length; write 10.1.0.0/32 for this one host",
        ),
        (
            {"networks": ["192.168.0.0/16"]},
            "{P}.networks[0]: 192.168.0.0/16 is outside postgresql_application_networks; add it there, or write "
            "a part of "
            "those",
        ),
        (
            {"state": "absent"},
            "{P}.state: is absent, which drops the database of crm with all that is in it and its roles; write "
            "postgresql_databases_destroy: [crm] as well, or remove the entry to keep them",
        ),
    ],
)
def test_of_one_application(given: dict[str, Any], expected: str) -> None:
    assert messages(application("crm") | given) == [text for text in [expected.replace("{P}", f"{PATH}[0]")] if text]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"name": "crm_rw"},
            ".name: crm_rw is a role of the application itself already (postgresql_applications[0]."
            "schemas[0].read_write), and roles are the cluster's; write another name",
        ),
        ({"name": "postgres"}, ".name: postgres is reserved; write another name, such as crm_account"),
        ({"password": ""}, f".password: is empty; {FROM_SECRETS}"),
        ({"rotation": "alternating"}, f".second_password: is empty; {FROM_SECRETS}"),
        (
            {"second_password": PASSWORD},
            ".second_password: is for an account with two logins; write rotation: alternating, or remove it",
        ),
        (
            {"connection_limit": 0},
            ".connection_limit: 0 lets nobody in; write the number of sessions, or -1 for no limit",
        ),
        (
            {"connection_limit": -2},
            ".connection_limit: -2 lets nobody in; write the number of sessions, or -1 for no limit",
        ),
        ({"connection_limit": 101}, ".connection_limit: 101 is above max_connections 100; write that or less"),
        (
            {"member_of": []},
            ".member_of: is empty, and an account has no rights but those of its group roles; write one of "
            "crm_rw, crm_ro",
        ),
        ({"member_of": ["crm_owner"]}, ".member_of[0]: crm_owner is no group role of crm; write one of crm_rw, crm_ro"),
        (
            {"settings": {"statement_timeout": None}},
            ".settings.statement_timeout: is empty; write a value, or remove it",
        ),
        ({"settings": {"search_path": [None]}}, ".settings.search_path: is empty; write a value, or remove it"),
        ({"settings": {"search_path": []}}, ""),
        (
            {"settings": {"statement_timout": "30s"}},
            ".settings.statement_timout: is no parameter of PostgreSQL 16; write a name that pg_settings lists",
        ),
        (
            {"settings": {"statement_timeout": "soon"}},
            '.settings.statement_timeout: "soon" is no number; write a time from 0 to 2147483647ms (about 24.9d)',
        ),
        (
            {"settings": {"shared_buffers": "1GB"}},
            ".settings.shared_buffers: is the whole server's, not a session's; write it into "
            "postgresql_server_parameters",
        ),
        (
            {"settings": {"role": "crm_owner"}},
            ".settings.role: would give the account another role's rights; write its group roles in member_of",
        ),
        (
            {"settings": {"synchronous_commit": "off"}},
            ".settings.synchronous_commit: off lets acknowledged commits be lost with the primary; write on, or "
            "remove it",
        ),
        ({"settings": {"synchronous_commit": "remote_apply"}}, ""),
    ],
)
def test_of_an_account(given: dict[str, Any], expected: str) -> None:
    assert messages(account(**given)) == ([f"{PATH}[0].accounts[0]{expected}"] if expected else [])


def test_a_default_name_that_is_reserved() -> None:
    pg = application("pg")
    pg["accounts"] = []
    names = ("owner", "migrator.name", "schemas[0].read_write", "schemas[0].read_only")
    roles = ("pg_owner", "pg_migrator", "pg_rw", "pg_ro")
    assert messages(pg) == [
        f"{PATH}[0].{name}: {role}, the default, is reserved; write another name"
        for name, role in zip(names, roles, strict=True)
    ]


def test_a_right_that_came_with_17() -> None:
    crm = application("crm", grants=[{"role": "crm_rw", "privileges": ["MAINTAIN"], "names": ["t"]}])
    assert "MAINTAIN" in messages(crm)[0]
    assert messages(crm, around=replace(AROUND, version="17")) == []


def test_of_two_applications() -> None:
    shop = application("shop", database="crm", owner="shop_owner", migrator={"name": "sm", "password": PASSWORD})
    shop["schemas"] = [{"name": "shop"}]
    assert messages(application("crm"), shop) == [
        f"{PATH}[1].database: crm is the database of crm as well; write another one"
    ]


def test_a_schema_claimed_twice() -> None:
    crm, shop = (application(name, schemas=[{"name": "events"}]) for name in ("crm", "shop"))
    text = "the schema events of crm and of shop would share the role events_"
    assert messages(crm, shop) == [
        f"{PATH}[1].schemas[0].read_write: {text}rw; write another one, such as shop_events_rw",
        f"{PATH}[1].schemas[0].read_only: {text}ro; write another one, such as shop_events_ro",
    ]
    shop["schemas"] = [{"name": "events", "read_write": "shop_events_rw", "read_only": "shop_events_ro"}]
    assert messages(crm, shop) == []


def test_a_role_of_one_application_in_another() -> None:
    shop = application("shop", grants=[{"role": "crm_ro", "privileges": ["SELECT"], "names": ["t"]}])
    shop["accounts"] = [{"name": "shop_app", "password": PASSWORD, "member_of": ["shop_rw", "crm_rw"]}]
    advice = "and is granted to nobody in shop; write one of shop_rw, shop_ro"
    assert messages(application("crm"), shop) == [
        f"{PATH}[1].accounts[0].member_of[1]: crm_rw is a role of crm, {advice}",
        f"{PATH}[1].grants[0].role: crm_ro is a role of crm, {advice}",
    ]
    shop = application("shop", groups=[{"name": "crm_rw"}])
    assert messages(application("crm"), shop) == [
        f"{PATH}[1].groups[0].name: crm_rw is a role of crm already ({PATH}[0].schemas[0].read_write), and "
        f"roles are the "
        "cluster's; write another name"
    ]


def test_removing_needs_both_words() -> None:
    around = replace(AROUND, destroy=["crm", "shop"])
    leaving = {"name": "crm", "state": "absent"}
    assert messages(leaving, application("shop"), around=around) == [
        "postgresql_databases_destroy[1]: shop is no application with state: absent; write that in its entry, "
        "or remove the "
        "name here"
    ]


def test_pg_cron_is_in_one_database() -> None:
    crm = application("crm", extensions=[{"name": "pg_cron"}])
    around = replace(AROUND, preloaded=["pg_cron"])
    assert messages(crm, around=around) == [
        f"{PATH}[0].extensions[0].name: pg_cron is in one database alone, which is postgres; write "
        f"cron.database_name: crm "
        "into postgresql_server_parameters"
    ]
    assert messages(crm, around=replace(around, cron_database="crm")) == []
    assert messages(crm, around=replace(around, preloaded=None)) == []


@pytest.mark.parametrize("broken", [None, {"name": None}, {}, {"name": "x", "accounts": [{"password": "x"}]}])
def test_what_the_types_refuse_is_passed_over(broken: Any) -> None:
    assert messages(broken, {"name": "CRM"} | application("crm"), around=replace(AROUND, destroy=["y"])) == []


def test_the_preflight_says_it_once_for_the_cluster() -> None:
    crm = application("crm", migrator={"password": "short"})
    assert _preflight.mistakes("main", platform(everywhere={"postgresql_applications": [crm]})) == [
        f"cluster main: {PATH}[0].migrator.password: has 5 characters; {FROM_SECRETS}"
    ]
    connection = {"postgresql_databases_connection": {"user": "admin"}}
    assert _preflight.mistakes("main", platform(everywhere=connection)) == [
        "cluster main: postgresql_databases_connection.host: is missing; write the name of the server"
    ]
    connection = {"postgresql_databases_connection": {"host": "db.example.com"}}
    assert _preflight.mistakes("main", platform(everywhere=connection)) == [
        "cluster main: postgresql_databases_connection.user: is missing; write a role with CREATEROLE and CREATEDB"
    ]


def test_a_playbook_for_an_application_that_nobody_declares() -> None:
    members = platform(everywhere={"postgresql_applications": [application("crm"), application("shop")]})
    assert _preflight.mistakes("main", members, "shop") == []
    assert _preflight.mistakes("main", members, "shp") == [
        "cluster main: application: shp is not declared; write one of crm, shop"
    ]
    assert _preflight.mistakes("main", platform(), "crm") == [
        "cluster main: application: crm is not declared; add it to postgresql_applications"
    ]


def test_what_is_resolved_holds_no_secret_and_the_servers_names() -> None:
    settings = {"TIMEZONE": "UTC", "statement_timeout": 30000, "search_path": ["a", "b c"]}
    crm = account(settings=settings, rotation="alternating", second_password=PASSWORD)
    found = _preflight.resolve("main", platform(everywhere={"postgresql_applications": [crm]}))["applications"]
    assert PASSWORD not in str(found)
    assert found[0]["accounts"][0]["settings"] == {
        "TimeZone": "UTC",
        "statement_timeout": "30000",
        "search_path": 'a, "b c"',
    }
