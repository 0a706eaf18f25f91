# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong in the variables about the applications' databases, and what they come to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _applications_check
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    APPLICATIONS,
    DESTROY,
    without_secrets,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications_check import (
    CRON_DATABASE,
    Surroundings,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._catalogue import VERSIONS
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning_fixed import MAX_CONNECTIONS

Values = Mapping[str, Any]

CONNECTION = "postgresql_databases_connection"
DEFAULT_VERSION = "16"


def mistakes(values: Values) -> Iterator[Mistake]:
    """Yield what is wrong with the applications of a cluster, by the variables of the member that speaks for it."""
    yield from _connection(values.get(CONNECTION) or {})
    version = values.get("postgresql_version", DEFAULT_VERSION)
    if values.get(APPLICATIONS) is not None and version in VERSIONS:
        yield from _applications_check.check(values[APPLICATIONS], _surroundings(values, version))


def undeclared(only: str, applications: Sequence[Values]) -> Iterator[Mistake]:
    """Yield that a playbook was asked for one application (-e application=NAME) that is not there."""
    names = [item["name"] for item in applications if (item or {}).get("name")]
    if only and only not in names:
        advice = f"write one of {listed(names)}" if names else f"add it to {APPLICATIONS}"
        yield Mistake("application", f"{only} is not declared; {advice}")


def resolve(values: Values) -> list[dict[str, Any]]:
    """Return the applications, which are without mistakes, without their secrets."""
    return [entry(item, values["postgresql_version"]) for item in values.get(APPLICATIONS) or []]


def entry(given: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return an entry of the variable without its secrets, with its settings as the server spells them."""
    plain = without_secrets(given)
    for account in plain["accounts"]:
        account["settings"] = _applications_check.settings(account.get("settings") or {}, version)
    return plain


def _surroundings(values: Values, version: str) -> Surroundings:
    parameters = values.get("postgresql_server_parameters") or {}
    networks = values.get("postgresql_application_networks")
    managed = bool((values.get(CONNECTION) or {}).get("host"))
    return Surroundings(
        version=version,
        networks=None if managed else networks if isinstance(networks, list) else (),
        administrators=[person["name"] for person in values.get("postgresql_administrators") or [] if person],
        max_connections=_number(parameters.get("max_connections")),
        preloaded=None if managed else values.get("postgresql_server_preload_libraries") or (),
        cron_database=str(parameters.get(CRON_DATABASE, "postgres")),
        destroy=values.get(DESTROY) or (),
    )


def _number(given: Any) -> int:
    """Return max_connections; what is no number is a mistake of its own."""
    return int(given) if str(given or "").isdecimal() else MAX_CONNECTIONS


def _connection(given: Values) -> Iterator[Mistake]:
    if not any(given.get(key) for key in ("host", "user", "password")):
        return
    for key, what in (("host", "the name of the server"), ("user", "a role with CREATEROLE and CREATEDB")):
        if not given.get(key):
            yield Mistake(f"{CONNECTION}.{key}", f"is missing; write {what}")
    if given.get("ca") == "system" and given.get("sslmode") in {"require", "verify-ca"}:
        text = f"{given['sslmode']} does not go with the certificates that the system trusts; write verify-full"
        yield Mistake(f"{CONNECTION}.sslmode", f"{text}, or a file into ca")
