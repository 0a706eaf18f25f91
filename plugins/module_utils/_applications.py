# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application declares: its database, roles, schemas, extensions and rights, with the defaults filled in.

Pure. An entry of postgresql_applications has been checked by _applications_check before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

APPLICATIONS = "postgresql_applications"
DESTROY = "postgresql_databases_destroy"

PUBLIC = "public"
ABSENT = "absent"
ALTERNATING = "alternating"
UNLIMITED = -1

OWNER, MIGRATOR, GROUP, ACCOUNT = "owner", "migrator", "group role", "account"

READ_WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ_ONLY = ("SELECT",)
# nextval() needs USAGE, currval() and a dump SELECT; setval() is the owner's.
SEQUENCE_READ_WRITE = ("SELECT", "USAGE")

# Of these PostgreSQL keeps a list of names, each quoted where it has to be, and not the text that was set.
LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})
_ELEMENT = re.compile(r'\s*("(?:[^"]|"")*"|[^,"]*)\s*(?:,|$)')


@dataclass(frozen=True)
class TableRights:
    """Tables whose rights differ from those of their schema; `*` in the name stands for any characters."""

    tables: str
    read_write: tuple[str, ...] = READ_WRITE
    read_only: tuple[str, ...] = READ_ONLY

    def covers(self, table: str) -> bool:
        """Whether it is about a table."""
        return re.fullmatch(".*".join(map(re.escape, self.tables.split("*"))), table) is not None


