# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong in the variables of one member, beyond their types.

A variable that is not there was already found to be wrong and is passed over.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _hba_check, _parameters, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, shown
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import NAME_LIMIT, RESERVED_ROLES

Values = Mapping[str, Any]

PASSWORD_LENGTH = 12  # characters at least
PORTS = range(1024, 65536)
DEFAULT_VERSION = "16"

PORT = "postgresql_port"
ADDRESS = "postgresql_address"
ADMINISTRATORS = "postgresql_administrators"
MANAGEMENT_NETWORKS = "postgresql_management_networks"
APPLICATION_NETWORKS = "postgresql_application_networks"
DATA_DIRECTORY = "postgresql_server_data_directory"
WAL_DIRECTORY = "postgresql_server_wal_directory"
EXTENSION_PACKAGES = "postgresql_server_extension_packages"
HBA_RULES = "postgresql_server_hba_rules"
# _hba_check looks at the types in these itself.
CHECKED_WHOLE = (APPLICATION_NETWORKS, MANAGEMENT_NETWORKS, HBA_RULES)

_ROLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_ROUGH_MEMORY = re.compile(r"([1-9][0-9]*)\s*([kmgt])(i?b)?", re.IGNORECASE)
_SYSTEM_IDENTIFIER = re.compile(r"[1-9][0-9]{9,19}")
_APT_LINE = re.compile(r"deb(\s+\[[^\]]+\])?\s+[a-z+]+:\S+(\s+\S+/|(\s+\S+){2,})")


def member_mistakes(values: Values, database_hosts: int) -> Iterator[Mistake]:
    """Yield what is wrong in the variables of a member.

    Args:
        values: its converted values by variable.
        database_hosts: how many database hosts the cluster has; 0 when the member is none.
    """
    yield from _port(values.get(PORT, 5432))
    yield from _address(ADDRESS, values.get(ADDRESS) or None)
    for variable in (APPLICATION_NETWORKS, MANAGEMENT_NETWORKS):
        yield from worded(_hba_check.check_networks(variable, values.get(variable, [])))
    yield from _administrators(values)
    yield from _directory("postgresql_certificates_directory", values)
    yield from _at_least_one(values)
    if database_hosts:
        yield from _database_mistakes(values)
        yield from _parameter_mistakes(values, database_hosts)


def worded(mistakes: Iterable[str]) -> Iterator[Mistake]:
    """Take apart the lines of other checks, which begin with the variable and a colon."""
    for line in mistakes:
        variable, _, text = line.partition(": ")
        yield Mistake(variable, text)


def _database_mistakes(values: Values) -> Iterator[Mistake]:
    yield from _package_source(values.get("postgresql_server_package_source", "pgdg"))
    yield from _extension_packages(values)
    yield from _directory(DATA_DIRECTORY, values)
    yield from _directory(WAL_DIRECTORY, values)
    yield from _overlap(values)
    yield from _memory(values.get("postgresql_server_memory", ""))
    yield from _adopt(values.get("postgresql_adopt", ""))
    for index, address in enumerate(values.get("postgresql_server_listen_addresses", [])):
        if address != "*":
            yield from _address(f"postgresql_server_listen_addresses[{index}]", address, listens=True)


def hba_mistakes(values: Values, addresses: Mapping[str, str]) -> Iterator[Mistake]:
    """Yield what is wrong in a database host's rules for pg_hba.conf.

    Args:
        values: its converted values by variable.
        addresses: the addresses of the database hosts by inventory name, as far as the inventory says them.
    """
    if HBA_RULES not in values:
        return
    networks = [values.get(variable, []) for variable in (APPLICATION_NETWORKS, MANAGEMENT_NETWORKS)]
    application, management = [value if isinstance(value, list) else ["?"] for value in networks]
    yield from worded(_hba_check.check(values[HBA_RULES], _hba.Networks(application, management, addresses)))


def _port(port: int) -> Iterator[Mistake]:
    if port not in PORTS:
        yield Mistake(PORT, f"{port} is no port for the server; write {PORTS[0]} to {PORTS[-1]}")


def _address(variable: str, address: str | None, *, listens: bool = False) -> Iterator[Mistake]:
    """Check an address or a host's name."""
    if address is None:
        return
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        if not _HOST_NAME.fullmatch(address):
            yield Mistake(variable, f"{shown(address)} is no address and no host name; write one, such as 192.0.2.10")
        return
    if not listens and (parsed.is_unspecified or parsed.is_multicast):
        yield Mistake(variable, f"{address} is not the address of a host; write its own, such as 192.0.2.10")


