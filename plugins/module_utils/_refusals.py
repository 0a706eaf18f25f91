# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What puts the whole cluster in danger, so that nothing at all is done: one text a danger, with the way out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import (
    AUTO_CONF,
    Elsewhere,
    Observation,
    format_lsn,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import (
    Picture,
    can_follow,
    listed,
    position,
)

CLOCK_TOLERANCE = 1.0
"""Seconds that the clocks of two hosts may certainly differ."""
STABLE_LOCALES = frozenset({"C", "POSIX", "C.UTF8"})
"""Locales of libc whose order does not depend on its release, without the dashes."""


def dangers_of_data(picture: Picture) -> list[str]:
    """List what is wrong with the data of the hosts, whoever is the primary."""
    return [
        *_of_identifiers(picture),
        *_of_versions(picture),
        *_of_servers_elsewhere(picture),
        *_of_misplaced_data(picture),
        *_of_auto_conf(picture),
        *_of_libc(picture),
    ]


def dangers_beside(picture: Picture, primary: str) -> list[str]:
    """List what is wrong with other hosts' data beside the primary.

    The history of a host that is fenced, stopped and masked, endangers nobody.
    """
    leader = picture.hosts[primary]
    others = {name: seen for name, seen in picture.holders.items() if name != primary}
    free = {name: seen for name, seen in others.items() if not seen.is_fenced}
    histories = _of_histories(free, primary, leader) if leader.runs_as_primary else []
    return [*_of_second_primaries(picture, others, primary), *histories]


def clock_gap(picture: Picture) -> tuple[str, str, float] | None:
    """Return the two hosts whose clocks differ most for certain, and by how many seconds."""
    clocks = {name: seen.clock for name, seen in picture.members.items() if seen.clock}
    if not clocks:
        return None
    ahead = max(clocks, key=lambda name: clocks[name].earliest)
    behind = min(clocks, key=lambda name: clocks[name].latest)
    gap = clocks[ahead].earliest - clocks[behind].latest
    return (ahead, behind, gap) if gap > CLOCK_TOLERANCE else None


def danger_of_clocks(picture: Picture, made: Collection[str]) -> list[str]:
    """Refuse to make instances on hosts of a cluster whose clocks differ."""
    gap = clock_gap(picture)
    if gap is None or not made:
        return []
    ahead, behind, seconds = gap
    return [
        f"The clock of {ahead} is at least {seconds:.1f} s ahead of that of {behind}, and {listed(made)} "
        f"{'is' if len(made) == 1 else 'are'} to be made. Set both by a time service (systemd-timesyncd, chrony) first."
    ]


def _of_identifiers(picture: Picture) -> list[str]:
    identifiers: dict[str, list[str]] = {}
    for name, seen in picture.holders.items():
        if seen.system_identifier:
            identifiers.setdefault(seen.system_identifier, []).append(name)
    if len(identifiers) > 1:
        held = listed(f"{identifier} on {listed(names)}" for identifier, names in sorted(identifiers.items()))
        return [
            f"The hosts hold different clusters, by system identifier: {held}. None can follow another. Stop the "
            "wrong one and move its data directory away by hand: it is cloned again then."
        ]
    return [_of_a_foreign_cluster(picture, name) for name in picture.holders if picture.is_foreign(name)]


def _of_a_foreign_cluster(picture: Picture, name: str) -> str:
    seen = picture.hosts[name]
    adopt = picture.cluster.adopt
    identifier = seen.system_identifier
    if adopt:
        return (
            f'{name}: postgresql_adopt is "{adopt}", but {seen.data.directory} holds the cluster {identifier}. '
            f'If that is the one to take over, write postgresql_adopt: "{identifier}".'
        )
    origin = f"whose marker names the cluster {seen.marker}" if seen.marker else "which this collection did not make"
    return (
        f"{name}: {seen.data.directory} holds the cluster {identifier}, {origin}. To take it over write "
        f'postgresql_adopt: "{identifier}" and run with --check --diff first.'
    )


def _of_versions(picture: Picture) -> list[str]:
    wanted = picture.cluster.version
    return [
        f"{name}: {seen.data.directory} holds data of version {seen.data.version}, but postgresql_version is "
        f'"{wanted}". site.yml never upgrades: write postgresql_version: "{seen.data.version}".'
        for name, seen in picture.holders.items()
        if seen.data.version not in {None, wanted}
    ]


def _of_servers_elsewhere(picture: Picture) -> list[str]:
    hosts: dict[Elsewhere, list[str]] = {}
    for name, seen in picture.hosts.items():
        if seen.elsewhere:
            hosts.setdefault(seen.elsewhere, []).append(name)
    return [_of_server_elsewhere(picture.cluster.service, listed(names), found) for found, names in hosts.items()]


