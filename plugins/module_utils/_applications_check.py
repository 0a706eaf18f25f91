# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong with the applications of a cluster before any host is touched. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _applications_roles as _roles
from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba_check
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    ALTERNATING,
    APPLICATIONS,
    DESTROY,
    Application,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed, shown
from ansible_collections.steadfast.postgresql.plugins.module_utils._parameters import (
    ParameterError,
    canonical,
    catalogue,
    same_value,
    text,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning_fixed import MAX_CONNECTIONS

Json = Mapping[str, Any]

PASSWORD_LENGTH = 12  # characters at least
FROM_SECRETS = f"write at least {PASSWORD_LENGTH} characters, from a secrets manager or an environment variable"
TABLE_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
PRIVILEGES = {
    "database": ("CREATE", "TEMPORARY"),
    "schema": ("CREATE", "USAGE"),
    "table": TABLE_PRIVILEGES,
    "sequence": ("SELECT", "UPDATE", "USAGE"),
    "function": ("EXECUTE",),
}
SINCE = {"MAINTAIN": 17}
# Libraries that an extension of the same name needs in the server from its start.
PRELOADED = ("pg_cron", "pg_stat_statements", "pgaudit")
CRON = "pg_cron"
CRON_DATABASE = "cron.database_name"
# What the collection itself sets, or what would break a promise.
_OWN_SETTINGS = ("role", "session_authorization")
_COMMIT = "synchronous_commit"
_KEEPS_THE_PROMISE = ("on", "remote_apply")

_APPLICATION = re.compile(r"[a-z0-9_]+")
_EXTENSION = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Surroundings:
    """What the applications are checked against.

    Attributes:
        version: major version of the server.
        networks: from which applications connect; None where the server's provider decides that.
        administrators: names of roles that are taken.
        max_connections: of the server.
        preloaded: libraries that the server starts with; None where it is not the collection's.
        cron_database: the database of pg_cron.
        destroy: names of applications that may be removed.
    """

    version: str = "16"
    networks: Sequence[str] | None = ()
    administrators: Sequence[str] = ()
    max_connections: int = MAX_CONNECTIONS
    preloaded: Sequence[str] | None = ()
    cron_database: str = "postgres"
    destroy: Sequence[str] = field(default_factory=list)


def check(given: Sequence[Json | None], around: Surroundings) -> Iterator[Mistake]:
    """Yield what is wrong with the applications of a cluster.

    Args:
        given: the list of the inventory, converted; an entry that is None or lacks what it needs has a mistake of its
            own and is passed over.
        around: what they are checked against.
    """
    for index, entry in enumerate(given):
        yield from _unset(f"{APPLICATIONS}[{index}]", entry or {})
    known = {index: entry for index, entry in enumerate(given) if entry is not None and _is_whole(entry)}
    entries = {f"{APPLICATIONS}[{index}]": entry for index, entry in known.items()}
    found = {path: Application.of(entry) for path, entry in entries.items()}
    for path, entry in entries.items():
        yield from _name(path, entry["name"])
        yield from _removal(path, entry, around)
        if not found[path].absent:
            yield from _accounts(path, entry, around)
            yield from _extensions(path, found[path], around)
            yield from _grants(path, found[path], around.version)
            yield from _exceptions(path, found[path], around.version)
            yield from _networks(path, entry, around)
    declared = {path: _roles.Declared(found[path], entry) for path, entry in entries.items()}
    yield from _roles.check(declared, around.administrators)
    yield from _destroyed(found, around, whole=len(known) == len(given))


def settings(given: Mapping[str, Any], version: str) -> dict[str, str]:
    """Return settings by the names that the server uses, their values in one spelling."""
    return {canonical(name, version): text(name, value, version) for name, value in given.items()}


_NEEDED = {
    "schemas": ("name",),
    "groups": ("name",),
    "accounts": ("name",),
    "extensions": ("name",),
    "grants": ("role", "privileges"),
}


def _is_whole(entry: Json) -> bool:
    """Whether an entry has what it needs, of the types that it needs."""
    if not entry.get("name") or _holds_nothing(entry):
        return False
    parts = all(key in item for name, keys in _NEEDED.items() for item in entry.get(name, ()) for key in keys)
    return parts and all("tables" in one for item in entry.get("schemas", ()) for one in item.get("exceptions") or ())


def _unset(path: str, entry: Json) -> Iterator[Mistake]:
    """Yield the settings without a value, of which the argument spec says nothing."""
    for index, account in enumerate(entry.get("accounts") or ()):
        for name, value in ((account or {}).get("settings") or {}).items():
            if _holds_nothing(value):
                yield Mistake(f"{path}.accounts[{index}].settings.{name}", "is empty; write a value, or remove it")


def _holds_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_nothing(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_nothing(item) for item in value)
    return value is None


def _name(path: str, name: str) -> Iterator[Mistake]:
    if not _APPLICATION.fullmatch(name):
        yield Mistake(f"{path}.name", f"{shown(name)} is not made of a-z, 0-9 and _; write such as crm")


def _removal(path: str, entry: Json, around: Surroundings) -> Iterator[Mistake]:
    name = entry["name"]
    if entry.get("state") == "absent" and name not in around.destroy:
        text_ = f"is absent, which drops the database of {name} with all that is in it and its roles"
        yield Mistake(f"{path}.state", f"{text_}; write {DESTROY}: [{name}] as well, or remove the entry to keep them")


def _destroyed(found: Mapping[str, Application], around: Surroundings, whole: bool) -> Iterator[Mistake]:
    """Yield names that may be removed and are not meant to be; an entry that cannot be read may be one of them."""
    leaving = [application.name for application in found.values() if application.absent]
    for index, name in enumerate(around.destroy):
        if whole and name not in leaving:
            text_ = f"{name} is no application with state: absent; write that in its entry, or remove the name here"
            yield Mistake(f"{DESTROY}[{index}]", text_)


def _accounts(path: str, entry: Json, around: Surroundings) -> Iterator[Mistake]:
    yield from _password(f"{path}.migrator.password", (entry.get("migrator") or {}).get("password", ""))
    for index, account in enumerate(entry.get("accounts") or ()):
        place = f"{path}.accounts[{index}]"
        yield from _password(f"{place}.password", account.get("password", ""))
        if account.get("rotation") == ALTERNATING:
            yield from _password(f"{place}.second_password", account.get("second_password", ""))
        elif account.get("second_password"):
            advice = f"is for an account with two logins; write rotation: {ALTERNATING}, or remove it"
            yield Mistake(f"{place}.second_password", advice)
        yield from _limit(f"{place}.connection_limit", account.get("connection_limit", -1), around)
        yield from _settings(f"{place}.settings", account.get("settings") or {}, around)


def _password(path: str, password: str) -> Iterator[Mistake]:
    if not password:
        yield Mistake(path, f"is empty; {FROM_SECRETS}")
    elif len(password) < PASSWORD_LENGTH:
        yield Mistake(path, f"has {len(password)} characters; {FROM_SECRETS}")
    elif not (password.isascii() and password.isprintable()):
        yield Mistake(path, "has characters outside printable ASCII; write letters, digits and punctuation")


def _limit(path: str, limit: int, around: Surroundings) -> Iterator[Mistake]:
    if limit < 1 and limit != -1:
        yield Mistake(path, f"{limit} lets nobody in; write the number of sessions, or -1 for no limit")
    elif limit > around.max_connections:
        yield Mistake(path, f"{limit} is above max_connections {around.max_connections}; write that or less")


def _settings(path: str, given: Json, around: Surroundings) -> Iterator[Mistake]:
    for name, value in given.items():
        wrong = _wrong_setting(str(name), value, around.version)
        if wrong:
            yield Mistake(f"{path}.{name}", wrong)


def _wrong_setting(name: str, value: Any, version: str) -> str:
    try:
        _setting(name, value, version)
    except ParameterError as error:
        return str(error)
    return ""


def _setting(name: str, value: Any, version: str) -> None:
    known = canonical(name, version)
    parameter = catalogue(version).get(known)
    if known in _OWN_SETTINGS:
        raise ParameterError("would give the account another role's rights; write its group roles in member_of")
    if parameter is None and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise ParameterError(f"is no parameter of PostgreSQL {version}; write a name that pg_settings lists")
    if parameter is not None and parameter.context not in {"user", "superuser"}:
        raise ParameterError("is the whole server's, not a session's; write it into postgresql_server_parameters")
    written = text(name, value, version)
    if known == _COMMIT and not any(same_value(known, written, safe, version) for safe in _KEEPS_THE_PROMISE):
        raise ParameterError(f"{written} lets acknowledged commits be lost with the primary; write on, or remove it")


def _extensions(path: str, application: Application, around: Surroundings) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    schemas = {schema.name for schema in application.schemas} | {"public"}
    for index, extension in enumerate(application.extensions):
        place = f"{path}.extensions[{index}]"
        if extension.name in seen:
            text_ = f"{extension.name} is {path}.extensions[{seen[extension.name]}] already; remove one of the two"
            yield Mistake(f"{place}.name", text_)
        seen.setdefault(extension.name, index)
        if not _EXTENSION.fullmatch(extension.name):
            yield Mistake(
                f"{place}.name", f"{shown(extension.name)} is no name of an extension; write such as pgcrypto"
            )
        if extension.schema not in schemas | {"pg_catalog"}:
            text_ = f"{extension.schema} is no schema of {application.name}; write one of {listed(sorted(schemas))}"
            yield Mistake(f"{place}.schema", text_)
        yield from _preloading(f"{place}.name", extension.name, application.database, around)


def _preloading(path: str, name: str, database: str, around: Surroundings) -> Iterator[Mistake]:
    if around.preloaded is None:
        return
    if name in PRELOADED and name not in around.preloaded:
        yield Mistake(path, f"{name} works only when it is preloaded; add it to postgresql_server_preload_libraries")
    elif name == CRON and around.cron_database != database:
        text_ = f"{CRON} is in one database alone, which is {around.cron_database}"
        yield Mistake(path, f"{text_}; write {CRON_DATABASE}: {database} into postgresql_server_parameters")


def _grants(path: str, application: Application, version: str) -> Iterator[Mistake]:
    schemas = [schema.name for schema in application.schemas]
    for index, grant in enumerate(application.grants):
        place = f"{path}.grants[{index}]"
        yield from _privileges(f"{place}.privileges", grant.privileges, _known(grant.kind, version), grant.kind)
        if grant.kind in {"database", "schema"} and grant.names:
            yield Mistake(f"{place}.names", f"a right on a {grant.kind} has no other objects; remove them")
        elif grant.kind not in {"database", "schema"} and not grant.names:
            yield Mistake(f"{place}.names", f"is empty; write the names of the {grant.kind}s")
        if grant.kind != "database" and grant.schema not in schemas:
            text_ = f"{grant.schema} is no schema of {application.name}; write one of {listed(schemas)}"
            yield Mistake(f"{place}.schema", text_)


def _exceptions(path: str, application: Application, version: str) -> Iterator[Mistake]:
    for index, schema in enumerate(application.schemas):
        for number, exception in enumerate(schema.exceptions):
            place = f"{path}.schemas[{index}].exceptions[{number}]"
            for key, words in (("read_write", exception.read_write), ("read_only", exception.read_only)):
                if words:
                    yield from _privileges(f"{place}.{key}", words, _known("table", version), "table")


def _known(kind: str, version: str) -> tuple[str, ...]:
    """Return the rights on objects of a kind that the server knows."""
    return tuple(word for word in PRIVILEGES[kind] if int(version) >= SINCE.get(word, 0))


def _privileges(path: str, words: Sequence[str], known: Sequence[str], kind: str) -> Iterator[Mistake]:
    if not words:
        yield Mistake(path, f"is empty; write one of {listed(known)}")
    for word in words:
        if word not in known:
            yield Mistake(path, f"{shown(word)} is no right on a {kind}; write one of {listed(known)}")


def _networks(path: str, entry: Json, around: Surroundings) -> Iterator[Mistake]:
    if around.networks is None:
        return
    outer = [_hba_check.parse_network(network)[0] for network in around.networks]
    for index, given in enumerate(entry.get("networks") or ()):
        network, mistake = _hba_check.parse_network(given)
        if network is None:
            yield Mistake(f"{path}.networks[{index}]", mistake)
        elif not any(one is not None and _hba_check.inside(network, one) for one in outer):
            text_ = f"{given} is outside {_hba_check.APPLICATION_NETWORKS}; add it there, or write a part of those"
            yield Mistake(f"{path}.networks[{index}]", text_)
