# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synchronous set: what synchronous_standby_names says, what it proves, and what it should become."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS

ANY = "any"
FIRST = "first"
EVERYONE = "*"

_COUNTED = re.compile(r"\s*(?:(any|first)\s+)?(\d+)\s*\((.*)\)\s*", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')


@dataclass(frozen=True)
class StandbyNames:
    """A value of synchronous_standby_names.

    Attributes:
        method: any or first.
        count: how many standbys a commit waits for.
        names: the standbys, in lower case since the server compares without case; may hold "*".
    """

    method: str = ANY
    count: int = 1
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> StandbyNames:
        """Read what the server accepted: `ANY 1 (a, "b")`, `FIRST 2 (...)`, `2 (...)`, `a, b`, `*` or nothing."""
        counted = _COUNTED.fullmatch(text)
        if counted is None:
            return cls(FIRST, 1, _names(text)) if text.strip() else cls()
        method, count, names = counted.groups()
        return cls((method or FIRST).lower(), int(count), _names(names))

    def render(self) -> str:
        """Return the value as PostgreSQL reads it, every name quoted; "" for an empty set."""
        quoted = ", ".join(f'"{name}"' for name in sorted(self.names))
        return f"{self.method.upper()} {self.count} ({quoted})" if self.names else ""

    def is_met_by(self, streaming: Set[str]) -> bool:
        """Whether commits go on while these standbys stream."""
        heard = streaming if EVERYONE in self.names else streaming & self.names
        return not self.names or len(heard) >= self.count

    def proves(self, survivors: Set[str]) -> bool:
        """Whether these standbys together are sure to hold every acknowledged commit.

        Each commit is on `count` of the N names, so any N - count + 1 of them have it. `*` proves nothing: who
        confirmed is not known.
        """
        if not self.names or EVERYONE in self.names:
            return False
        return len(self.names & survivors) >= max(1, len(self.names) - self.count + 1)

    def does_the_work_of(self, other: StandbyNames) -> bool:
        """Whether both make commits wait for the same standbys."""
        same_rule = self.count == other.count and (self.method == other.method or len(self.names) == 1)
        return self.names == other.names and (same_rule or not self.names)


@dataclass(frozen=True)
class SetChange:
    """What becomes of the set; weakening is recorded before it is done, strengthening afterwards.

    Attributes:
        wanted: the set to put in force.
        changed: whether that is another than the live one.
        enters: names that come in.
        leaves: names that go out.
        weakened: standbys that proved every acknowledged commit no longer do. So a second name weakens as well:
            the first alone is no proof any more.
        strengthened: standbys that proved nothing do now. A replaced set is both.
        waits: commits wait, and go on waiting, for a standby that does not stream.
    """

    wanted: StandbyNames
    changed: bool
    enters: tuple[str, ...]
    leaves: tuple[str, ...]
    weakened: bool
    strengthened: bool
    waits: bool


def decide_set(
    live: StandbyNames, candidates: Set[str], ready: Set[str], streaming: Set[str], durability: str
) -> SetChange:
    """Decide the set of a live primary.

    Args:
        live: the set in force.
        candidates: standbys in the primary's region and another zone.
        ready: those that were seen to stream its timeline: only they enter.
        streaming: every standby that the primary streams to.
        durability: required, preferred or asynchronous.
    """
    wanted = StandbyNames() if durability == ASYNCHRONOUS else _wanted(live, candidates, ready & candidates)
    changed = not wanted.does_the_work_of(live)
    return SetChange(
        wanted=wanted,
        changed=changed,
        enters=tuple(sorted(wanted.names - live.names)),
        leaves=tuple(sorted(live.names - wanted.names)),
        weakened=changed and _loses_proof(live, wanted),
        strengthened=changed and bool(wanted.names) and not live.proves(wanted.names),
        waits=not changed and not live.is_met_by(streaming),
    )


def _wanted(live: StandbyNames, candidates: Set[str], ready: Set[str]) -> StandbyNames:
    # Who is in stays in when it is down, or a commit could be acknowledged that only the primary has; who has
    # no business there goes once somebody else guards the commits.
    if not ready:
        return live
    return StandbyNames(ANY, 1, (live.names & frozenset(candidates)) | frozenset(ready))


def _loses_proof(live: StandbyNames, wanted: StandbyNames) -> bool:
    proved_anything = live.proves(live.names)
    # With more than one confirmation a commit, survivors that lack any one name were a proof.
    proofs_still_hold = live.count == 1 and bool(wanted.names) and wanted.names <= live.names
    return proved_anything and not proofs_still_hold


def _names(text: str) -> frozenset[str]:
    found = (quoted.replace('""', '"') if quoted else plain for quoted, plain in _NAME.findall(text))
    return frozenset(name.lower() for name in found)
