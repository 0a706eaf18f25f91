# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each account of an application must be able to do and what it must not, as statements to try. Pure.

Each is tried as the account itself, on the live database, and leaves nothing: what makes something is rolled back. Of
tables the server is asked for the rights: to plan a statement on one would run functions of its owner, in a session
that a superuser began.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    ACCOUNT,
    READ_ONLY,
    READ_WRITE,
    Application,
    Role,
    Schema,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import Relation
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier, quoted

PROBE = "steadfast_probe"
INSUFFICIENT_PRIVILEGE = "42501"
DIVISION_BY_ZERO = "22012"
FAILED_BEFORE = "25P02"  # an earlier statement of the transaction was refused
UNDECIDED = frozenset({"55P03", "57014", "40P01"})
"""Somebody else was in the way: a lock, an end by hand or by a timeout, a deadlock."""
# Those who administer have such roles; no divides by zero.
_PREDEFINED = """
SELECT 1 / EXISTS (SELECT FROM pg_catalog.pg_roles
  WHERE rolname ~ '^pg_' AND rolname <> 'pg_database_owner' AND pg_catalog.pg_has_role(oid, 'MEMBER'))::int
""".strip()
DENIED = frozenset({INSUFFICIENT_PRIVILEGE, DIVISION_BY_ZERO, FAILED_BEFORE})


@dataclass(frozen=True)
class Try:
    """One statement.

    Attributes:
        what: what it does, as a report says it.
        sql: the statement.
        allowed: whether it must succeed; otherwise the server must refuse it.
    """

    what: str
    sql: str
    allowed: bool = False