def _administrators(values: Values) -> Iterator[Mistake]:
    administrators = values.get(ADMINISTRATORS, [])
    seen: dict[str, int] = {}
    for index, administrator in enumerate(administrators):
        if administrator is None:
            continue
        name, password = administrator.get("name"), administrator.get("password")
        path = f"{ADMINISTRATORS}[{index}]"
        if name is not None:
            yield from _administrator_name(f"{path}.name", name)
            if name in seen:
                yield Mistake(
                    f"{path}.name", f"{name} is {ADMINISTRATORS}[{seen[name]}] already; remove one of the two"
                )
            seen.setdefault(name, index)
        if password is not None and len(password) < PASSWORD_LENGTH:
            is_what = f"has {len(password)} characters" if password else "is empty"
            advice = f"write at least {PASSWORD_LENGTH} characters, from a secrets manager or an environment variable"
            yield Mistake(f"{path}.password", f"{is_what}; {advice}")
    if administrators and values.get(MANAGEMENT_NETWORKS) == []:
        text = f"is empty, but {ADMINISTRATORS} log in from there only; write their networks, such as [10.0.0.0/24]"
        yield Mistake(MANAGEMENT_NETWORKS, text)


def _administrator_name(variable: str, name: str) -> Iterator[Mistake]:
    if name.lower() in RESERVED_ROLES or name.lower().startswith("pg_"):
        yield Mistake(variable, f"{name} is reserved; write another name")
    elif not _ROLE.fullmatch(name):
        yield Mistake(variable, f"{shown(name)} is not made of letters, digits and _ . @ -; write such as ada_lovelace")
    elif len(name) > NAME_LIMIT:
        yield Mistake(variable, f"has {len(name)} characters; write at most {NAME_LIMIT}")


def _package_source(source: str) -> Iterator[Mistake]:
    if source not in ("pgdg", "distribution") and not _APT_LINE.fullmatch(source):
        text = 'write pgdg, distribution or a whole line such as "deb https://mirror.example.com/pgdg trixie-pgdg main"'
        yield Mistake("postgresql_server_package_source", f"{shown(source)} is unknown; {text}")


def _extension_packages(values: Values) -> Iterator[Mistake]:
    version = values.get("postgresql_version", DEFAULT_VERSION)
    for index, name in enumerate(values.get(EXTENSION_PACKAGES, [])):
        if not re.fullmatch(rf"postgresql-{re.escape(version)}-[a-z0-9][a-z0-9.+-]*", name):
            text = f"{shown(name)} is no package of an extension for PostgreSQL {version}"
            advice = f"write its name, such as postgresql-{version}-cron"
            yield Mistake(f"{EXTENSION_PACKAGES}[{index}]", f"{text}; {advice}")


def _directory(variable: str, values: Values) -> Iterator[Mistake]:
    path = values.get(variable, "/")
    if path == "" and variable != WAL_DIRECTORY:
        yield Mistake(variable, "is empty; write an absolute path, or remove the line")
    elif path and not path.startswith("/"):
        yield Mistake(variable, f"{shown(path)} is not absolute; write a path that begins with /")


def _overlap(values: Values) -> Iterator[Mistake]:
    data, wal = values.get(DATA_DIRECTORY, ""), values.get(WAL_DIRECTORY, "")
    if not (data.startswith("/") and wal.startswith("/")):
        return
    data, wal = posixpath.normpath(data), posixpath.normpath(wal)
    advice = "write a directory outside, or remove the line to keep the write-ahead log with the data"
    if wal == data:
        yield Mistake(WAL_DIRECTORY, f"{wal} is the data directory as well; {advice}")
    elif wal.startswith(data + "/"):
        yield Mistake(WAL_DIRECTORY, f"{wal} is inside the data directory {data}; {advice}")
    elif data.startswith(wal + "/"):
        yield Mistake(WAL_DIRECTORY, f"{wal} holds the data directory {data}; {advice}")


def _memory(memory: str) -> Iterator[Mistake]:
    if not memory:
        return
    try:
        wrong = "" if _units.parse_bytes(memory) > 0 else "is nothing"
    except _units.NumberError as error:
        wrong = str(error)
    rough = _ROUGH_MEMORY.fullmatch(memory.strip())
    unit = {"k": "kB", "m": "MB", "g": "GB", "t": "TB"}[rough[2].lower()] if rough else ""
    better = f"{rough[1]}{unit}" if rough else "a number with kB, MB, GB or TB, such as 16GB"
    if wrong:
        yield Mistake("postgresql_server_memory", f"{shown(memory)} {wrong}; write {better}")


def _adopt(identifier: str) -> Iterator[Mistake]:
    if identifier and not _SYSTEM_IDENTIFIER.fullmatch(identifier):
        text = "is no system identifier; write the number that the refusal or pg_controldata prints"
        yield Mistake("postgresql_adopt", f"{shown(identifier)} {text}")


def _at_least_one(values: Values) -> Iterator[Mistake]:
    for variable in (
        "postgresql_replication_preferred_after",
        "postgresql_replication_wait",
        "postgresql_certificates_lifetime_days",
        "postgresql_certificates_ca_lifetime_days",
    ):
        if values.get(variable, 1) < 1:
            yield Mistake(variable, f"{values[variable]} is too small; write at least 1")


def _parameter_mistakes(values: Values, database_hosts: int) -> Iterator[Mistake]:
    names = ("postgresql_server_parameters", "postgresql_server_preload_libraries")
    if any(name not in values for name in names):
        return
    parameters, preloaded = (values[name] for name in names)
    # A version that is wrong hides no other mistake.
    version = values.get("postgresql_version", DEFAULT_VERSION)
    yield from worded(_parameters.check(parameters, version, preloaded, database_hosts=database_hosts))
