# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator should know about a cluster though the run goes on, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture, listed, position
from ansible_collections.steadfast.postgresql.plugins.module_utils._refusals import clock_gap

INFO = "info"
WARNING = "warning"
ERROR = "error"

UNKNOWN_PRIMARY = "The primary is not known:"
"""How the finding begins when nobody was seen to be the primary."""


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        severity: info, warning or error; with an error the run fails at its end.
        host: inventory name; "" for the cluster.
        text: what is so.
        advice: what to do.
    """

    severity: str
    host: str
    text: str
    advice: str


def obstacle(picture: Picture, name: str, primary: str | None) -> Finding | None:
    """Return why nothing may be done with a host that is not the primary; the others go on without it."""
    seen = picture.hosts[name]
    if seen.has_foreign_files:
        return _foreign_files(picture, name)
    if seen.is_fenced:
        return _fenced(picture, name)
    if not seen.is_stopped or seen.is_stopped_standby:
        return None
    if not seen.system_identifier:
        return _unreadable(picture, name)
    if not seen.is_stopped_primary:
        return _without_signal(picture, name)
    return _old_primary(picture, name, primary) if primary else _perhaps_the_primary(picture, name)


def of_unknown_members(picture: Picture) -> list[Finding]:
    """Name the members that were not observed."""
    return [not_observed(name) for name in picture.unknown]


def failed_unseen(names: Sequence[str]) -> Finding:
    """Say why no primary is known in the end of a run in which hosts failed: nobody looked at them."""
    return Finding(
        WARNING,
        "",
        f"Who is the primary was not looked at in the end: {listed(names)} failed in this run.",
        "Their failed tasks say why. Run check_cluster.",
    )


def not_observed(name: str) -> Finding:
    """Say that a member was not observed."""
    return Finding(
        WARNING,
        name,
        f"{name} was not observed: it is unreachable, or outside --limit.",
        "Nothing that depends on it was changed. Run site.yml again once it answers.",
    )


def failed_before(name: str) -> Finding:
    """Say that a member failed in the run, so that nobody looked at it in the end."""
    return Finding(
        WARNING,
        name,
        f"{name} failed in this run, and was not observed in the end.",
        "Its failed task says why. Run site.yml again once that is mended.",
    )


def of_primary(picture: Picture, primary: str | None, reason: str) -> list[Finding]:
    """Say that the primary is not known, or not the one that the inventory names first."""
    if primary is None:
        return [_unknown_primary(picture, reason)]
    first = picture.cluster.first_primary
    if primary == first:
        return []
    return [
        Finding(
            INFO,
            primary,
            f"{primary} is the primary, not the initial primary {first}.",
            "That is in order: the initial primary counts only where no host holds a cluster.",
        )
    ]


def _unknown_primary(picture: Picture, reason: str) -> Finding:
    """Say that no primary is known; while a standby hears from one, it lives, and nothing is lost by waiting."""
    hearing = [name for name, seen in picture.hosts.items() if seen.receives_on(seen.timeline)]
    text = f"{UNKNOWN_PRIMARY} {reason}."
    if hearing:
        verb = "stream" if len(hearing) > 1 else "streams"
        advice = f"It lives, because {listed(hearing)} {verb} from it. Run site.yml with every database host."
        return Finding(WARNING, "", text, advice)
    return Finding(
        ERROR if picture.hosts else WARNING,
        "",
        text,
        "Standbys keep following whom they follow. Run site.yml with every database host; if the primary is "
        "dead, promote a standby (docs/runbooks/move_primary.md).",
    )


def of_clocks(picture: Picture) -> list[Finding]:
    """Say that clocks differ, where nothing is made that would depend on them."""
    gap = clock_gap(picture)
    if gap is None:
        return []
    ahead, behind, seconds = gap
    return [
        Finding(
            WARNING,
            ahead,
            f"The clock of {ahead} is at least {seconds:.1f} s ahead of that of {behind}.",
            "Set both by a time service (systemd-timesyncd, chrony): no instance is made before that.",
        )
    ]


def of_adoption(picture: Picture) -> list[Finding]:
    """Say that postgresql_adopt has done its work."""
    adopt = picture.cluster.adopt
    takes = any(picture.needs_marker(name) for name in picture.hosts)
    if not adopt or takes:
        return []
    return [
        Finding(
            INFO,
            "",
            f'postgresql_adopt is "{adopt}", and there is nothing left to adopt.',
            "Remove postgresql_adopt from the inventory. The configuration that was replaced is kept in "
            f"/var/lib/steadfast/{picture.cluster.name}/adopted-{adopt}.",
        )
    ]


def of_durability(picture: Picture) -> list[Finding]:
    """Say that the inventory promises less than that no acknowledged commit is lost."""
    if picture.cluster.durability != ASYNCHRONOUS:
        return []
    return [
        Finding(
            INFO,
            "",
            "Commits wait for no standby: postgresql_replication_durability is asynchronous.",
            "The last acknowledged commits can be lost with the primary.",
        )
    ]


def starting(picture: Picture, name: str) -> Finding:
    """Say that an instance is waited for."""
    service = picture.cluster.service
    return Finding(
        WARNING,
        name,
        f"{name} does not answer yet: its service is {picture.hosts[name].unit.active}.",
        f"It is waited for; journalctl -u {service} on {name} says what it does.",
    )


def data_is_gone(picture: Picture, name: str) -> Finding:
    """Say that a host that held data is cloned anew."""
    seen = picture.hosts[name]
    return Finding(
        WARNING,
        name,
        f"{name} held the cluster {seen.marker}, but {seen.data.directory} is {seen.data.state}: it is cloned again.",
        "If a file system should be mounted there, stop the run and mount it first.",
    )


def foreign_slot(picture: Picture, host: str, slot: str) -> Finding:
    """Name a slot that stands for no member; it is never dropped by a run."""
    seen = picture.hosts[host].slots[slot]
    return Finding(
        INFO if seen.active else WARNING,
        host,
        f'Slot "{slot}" on {host} stands for no member, is {"in use" if seen.active else "unused"} and keeps '
        f"{seen.retained_bytes >> 20} MiB of WAL.",
        f"If nothing needs it, run there: SELECT pg_drop_replication_slot('{slot}');",
    )


def lost_slot(standby: str, primary: str) -> Finding:
    """Say that a standby lags too far behind for its slot to be of use."""
    return Finding(
        ERROR,
        standby,
        f"The slot of {standby} on {primary} is lost: WAL that {standby} lacks is gone there.",
        "It catches up from the archive, and the slot is made again then; else clone it again "
        "(docs/runbooks/clone_again.md).",
    )


def degraded(primary: str, candidates: list[str], ready: list[str]) -> Finding:
    """Say that nothing guards acknowledged commits, though that is asked for."""
    if ready:
        return Finding(
            WARNING,
            primary,
            f"{primary} runs degraded: its synchronous set is empty, though {listed(ready)} could be in it.",
            f"Acknowledged commits can be lost with {primary} until site.yml restores the set.",
        )
    if candidates:
        return Finding(
            WARNING,
            primary,
            f"{primary} runs degraded: its synchronous set is empty, no candidate ({', '.join(candidates)}) streams.",
            f"Acknowledged commits can be lost with {primary} until one streams; site.yml restores the set then.",
        )
    return Finding(
        WARNING,
        primary,
        f"{primary} runs degraded: no other database host is in its region and in another zone.",
        f"Acknowledged commits can be lost with {primary}. Add such a standby.",
    )


def commits_wait(primary: str, names: Sequence[str]) -> Finding:
    """Say that the synchronous set is not met."""
    return Finding(
        ERROR,
        primary,
        f"Commits wait on {primary}: too few of its synchronous set ({', '.join(names)}) stream.",
        "Bring one back; or run the playbook relax_synchronous, which states what can be lost.",
    )


def stranger(primary: str, name: str) -> Finding:
    """Name a member of the synchronous set that has no business there and stays for now."""
    return Finding(
        WARNING,
        primary,
        f'"{name}" in the synchronous set of {primary} is no standby in its region and another zone.',
        "It leaves the set once a standby streams that is.",
    )


def behind(name: str, primary: str) -> Finding:
    """Say that a host's journal cannot be relied on."""
    return Finding(
        WARNING,
        name,
        f"The journal of {name} does not say what the synchronous set of {primary} is.",
        "Run site.yml, which records it. Until then it does not tell who has every acknowledged commit.",
    )