@dataclass(frozen=True)
class Ground:
    """What there is to try on.

    Attributes:
        application: whose accounts are tried.
        samples: a table of each schema that has one with the rights of its schema.
        exceptional: schema, table, and what the roles that write and that read may do with it where that is declared.
        others: databases of other applications.
    """

    application: Application
    samples: Mapping[str, str]
    others: Sequence[str] = ()
    exceptional: Sequence[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = ()


def samples(application: Application, relations: Sequence[Relation]) -> dict[str, str]:
    """Return one table of each schema on which its group roles have the rights that the schema gives."""
    special = {(grant.schema, name) for grant in application.grants for name in grant.names}
    found: dict[str, str] = {}
    for schema in application.schemas:
        for relation in relations:
            usual = not any(exception.covers(relation.name) for exception in schema.exceptions)
            ours = relation.schema == schema.name and relation.owner == application.owner.name
            if ours and relation.kind in "rp" and usual and (schema.name, relation.name) not in special:
                found.setdefault(schema.name, relation.name)
    return found


def exceptional(
    application: Application, relations: Sequence[Relation]
) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """Return the tables for which other rights are declared than their schema gives, with these."""
    special = {(grant.schema, name) for grant in application.grants for name in grant.names}
    return [
        (schema.name, relation.name, *schema.table_rights(relation.name))
        for schema in application.schemas
        for relation in relations
        if relation.schema == schema.name and relation.kind in "rp" and relation.owner == application.owner.name
        if any(exception.covers(relation.name) for exception in schema.exceptions)
        if (schema.name, relation.name) not in special
    ]


def tries(role: Role, ground: Ground) -> list[Try]:
    """Return what an account has to be tried with."""
    if role.kind != ACCOUNT:
        return [*_as_owner(ground), *_of_nobody(ground)]
    found = [one for schema in ground.application.schemas for one in _in_schema(role, schema, ground)]
    found += _on_exceptional(role, ground)
    owner = ground.application.owner.name
    return [
        *found,
        Try(f"act as {owner}", f"SET ROLE {identifier(owner)}"),
        *_temporary(role, ground),
        *_of_nobody(ground),
    ]


def surprises(role: Role, tried: Sequence[Try], states: Sequence[str]) -> list[str]:
    """Return what came out otherwise than it must.

    Args:
        role: who tried.
        tried: the tries.
        states: the SQL state of each.
    """
    found = []
    for one, state in zip(tried, states, strict=True):
        denied = state in DENIED
        if one.allowed == denied and state not in UNDECIDED:
            found.append(f"{role.name} {'cannot' if denied else 'can'} {one.what}")
    return found


def _in_schema(role: Role, schema: Schema, ground: Ground) -> Iterator[Try]:
    writes, reads = schema.read_write in role.member_of, schema.read_only in role.member_of
    granted = {grant.role for grant in ground.application.grants if grant.schema == schema.name} & set(role.member_of)
    name = identifier(schema.name)
    if not granted:
        # Of a table that is not there the server says so only to those who may look.
        used = schema.name in {extension.schema for extension in ground.application.extensions}
        sees = writes or reads or used
        yield Try(f"look into the schema {schema.name}", f"SELECT FROM {name}.{identifier(PROBE)}", allowed=sees)
    if "CREATE" not in _rights(role, "schema", schema.name, ground):
        yield Try(f"create a table in the schema {schema.name}", f"CREATE TABLE {name}.{identifier(PROBE)} ()")
    if schema.name in ground.samples:
        table = ground.samples[schema.name]
        yield from _on_table(schema.name, table, {*(READ_WRITE if writes else ()), *(READ_ONLY if reads else ())})


def _on_exceptional(role: Role, ground: Ground) -> Iterator[Try]:
    schemas = {schema.name: schema for schema in ground.application.schemas}
    for name, table, writes, reads in ground.exceptional:
        schema = schemas[name]
        rights = {*(writes if schema.read_write in role.member_of else ())}
        rights |= {*(reads if schema.read_only in role.member_of else ())}
        yield from _on_table(name, table, rights)


def _on_table(schema: str, table: str, rights: Collection[str]) -> Iterator[Try]:
    """Ask for rights on a table, which are of no use without one on its schema; no divides by zero."""
    where = quoted(f"{identifier(schema)}.{identifier(table)}")
    for words, right in (("read", "SELECT"), ("insert into", "INSERT"), ("delete from", "DELETE")):
        sees = f"pg_catalog.has_schema_privilege({quoted(schema)}, 'USAGE')"
        may = f"pg_catalog.has_table_privilege({where}, '{right}')"
        yield Try(f"{words} {schema}.{table}", f"SELECT 1 / ({sees} AND {may})::int", allowed=right in rights)


def _rights(role: Role, kind: str, schema: str, ground: Ground) -> set[str]:
    found = set()
    for grant in ground.application.grants:
        if grant.role in role.member_of and grant.kind == kind and (kind == "database" or grant.schema == schema):
            found |= set(grant.privileges)
    return found


def _temporary(role: Role, ground: Ground) -> Iterator[Try]:
    rights = _rights(role, "database", "", ground)
    if "TEMPORARY" not in rights:
        yield Try("create a temporary table", f"CREATE TEMPORARY TABLE {identifier(PROBE)} ()")
    if "CREATE" not in rights:
        yield Try("create a schema", f"CREATE SCHEMA {identifier(PROBE)}")


def _as_owner(ground: Ground) -> Iterator[Try]:
    """A migrator acts as the owner from the start of its sessions, which a change of the user in one is not."""
    owner = identifier(ground.application.owner.name)
    yield Try(f"act as {ground.application.owner.name}", f"SET ROLE {owner}", allowed=True)
    for schema in ground.application.schemas:
        sql = f"SET ROLE {owner}; CREATE TABLE {identifier(schema.name)}.{identifier(PROBE)} ()"
        yield Try(f"create a table in the schema {schema.name}", sql, allowed=True)


def _of_nobody(ground: Ground) -> Iterator[Try]:
    yield Try("read pg_authid", "SELECT FROM pg_catalog.pg_authid LIMIT 0")
    yield Try("read pg_shadow", "SELECT FROM pg_catalog.pg_shadow LIMIT 0")
    yield Try("read files of the server", "SELECT pg_catalog.pg_read_file('PG_VERSION')")
    yield Try("act as a role of PostgreSQL's own", _PREDEFINED)
    yield Try("create a role", f"CREATE ROLE {identifier(PROBE)}")
    for name in ground.others:
        # No session goes from one database into another: whether it may begin there is asked, and no divides by zero.
        sql = f"SELECT 1 / pg_catalog.has_database_privilege({quoted(name)}, 'CONNECT')::int"
        yield Try(f"connect to the database {name}", sql)
