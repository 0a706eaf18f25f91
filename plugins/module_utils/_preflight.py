# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known to be wrong from the inventory of a cluster, in one list; and the cluster without it.

Pure: the action plugin `preflight` reads the members' variables, this file judges them.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_backup as _backup
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_databases, _preflight_host
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_member as _member
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_pools as _pools
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import APPLICATIONS
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed, shown, whole
from ansible_collections.steadfast.postgresql.plugins.module_utils._cluster_wide import CLUSTER_WIDE
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import (
    ASYNCHRONOUS,
    DATABASE,
    NAME_LIMIT,
    POOLER,
    REPOSITORY,
    REQUIRED,
    member_name,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import REPOSITORIES

GROUPS = ("postgresql", "pgbackrest", "pgbouncer")
# Variables that no role has: the play's hosts.
PLAYBOOK_VARIABLES = ("postgresql_hosts",)

CLUSTER_NAME = "postgresql_cluster_name"
INITIAL_PRIMARY = "postgresql_initial_primary"
REGION, ZONE = "postgresql_region", "postgresql_zone"
DURABILITY = "postgresql_replication_durability"
INVENTORY_NAME = "inventory name"


@dataclass(frozen=True)
class Member:
    """A host of a cluster.

    Attributes:
        name: its inventory name.
        duties: what it does for the cluster.
        values: its converted values by variable, without those that cannot be converted.
        given: the variables that somebody set for it; the others have their defaults.
        mistakes: what was found when its variables were read.
    """

    name: str
    duties: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    mistakes: tuple[Mistake, ...] = ()

    def get(self, variable: str) -> Any:
        """Return a value, and an empty text where it is unknown."""
        return self.values.get(variable, "")

    def text(self, variable: str) -> str:
        """Return a value as one line of text."""
        return whole(self.values[variable])

    @property
    def place(self) -> str:
        """Where it stands, for a message."""
        return f"{self.get(REGION)} / {self.get(ZONE)}"


@dataclass(frozen=True)
class _Finding:
    """A mistake and the hosts that have it; without hosts it is the cluster's."""

    hosts: tuple[str, ...]
    mistake: Mistake


def duties(database: Sequence[str], repository: Sequence[str], pooler: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what each host of a cluster does, in the order of the groups.

    Args:
        database: hosts of the group postgresql.
        repository: hosts of the group pgbackrest; they also run migrations and drills.
        pooler: hosts of the group pgbouncer; without any the database hosts pool.
    """
    found: dict[str, list[str]] = {}
    for hosts, names in (
        (database, (DATABASE,)),
        (repository, (REPOSITORY,)),
        (pooler or database, (POOLER,)),
        (repository, ("migrations", "drill")),
    ):
        for host in hosts:
            found.setdefault(host, []).extend(names)
    return {host: tuple(names) for host, names in found.items()}


def speaker(members: Sequence[str], play_hosts: Sequence[str]) -> str:
    """Return the member that speaks for its cluster: the first that the play reaches, or nothing."""
    return next((host for host in play_hosts if host in members), "")


def message(cluster: str, lines: Sequence[str]) -> str:
    """Return the whole list of mistakes as one text."""
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    head = f"Cluster {_called(cluster)}: {count} in the inventory; no host was touched."
    return "\n".join([head, *(f"- {line}" for line in lines)])


def pointer(cluster: str, host: str) -> str:
    """Return what the members say that do not speak for the cluster."""
    return f"Cluster {_called(cluster)}: refused before any host was touched; the list of mistakes is at {host}."


def mistakes(cluster: str, members: Sequence[Member], only: str = "") -> list[str]:
    """Return every mistake in the inventory of a cluster, sorted, each on one line.

    Args:
        cluster: its name.
        members: all its members, whether the play reaches them or not.
        only: the one application that the playbook is about; empty for all.
    """
    findings = [_Finding((member.name,), mistake) for member in members for mistake in member.mistakes]
    databases = [member for member in members if DATABASE in member.duties]
    for member in members:
        found = [
            *_member.member_mistakes(member.values, len(databases) if member in databases else 0),
            *_backup.member_mistakes(member.values),
            *_preflight_host.mistakes(member.values),
            *_pools.member_mistakes(member.values),
        ]
        findings += [_Finding((member.name,), mistake) for mistake in found]
    findings += [*_names(members), *_addresses(members), *_one_value_each(members)]
    findings += [*_hba_rules(databases), *_places(databases), *_initial_primary(databases), *_durability(databases)]
    findings += [*_backups(cluster, members)]
    values = [member.values for member in databases]
    first = values[0] if values else {}
    found = [
        *_preflight_databases.mistakes(first),
        *_preflight_databases.undeclared(only, first.get(APPLICATIONS) or []),
        *_pools.mistakes(values, _poolers(members)),
    ]
    findings += [_Finding((), mistake) for mistake in found]
    if not databases and all(member.duties for member in members):
        text = f"the cluster has no database host; add a host with {CLUSTER_NAME}: {cluster} to the group {GROUPS[0]}"
        findings.append(_of_cluster(CLUSTER_NAME, text))
    return _lines(cluster, members, findings)


def cluster_name_mistakes(name: str) -> Iterator[Mistake]:
    """Yield what is wrong with the name of a cluster."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        better = member_name(name) or "main"
        yield Mistake(CLUSTER_NAME, f"{shown(name)} is not made of a-z, 0-9 and _; write such as {better}")
    elif len(name) > NAME_LIMIT:
        yield Mistake(CLUSTER_NAME, f"has {len(name)} characters; write at most {NAME_LIMIT}")


def stray_mistake(cluster: str) -> Mistake:
    """Return what is wrong with a host outside the groups whose cluster has other hosts."""
    text = (
        f"other hosts are the cluster {cluster} too, but this one is in none of the groups {listed(GROUPS)}; "
        f"add it to one, or give it a {CLUSTER_NAME} of its own"
    )
    return Mistake(CLUSTER_NAME, text)


def databases(members: Sequence[Member]) -> list[Member]:
    """Return the database hosts; the first of them speaks for what is one for the cluster."""
    return [member for member in members if DATABASE in member.duties]


def resolve(cluster: str, members: Sequence[Member]) -> dict[str, Any]:
    """Return the cluster as the decision and the roles use it; it must be without mistakes."""
    hosts = databases(members)
    first = hosts[0]
    return {
        "name": cluster,
        "version": first.get("postgresql_version"),
        "port": first.get("postgresql_port"),
        "initial_primary": first.get(INITIAL_PRIMARY) or first.name,
        "durability": _resolved_durability(hosts),
        "preferred_after": first.get("postgresql_replication_preferred_after"),
        "application_networks": list(first.get("postgresql_application_networks")),
        "management_networks": list(first.get("postgresql_management_networks")),
        "locale": first.get("postgresql_server_locale"),
        "locale_provider": first.get("postgresql_server_locale_provider"),
        "adopt": first.get("postgresql_adopt"),
        "repositories": _backup.resolve(cluster, first.values),
        "applications": _preflight_databases.resolve(first.values),
        "backup_port": first.get(_backup.PORT) if first.get(REPOSITORIES) else 0,
        "pools": _pools.resolve([host.values for host in hosts], _poolers(members)),
        "administrators": [person["name"] for person in first.get("postgresql_administrators")],
        "members": [
            {
                "name": member.name,
                "member_name": member_name(member.name),
                "duties": list(member.duties),
                "region": member.get(REGION),
                "zone": member.get(ZONE),
                "address": member.get(_member.ADDRESS),
                "parameters": dict(member.get("postgresql_server_parameters")),
                "hba_rules": list(member.get("postgresql_server_hba_rules")),
                "extension_packages": list(member.get("postgresql_server_extension_packages")),
                "preload_libraries": list(member.get("postgresql_server_preload_libraries")),
                "memory": member.get("postgresql_server_memory"),
                "storage": member.get("postgresql_server_storage"),
                "workload": member.get("postgresql_server_workload"),
                "data_directory": member.get(_member.DATA_DIRECTORY),
                "package_source": member.get("postgresql_server_package_source"),
                "listen_addresses": list(member.get("postgresql_server_listen_addresses")),
                "host": _preflight_host.resolved(member.values),
                "allow_untested_platform": member.get("postgresql_allow_untested_platform"),
            }
            for member in members
        ],
    }


def _poolers(members: Sequence[Member]) -> int:
    return sum(POOLER in member.duties for member in members)


def _lines(cluster: str, members: Sequence[Member], findings: Sequence[_Finding]) -> list[str]:
    """Word the findings; what several hosts have alike is said once."""
    merged: dict[Mistake, list[str]] = {}
    for finding in findings:
        hosts = merged.setdefault(finding.mistake, [])
        hosts += [host for host in finding.hosts if host not in hosts]
    lines = []
    for mistake, hosts in merged.items():
        everywhere = len(members) > 1 and len(hosts) == len(members)
        subject = "all hosts" if everywhere else listed(sorted(hosts)) or f"cluster {_called(cluster)}"
        lines.append(f"{subject}: {mistake.variable}: {mistake.text}")
    return sorted(lines)


def _called(cluster: str) -> str:
    return cluster or "(without a name)"


def _of_cluster(variable: str, text: str) -> _Finding:
    return _Finding((), Mistake(variable, text))


def _groups(members: Sequence[Member], key: Callable[[Member], Any]) -> dict[Any, list[str]]:
    """Return the names of the members by what a function says about them."""
    found: dict[Any, list[str]] = {}
    for member in members:
        found.setdefault(key(member), []).append(member.name)
    return found


def _names(members: Sequence[Member]) -> Iterator[_Finding]:
    for member in members:
        if len(member.name) > NAME_LIMIT:
            text = f"has {len(member.name)} characters and PostgreSQL takes {NAME_LIMIT}; rename the host"
            yield _Finding((member.name,), Mistake(INVENTORY_NAME, text))
    for name, hosts in _groups(members, lambda member: member_name(member.name)).items():
        if len(hosts) > 1:
            text = f"in PostgreSQL all of them are {name} (slot, application_name); rename all but one"
            yield _Finding(tuple(hosts), Mistake(INVENTORY_NAME, text))


def _addresses(members: Sequence[Member]) -> Iterator[_Finding]:
    for address, hosts in _groups(members, lambda member: _normal(member.get(_member.ADDRESS))).items():
        if address and len(hosts) > 1:
            text = f"{address} is the address of several hosts; write each host's own"
            yield _Finding(tuple(hosts), Mistake(_member.ADDRESS, text))
        if len(members) > 1 and _is_loopback(address):
            text = f"{address} leads every host to itself; write the address at which the other members reach this one"
            yield _Finding(tuple(hosts), Mistake(_member.ADDRESS, text))


def _normal(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower().removesuffix(".")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost" or address.endswith(".localhost")


def _one_value_each(members: Sequence[Member]) -> Iterator[_Finding]:
    """Compare what must be one for the cluster.

    Members without a database count where somebody set the variable for them: the group vars of the database hosts
    need not reach them.
    """
    for variable, secret in CLUSTER_WIDE.items():
        concerned = [
            member
            for member in members
            if variable in member.values and (DATABASE in member.duties or variable in member.given)
        ]
        # An empty passphrase is a mistake of its own.
        if secret:
            concerned = [member for member in concerned if member.get(variable) != ""]
        values = _groups(concerned, operator.methodcaller("text", variable))
        if len(values) > 1:
            words = [f"{'one value' if secret else value} on {listed(hosts)}" for value, hosts in values.items()]
            text = f"differs between the members: {'; '.join(words)}; write one value for the whole cluster"
            yield _of_cluster(variable, text)


def _hba_rules(databases: Sequence[Member]) -> Iterator[_Finding]:
    addresses = {member.name: str(member.get(_member.ADDRESS)) for member in databases if member.get(_member.ADDRESS)}
    for member in databases:
        for mistake in _member.hba_mistakes(member.values, addresses):
            yield _Finding((member.name,), mistake)


def _backups(cluster: str, members: Sequence[Member]) -> Iterator[_Finding]:
    databases = [member.values for member in members if DATABASE in member.duties]
    keepers = {member.name: member.values for member in members if REPOSITORY in member.duties}
    for mistake in _backup.mistakes(cluster, databases, keepers):
        yield _Finding((), mistake)


def _places(databases: Sequence[Member]) -> Iterator[_Finding]:
    if len(databases) < 2:
        return
    for variable, words in ((REGION, "the region where the host stands"), (ZONE, "the availability zone of the host")):
        text = f"is missing, and the cluster has {len(databases)} database hosts; write {words}, such as "
        text += "eu-west" if variable == REGION else "eu-west-1a"
        for member in databases:
            if member.values.get(variable) == "":
                yield _Finding((member.name,), Mistake(variable, text))


def _initial_primary(databases: Sequence[Member]) -> Iterator[_Finding]:
    known = [member for member in databases if INITIAL_PRIMARY in member.values]
    names = _groups(known, lambda member: member.get(INITIAL_PRIMARY))
    hosts = listed(member.name for member in databases)
    if len(names) > 1:
        words = [f"{name or 'none'} on {listed(where)}" for name, where in names.items()]
        yield _of_cluster(
            INITIAL_PRIMARY, f"the members name different ones: {'; '.join(words)}; write one for the whole cluster"
        )
    elif list(names) == [""] and len(databases) > 1:
        text = f"is missing, and the cluster has {len(databases)} database hosts; write one of {hosts}"
        yield _of_cluster(INITIAL_PRIMARY, text)
    for name in names:
        if name and name not in [member.name for member in databases]:
            yield _of_cluster(INITIAL_PRIMARY, f"{name} is no database host of the cluster; write one of {hosts}")


def _resolved_durability(databases: Sequence[Member]) -> str:
    default = REQUIRED if len(databases) > 1 else ASYNCHRONOUS
    return str(databases[0].get(DURABILITY) or default)


def _durability(databases: Sequence[Member]) -> Iterator[_Finding]:
    """Look for a standby in the initial primary's region and another zone."""
    if not databases or any(variable not in member.values for variable in (REGION, ZONE) for member in databases):
        return
    wanted = _resolved_durability(databases)
    named = databases[0].get(INITIAL_PRIMARY) if len(databases) > 1 else databases[0].name
    primary = next((member for member in databases if member.name == named), None)
    placed = all(member.get(REGION) and member.get(ZONE) for member in databases) or len(databases) == 1
    if wanted == ASYNCHRONOUS or primary is None or not placed:
        return
    standbys = [member for member in databases if member is not primary]
    if any(member.get(REGION) == primary.get(REGION) and member.get(ZONE) != primary.get(ZONE) for member in standbys):
        return
    chosen = wanted if databases[0].get(DURABILITY) else f"{wanted} (the default with two or more database hosts)"
    if not standbys:
        seen, advice = f"{primary.name} is the only database host", "add one"
    else:
        seen = f"the initial primary {primary.name} is in {primary.place}, and there is only "
        seen += listed(f"{member.name} in {member.place}" for member in standbys)
        advice = f"put a standby into another zone of {primary.get(REGION)}"
    text = f"{chosen} needs a standby in the initial primary's region and another zone, but {seen}"
    yield _of_cluster(DURABILITY, f"{text}; {advice}, or write {ASYNCHRONOUS}")
