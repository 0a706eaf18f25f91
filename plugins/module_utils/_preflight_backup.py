# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong in the variables about backups, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _backup_plan,
    _repositories,
    _tuning_fixed,
    _units,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed, shown
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import (
    APPLICATIONS,
    REPOSITORIES,
    SUSPENDED,
    Objectives,
    Repository,
)

Values = Mapping[str, Any]

PORT = "postgresql_backup_port"
METRICS = "postgresql_backup_metrics_directory"
EMERGENCY = "postgresql_backup_emergency_file"
GROUP = "pgbackrest"
ARCHIVE_TIMEOUT = "archive_timeout"


def mistakes(cluster: str, databases: Sequence[Values], keepers: Mapping[str, Values]) -> Iterator[Mistake]:
    """Yield what is wrong in the cluster's backups.

    Args:
        cluster: its name.
        databases: the variables of the database hosts; the first speaks for all.
        keepers: the variables of the repository hosts, by their names.
    """
    if not databases or REPOSITORIES not in databases[0]:
        return
    values = databases[0]
    given, suspended = values[REPOSITORIES] or [], values.get(SUSPENDED) or []
    yield from _keepers(given, keepers)
    found = list(_repositories.check(given, suspended, cluster))
    yield from found
    yield from _applications(values)
    if not found and APPLICATIONS in values and None not in (values[APPLICATIONS] or []):
        repositories = _repositories.resolve(given, suspended, cluster)
        asked = [Objectives.of(application) for application in values[APPLICATIONS] or []]
        yield from _repositories.gaps(asked, repositories, max(map(archive_timeout, databases)))


def member_mistakes(values: Values) -> Iterator[Mistake]:
    """Yield what is wrong in the variables of one member."""
    port = values.get(PORT)
    if port is not None and not 1024 <= port <= 65535:
        yield Mistake(PORT, f"{port} is no port of an unprivileged service; write 1024 to 65535")
    if port is not None and port == values.get("postgresql_port"):
        yield Mistake(PORT, f"{port} is the port of PostgreSQL; write another one")
    folder = values.get(METRICS)
    if folder is not None and not folder.startswith("/"):
        yield Mistake(METRICS, f"{shown(folder)} is no absolute path; write such as /var/lib/prometheus/node-exporter")
    size = values.get(EMERGENCY)
    if size is not None:
        try:
            _backup_plan.emergency_bytes(size)
        except _units.NumberError as error:
            yield Mistake(EMERGENCY, f"{shown(size)} {error}; write such as 64MB, or 0 for none")


def resolve(cluster: str, values: Values) -> list[dict[str, Any]]:
    """Return the repositories of a cluster without mistakes, without their secrets."""
    found = _repositories.resolve(values.get(REPOSITORIES) or [], values.get(SUSPENDED) or [], cluster)
    return [asdict(repository) for repository in found]


def repositories(cluster: Mapping[str, Any]) -> list[Repository]:
    """Return the repositories that a resolved cluster holds."""
    return [Repository(**item) for item in cluster["repositories"]]


def archive_timeout(values: Values) -> int:
    """Return after how many seconds a database host archives a segment that is not full; 0 for never."""
    given = (values.get("postgresql_server_parameters") or {}).get(ARCHIVE_TIMEOUT)
    try:
        return _units.parse_integer(_tuning_fixed.FIXED[ARCHIVE_TIMEOUT][0] if given is None else str(given), "s")
    except _units.NumberError:
        return 0  # a mistake of its own


def _keepers(given: Sequence[Any], keepers: Mapping[str, Values]) -> Iterator[Mistake]:
    if given and len(keepers) != 1:
        have = f"there are {len(keepers)} ({listed(keepers)})" if keepers else "there is none"
        text = f"backups need one repository host, and {have}; put one host into the group {GROUP}"
        yield Mistake(REPOSITORIES, text)
    for name, values in keepers.items():
        if given and not values.get(REPOSITORIES, given):
            text = f"is not given to {name}, which keeps them; write it where every member reads it (group_vars/all)"
            yield Mistake(REPOSITORIES, text)


def _applications(values: Values) -> Iterator[Mistake]:
    names = [item["name"] for item in values.get(APPLICATIONS) or [] if item and item.get("name")]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Mistake(APPLICATIONS, f"{name} is declared {names.count(name)} times; give each application one entry")
