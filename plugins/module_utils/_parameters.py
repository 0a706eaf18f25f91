# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`postgresql_server_parameters`: everything that can be known to be wrong with them before a host is touched.

What the server itself knows comes from the catalogue of the version; what this platform adds stands in
`_parameter_rules`. Values are read and written by `_parameter_values`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules as rules
from ansible_collections.steadfast.postgresql.plugins.module_utils import _units as units
from ansible_collections.steadfast.postgresql.plugins.module_utils._catalogue import VERSIONS, canonical, catalogue
from ansible_collections.steadfast.postgresql.plugins.module_utils._parameter_values import (
    ParameterError,
    one_of,
    quote,
    render,
    same_value,
    text,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning_fixed import MAX_CONNECTIONS

__all__ = [
    "VERSIONS",
    "ParameterError",
    "canonical",
    "catalogue",
    "check",
    "merged",
    "quote",
    "render",
    "same_value",
    "text",
]

VARIABLE = "postgresql_server_parameters"

# What the server makes a slot in shared memory for; their sum has a limit of its own.
_BACKENDS = ("max_connections", "autovacuum_max_workers", "max_worker_processes", "max_wal_senders")
_CUSTOM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+")


def check(
    parameters: Mapping[str, Any],
    version: str,
    preloaded: Sequence[str],
    base: Mapping[str, Any] | None = None,
    database_hosts: int = 1,
) -> list[str]:
    """List everything that is wrong with `postgresql_server_parameters` of one host.

    Args:
        parameters: What the user wrote.
        version: The major version, `16` or `17`.
        preloaded: The names of shared_preload_libraries.
        base: What stands below the user's values (the tuning), where parameters must fit together.
        database_hosts: How many database hosts the cluster has.

    Returns:
        Sentences `postgresql_server_parameters.<name>: ...; write ...`.
    """
    mistakes: list[str] = []
    good: dict[str, str] = {}
    for given, value in parameters.items():
        name = canonical(str(given), version)
        try:
            _check_name(str(given), version, preloaded)
            if name in good:
                raise ParameterError(f"is given twice, names differ only in case; write {name} once")
            good[name] = text(name, value, version)
            _check_refused(name, good[name], version)
        except ParameterError as error:
            mistakes.append(f"{VARIABLE}.{given}: {error}")
    below = {"max_connections": MAX_CONNECTIONS} if base is None else base
    numbers = _numbers(merged(below, good, version), version)
    mistakes += [f"{VARIABLE}.{name}: {problem}" for name, problem in _together(numbers, good, database_hosts)]
    return mistakes


def merged(base: Mapping[str, Any], parameters: Mapping[str, Any], version: str) -> dict[str, str]:
    """Values of `base` with those of `parameters` in their place, names and values in one spelling.

    Raises:
        ParameterError: A value is refused; `check` lists all of them.
    """
    result: dict[str, str] = {}
    for given in (base, parameters):
        result |= {canonical(name, version): text(name, value, version) for name, value in given.items()}
    return result


def _check_name(name: str, version: str, preloaded: Sequence[str]) -> None:
    """Refuse names that are unknown, internal, or set by the collection itself."""
    known = canonical(name, version)
    if known in rules.OWNED:
        raise ParameterError(f"is set by this collection; {rules.OWNED[known]}")
    if known in catalogue(version):
        if catalogue(version)[known].context == "internal":
            raise ParameterError("can only be read; leave it out")
        if name not in {known, known.lower()}:
            raise ParameterError(f"is spelt {known}; write {known}")
    if "." in name:
        _check_prefix(name, version, preloaded)
    elif known not in catalogue(version):
        raise ParameterError(_unknown(name, version))


def _check_prefix(name: str, version: str, preloaded: Sequence[str]) -> None:
    """A name with a prefix belongs to an extension, which must be preloaded."""
    if not _CUSTOM_NAME.fullmatch(name):
        raise ParameterError("is no name of a parameter; write letters, digits and _ on both sides of the dot")
    prefix = name.partition(".")[0].lower()
    library = rules.LIBRARIES.get(prefix, prefix)
    if library not in preloaded and library not in rules.LOADED_ON_USE:
        raise ParameterError(
            f"belongs to {library}, which is not preloaded; write {library} into postgresql_server_preload_libraries"
        )
    siblings = [known for known in catalogue(version) if known.startswith(f"{prefix}.")]
    if siblings and canonical(name, version) not in siblings:
        raise ParameterError(f"is no parameter of {library}; {_suggestion(name, siblings) or one_of(siblings)}")


def _unknown(name: str, version: str) -> str:
    if name in rules.REMOVED:
        return f"is gone since before PostgreSQL {version}; {rules.REMOVED[name]}"
    others = [other for other in VERSIONS if canonical(name, other) in catalogue(other)]
    if others:
        return f"is a parameter of PostgreSQL {others[0]}, not of {version}; leave it out"
    suggestion = _suggestion(name, [known for known in catalogue(version) if "." not in known])
    return f"is no parameter of PostgreSQL {version}; {suggestion or 'write a name that pg_settings lists'}"


def _suggestion(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.75)
    return f"write {close[0]}" if close else ""


def _check_refused(name: str, value: str, version: str) -> None:
    """Refuse values that PostgreSQL takes and this platform does not."""
    if name not in rules.REFUSED:
        return
    values, why, write = rules.REFUSED[name]
    if any(same_value(name, value, refused, version) for refused in values):
        raise ParameterError(f"{value} {why}; write {write}")


def _numbers(effective: Mapping[str, str], version: str) -> dict[str, int]:
    """The whole numbers that are in force, PostgreSQL's defaults where nobody says anything."""
    result = {}
    for parameter in catalogue(version).values():
        if parameter.vartype == "integer" and parameter.context != "internal":
            result[parameter.name] = units.parse_integer(
                effective.get(parameter.name, parameter.default), parameter.unit
            )
    return result


def _together(numbers: Mapping[str, int], good: Mapping[str, str], database_hosts: int) -> list[tuple[str, str]]:
    """Parameters that are fine one by one and not together; named is one that the user wrote."""
    problems = []
    connections, reserved = numbers["max_connections"], numbers["reserved_connections"]
    superuser = numbers["superuser_reserved_connections"]
    names = [n for n in ("reserved_connections", "superuser_reserved_connections", "max_connections") if n in good]
    if names and superuser + reserved >= connections:
        sums = f"superuser_reserved_connections {superuser} + reserved_connections {reserved}"
        problems.append(
            (
                names[0],
                f"{sums} reserve {superuser + reserved} of max_connections {connections}, a reserve of connections that"
                f" leaves none; write less than {connections} for both together, or more max_connections",
            )
        )
    standbys = max(database_hosts - 1, 0)
    for name, needed, use in (
        ("max_wal_senders", 2 * standbys, "one to stream and one to clone for each standby"),
        ("max_replication_slots", standbys, "one for each standby"),
    ):
        if name in good and numbers[name] < needed:
            problems.append((name, f"{numbers[name]} is too few ({use}); write {needed} or more"))
    total = 1 + sum(numbers[name] for name in _BACKENDS)
    given = [name for name in _BACKENDS if name in good]
    if given and total > 262143:
        problems.append((given[0], f"{' + '.join(_BACKENDS)} + 1 = {total} is above 262143; write less"))
    return problems
