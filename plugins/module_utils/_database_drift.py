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
    DatabaseState,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier


def rights(
    application: Application, known: Collection[str], found: DatabaseState, contents: Contents
) -> Iterator[Drift]:
    """Yield who may hand rights on, who has rights on columns, who gives some by default; the collection does none.

    Args:
        application: whose database it is.
        known: roles that are none of its business, such as superusers.
        found: the database as the cluster knows it.
        contents: what it holds.
    """
    beside = {*known, application.owner.name, PUBLIC_OWNER}
    yield from _handed_on(application, beside, found, contents)
    yield from _of_columns(application, beside, contents)
    yield from _of_others(application, contents)


def _handed_on(
    application: Application, beside: Collection[str], found: DatabaseState, contents: Contents
) -> Iterator[Drift]:
    objects = [(f"DATABASE {identifier(application.database)}", found.grantors)]
    objects += [(f"SCHEMA {identifier(name)}", one.grantors) for name, one in contents.schemas.items()]
    for relation in contents.relations:
        kind = "SEQUENCE" if relation.is_sequence else "TABLE"
        objects.append((f"{kind} {identifier(relation.schema)}.{identifier(relation.name)}", relation.grantors))
    for what, roles in objects:
        for role in sorted(roles - set(beside)):
            sql = f"REVOKE GRANT OPTION FOR ALL ON {what} FROM {_grants.role(role)}"
            text = f"{role} may hand on rights on {what} in {application.database}, which is declared nowhere."
            yield Drift(text, f"To end it: {sql};")


def _of_columns(application: Application, beside: Collection[str], contents: Contents) -> Iterator[Drift]:
    extra: dict[str, list[str]] = {}
    for schema, table, column, roles in contents.columns:
        for role in set(roles) - set(beside):
            extra.setdefault(role, []).append(f"{schema}.{table}.{column}")
    for role, columns in sorted(extra.items()):
        who = "Everybody" if role == _grants.EVERYBODY else role
        text = f"{who} has rights on columns in {application.database}, which is declared nowhere: {named(columns)}."
        yield Drift(text, "REVOKE ALL on the table ends it; the next run gives the rights that are declared.")


def by_default(application: Application, maker: str, roles: Collection[str]) -> Iterator[Drift]:
    """Yield who gets rights by default on what a role makes; everybody executes functions at first."""
    others = sorted(set(roles) - {maker, _grants.EVERYBODY})
    if others:
        text = f"{named(others)} gets rights on what {maker} makes in {application.database}"
        yield Drift(f"{text} by default, which is declared nowhere.", "ALTER DEFAULT PRIVILEGES ends it.")


def _of_others(application: Application, contents: Contents) -> Iterator[Drift]:
    given: dict[str, set[str]] = {}
    for maker, roles in contents.others_defaults:
        given.setdefault(maker, set()).update(roles)
    for maker in sorted(given):
        yield from by_default(application, maker, given[maker])
