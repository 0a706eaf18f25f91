# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that applications share with each other and with the cluster: databases, roles, schemas. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application, logins_of
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed, shown
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import NAME_LIMIT, RESERVED_ROLES

RESERVED_DATABASES = (
    "postgres",
    "template0",
    "template1",
    "all",
    "sameuser",
    "samerole",
    "samegroup",
    "replication",
    "pgbouncer",
)
RESERVED_SCHEMAS = ("information_schema",)

# PostgreSQL would take any; these need no care in connection strings, configuration files and shells.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


@dataclass(frozen=True)
class Declared:
    """An application, and the entry that declares it."""

    application: Application
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class _Use:
    """What a role is in an application.

    Attributes:
        place: where the variable says so.
        name: of the role.
        what: owner, migrator, read_write, read_only, group or account.
        schema: for read_write and read_only, of which schema.
        is_default: whether its name follows from another, of which a mistake is said already.
    """

    place: str
    name: str
    what: str
    schema: str = ""
    is_default: bool = False


Found = Mapping[str, Declared]


def check(found: Found, administrators: Sequence[str]) -> Iterator[Mistake]:
    """Yield what is wrong with the names of all applications.

    Args:
        found: the applications by their place in the variable.
        administrators: names of roles that are people's.
    """
    yield from _databases(found)
    for path, declared in found.items():
        yield from _schemas(path, declared.application)
    yield from _roles(found, administrators)
    for path, declared in found.items():
        if not declared.application.absent:
            yield from _memberships(path, declared, found)


def _databases(found: Found) -> Iterator[Mistake]:
    holders: dict[str, str] = {}
    for path, declared in found.items():
        application = declared.application
        name, first = application.database, holders.setdefault(application.database, application.name)
        yield from _name(f"{path}.database", name, "crm", RESERVED_DATABASES)
        if first != application.name:
            yield Mistake(f"{path}.database", f"{name} is the database of {first} as well; write another one")


def _schemas(path: str, application: Application) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, schema in enumerate(application.schemas):
        place = f"{path}.schemas[{index}]"
        yield from _name(f"{place}.name", schema.name, "crm_billing", RESERVED_SCHEMAS)
        first = seen.setdefault(schema.name, index)
        if first != index:
            yield Mistake(f"{place}.name", f"{schema.name} is {path}.schemas[{first}] already; remove one of the two")


def _roles(found: Found, administrators: Sequence[str]) -> Iterator[Mistake]:
    """Yield the roles that are somebody else's; a group role may serve several schemas of its application alike."""
    holders: dict[str, tuple[str, _Use]] = {}
    for path, declared in found.items():
        for use in _uses(path, declared):
            first_path, first = holders.setdefault(use.name, (path, use))
            if use.is_default:
                yield from _default(use.place, use.name)
            else:
                yield from _name(use.place, use.name, f"{declared.application.name}_{use.what}", RESERVED_ROLES)
            if use.name in administrators:
                yield Mistake(use.place, f"{use.name} is an administrator; write another name")
            if first is use or (path == first_path and use.what == first.what and use.schema):
                continue
            if path != first_path and declared.application.name == found[first_path].application.name:
                continue  # one application in two entries, which is a mistake of its own
            yield Mistake(use.place, _taken(use, first, declared.application, found[first_path].application))


def _taken(use: _Use, first: _Use, application: Application, holder: Application) -> str:
    """Say whose role it is; all databases of the cluster have the same roles."""
    if use.schema and use.schema == first.schema and application.name != holder.name:
        text = f"the schema {use.schema} of {holder.name} and of {application.name} would share the role {use.name}"
        return f"{text}; write another one, such as {application.name}_{use.name}"
    whose = "the application itself" if holder.name == application.name else holder.name
    return f"{use.name} is a role of {whose} already ({first.place}), and roles are the cluster's; write another name"


def _uses(path: str, declared: Declared) -> Iterator[_Use]:
    application, entry = declared.application, declared.entry
    migrator = (entry.get("migrator") or {}).get("name")
    yield _Use(f"{path}.owner", application.owner.name, "owner", is_default=not entry.get("owner"))
    yield _Use(f"{path}.migrator.name", application.migrator.name, "migrator", is_default=not migrator)
    given = entry.get("schemas") or [{}]
    for index, (schema, item) in enumerate(zip(application.schemas, given, strict=True)):
        for what, name in (("read_write", schema.read_write), ("read_only", schema.read_only)):
            yield _Use(f"{path}.schemas[{index}].{what}", name, what, schema.name, not item.get(what))
    for index, group in enumerate(application.groups):
        yield _Use(f"{path}.groups[{index}].name", group.name, "group")
    for index, account in enumerate(declared.entry.get("accounts") or ()):
        for name in logins_of(account):
            yield _Use(f"{path}.accounts[{index}].name", name, "account")


def _memberships(path: str, declared: Declared, found: Found) -> Iterator[Mistake]:
    """Yield what accounts and grants name that is no group role of their application."""
    groups = [role.name for role in declared.application.group_roles]
    named = [
        (f"{path}.accounts[{index}].member_of[{number}]", group)
        for index, account in enumerate(declared.entry.get("accounts") or ())
        for number, group in enumerate(account.get("member_of") or ())
    ]
    named += [(f"{path}.grants[{index}].role", grant.role) for index, grant in enumerate(declared.application.grants)]
    for place, name in named:
        if name not in groups:
            yield Mistake(place, f"{_whose(name, declared.application, found)}; write one of {listed(groups)}")
    for index, account in enumerate(declared.entry.get("accounts") or ()):
        if not account.get("member_of"):
            text = "is empty, and an account has no rights but those of its group roles"
            yield Mistake(f"{path}.accounts[{index}].member_of", f"{text}; write one of {listed(groups)}")


def _whose(name: str, application: Application, found: Found) -> str:
    for other in found.values():
        if other.application.name != application.name and name in {role.name for role in other.application.roles}:
            return f"{name} is a role of {other.application.name}, and is granted to nobody in {application.name}"
    return f"{name} is no group role of {application.name}"


def _name(place: str, name: str, example: str, reserved: Sequence[str]) -> Iterator[Mistake]:
    if _is_reserved(name, reserved):
        yield Mistake(place, f"{name} is reserved; write another name, such as {example}")
    elif not _NAME.fullmatch(name):
        yield Mistake(place, f"{shown(name)} is not made of letters, digits and _ . @ -; write such as {example}")
    else:
        yield from _length(place, name)


def _default(place: str, name: str) -> Iterator[Mistake]:
    """Check a name that follows from another one, whose letters are checked."""
    stem = name.rpartition("_")[0]
    if _is_reserved(name, RESERVED_ROLES) and not _is_reserved(stem, RESERVED_ROLES):
        yield Mistake(place, f"{name}, the default, is reserved; write another name")
    yield from _length(place, name)


def _is_reserved(name: str, reserved: Sequence[str]) -> bool:
    return name.lower() in reserved or name.lower().startswith("pg_")


def _length(place: str, name: str) -> Iterator[Mistake]:
    if len(name.encode()) > NAME_LIMIT:
        yield Mistake(place, f"has {len(name.encode())} bytes and PostgreSQL takes {NAME_LIMIT}; write a shorter name")
