# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standbys guard the primary's commits: the synchronous set, from what the primary and the standbys say."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils import _findings
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS, REQUIRED
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture
from ansible_collections.steadfast.postgresql.plugins.module_utils._record import Record, common
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames, decide_set


@dataclass(frozen=True)
class Synchronous:
    """The synchronous set of a primary: the one in force, of one that is stopped what its file says.

    It is left as it is unless `changed`.

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
        weakened: the change, or what those that are coming make of it, takes away a proof (see
            _synchronous.SetChange), or durability does: `meanwhile` is recorded beforehand.
        meanwhile: names of a set that proves nothing that is not so both before and after the change.
        behind: observed members whose journal does not say what is in force.
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
    meanwhile: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    strengthened: bool = False
    waits: bool = False
    degraded: bool = False


def decide_synchronous(picture: Picture, primary: str, touched: Set[str]) -> Synchronous:
    """Decide the synchronous set.

    Args:
        picture: what was observed.
        primary: the primary.
        touched: inventory names of the standbys that this run does something for.
    """
    leader, durability = picture.hosts[primary], picture.cluster.durability
    candidates = _candidates(picture, primary)
    ready = {member for member, name in candidates.items() if _streams(picture, name, leader.timeline)}
    ready &= leader.streaming
    expected = {member for member, name in candidates.items() if name in touched} - ready
    live = StandbyNames.parse(leader.synchronous_set)
    change = decide_set(live, candidates.keys(), ready, leader.streaming, durability)
    planned = decide_set(live, candidates.keys(), ready | expected, leader.streaming, durability)
    coming = planned.wanted.names - change.wanted.names
    if not leader.runs_as_primary and durability != ASYNCHRONOUS:
        # Nobody streams yet, and the run is not over before those do that it starts.
        coming = frozenset(expected)
    return Synchronous(
        candidates=tuple(sorted(candidates)),
        live=live.render(),
        wanted=change.wanted.render(),
        names=tuple(sorted(change.wanted.names)),
        changed=change.changed,
        enters=change.enters,
        leaves=change.leaves,
        coming=tuple(sorted(coming)),
        keep=tuple(sorted(live.names & planned.wanted.names & candidates.keys())),
        weakened=planned.weakened or _is_given_up(picture, leader.timeline),
        meanwhile=tuple(sorted(common(live, planned.wanted))),
        behind=_behind(picture, Record(live.names, durability, leader.timeline)) if leader.runs_as_primary else (),
        strengthened=change.strengthened,
        waits=leader.runs_as_primary and change.waits,
        degraded=leader.runs_as_primary and durability != ASYNCHRONOUS and not live.names,
    )


def _is_given_up(picture: Picture, timeline: int) -> bool:
    """Whether journals promise what the durability that is wanted from now on does not keep."""
    recorded = (seen.record.proof(timeline) for seen in picture.recorders.values() if seen.record)
    return picture.cluster.durability != REQUIRED and any(recorded)


def _behind(picture: Picture, live: Record) -> tuple[str, ...]:
    return tuple(
        name for name, seen in picture.recorders.items() if not (seen.record or Record()).says_the_same_as(live)
    )


def set_findings(picture: Picture, primary: str, synchronous: Synchronous) -> list[Finding]:
    """Say what is weak about the set."""
    findings = [_findings.stranger(primary, name) for name in synchronous.names if name not in synchronous.candidates]
    if synchronous.degraded:
        candidates = _candidates(picture, primary)
        ready = [candidates[name] for name in synchronous.enters]
        findings.append(_findings.degraded(primary, sorted(candidates.values()), sorted(ready)))
    if synchronous.waits:
        findings.append(_findings.commits_wait(primary, synchronous.names))
    return findings + _journal_findings(picture, primary, synchronous)


def _journal_findings(picture: Picture, primary: str, synchronous: Synchronous) -> list[Finding]:
    unreadable = {name: seen.journal_error for name, seen in picture.recorders.items() if seen.journal_error}
    # With a timer that may empty the set no journal is a proof anyway.
    behind = set(synchronous.behind) - unreadable.keys() if picture.cluster.durability == REQUIRED else set()
    return [
        *(_findings.no_journal(name, error) for name, error in unreadable.items()),
        *(_findings.behind(name, primary) for name in sorted(behind)),
    ]


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
