# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Default privileges of one database: tables and sequences of later migrations follow the rights of their schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils import _database_drift, _grants
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    READ_ONLY,
    READ_WRITE,
    SEQUENCE_READ_WRITE,
    Application,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Drift, Script
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import Contents
from ansible_collections.steadfast.postgresql.plugins.module_utils._grants import EVERYBODY, Rights
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, identifier

TABLES, SEQUENCES = "r", "S"
KINDS = {TABLES: "TABLES", SEQUENCES: "SEQUENCES"}


def reconcile(script: Script, application: Application, contents: Contents) -> Iterator[Drift]:
    """Let tables and sequences that migrations make follow; what is so by default is the owner's alone."""
    wanted = _by_default(application)
    changed = {"GRANT": 0, "REVOKE": 0}
    for schema_name, kind in sorted({*wanted, *contents.defaults}):
        target, found = (one.get((schema_name, kind), {}) for one in (wanted, contents.defaults))
        extra = {role: rights for role, rights in _grants.less(found, target).items() if role != application.owner.name}
        if not schema_name or kind not in KINDS:
            yield from _database_drift.by_default(application, application.owner.name, kind, extra)
            continue
        place = _Default(application, schema_name, kind)
        for role, rights in _grants.less(target, found).items():
            script.add(place.sql("GRANT", role, rights))
            changed["GRANT"] += 1
        for role, rights in extra.items():
            sql = place.sql("REVOKE", role, rights)
            if place.is_ours(role):
                script.add(sql)
                changed["REVOKE"] += 1
            else:
                text = f"{role} gets {_on(rights, kind)} in {application.database}.{schema_name} by default"
                yield Drift(f"{text}, which is declared nowhere.", f"To end it: {sql};")
    for place, role in _handed_by_default(application, contents):
        script.add(place.without_option(role))
        changed["REVOKE"] += 1
    for verb, before, after in (("GRANT", "absent", "granted"), ("REVOKE", "granted", "revoked")):
        if changed[verb]:
            name = f"{application.database}: {changed[verb]} of its roles"
            script.changes.append(change("default privileges", name, before, after))


def _by_default(application: Application) -> dict[tuple[str, str], Rights]:
    """Return what tables and sequences of each schema are to start with."""
    return {
        (schema.name, kind): {schema.read_write: frozenset(write), schema.read_only: frozenset(READ_ONLY)}
        for schema in application.schemas
        for kind, write in ((TABLES, READ_WRITE), (SEQUENCES, SEQUENCE_READ_WRITE))
    }


def _handed_by_default(application: Application, contents: Contents) -> Iterator[tuple[_Default, str]]:
    """Yield who may hand on what it has by default, which nobody declares."""
    schemas = {schema.name for schema in application.schemas}
    for schema, kind, role in contents.defaults_handed:
        if schema in schemas and kind in KINDS and role != application.owner.name:
            yield _Default(application, schema, kind), role


@dataclass(frozen=True)
class _Default:
    """What the owner's tables or sequences in one schema start with."""

    application: Application
    schema: str
    kind: str

    def sql(self, verb: str, role: str, rights: frozenset[str]) -> str:
        start = f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(self.application.owner.name)}"
        preposition = "TO" if verb == "GRANT" else "FROM"
        where = f"IN SCHEMA {identifier(self.schema)}"
        return f"{start} {where} {verb} {_on(rights, self.kind)} {preposition} {_grants.role(role)}"

    def without_option(self, role: str) -> str:
        start = f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(self.application.owner.name)}"
        where = f"IN SCHEMA {identifier(self.schema)}"
        return f"{start} {where} REVOKE GRANT OPTION FOR ALL ON {KINDS[self.kind]} FROM {_grants.role(role)}"

    def is_ours(self, role: str) -> bool:
        return role == EVERYBODY or role in {one.name for one in self.application.roles}


def _on(rights: frozenset[str], kind: str) -> str:
    return f"{_grants.privileges(rights)} ON {KINDS[kind]}"
