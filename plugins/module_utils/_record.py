# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals say about the synchronous set, and what has to be written to them.

An entry names who has every acknowledged commit: all of its names together. It may say less than is so, never more. So
what a change takes away is recorded beforehand, on a majority, and what it gives afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import REQUIRED
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import EVERYONE, StandbyNames


@dataclass(frozen=True)
class Record:
    """The set as a journal has it.

    Attributes:
        names: its members; a commit was on any one of them.
        durability: what was in force with it.
        timeline: of the primary whose set it was.
    """

    names: frozenset[str] = frozenset()
    durability: str = ""
    timeline: int = 0

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Record:
        """Read an entry of the journal; what it lacks makes it say less."""
        return cls(
            frozenset(map(str, entry.get("to") or ())),
            str(entry.get("durability") or ""),
            int(entry.get("timeline") or 0),
        )

    def says_the_same_as(self, live: Record) -> bool:
        """Whether nothing has to be written; of an empty set nothing but that counts."""
        return self == live if live.names else not self.names

    def proof(self, timeline: int) -> frozenset[str]:
        """Return who, all together, have every commit that was acknowledged on a timeline; nobody where that is unsaid.

        Where a timer may empty the set (preferred), or nobody is waited for, the set is no proof.
        """
        said = self.durability == REQUIRED and self.timeline == timeline and EVERYONE not in self.names
        return self.names if said else frozenset()


def common(live: StandbyNames, wanted: StandbyNames) -> frozenset[str]:
    """Return the names of a set that proves nothing that either of two does not: what holds during a change."""
    every = live.names | wanted.names
    if not (live.names and wanted.names) or EVERYONE in every:
        return frozenset()
    return every
