# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role is that a service logs in as, and the SQL that takes away what somebody gave it besides. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier

Json = Mapping[str, Any]

FLAGS = ("superuser", "replication", "login", "createrole", "createdb", "bypassrls", "inherit")
UNLIMITED = -1

# One role as an object; names are quoted where SQL needs it.
SEEN = """
json_build_object('superuser', rolsuper, 'replication', rolreplication, 'login', rolcanlogin,
  'createrole', rolcreaterole, 'createdb', rolcreatedb, 'bypassrls', rolbypassrls, 'inherit', rolinherit,
  'connection_limit', rolconnlimit, 'password', rolpassword IS NOT NULL,
  'valid_until', CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil::text END,
  'groups', (SELECT coalesce(json_agg(json_build_array(roleid::regrole::text, grantor::regrole::text)), '[]')
    FROM pg_auth_members WHERE member = pg_authid.oid),
  'members', (SELECT coalesce(json_agg(json_build_array(member::regrole::text, grantor::regrole::text)), '[]')
    FROM pg_auth_members WHERE roleid = pg_authid.oid),
  'settings', (SELECT coalesce(json_agg(json_build_array(coalesce(datname, ''), setting)), '[]')
    FROM pg_db_role_setting LEFT JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS setting
    WHERE setrole = pg_authid.oid))
"""


@dataclass(frozen=True)
class Wanted:
    """What a role is to be; it logs in, without a limit.

    Attributes:
        name: of the role.
        replication: whether it may replicate.
        groups: what it is a member of.
        bare: whether it has nothing else: no password, no settings, no other group, no members.
    """

    name: str
    replication: bool = False
    groups: tuple[str, ...] = ()
    bare: bool = False

    @property
    def flags(self) -> frozenset[str]:
        """The attributes that it has; the others it lacks."""
        return frozenset({"login", "inherit"} | ({"replication"} if self.replication else set()))


def create(wanted: Wanted) -> list[str]:
    """Return the SQL that makes a role."""
    found = f"CREATE ROLE {wanted.name} LOGIN{' REPLICATION' * wanted.replication}"
    return [found, *_grants(wanted, wanted.groups)]


def mend(wanted: Wanted, found: Json) -> tuple[list[str], list[str]]:
    """Return the SQL that makes a role what it has to be, and in words what it was instead."""
    options = [*_options(wanted, found)]
    lacking = [group for group in wanted.groups if group not in {name for name, _ in found["groups"]}]
    sql = [f"ALTER ROLE {wanted.name} {' '.join(option for option, _ in options)}"] if options else []
    sql += _grants(wanted, lacking)
    words = [word for _, word in options] + [f"no member of {group}" for group in lacking]
    for statement, word in _besides(wanted, found) if wanted.bare else ():
        sql.append(statement)
        words.append(word)
    return list(dict.fromkeys(sql)), words


def _options(wanted: Wanted, found: Json) -> Iterator[tuple[str, str]]:
    for flag in FLAGS:
        if found[flag] != (flag in wanted.flags):
            without = f"no{flag}"
            yield (without.upper(), flag) if found[flag] else (flag.upper(), without)
    if found["connection_limit"] != UNLIMITED:
        yield f"CONNECTION LIMIT {UNLIMITED}", f"connection limit {found['connection_limit']}"
    if found["valid_until"]:
        yield "VALID UNTIL 'infinity'", f"valid until {found['valid_until']}"
    if wanted.bare and found["password"]:
        yield "PASSWORD NULL", "a password"


def _besides(wanted: Wanted, found: Json) -> Iterator[tuple[str, str]]:
    # Only whoever granted a membership, or says whose it was, takes it away.
    for group, grantor in found["groups"]:
        if group not in wanted.groups:
            yield f"REVOKE {group} FROM {wanted.name} GRANTED BY {grantor} CASCADE", f"member of {group}"
    for member, grantor in found["members"]:
        yield f"REVOKE {wanted.name} FROM {member} GRANTED BY {grantor} CASCADE", f"{member} is its member"
    for database, setting in found["settings"]:
        where = f"IN DATABASE {identifier(database)} " if database else ""
        yield f"ALTER ROLE {wanted.name} {where}RESET ALL", f"setting {setting}{f' in {database}' if database else ''}"


def _grants(wanted: Wanted, groups: tuple[str, ...] | list[str]) -> list[str]:
    return [f"GRANT {', '.join(groups)} TO {wanted.name}"] if groups else []
