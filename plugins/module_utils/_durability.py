# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which standbys guard the primary's commits: the synchronous set, from what the primary and the standbys say."""

from __future__ import annotations

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
        weakened: the change is recorded beforehand (see _synchronous.SetChange).
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
    weakened: bool = False
    strengthened: bool = False
    waits: bool = False
    degraded: bool = False


def decide_synchronous(picture: Picture, primary: str) -> Synchronous:
    """Decide the synchronous set; there is none to decide while the primary does not run."""
    leader = picture.hosts[primary]
    if leader.server is None:
        return Synchronous()
    candidates = _candidates(picture, primary)
    ready = {member for member, name in candidates.items() if _streams(picture, name, leader.timeline)}
    live = StandbyNames.parse(leader.setting("synchronous_standby_names"))
    durability = picture.cluster.durability
    change = decide_set(live, candidates.keys(), ready & leader.streaming, leader.streaming, durability)
    return Synchronous(
        candidates=tuple(sorted(candidates)),
        live=live.render(),
        wanted=change.wanted.render(),
        names=tuple(sorted(change.wanted.names)),
        changed=change.changed,
        enters=change.enters,
        leaves=change.leaves,
        weakened=change.weakened,
        strengthened=change.strengthened,
        waits=change.waits,
        degraded=durability != ASYNCHRONOUS and not change.wanted.names,
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
