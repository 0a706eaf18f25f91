# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database: which SQL makes what an application declares of what it holds, and what is only reported. Pure.

Rights that the collection gives - on the database, on schemas, by default on what migrations make - it also takes back
from the application's own roles. Rights on tables may be a migration's, so those that nobody declared are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _database_defaults,
    _database_drift,
    _database_roles,
    _grants,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    LISTS,
    PUBLIC,
    READ_ONLY,
    SEQUENCE_READ_WRITE,
    Application,
    Role,
    Schema,
    elements,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Drift, Script, named
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import (
    PUBLIC_OWNER,
    ClusterState,
    Contents,
    DatabaseState,
    Function,
    Relation,
    SchemaState,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._grants import EVERYBODY, Batch, Rights
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import RESERVED_ROLES
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, identifier, quoted

ALWAYS_THERE = ("plpgsql",)
EVERYTHING, OF_OWNER = frozenset({"CREATE", "CONNECT", "TEMPORARY"}), frozenset({"USAGE", "CREATE"})
"""What the owner of a database has, and that of a schema, unless somebody takes it away."""


@dataclass(frozen=True)
class _Object:
    """A database or a schema: its kind, its quoted name, what a report calls it, and whose it is or becomes."""

    kind: str
    name: str
    label: str
    owners: frozenset[str]


@dataclass
class Differences:
    """Rights to grant and to take back in one database, who may hand some on, and those that are reported."""

    handed: dict[str, list[str]] = field(default_factory=dict)
    grant: Batch = field(default_factory=Batch)
    revoke: Batch = field(default_factory=Batch)
    drift: list[Drift] = field(default_factory=list)


def of_new(application: Application) -> DatabaseState:
    """Return what a database is that was made a moment ago."""
    return DatabaseState(
        application.owner.name,
        application.encoding,
        application.locale,
        rights={application.owner.name: EVERYTHING},
    )


def _of_new_schema(application: Application) -> SchemaState:
    """Return what a schema is that was made a moment ago."""
    owner = application.owner.name
    return SchemaState(owner, rights={owner: OF_OWNER})


def reconcile(
    application: Application, state: ClusterState, found: DatabaseState, contents: Contents
) -> tuple[Script, list[Drift]]:
    """Return the statements that one database needs, for one transaction, and what is reported.

    Args:
        application: what is declared.
        state: what all databases share.
        found: the database as the cluster knows it.
        contents: what it holds.
    """
    script = Script(application.database)
    drift = list(_database_roles.of_database(script, application, found))
    drift += _schemas(script, application, contents)
    drift += _extensions(script, application, state, contents)
    rights = _Reconciler(application, state).rights(found, contents)
    _write(script, application, rights)
    drift += rights.drift
    drift += _database_defaults.reconcile(script, application, contents)
    _settings(script, application, state)
    return script, drift


def _schemas(script: Script, application: Application, contents: Contents) -> Iterator[Drift]:
    owner = application.owner.name
    for schema in application.schemas:
        found = contents.schemas.get(schema.name)
        name = identifier(schema.name)
        if found is None:
            entry = change("schema", _in(application, schema.name), "absent", "present")
            script.add(f"CREATE SCHEMA {name} AUTHORIZATION {identifier(owner)}", entry)
        elif found.owner not in {owner, PUBLIC_OWNER}:
            entry = change("schema", _in(application, schema.name), f"owner {found.owner}", f"owner {owner}")
            script.add(f"ALTER SCHEMA {name} OWNER TO {identifier(owner)}", entry)
        if _comment_differs(schema, found):
            comment = quoted(schema.comment) if schema.comment else "NULL"
            entry = change("schema", _in(application, schema.name), "another comment", "comment set")
            script.add(f"COMMENT ON SCHEMA {name} IS {comment}", entry if found else None)
    declared = {schema.name for schema in application.schemas} | {PUBLIC}
    unknown = sorted(set(contents.schemas) - declared)
    if unknown:
        text = f"The database {application.database} has schemas that are declared nowhere: {named(unknown)}."
        yield Drift(text, f"Declare them in the application {application.name}, or drop them by hand.")


def _comment_differs(schema: Schema, found: SchemaState | None) -> bool:
    """Whether a schema's comment is to be set; that of public is PostgreSQL's own unless another is declared."""
    if schema.name == PUBLIC and not schema.comment:
        return False
    return schema.comment != (found.comment if found else "")


def _extensions(script: Script, application: Application, state: ClusterState, contents: Contents) -> Iterator[Drift]:
    where = application.database
    for extension in application.extensions:
        name, schema, version = identifier(extension.name), identifier(extension.schema), quoted(extension.version)
        found = contents.extensions.get(extension.name)
        if found is None and not state.superuser and extension.name not in state.trusted:
            text = f"{where} lacks the extension {extension.name}, which only a superuser makes."
            yield Drift(text, "Make it by the means of the server's provider.")
        elif found is None:
            which = f" VERSION {version}" if extension.version else ""
            entry = change("extension", _in(application, extension.name), "absent", "present")
            script.add(f"CREATE EXTENSION {name} SCHEMA {schema}{which}", entry)
        else:
            if extension.version not in {"", found[1]}:
                entry = change("extension", _in(application, extension.name), found[1], extension.version)
                script.add(f"ALTER EXTENSION {name} UPDATE TO {version}", entry)
            if extension.schema != found[0] and "pg_catalog" not in {extension.schema, found[0]}:
                entry = change("extension", _in(application, extension.name), found[0], extension.schema)
                script.add(f"ALTER EXTENSION {name} SET SCHEMA {schema}", entry)
    declared = {extension.name for extension in application.extensions} | {*ALWAYS_THERE}
    for name in sorted(set(contents.extensions) - declared):
        sql = f"DROP EXTENSION {identifier(name)}"
        yield Drift(
            f"The database {where} has the extension {name}, which is declared nowhere.",
            f"Declare it in the application {application.name}, or drop it by hand: {sql};",
        )


class _Reconciler:
    """Compares rights on the objects of one database."""

    def __init__(self, application: Application, state: ClusterState) -> None:
        self._application = application
        self._ours = {role.name for role in application.roles}
        self._known = {*RESERVED_ROLES, state.user, *(n for n, role in state.roles.items() if role.superuser)}

    def rights(self, found: DatabaseState, contents: Contents) -> Differences:
        result = Differences()
        self._of_database(result, found)
        self._of_schemas(result, contents)
        self._of_relations(result, contents.relations)
        self._of_functions(result, contents.functions)
        result.drift += _database_drift.rights(self._application, self._known, contents)
        return result

    def _of_database(self, result: Differences, found: DatabaseState) -> None:
        wanted: dict[str, frozenset[str]] = {
            role.name: frozenset({"CONNECT"}) for role in self._application.group_roles
        }
        self._add_declared(wanted, "database", "", "")
        name = self._application.database
        what = _Object("DATABASE", identifier(name), f"database {name}", self._owners(found.owner))
        if found.owner == self._application.owner.name:
            wanted[found.owner] = EVERYTHING
        self._compare(result, what, wanted, found)

    def _of_schemas(self, result: Differences, contents: Contents) -> None:
        groups = [role.name for role in self._application.group_roles]
        used = {extension.schema for extension in self._application.extensions}
        declared = {schema.name: schema for schema in self._application.schemas}
        for name in sorted({*declared, PUBLIC}):
            found = contents.schemas.get(name) or _of_new_schema(self._application)
            users = groups if name in used else []
            users += [declared[name].read_write, declared[name].read_only] if name in declared else []
            wanted = {role: frozenset({"USAGE"}) for role in users}
            self._add_declared(wanted, "schema", name, "")
            label = f"schema {_in(self._application, name)}"
            what = _Object("SCHEMA", identifier(name), label, self._owners(found.owner))
            if found.owner in {self._application.owner.name, PUBLIC_OWNER}:
                wanted[found.owner] = OF_OWNER
            if name in contents.schemas or name in declared:
                self._compare(result, what, wanted, found)

    def _owners(self, owner: str) -> frozenset[str]:
        return frozenset({owner, self._application.owner.name})

    def _of_relations(self, result: Differences, relations: Sequence[Relation]) -> None:
        schemas = {schema.name: schema for schema in self._application.schemas}
        owner = self._application.owner.name
        foreign: list[str] = []
        open_to: set[str] = set()
        extra: dict[str, dict[str, list[str]]] = {}
        for relation in relations:
            schema = schemas[relation.schema]
            what = f"{identifier(relation.schema)}.{identifier(relation.name)}"
            if relation.owner != owner:
                foreign.append(f"{relation.schema}.{relation.name} ({relation.owner})")
                open_to |= {role or "everybody" for role in relation.rights} - {relation.owner} - self._known
                continue
            kind = "SEQUENCE" if relation.is_sequence else "TABLE"
            wanted = self._wanted(schema, relation)
            result.grant.add(kind, what, _grants.less(wanted, relation.rights))
            for role, rights in _grants.less(relation.rights, wanted).items():
                if role in {owner} | self._known:
                    continue
                if self._is_an_exception(schema, relation, role):
                    result.revoke.add(kind, what, {role: rights})
                else:
                    key = f"{_grants.privileges(rights)} ON {kind}"
                    extra.setdefault(key, {}).setdefault(role, []).append(what)
        result.drift += list(self._reported(extra))
        if foreign:
            text = f"{self._application.database} has tables that do not belong to {owner}: {named(foreign)}."
            text += f" Rights on some of them have {named(sorted(open_to))}." if open_to else ""
            advice = f"No run gives or takes rights on them. By hand: ALTER TABLE ... OWNER TO {identifier(owner)};"
            result.drift.append(Drift(text, advice))

    def _wanted(self, schema: Schema, relation: Relation) -> dict[str, frozenset[str]]:
        of_tables = schema.table_rights(relation.name)
        write, read = (SEQUENCE_READ_WRITE, READ_ONLY) if relation.is_sequence else of_tables
        wanted = {schema.read_only: frozenset(read)}
        wanted[schema.read_write] = wanted.get(schema.read_write, frozenset()) | frozenset(write)
        kind = "sequence" if relation.is_sequence else "table"
        self._add_declared(wanted, kind, schema.name, relation.name)
        return wanted

    def _is_an_exception(self, schema: Schema, relation: Relation, role: str) -> bool:
        covered = any(exception.covers(relation.name) for exception in schema.exceptions)
        return covered and role in {schema.read_write, schema.read_only}

    def _of_functions(self, result: Differences, functions: Sequence[Function]) -> None:
        for function in functions:
            if function.owner != self._application.owner.name:
                continue
            wanted: dict[str, frozenset[str]] = {}
            self._add_declared(wanted, "function", function.schema, function.name)
            what = f"{identifier(function.schema)}.{identifier(function.name)}({function.arguments})"
            result.grant.add("ROUTINE", what, _grants.less(wanted, function.rights))

    def _add_declared(self, wanted: dict[str, frozenset[str]], kind: str, schema: str, name: str) -> None:
        """Add the rights that the application declares beside those of its schemas."""
        for grant in self._application.grants:
            here = grant.kind == kind and (kind == "database" or grant.schema == schema)
            if here and (not name or name in grant.names):
                wanted[grant.role] = wanted.get(grant.role, frozenset()) | frozenset(grant.privileges)

    def _compare(self, result: Differences, what: _Object, wanted: Rights, state: DatabaseState | SchemaState) -> None:
        """Compare the rights on a database or a schema, which are the collection's own affair.

        What the application's own roles handed on goes with their right to do so.
        """
        hand_on = sorted((state.grantors | state.handed.keys()) & self._ours - what.owners)
        if hand_on:
            result.handed.setdefault(f"{what.kind} {what.name}", []).extend(hand_on)
        found = _grants.joined([state.rights, *(one for by, one in state.handed.items() if by not in hand_on)])
        for role in sorted(state.grantors - self._ours - self._known - what.owners - {PUBLIC_OWNER}):
            sql = f"REVOKE GRANT OPTION FOR ALL ON {what.kind} {what.name} FROM {_grants.role(role)} CASCADE"
            text = f"{role} may hand on rights on the {what.label}, which is declared nowhere."
            result.drift.append(Drift(text, f"To end it, and what it handed on: {sql};"))
        result.grant.add(what.kind, what.name, _grants.less(wanted, found))
        extra = {role: rights for role, rights in _grants.less(found, wanted).items() if role not in what.owners}
        result.revoke.add(what.kind, what.name, _grants.only(extra, self._ours | {EVERYBODY}))
        for role, rights in sorted(extra.items()):
            if role not in self._ours | self._known | {EVERYBODY}:
                words = _grants.privileges(rights)
                sql = f"REVOKE {words} ON {what.kind} {what.name} FROM {_grants.role(role)}"
                text = f"{role} may {words} on the {what.label}, which is declared nowhere."
                result.drift.append(Drift(text, f"To end it: {sql};"))

    def _reported(self, extra: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[Drift]:
        for key, roles in extra.items():
            words, _, kind = key.rpartition(" ON ")
            for role, objects in roles.items():
                who = "Everybody" if role == EVERYBODY else role
                text = (
                    f"{who} may {words} in {self._application.database} on {named(objects)}, which is declared nowhere."
                )
                sql = f"REVOKE {words} ON {kind} {named(objects)} FROM {_grants.role(role)}"
                yield Drift(text, f"Declare it in grants, or end it: {sql};")


def _write(script: Script, application: Application, rights: Differences) -> None:
    for what, roles in rights.handed.items():
        names = ", ".join(map(identifier, roles))
        entry = change("rights to hand on", f"{application.database}: {what} {', '.join(roles)}", "granted", "revoked")
        script.add(f"REVOKE GRANT OPTION FOR ALL ON {what} FROM {names} CASCADE", entry)
    for batch, verb, before, after in (
        (rights.revoke, "REVOKE", "granted", "revoked"),
        (rights.grant, "GRANT", "absent", "granted"),
    ):
        if batch:
            count = "1 right" if len(batch) == 1 else f"{len(batch)} rights"
            entry = change("rights", f"{application.database}: {count}", before, after)
            script.add(batch.statements(verb), entry)


def _settings(script: Script, application: Application, state: ClusterState) -> None:
    for role in application.roles:
        found = state.settings.get((role.name, application.database), {})
        wanted = dict(role.settings)
        start = f"ALTER ROLE {identifier(role.name)} IN DATABASE {identifier(application.database)}"
        for name, values in wanted.items():
            if not _same(name, values, found.get(name)):
                words = ", ".join(map(quoted, values or ("",)))
                before, after = found.get(name, "unset"), ", ".join(values)
                script.add(f"{start} SET {_dotted(name)} TO {words}", _setting(role, name, before, after))
        for name in sorted(set(found) - set(wanted)):
            script.add(f"{start} RESET {_dotted(name)}", _setting(role, name, found[name], "unset"))


def _setting(role: Role, name: str, before: str, after: str) -> dict[str, str]:
    return change("setting", f"{role.name} {name}", before, after)


def _same(name: str, values: Sequence[str], found: str | None) -> bool:
    if found is None:
        return False
    return elements(found) == (tuple(values) or ("",)) if name in LISTS else (found,) == tuple(values)


def _dotted(name: str) -> str:
    return ".".join(map(identifier, name.split(".")))


def _in(application: Application, name: str) -> str:
    return f"{application.database}.{name}"
