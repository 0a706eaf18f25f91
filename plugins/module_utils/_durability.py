# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standbys guard the primary's commits: the synchronous set, from what the primary and the standbys say."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils import _findings
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames, decide_set


@dataclass(frozen=True)
class Synchronous:
    """The synchronous set of a primary that runs; it is left as it is unless `changed`.

    Attributes:
        candidates: member names of the standbys in the primary's region and another zone.
        live: value of synchronous_standby_names that is in force.
        wanted: value to put in force.
        names: member names in `wanted`.
        changed: whether `wanted` is another rule than `live`.
        enters: names that come in: each was seen to stream.
        leaves: names that go out.
        coming: candidates that this run makes, starts, re-points or gives a slot: each enters once it streams.
        keep: names that stay, if they are in, once somebody enters; with nobody the live set stays.
        weakened: the change, or what those that are coming make of it, is recorded beforehand (see
            _synchronous.SetChange).
        strengthened: the change is recorded afterwards.
        waits: commits wait, and go on waiting.
        degraded: the set is empty though durability asks for one.
    """

    candidates: tuple[str, ...] = ()
    live: str = ""
    wanted: str = ""
    names: tuple[str, ...] = ()
    changed: bool = False
    enters: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    weakened: bool = False
    strengthened: bool = False
    waits: bool = False
    degraded: bool = False


def decide_synchronous(picture: Picture, primary: str, touched: Set[str]) -> Synchronous:
    """Decide the synchronous set.

    Args:
        picture: what was observed.
        primary: the primary; the set of one that is stopped is not seen, and keeps its candidates.
        touched: inventory names of the standbys that this run does something for.
    """
    leader, durability = picture.hosts[primary], picture.cluster.durability
    candidates = _candidates(picture, primary)
    if leader.is_stopped:
        return _of_a_stopped_primary(candidates, touched, durability)
    ready = {member for member, name in candidates.items() if _streams(picture, name, leader.timeline)}
    ready &= leader.streaming
    coming = {member for member, name in candidates.items() if name in touched} - ready
    live = StandbyNames.parse(leader.setting("synchronous_standby_names"))
    change = decide_set(live, candidates.keys(), ready, leader.streaming, durability)
    planned = decide_set(live, candidates.keys(), ready | coming, leader.streaming, durability)
    return Synchronous(
        candidates=tuple(sorted(candidates)),
        live=live.render(),
        wanted=change.wanted.render(),
        names=tuple(sorted(change.wanted.names)),
        changed=change.changed,
        enters=change.enters,
        leaves=change.leaves,
        coming=tuple(sorted(planned.wanted.names - change.wanted.names)),
        keep=tuple(sorted(live.names & planned.wanted.names & candidates.keys())),
        weakened=planned.weakened,
        strengthened=change.strengthened,
        waits=change.waits,
        degraded=leader.runs_as_primary and durability != ASYNCHRONOUS and not change.wanted.names,
    )


def _of_a_stopped_primary(candidates: Mapping[str, str], touched: Set[str], durability: str) -> Synchronous:
    """Let in who this run brings, for one: the standbys of a new cluster whose first run was killed."""
    if durability == ASYNCHRONOUS:
        return Synchronous(candidates=tuple(sorted(candidates)))
    coming = [member for member, name in candidates.items() if name in touched]
    return Synchronous(
        candidates=tuple(sorted(candidates)), coming=tuple(sorted(coming)), keep=tuple(sorted(candidates))
    )


def set_findings(picture: Picture, primary: str, synchronous: Synchronous) -> list[Finding]:
    """Say what is weak about the set."""
    findings = [_findings.stranger(primary, name) for name in synchronous.names if name not in synchronous.candidates]
    if synchronous.degraded:
        findings.append(_findings.degraded(primary, sorted(_candidates(picture, primary).values())))
    if synchronous.waits:
        findings.append(_findings.commits_wait(primary, synchronous.names))
    return findings


def names_left(picture: Picture, primary: str, synchronous: Synchronous) -> list[str]:
    """Name the candidates that stream to the primary but wait at the door until they are observed."""
    if picture.cluster.durability == ASYNCHRONOUS:
        return []
    waiting = picture.hosts[primary].streaming - set(synchronous.names)
    return [
        f'"{member}" in the synchronous set: {name} was not observed'
        for member, name in _candidates(picture, primary).items()
        if name in picture.unknown_hosts and member in waiting
    ]


def _candidates(picture: Picture, primary: str) -> dict[str, str]:
    """Return the standbys that may be synchronous: inventory names by member names."""
    databases = picture.cluster.databases
    return {
        member.member_name: name for name, member in databases.items() if member.is_candidate_for(databases[primary])
    }


def _streams(picture: Picture, standby: str, timeline: int) -> bool:
    seen = picture.hosts.get(standby)
    return seen is not None and seen.receives_on(timeline)
