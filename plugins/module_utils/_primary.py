# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host is the primary: the one that is, else the one that certainly was, else the first of a new cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import (
    Picture,
    is_ahead,
    listed,
    position,
)

LIVE = "live"
STOPPED = "stopped"
NEW = "new"


@dataclass(frozen=True)
class Choice:
    """The primary and why.

    Attributes:
        name: inventory name; None where there is none, or none is known.
        reason: a sentence.
        status: live; stopped, to be started; or new, to be made.
        refusals: why nothing may be done; then there is no name.
    """

    name: str | None
    reason: str
    status: str = LIVE
    refusals: tuple[str, ...] = ()


def choose_primary(picture: Picture) -> Choice:
    """Find the primary from what was seen; the inventory counts only where no host holds a cluster."""
    running = [name for name, seen in picture.hosts.items() if seen.runs_as_primary]
    if len(running) > 1:
        return _refused(_two_primaries(picture, running))
    if running:
        return Choice(running[0], f"{running[0]} runs as the primary")
    if not picture.holders:
        return _of_a_new_cluster(picture)
    if picture.unknown_hosts:
        return Choice(None, f"no observed host runs as the primary, and {listed(picture.unknown_hosts)} may")
    return _of_a_stopped_cluster(picture)


def _refused(*refusals: str) -> Choice:
    return Choice(None, "no primary can be chosen: see the refusals", refusals=refusals)


def _two_primaries(picture: Picture, names: list[str]) -> str:
    return (
        f"{len(names)} hosts run as primary: {_described(picture, names)}. Decide whose writes are kept; on "
        f"every other one run systemctl mask --now {picture.cluster.service}, then clone it again "
        "(docs/runbooks/clone_again.md)."
    )


def _of_a_new_cluster(picture: Picture) -> Choice:
    first = picture.cluster.first_primary
    if first in picture.unknown_hosts:
        return Choice(None, f"no observed host holds a cluster, and the initial primary {first} was not observed")
    obstacles = _obstacles_to_bootstrap(picture, first)
    if obstacles:
        return _refused(*obstacles)
    return Choice(first, f"no database host holds a cluster, and {first} is the initial primary", NEW)


def _obstacles_to_bootstrap(picture: Picture, first: str) -> list[str]:
    """List whatever hints that a cluster exists already, or that its first host must not run."""
    cluster = picture.cluster
    if first not in cluster.databases:
        return [
            f'postgresql_initial_primary is "{first}", which is no database host of the cluster {cluster.name}: '
            f"write one of {', '.join(cluster.databases)}."
        ]
    obstacles = [text for name in picture.hosts for text in _traces_of_a_cluster(picture, name, first)]
    if picture.unknown_hosts:
        obstacles.append(
            f"{first}: no cluster is made, because {listed(picture.unknown_hosts)} could not be observed (unreachable, "
            "or outside --limit) and may hold it. Run site.yml with every database host; one that is gone for good is "
            "taken out of the group postgresql."
        )
    if cluster.adopt:
        obstacles.append(
            f'postgresql_adopt is "{cluster.adopt}", but no database host holds a cluster. Look at '
            "postgresql_server_data_directory and at what is mounted there; for a new cluster remove postgresql_adopt."
        )
    if picture.hosts[first].is_fenced:
        obstacles.append(
            f"{first}: its service is masked (fenced), so no cluster is made. "
            f"Run systemctl unmask {cluster.service} there if it may run."
        )
    return obstacles


def _traces_of_a_cluster(picture: Picture, name: str, first: str) -> list[str]:
    seen = picture.hosts[name]
    if seen.has_foreign_files:
        return [
            f"{name}: {seen.data.directory} holds files that are no cluster. Move them away by hand, or name another "
            "directory in postgresql_server_data_directory."
        ]
    # The marker is written just before the complete copy is renamed.
    bootstrap_was_interrupted = name == first and seen.data.incomplete
    if not seen.marker or bootstrap_was_interrupted:
        return []
    return [
        f"{name}: {picture.cluster.marker} says that the host holds the cluster {seen.marker}, but "
        f"{seen.data.directory} is {seen.data.state}. Mount its file system, or write the version and the directory "
        "that it has; if that data is given up, remove the marker by hand."
    ]


def _of_a_stopped_cluster(picture: Picture) -> Choice:
    cluster = picture.cluster
    unreadable = [name for name, seen in picture.holders.items() if not seen.system_identifier and not seen.elsewhere]
    if unreadable:
        return _refused(
            f"No host runs as the primary, and the control data on {listed(unreadable)} cannot be read, so nothing is "
            f"known of what is stored there. Install the package postgresql-{cluster.version} there and run again."
        )
    stopped = [name for name, seen in picture.holders.items() if seen.is_stopped_primary]
    if not stopped:
        return _refused(
            f"No host is the primary, though data exists: {_described(picture, list(picture.holders))}. site.yml "
            "never promotes: promote the standby that lacks nothing (docs/runbooks/move_primary.md)."
        )
    if len(stopped) > 1:
        return _refused(
            f"No host runs as the primary, and {len(stopped)} were when they stopped: {_described(picture, stopped)}. "
            f"Run systemctl start {cluster.service} on the one whose writes are kept, then site.yml again."
        )
    return _of_a_lone_stopped_primary(picture, stopped[0])


def _of_a_lone_stopped_primary(picture: Picture, name: str) -> Choice:
    stopped = picture.hosts[name]
    if stopped.is_fenced:
        return _refused(
            f"{name} was the primary ({position(stopped)}) and its service is masked (fenced), so it is not started. "
            "Promote a standby (docs/runbooks/move_primary.md); or, if it is to go on, run systemctl unmask "
            f"{picture.cluster.service} there."
        )
    ahead = [other for other, seen in picture.holders.items() if other != name and is_ahead(seen, stopped)]
    if ahead:
        return _refused(
            f"{name} was the primary when it stopped ({position(stopped)}), but {_described(picture, ahead)} may have "
            "more. It is not started: promote the one that has most (docs/runbooks/move_primary.md), then clone "
            f"{name} again."
        )
    return Choice(name, f"{name} is stopped, and no other host was the primary since", STOPPED)


def _described(picture: Picture, names: list[str]) -> str:
    return listed(f"{name} ({position(picture.hosts[name])})" for name in names)
