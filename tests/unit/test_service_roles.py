# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that standbys, backups and poolers log in as: what is made, mended and said."""

from __future__ import annotations

from typing import Any

import pytest
import service_role
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_role, _pooler_role, _service_roles
from ansible_collections.steadfast.postgresql.plugins.module_utils._service_roles import Services

ALL = Services(replication=True, backups=True, poolers=True)
EXECUTE = f"GRANT EXECUTE ON FUNCTION {', '.join(_backup_role.FUNCTIONS)} TO pgbackrest"
LIMITS = {"createrole": True, "createdb": True, "bypassrls": True, "connection_limit": 0}


def mended(seen: dict[str, Any]) -> tuple[list[str], list[str]]:
    found = [*_service_roles.mend(seen, ALL)]
    sql = [statement for statements, _ in found for statement in statements]
    return sql, [f"{made['name']}: {made['from']} -> {made['to']}" for _, changes in found for made in changes]


@pytest.mark.parametrize(
    ("seen", "sql", "changes"),
    [
        pytest.param(service_role.seen(), [], [], id="as they have to be"),
        pytest.param(
            _service_roles.NOTHING,
            [
                "CREATE ROLE replicator LOGIN REPLICATION",
                "CREATE ROLE pgbackrest LOGIN",
                "GRANT pg_checkpoint, pg_read_all_settings TO pgbackrest",
                EXECUTE,
                "CREATE ROLE pgbouncer LOGIN",
                _pooler_role.MAKE,
            ],
            [
                "replicator: absent -> replication",
                "pgbackrest: absent -> backup",
                "pgbouncer: absent -> pooler",
                "pgbouncer.verifier_of: absent -> for poolers",
            ],
            id="a new cluster",
        ),
        pytest.param(
            service_role.seen(pgbouncer=LIMITS),
            ["ALTER ROLE pgbouncer NOCREATEROLE NOCREATEDB NOBYPASSRLS CONNECTION LIMIT -1"],
            ["pgbouncer: createrole, createdb, bypassrls, connection limit 0 -> pooler"],
            id="attributes",
        ),
        pytest.param(
            service_role.seen(pgbouncer={"login": False, "inherit": False, "replication": True, "password": True}),
            ["ALTER ROLE pgbouncer NOREPLICATION LOGIN INHERIT PASSWORD NULL"],
            ["pgbouncer: replication, nologin, noinherit, a password -> pooler"],
            id="what it lacks, and a password",
        ),
        pytest.param(
            service_role.seen(pgbouncer={"valid_until": "2020-01-01 00:00:00+00"}),
            ["ALTER ROLE pgbouncer VALID UNTIL 'infinity'"],
            ["pgbouncer: valid until 2020-01-01 00:00:00+00 -> pooler"],
            id="an end",
        ),
        pytest.param(
            service_role.seen(pgbouncer={"groups": [["pg_monitor", "postgres"]], "members": [["shop_app", '"Ada B"']]}),
            [
                "REVOKE pg_monitor FROM pgbouncer GRANTED BY postgres CASCADE",
                'REVOKE pgbouncer FROM shop_app GRANTED BY "Ada B" CASCADE',
            ],
            ["pgbouncer: member of pg_monitor, shop_app is its member -> pooler"],
            id="groups and members",
        ),
        pytest.param(
            service_role.seen(
                pgbouncer={"settings": [["", "work_mem=1MB"], ["", "role=dba"], ["postgres", "search_path=x"]]}
            ),
            ["ALTER ROLE pgbouncer RESET ALL", 'ALTER ROLE pgbouncer IN DATABASE "postgres" RESET ALL'],
            ["pgbouncer: setting work_mem=1MB, setting role=dba, setting search_path=x in postgres -> pooler"],
            id="settings of its own",
        ),
        pytest.param(
            service_role.seen(replicator={"replication": False, "superuser": True, "connection_limit": 1}),
            ["ALTER ROLE replicator NOSUPERUSER REPLICATION CONNECTION LIMIT -1"],
            ["replicator: superuser, noreplication, connection limit 1 -> replication"],
            id="the role of standbys",
        ),
        pytest.param(
            service_role.seen(replicator={"password": True, "settings": [["", "wal_sender_timeout=1min"]]}),
            [],
            [],
            id="what standbys may have besides",
        ),
        pytest.param(
            service_role.seen(pgbackrest={"createdb": True, "groups": [["pg_checkpoint", "postgres"]]}),
            ["ALTER ROLE pgbackrest NOCREATEDB", "GRANT pg_read_all_settings TO pgbackrest"],
            ["pgbackrest: createdb, no member of pg_read_all_settings -> backup"],
            id="the role of backups",
        ),
        pytest.param(
            service_role.seen(lacking=["pg_switch_wal()"]),
            ["GRANT EXECUTE ON FUNCTION pg_switch_wal() TO pgbackrest"],
            ["pgbackrest: may not execute pg_switch_wal() -> backup"],
            id="a function of backups",
        ),
    ],
)
def test_what_is_made_and_mended(seen: dict[str, Any], sql: list[str], changes: list[str]) -> None:
    assert mended(seen) == (sql, changes)


def test_roles_of_services_that_are_not_there() -> None:
    assert _service_roles.changes(_service_roles.NOTHING, Services()) == []
    assert list(_service_roles.findings("db1", service_role.seen(rights=["table x"]), Services())) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Services(replication=True, backups=True, poolers=True)),
        ({"members": [whole.DB1, whole.OPS1]}, Services(backups=True, poolers=True)),
        ({"repositories": []}, Services(replication=True, poolers=True)),
        ({"pools": {}}, Services(replication=True, backups=True)),
    ],
)
def test_whose_roles_are_wanted(changes: dict[str, Any], expected: Services) -> None:
    cluster = {"members": [whole.DB1, whole.DB2, whole.OPS1], "repositories": [{}], "pools": {"port": 6432}}
    assert Services.of(cluster | changes) == expected


def test_nothing_is_said_where_nobody_looked() -> None:
    assert list(_service_roles.findings("db1", None, ALL)) == []


def test_findings() -> None:
    seen = service_role.seen(pgbouncer=LIMITS, rights=["schema x", "table pg_authid"])
    found = _service_roles.findings("db1", seen, ALL)
    assert [(one.severity, one.host, one.text, one.advice) for one in found] == [
        (
            "error",
            "db1",
            "The role pgbouncer on db1 is not as it has to be: createrole, createdb, bypassrls, connection limit 0.",
            "Run site.yml, which sets it right.",
        ),
        (
            "warning",
            "db1",
            "The role pgbouncer has rights beyond its function: on schema x, table pg_authid.",
            "Take them away on db1 (REVOKE ... FROM pgbouncer): a pooler only asks for verifiers.",
        ),
    ]