def _of_server_elsewhere(service: str, names: str, found: Elsewhere) -> str:
    if found.port == found.wanted_port:
        return (
            f"On {names} the server on port {found.port} runs from {found.directory}. Write that as "
            "postgresql_server_data_directory, with the postgresql_cluster_name that it has; or write another "
            "postgresql_port."
        )
    return (
        f"On {names} the server runs on port {found.port}, and postgresql_port is {found.wanted_port}. Write "
        f"{found.port}; or, to move it, run systemctl stop {service} on every database host, then site.yml."
    )


def _of_misplaced_data(picture: Picture) -> list[str]:
    return [
        f"{name}: {picture.cluster.service} runs, but {seen.data.directory} holds no cluster. "
        "Write the directory that it runs from as postgresql_server_data_directory; if that is gone, stop the service."
        for name, seen in picture.hosts.items()
        if seen.is_active and seen.data.state != "cluster" and not seen.elsewhere
    ]


def _of_auto_conf(picture: Picture) -> list[str]:
    return [
        _of_auto_settings(name, seen, sorted(settings))
        for name, seen in picture.holders.items()
        if (settings := seen.auto_settings - picture.cluster.auto_conf_allowed)
    ]


def _of_auto_settings(name: str, seen: Observation, settings: list[str]) -> str:
    reset = " ".join(f"ALTER SYSTEM RESET {setting};" for setting in settings)
    way_out = (
        f"Run there: {reset} SELECT pg_reload_conf();"
        if seen.server
        else f"Remove {'it' if len(settings) == 1 else 'them'} from that file, since the server is stopped."
    )
    return (
        f"{name}: {seen.data.directory}/{AUTO_CONF} sets {listed(settings)}, which wins over every file of the "
        f"collection. {way_out}"
    )


def _of_libc(picture: Picture) -> list[str]:
    releases: dict[str, list[str]] = {}
    for name, seen in picture.hosts.items():
        if seen.libc:
            releases.setdefault(seen.libc, []).append(name)
    provider, locale = _collation(picture)
    depends_on_libc = provider == "libc" and locale.upper().replace("-", "") not in STABLE_LOCALES
    if len(releases) < 2 or not depends_on_libc:
        return []
    held = listed(f"{release} on {listed(names)}" for release, names in sorted(releases.items()))
    return [
        f"The C libraries differ: {held}. The locale {locale} sorts by them, so text indexes break on a host with "
        "another release. Install one release of the distribution on all database hosts; a new cluster can use the "
        "locale C.UTF-8, or postgresql_server_locale_provider: icu."
    ]


def _collation(picture: Picture) -> tuple[str, str]:
    """Return provider and locale of the cluster that runs, else of the one that would be made."""
    servers = [seen.server for seen in picture.hosts.values() if seen.server]
    if servers:
        return servers[0].locale_provider, servers[0].locale
    return picture.cluster.locale_provider, picture.cluster.locale


def _of_second_primaries(picture: Picture, others: Mapping[str, Observation], primary: str) -> list[str]:
    return [
        f"{name} is starting and would be a second primary beside {primary}. Run systemctl mask --now "
        f"{picture.cluster.service} on {name}, then clone it again (docs/runbooks/clone_again.md)."
        for name, seen in others.items()
        if seen.is_starting and not seen.is_stopped_standby
    ]


def _of_histories(others: Mapping[str, Observation], primary: str, leader: Observation) -> list[str]:
    later = {name: seen for name, seen in others.items() if seen.timeline > leader.timeline}
    diverged = {
        name: seen
        for name, seen in others.items()
        if name not in later and seen.is_standby and not can_follow(seen, leader)
    }
    refusals = [
        f"{name} is on a later timeline than the primary: {position(seen)}; {primary} is on {position(leader)}. If "
        f"{primary} is an old primary that came back, stop and mask it and promote {name} "
        f"(docs/runbooks/move_primary.md); otherwise clone {name} again (docs/runbooks/clone_again.md), which gives up "
        f"what only {name} has."
        for name, seen in later.items()
    ]
    return refusals + [
        f"{name} has diverged from the primary: {position(seen)}; {primary} is on {position(leader)}"
        f"{_fork(seen, leader)}. It is not wiped: clone it again (docs/runbooks/clone_again.md)."
        for name, seen in diverged.items()
    ]


def _fork(standby: Observation, leader: Observation) -> str:
    fork = leader.forks.get(standby.timeline)
    return "" if fork is None else f" and left timeline {standby.timeline} at {format_lsn(fork)}"
