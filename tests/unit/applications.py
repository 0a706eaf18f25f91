# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of postgresql_applications for tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_databases
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import (
    PUBLIC_OWNER,
    ClusterState,
    Contents,
    DatabaseState,
    Relation,
    RoleState,
    SchemaState,
)

PASSWORD = "correct horse battery"


def application(name: str, **given: Any) -> dict[str, Any]:
    """Return an entry with what it needs, changed by what a test gives."""
    return {"name": name, "migrator": {"password": PASSWORD}} | given


def declared(entry: dict[str, Any]) -> Application:
    return Application.of(_preflight_databases.entry(entry, "16"))


def rights(**given: str) -> dict[str, frozenset[str]]:
    """Return rights by role, written as words; the role `everybody` is PUBLIC."""
    return {("" if role == "everybody" else role): frozenset(words.split()) for role, words in given.items()}


def held(application: Application) -> tuple[ClusterState, Contents]:
    """Return what a server holds once an application that has neither grants nor exceptions was applied."""
    roles = {
        role.name: RoleState(
            login=role.logs_in, connection_limit=role.connection_limit, comment=role.comment, verifier="right"
        )
        for role in application.roles
    }
    groups = [role.name for role in application.group_roles]
    database = DatabaseState(
        application.owner.name,
        comment=application.comment,
        rights=rights(**dict.fromkeys(groups, "CONNECT"), **{application.owner.name: "CREATE CONNECT TEMPORARY"}),
    )
    settings = {
        (role.name, application.database): {name: ", ".join(values) for name, values in role.settings}
        for role in application.roles
        if role.settings
    }
    state = ClusterState(
        roles=roles,
        memberships={(group, role.name): True for role in application.roles for group in role.member_of},
        databases={"postgres": DatabaseState("postgres"), application.database: database},
        settings=settings,
        extensions={"pgcrypto": ("1.2", "1.3"), "pg_stat_statements": ("1.10",)},
        trusted=frozenset({"pgcrypto"}),
    )
    return state, contents(application)


def contents(application: Application) -> Contents:
    owner = application.owner.name
    schemas = {"public": SchemaState(PUBLIC_OWNER, "standard public schema", rights(pg_database_owner="USAGE CREATE"))}
    defaults: dict[tuple[str, str], Any] = {}
    relations = []
    for schema in application.schemas:
        write, read = schema.read_write, schema.read_only
        own = PUBLIC_OWNER if schema.name == "public" else owner
        users = {write: "USAGE", read: "USAGE", own: "USAGE CREATE"}
        schemas[schema.name] = SchemaState(own, schema.comment, rights(**users))
        table = rights(**{write: "SELECT INSERT UPDATE DELETE", read: "SELECT"})
        sequence = rights(**{write: "SELECT USAGE", read: "SELECT"})
        defaults |= {(schema.name, "r"): table, (schema.name, "S"): sequence}
        relations += [
            Relation(schema.name, "orders", "r", owner, {**table, owner: frozenset({"SELECT"})}),
            Relation(schema.name, "orders_id_seq", "S", owner, sequence),
        ]
    extensions = {one.name: (one.schema, one.version or "1.3") for one in application.extensions}
    return Contents(schemas, tuple(relations), (), defaults, {"plpgsql": ("pg_catalog", "1.0"), **extensions})
