# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All observations of a cluster together, and how the hosts' histories relate to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import RECORDERS, Cluster
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import Observation, format_lsn

SHUTDOWN_CHECKPOINT_BYTES = 8192
"""A clean stop's last record starts at the checkpoint's LSN and ends within a WAL page of it."""


@dataclass(frozen=True)
class Picture:
    """What is known about a cluster at one moment.

    Attributes:
        cluster: the facts of the inventory.
        members: every observed member, by name in its order.
        hosts: the observed database hosts, likewise.
        unknown: members that were not observed: unreachable, or outside --limit.
        unknown_hosts: the database hosts among them.
        trusted: identifiers of the clusters that are the collection's own or that postgresql_adopt names.
    """

    cluster: Cluster
    members: Mapping[str, Observation]
    hosts: Mapping[str, Observation]
    unknown: tuple[str, ...]
    unknown_hosts: tuple[str, ...]
    trusted: frozenset[str]

    @classmethod
    def of(cls, cluster: Cluster, observed: Mapping[str, Observation | None]) -> Picture:
        """Sort out who was observed; a name that is missing counts as unknown."""
        names = sorted(member.name for member in cluster.members)
        members = {name: seen for name in names if (seen := observed.get(name)) is not None}
        hosts = {name: seen for name, seen in members.items() if name in cluster.databases}
        own = {seen.system_identifier for seen in hosts.values() if has_own_marker(seen)}
        return cls(
            cluster=cluster,
            members=members,
            hosts=hosts,
            unknown=tuple(name for name in names if name not in members),
            unknown_hosts=tuple(name for name in cluster.databases if name not in members),
            trusted=frozenset(own | {cluster.adopt}) - {""},
        )

    @property
    def recorders(self) -> dict[str, Observation]:
        """The observed members that keep the cluster's journal."""
        keeping = {member.name for member in self.cluster.members if RECORDERS & member.duties}
        return {name: seen for name, seen in self.members.items() if name in keeping}

    @property
    def holders(self) -> dict[str, Observation]:
        """The observed database hosts that hold a cluster."""
        return {name: seen for name, seen in self.hosts.items() if seen.holds_data}

    def is_foreign(self, name: str) -> bool:
        """Whether a host holds a cluster that is neither the collection's own nor to be adopted.

        A host whose marker is missing counts as our own when its system identifier is that of a host with a
        marker: it holds the same cluster.
        """
        seen = self.hosts[name]
        return seen.holds_data and bool(seen.system_identifier) and seen.system_identifier not in self.trusted

    def needs_marker(self, name: str) -> bool:
        """Whether a host holds our cluster, or the one to adopt, without saying so."""
        seen = self.hosts[name]
        return seen.holds_data and seen.system_identifier in self.trusted and not has_own_marker(seen)

    def addresses(self, name: str) -> frozenset[str]:
        """Return what a standby may call a host: its inventory name, its address or what was observed of it."""
        stated = self.cluster.databases[name].address
        seen = self.hosts.get(name)
        return frozenset({name, stated, *(seen.addresses if seen else ())}) - {""}


def has_own_marker(seen: Observation) -> bool:
    """Whether a host's marker names the very cluster that it holds."""
    return seen.holds_data and bool(seen.marker) and seen.marker == seen.system_identifier


def position(seen: Observation) -> str:
    """Describe how far a host's WAL goes."""
    return f"timeline {seen.timeline}, LSN {format_lsn(seen.lsn)}"


def is_ahead(other: Observation, stopped: Observation) -> bool:
    """Whether a host may have WAL that a stopped primary lacks.

    The WAL of a primary that was not stopped cleanly goes on behind its last checkpoint, by an amount that
    only its recovery finds; a standby on its timeline got all that it has from there.
    """
    if other.timeline == stopped.timeline:
        return _is_beyond_shutdown(other, stopped)
    return other.timeline > stopped.timeline


def can_follow(standby: Observation, primary: Observation) -> bool:
    """Whether a standby's WAL is a beginning of the primary's: nothing that it has was left at a fork.

    Two histories can use one timeline number: then their switch points differ.
    """
    shared = standby.forks.keys() & primary.forks.keys()
    if any(standby.forks[timeline] != primary.forks[timeline] for timeline in shared):
        return False
    fork = primary.forks.get(standby.timeline)
    return standby.timeline == primary.timeline or (fork is not None and standby.lsn <= fork)


def listed(names: Iterable[str]) -> str:
    """Join names as a sentence does: db1, db2 and db3."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _is_beyond_shutdown(other: Observation, stopped: Observation) -> bool:
    was_clean = stopped.control is not None and stopped.control.state == "shut down"
    return was_clean and other.lsn > stopped.lsn + SHUTDOWN_CHECKPOINT_BYTES
