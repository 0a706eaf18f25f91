# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication slots: one a standby on the primary, none of a member's anywhere else, foreign ones untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils import _findings
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import (
    CLONE,
    PRIMARY,
    UNKNOWN,
    HostDecision,
)

CAUGHT_UP_BYTES = 32 << 20
"""What an archive lags behind: the segment that is written and the one that is being archived."""

Hosts = Mapping[str, HostDecision]


@dataclass(frozen=True)
class Slots:
    """Physical slots that change; a lost one that is made again is dropped and created.

    Attributes:
        create: names to make sure of on the primary, after its drops.
        drop: names to drop by host, if they are there.
    """

    create: tuple[str, ...] = ()
    drop: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def decide_slots(picture: Picture, primary: str, hosts: Hosts) -> Slots:
    """Decide what slots to create and to drop; those of hosts that are left alone stay as they are."""
    databases = picture.cluster.databases
    existing = picture.hosts[primary].slots
    standbys = {
        name: databases[name].member_name for name, host in hosts.items() if host.role not in {PRIMARY, UNKNOWN}
    }
    again = {slot for name, slot in standbys.items() if _can_be_made_again(picture, primary, name, hosts[name])}
    drop = {name: _strays(picture, primary, name) | (again if name == primary else set()) for name in picture.hosts}
    return Slots(
        create=tuple(sorted(set(standbys.values()) - existing.keys() | again)),
        drop={name: tuple(sorted(slots)) for name, slots in drop.items() if slots},
    )


def slot_findings(picture: Picture, primary: str, hosts: Hosts) -> list[Finding]:
    """Name the slots that are lost for now and those that stand for no member."""
    members = _slots_of_members(picture)
    lost = [
        name
        for name, host in hosts.items()
        if _is_lost(picture, primary, name) and not _can_be_made_again(picture, primary, name, host)
    ]
    foreign = [
        (name, slot) for name, seen in picture.hosts.items() for slot in sorted(seen.slots) if slot not in members
    ]
    return [
        *(_findings.lost_slot(name, primary) for name in lost),
        *(_findings.foreign_slot(picture, name, slot) for name, slot in foreign),
    ]


def slots_left(picture: Picture, primary: str) -> list[str]:
    """Name the slots that wait until their standby is observed."""
    databases = picture.cluster.databases
    slots = {name: databases[name].member_name for name in picture.unknown_hosts}
    return [
        f'slot "{slot}" on {primary}: {name} was not observed'
        for name, slot in slots.items()
        if slot not in picture.hosts[primary].slots
    ]


def _slots_of_members(picture: Picture) -> set[str]:
    return {member.member_name for member in picture.cluster.databases.values()}


def _is_lost(picture: Picture, primary: str, standby: str) -> bool:
    slot = picture.hosts[primary].slots.get(picture.cluster.databases[standby].member_name)
    return slot is not None and slot.wal_status == "lost"


def _can_be_made_again(picture: Picture, primary: str, standby: str, host: HostDecision) -> bool:
    """Whether a slot is lost and a new one would serve: its standby needs no WAL from before."""
    if not _is_lost(picture, primary, standby):
        return False
    return host.action == CLONE or _has_caught_up(picture, primary, standby)


def _has_caught_up(picture: Picture, primary: str, standby: str) -> bool:
    leader, seen = picture.hosts[primary], picture.hosts.get(standby)
    if seen is None:
        return False
    return seen.timeline == leader.timeline and leader.lsn - seen.lsn <= CAUGHT_UP_BYTES


def _strays(picture: Picture, primary: str, host: str) -> set[str]:
    """Return the unused slots of members that do not follow this host: on the primary, its own."""
    own = picture.cluster.databases[primary].member_name
    strays = {own} if host == primary else _slots_of_members(picture)
    return {name for name, slot in picture.hosts[host].slots.items() if name in strays and not slot.active}
