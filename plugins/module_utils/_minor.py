# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the hosts of a cluster get a newer minor version, or why none does: pure.

A standby that a bad version breaks costs nothing but a standby, so they go first, the one that no commit waits for
before the others, and each has to stream again before the next; the primary goes last, when it may restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils import _restart
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._restart import Running, Waiting

PROGRAM = "program"
# Of the journal's entries: one before the first host is touched, and one when all are done.
EVENT = "minor upgrade"
BEGUN, DONE = "begun", "done"
ALLOW = "-e postgresql_server_restart=true"


@dataclass(frozen=True)
class Package:
    """A package on a host: the installed version, the one that apt would install, whether it is newer, whether held."""

    installed: str
    candidate: str
    newer: bool
    held: bool = False


@dataclass(frozen=True)
class Begun:
    """What the journal says was begun and not done: the versions before and after it, in words."""

    origin: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """A database host whose server answers.

    Attributes:
        packages: those of the cluster's major version, by name.
        running: what waits for a restart there, and the parameters that standbys must not have lower.
        is_replaced: whether the server runs a program that a package has replaced.
        is_interrupted: whether dpkg has something left to configure.
        begun: what its journal says was begun and not done.
        streams_to: names in PostgreSQL of the standbys that stream from it.
        member_name: its own name there.
    """

    packages: Mapping[str, Package]
    running: Running
    is_replaced: bool = False
    is_interrupted: bool = False
    begun: Begun | None = None
    streams_to: frozenset[str] = frozenset()
    member_name: str = ""

    @property
    def newer(self) -> dict[str, Package]:
        """The packages that are to be installed."""
        return {name: package for name, package in self.packages.items() if package.newer}

    @property
    def is_due(self) -> bool:
        """Whether anything is to be done there."""
        return bool(self.newer) or self.is_replaced


@dataclass(frozen=True)
class Cluster:
    """What a plan is made of.

    Attributes:
        name: of the cluster.
        version: its major version.
        hosts: the database hosts that were seen.
        databases: names of all of them, in the order in which standbys restart.
        primary: name of the primary, None when it is not known.
        unseen: members that were not observed.
        errors: what the verification of the present state finds wrong.
        synchronous: names in PostgreSQL of the members of the synchronous set; empty when commits wait for none.
        allowed: whether the primary may restart.
    """

    name: str
    version: str
    hosts: Mapping[str, Host]
    databases: Sequence[str]
    primary: str | None
    unseen: Sequence[str] = ()
    errors: Sequence[str] = ()
    synchronous: frozenset[str] = frozenset()
    allowed: bool = False


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        refusals: why nothing is done.
        order: hosts, one after the other.
        packages: the versions that each of them gets, by host and name.
        install: hosts whose packages are installed, or completed; on the others only the server restarts.
        target: the versions that hosts have afterwards, in words, for the journal; empty when it says so.
        origin: those that they had before, likewise.
        lines: the same in words, for the operator.
    """

    refusals: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    install: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def plan(cluster: Cluster) -> Plan:
    """Return what is done; every host computes the same."""
    due = {name: host for name, host in cluster.hosts.items() if host.is_due}
    refusals = tuple(_refusals(cluster, due))
    if refusals:
        return Plan(refusals)
    if not due:
        begun = _done(cluster)
        lines = (f"Nothing is newer than what runs: {_versions(cluster)}.",)
        return Plan(target=begun.target, origin=begun.origin, lines=lines) if begun else Plan(lines=lines)
    order = _order(cluster, due)
    return Plan(
        order=tuple(order),
        packages={name: {found: item.candidate for found, item in due[name].newer.items()} for name in order},
        install=tuple(name for name in order if due[name].newer or due[name].is_interrupted),
        target=tuple(f"{name} {_after(cluster, name)}" for name in sorted(order)),
        origin=tuple(f"{name} {_before(cluster, name)}" for name in sorted(order)),
        lines=tuple(_lines(cluster, due, order)),
    )


def followers(cluster: Cluster, host: str) -> list[str]:
    """Return which standbys have to stream after a host's turn, by their names in PostgreSQL: it, or all of them."""
    if host != cluster.primary:
        return [cluster.hosts[host].member_name]
    return sorted(other.member_name for name, other in cluster.hosts.items() if name != cluster.primary)


def server_package(version: str) -> str:
    """Name the package of the server."""
    return f"postgresql-{version}"


def _order(cluster: Cluster, due: Mapping[str, Host]) -> list[str]:
    return _restart.order(_waiting(cluster, due), list(cluster.databases), cluster.primary, cluster.allowed)


def _waiting(cluster: Cluster, due: Mapping[str, Host]) -> dict[str, Running]:
    """Return what waits for a restart where one is due; elsewhere nothing is to restart here."""
    program = {PROGRAM: Waiting("installed", "newer")}
    return {
        name: Running({**host.running.waiting, **program} if name in due else {}, host.running.minima)
        for name, host in cluster.hosts.items()
    }