@dataclass(frozen=True)
class Schema:
    """A schema with its two group roles."""

    name: str
    read_write: str
    read_only: str
    comment: str = ""
    exceptions: tuple[TableRights, ...] = ()

    def table_rights(self, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what the role that reads and writes may do with a table, and what the one that reads may."""
        for exception in self.exceptions:
            if exception.covers(table):
                return exception.read_write, exception.read_only
        return READ_WRITE, READ_ONLY


@dataclass(frozen=True)
class Role:
    """A role of the cluster.

    Attributes:
        name: of the role.
        kind: owner, migrator, group role or account.
        comment: what it is for.
        connection_limit: sessions at once, -1 for any number.
        member_of: roles that it is granted.
        settings: of its sessions in the application's database, each a name and its values; several only for those
            of which PostgreSQL keeps a list of names.
        twin: the other login of an account with two.
    """

    name: str
    kind: str
    comment: str = ""
    connection_limit: int = UNLIMITED
    member_of: tuple[str, ...] = ()
    settings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    twin: str = ""

    @property
    def logs_in(self) -> bool:
        """Whether somebody logs in as this role."""
        return self.kind in {MIGRATOR, ACCOUNT}


@dataclass(frozen=True)
class Extension:
    """An extension of a database; without a version any will do."""

    name: str
    schema: str = PUBLIC
    version: str = ""


@dataclass(frozen=True)
class Grant:
    """Rights of a group role on objects; of a database or a schema the names are empty."""

    role: str
    privileges: tuple[str, ...]
    kind: str = "table"
    schema: str = PUBLIC
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Application:
    """An application with everything that its entry does not say.

    Attributes:
        name: what messages call it.
        database: its database.
        owner: the role that owns everything in it.
        migrator: the account that acts as the owner.
        schemas: at least one.
        groups: group roles besides those of the schemas.
        accounts: what services log in as; one with alternating rotation stands here as its two logins.
        absent: whether it is to be removed.
    """

    name: str
    database: str
    owner: Role
    migrator: Role
    comment: str = ""
    locale: str = ""
    encoding: str = "UTF8"
    schemas: tuple[Schema, ...] = ()
    groups: tuple[Role, ...] = ()
    accounts: tuple[Role, ...] = ()
    extensions: tuple[Extension, ...] = ()
    grants: tuple[Grant, ...] = ()
    networks: tuple[str, ...] = ()
    absent: bool = False

    @classmethod
    def of(cls, entry: Json) -> Application:
        """Return what an entry declares."""
        name, database = entry["name"], entry.get("database") or entry["name"]
        owner = entry.get("owner") or f"{database}_owner"
        migrator = (entry.get("migrator") or {}).get("name") or f"{database}_migrator"
        schemas = tuple(_schema(item, database) for item in entry.get("schemas") or [{"name": PUBLIC}])
        return cls(
            name=name,
            database=database,
            owner=Role(owner, OWNER, f"Owns the database {database}"),
            migrator=Role(
                migrator,
                MIGRATOR,
                f"Migrates the database {database}",
                member_of=(owner,),
                settings=(("role", (owner,)),),
            ),
            comment=entry.get("comment") or "",
            locale=entry.get("locale") or "",
            encoding=(entry.get("encoding") or "UTF8").upper().replace("-", ""),
            schemas=schemas,
            groups=tuple(
                Role(item["name"], GROUP, item.get("comment") or f"Group role of {name}")
                for item in entry.get("groups") or []
            ),
            accounts=tuple(role for item in entry.get("accounts") or [] for role in _logins(item, name)),
            extensions=tuple(
                Extension(item["name"], item.get("schema") or PUBLIC, item.get("version") or "")
                for item in entry.get("extensions") or []
            ),
            grants=tuple(_grant(item) for item in entry.get("grants") or []),
            networks=tuple(entry.get("networks") or ()),
            absent=entry.get("state") == ABSENT,
        )

    @property
    def group_roles(self) -> tuple[Role, ...]:
        """All its group roles, those of schemas first; one that serves two schemas stands there once."""
        found: dict[str, Role] = {}
        for schema in self.schemas:
            where = f"the schema {schema.name} of {self.database}"
            found.setdefault(schema.read_write, Role(schema.read_write, GROUP, f"Reads and writes {where}"))
            found.setdefault(schema.read_only, Role(schema.read_only, GROUP, f"Reads {where}"))
        return (*found.values(), *self.groups)

    @property
    def roles(self) -> tuple[Role, ...]:
        """All its roles, each after those that it is a member of."""
        return (self.owner, *self.group_roles, self.migrator, *self.accounts)

    @property
    def logins(self) -> tuple[str, ...]:
        """Names that somebody logs in with."""
        return tuple(role.name for role in self.roles if role.logs_in)


def logins_of(account: Json) -> list[str]:
    """Return the names that an entry of accounts logs in with."""
    name = account["name"]
    return [f"{name}_a", f"{name}_b"] if account.get("rotation") == ALTERNATING else [name]


def passwords(entry: Json) -> dict[str, str]:
    """Return the password of each login of an application."""
    migrator = entry.get("migrator") or {}
    found = {Application.of(entry).migrator.name: str(migrator.get("password") or "")}
    for account in entry.get("accounts") or []:
        given = (account.get("password") or "", account.get("second_password") or "")
        found.update(zip(logins_of(account), map(str, given), strict=False))
    return found


def without_secrets(entry: Json) -> dict[str, Any]:
    """Return an entry as it may be handed on and shown."""
    hidden = {"password", "second_password"}
    accounts = [
        {key: value for key, value in item.items() if key not in hidden} for item in entry.get("accounts") or []
    ]
    migrator = {key: value for key, value in (entry.get("migrator") or {}).items() if key not in hidden}
    return {**entry, "accounts": accounts, "migrator": migrator}


def elements(text: str) -> tuple[str, ...]:
    """Take apart a list of names as PostgreSQL writes one: `"$user", public`."""
    found = []
    position = 0
    while position < len(text) and (match := _ELEMENT.match(text, position)) and match.end() > position:
        word = match[1].strip()
        found.append(word[1:-1].replace('""', '"') if word.startswith('"') else word.lower())
        position = match.end()
    return tuple(found)


def _schema(item: Json, database: str) -> Schema:
    stem = database if item["name"] == PUBLIC else item["name"]
    return Schema(
        name=item["name"],
        read_write=item.get("read_write") or f"{stem}_rw",
        read_only=item.get("read_only") or f"{stem}_ro",
        comment=item.get("comment") or "",
        exceptions=tuple(
            TableRights(
                one["tables"],
                _upper(one.get("read_write", READ_WRITE)),
                _upper(one.get("read_only", READ_ONLY)),
            )
            for one in item.get("exceptions") or []
        ),
    )


def _logins(item: Json, application: str) -> Iterator[Role]:
    names = logins_of(item)
    for name in names:
        yield Role(
            name=name,
            twin=next((other for other in names if other != name), ""),
            kind=ACCOUNT,
            comment=item.get("comment") or f"Account of {application}",
            connection_limit=item.get("connection_limit", UNLIMITED),
            member_of=tuple(dict.fromkeys(item.get("member_of") or ())),
            settings=tuple(sorted((key, values_of(key, value)) for key, value in (item.get("settings") or {}).items())),
        )


def values_of(name: str, value: Any) -> tuple[str, ...]:
    """Return the values of a setting; of most there is one."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(str, value))
    return elements(str(value)) if name in LISTS else (str(value),)


def _grant(item: Json) -> Grant:
    return Grant(
        role=item["role"],
        privileges=_upper(item["privileges"]),
        kind=item.get("kind") or "table",
        schema=item.get("schema") or PUBLIC,
        names=tuple(item.get("names") or ()),
    )


def _upper(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.upper() for word in words)
