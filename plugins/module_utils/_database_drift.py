# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights that no application declares, beside those of roles on objects: to hand on, on columns, by default. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ansible_collections.steadfast.postgresql.plugins.module_utils import _grants
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Drift, named
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import (
    PUBLIC_OWNER,
    Contents,
    Relation,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier

FOR_EVERYBODY = ("f", "T")
"""Kinds of objects that everybody may use unless somebody ends that: functions and types."""


def rights(application: Application, known: Collection[str], contents: Contents) -> Iterator[Drift]:
    """Yield who may hand rights on, who has rights on columns, who gives some by default; the collection does none.

    Args:
        application: whose database it is.
        known: roles that are none of its business, such as superusers.
        contents: what the database holds.
    """
    beside = {*known, application.owner.name, PUBLIC_OWNER}
    yield from _handed_on(application, beside, contents)
    yield from _of_another_kind(application, contents)
    yield from _as_superuser(application, contents)
    yield from _of_catalogues(application, beside, contents)
    yield from _of_columns(application, beside, contents)
    yield from _of_others(application, contents)


def _handed_on(application: Application, beside: Collection[str], contents: Contents) -> Iterator[Drift]:
    """On the database and on schemas, which are the collection's own affair, this is repaired."""
    for relation in contents.relations:
        what = f"{'SEQUENCE' if relation.is_sequence else 'TABLE'} {_qualified(relation)}"
        for role in sorted(relation.grantors - set(beside)):
            sql = f"REVOKE GRANT OPTION FOR ALL ON {what} FROM {_grants.role(role)} CASCADE"
            text = f"{role} may hand on rights on {what} in {application.database}, which is declared nowhere."
            yield Drift(text, f"To end it, and what it handed on: {sql};")


def _of_another_kind(application: Application, contents: Contents) -> Iterator[Drift]:
    """A grant on a table finds no sequence, and one on a sequence no table."""
    sequences = {(relation.schema, relation.name): relation.is_sequence for relation in contents.relations}
    for grant in application.grants:
        for name in grant.names:
            is_sequence = sequences.get((grant.schema, name), grant.kind == "sequence")
            right = "sequence" if is_sequence else "table"
            if grant.kind in {"table", "sequence"} and right != grant.kind:
                text = (
                    f"{application.name} grants rights on the {grant.kind} {grant.schema}.{name}, which is a {right}."
                )
                yield Drift(text, f"Write kind: {right}.")


def _qualified(relation: Relation) -> str:
    return f"{identifier(relation.schema)}.{identifier(relation.name)}"


def _as_superuser(application: Application, contents: Contents) -> Iterator[Drift]:
    for name, owner in contents.definers:
        text = f"The function {name} in {application.database} does what it does as the superuser {owner}"
        yield Drift(f"{text}, whoever calls it.", f"Look at it; to end it: ALTER FUNCTION {name} SECURITY INVOKER;")


def _of_catalogues(application: Application, beside: Collection[str], contents: Contents) -> Iterator[Drift]:
    given: dict[str, list[str]] = {}
    for role, what in contents.catalogue:
        if role not in beside and not role.startswith("pg_"):
            given.setdefault(role, []).append(what)
    for role, objects in sorted(given.items()):
        who = "Everybody" if role == _grants.EVERYBODY else role
        text = f"{who} has rights on PostgreSQL's own {named(objects)} in {application.database}"
        sql = f"REVOKE ALL ON {objects[0]} FROM {_grants.role(role)}"
        yield Drift(f"{text}, which is declared nowhere.", f"To end it, such as: {sql};")


def _of_columns(application: Application, beside: Collection[str], contents: Contents) -> Iterator[Drift]:
    extra: dict[str, list[str]] = {}
    for schema, table, column, roles in contents.columns:
        for role in set(roles) - set(beside):
            extra.setdefault(role, []).append(f"{schema}.{table}.{column}")
    for role, columns in sorted(extra.items()):
        who = "Everybody" if role == _grants.EVERYBODY else role
        text = f"{who} has rights on columns in {application.database}, which is declared nowhere: {named(columns)}."
        yield Drift(text, "REVOKE ALL on the table ends it; the next run gives the rights that are declared.")


def by_default(application: Application, maker: str, kind: str, roles: Collection[str]) -> Iterator[Drift]:
    """Yield who gets rights by default on what a role makes, of one kind as pg_default_acl has it."""
    usual = {maker, _grants.EVERYBODY} if kind in FOR_EVERYBODY else {maker}
    others = sorted(set(roles) - usual)
    if others:
        who = named(["PUBLIC" if role == _grants.EVERYBODY else role for role in others])
        text = f"{who} gets rights on what {maker} makes in {application.database}"
        yield Drift(f"{text} by default, which is declared nowhere.", "ALTER DEFAULT PRIVILEGES ends it.")


def _of_others(application: Application, contents: Contents) -> Iterator[Drift]:
    given: dict[tuple[str, str], set[str]] = {}
    for maker, kind, roles in contents.others_defaults:
        given.setdefault((maker, kind), set()).update(roles)
    for maker, kind in sorted(given):
        yield from by_default(application, maker, kind, given[maker, kind])