def _lines(cluster: Cluster, due: Mapping[str, Host], order: Sequence[str]) -> Iterator[str]:
    if order:
        yield f"One after the other, each proven before the next: {', then '.join(order)}."
    for name in order:
        yield f"{name}: {'; '.join(_of_host(due[name]))}."
        if name != cluster.primary and _is_alone(cluster, name):
            yield f"Commits wait for the seconds in which {name} restarts: nobody else of the synchronous set streams."
    if cluster.primary in order:
        yield f"{cluster.primary} is the primary: nothing is written for the seconds in which it restarts."
    elif cluster.primary in due:
        yield (
            f"{cluster.primary}, the primary, stays as it is: its restart ends all connections. "
            f"When it suits, run again with {ALLOW}."
        )


def _of_host(host: Host) -> Iterator[str]:
    for name, package in sorted(host.newer.items()):
        yield f"{name} {package.installed} -> {package.candidate}"
    if host.is_interrupted:
        yield "what dpkg left unfinished is completed"
    yield "its server restarts" + ("" if host.newer else ", which runs a program that was replaced")


def _is_alone(cluster: Cluster, name: str) -> bool:
    """Whether commits wait while a standby is away."""
    leader = cluster.hosts.get(cluster.primary or "")
    own = cluster.hosts[name].member_name
    if leader is None or own not in cluster.synchronous:
        return False
    return not (cluster.synchronous & leader.streams_to) - {own}


def _done(cluster: Cluster) -> Begun | None:
    """Return what an earlier run began, and did without being able to say so."""
    present = {f"{name} {_after(cluster, name)}" for name in cluster.hosts}
    found = (host.begun for host in cluster.hosts.values() if host.begun)
    return next((begun for begun in found if set(begun.target) <= present), None)


def _versions(cluster: Cluster) -> str:
    package = server_package(cluster.version)
    return ", ".join(
        f"{name} {host.packages[package].installed}"
        for name, host in sorted(cluster.hosts.items())
        if package in host.packages
    )


def _before(cluster: Cluster, name: str) -> str:
    package = cluster.hosts[name].packages.get(server_package(cluster.version))
    return package.installed if package else "unknown"


def _after(cluster: Cluster, name: str) -> str:
    package = cluster.hosts[name].packages.get(server_package(cluster.version))
    return package.candidate if package and package.newer else _before(cluster, name)


def _refusals(cluster: Cluster, due: Mapping[str, Host]) -> Iterator[str]:
    if cluster.unseen:
        yield (
            f"{listed(cluster.unseen)} could not be observed (unreachable, or outside --limit), and a cluster is "
            "upgraded with all its members there: bring it back, or take it out of the inventory."
        )
        return
    for error in cluster.errors:
        yield f"The cluster is not well, so none of its hosts restarts: {error}"
    for name, host in cluster.hosts.items():
        yield from _of_packages(cluster, name, host)
    yield from _of_differences(cluster)
    if not cluster.errors:
        yield from _of_settings(cluster, due)


def _of_packages(cluster: Cluster, name: str, host: Host) -> Iterator[str]:
    held = [found for found, package in host.newer.items() if package.held]
    if held:
        yield f"{name}: {listed(held)} is held. If it may be upgraded, run there: apt-mark unhold {' '.join(held)}"
    for found, package in host.newer.items():
        if major_of(package.candidate) != cluster.version:
            text = f"{found} would become {package.candidate}, and the major version {cluster.version} never changes"
            yield f"{name}: {text}: give the host the package source of that version."


def _of_differences(cluster: Cluster) -> Iterator[str]:
    package = server_package(cluster.version)
    versions: dict[str, list[str]] = {}
    for name, host in cluster.hosts.items():
        if package in host.packages:
            versions.setdefault(_after(cluster, name), []).append(name)
    if len(versions) > 1:
        words = "; ".join(f"{version} on {listed(names)}" for version, names in versions.items())
        yield (
            f"The hosts would not have the same version afterwards: {words}. Give all of them the same package source, "
            "or wait until their mirrors agree."
        )


def _of_settings(cluster: Cluster, due: Mapping[str, Host]) -> Iterator[str]:
    """A restart also takes over the settings that wait for one, and those have an order of their own."""
    waiting = _waiting(cluster, due)
    for name in due:
        found = _restart.plan(name, waiting, list(cluster.databases), cluster.primary, True)
        if found.phase not in {_restart.STANDBY, _restart.PRIMARY}:
            why = found.reason or "they are lowered on the primary first"
            yield f"{name}: settings that wait for a restart come first ({why}): run site.yml with {ALLOW}."


def major_of(version: str) -> str:
    """Return the major version of a package's version: 16 of 16.14-1.pgdg13+1, with or without an epoch."""
    return version.partition(":")[2].partition(".")[0] if ":" in version else version.partition(".")[0]