def no_journal(name: str, error: str) -> Finding:
    """Say that a host cannot keep a record."""
    return Finding(
        ERROR,
        name,
        f"The journal of {name} cannot be read: {error}.",
        "Mend its file system or its file; while most journals cannot be written the synchronous set is not weakened.",
    )


def _foreign_files(picture: Picture, name: str) -> Finding:
    return Finding(
        ERROR,
        name,
        f"{name}: {picture.hosts[name].data.directory} holds files that are no cluster; nothing is put there.",
        "Move them away by hand, or name another directory in postgresql_server_data_directory.",
    )


def _fenced(picture: Picture, name: str) -> Finding:
    return Finding(
        ERROR,
        name,
        f"{name} is fenced: its service is masked, so it is not started.",
        f"When it may return, run systemctl unmask {picture.cluster.service} there, then site.yml.",
    )


def _unreadable(picture: Picture, name: str) -> Finding:
    return Finding(
        ERROR,
        name,
        f"{name}: the control data in {picture.hosts[name].data.directory} cannot be read; it is not started.",
        f"Install the package postgresql-{picture.cluster.version} there, or clone it again "
        "(docs/runbooks/clone_again.md).",
    )


def _without_signal(picture: Picture, name: str) -> Finding:
    seen = picture.hosts[name]
    state = seen.control.state if seen.control else "unknown"
    return Finding(
        ERROR,
        name,
        f'{name} stopped in the state "{state}" and has no standby.signal: it would start as a primary.',
        f"Make the empty file {seen.data.directory}/standby.signal (owner postgres), or clone it again "
        "(docs/runbooks/clone_again.md).",
    )


def _old_primary(picture: Picture, name: str, primary: str) -> Finding:
    return Finding(
        ERROR,
        name,
        f"{name} was a primary ({position(picture.hosts[name])}) and is stopped; beside {primary} it is not started.",
        "Clone it again (docs/runbooks/clone_again.md).",
    )


def _perhaps_the_primary(picture: Picture, name: str) -> Finding:
    service = picture.cluster.service
    return Finding(
        ERROR,
        name,
        f"{name} was a primary ({position(picture.hosts[name])}) and does not answer; it is not started, because "
        f"{listed(picture.unknown_hosts)} could not be observed and may be the primary now.",
        f"Run site.yml with every database host. If no other can be the primary: systemctl start {service} on {name}.",
    )
