# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts remember of repositories: which got WAL, which were taken out, which owe a full backup. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import Repository

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Memory:
    """What the files of the role say, those of all hosts: the repository host may be the one that was lost.

    Attributes:
        served: repositories that got WAL.
        suspended: those that were taken out.
        former: those that were there once.
        returned: since when those get WAL again that were suspended or removed, in seconds since the epoch.
    """

    served: frozenset[str]
    suspended: frozenset[str]
    former: frozenset[str]
    returned: Mapping[str, float]

    @classmethod
    def of(cls, files: Iterable[Json | None]) -> Memory:
        """Read the files, None where a host has none; the later return counts."""
        there = [file for file in files if file]
        known = [(item["name"], item["suspended"]) for file in there for item in file.get("repositories", [])]
        returns = sorted((since, name) for file in there for name, since in file.get("returned", {}).items())
        return cls(
            served=frozenset(name for name, suspended in known if not suspended),
            suspended=frozenset(name for name, suspended in known if suspended),
            former=frozenset(name for file in there for name in file.get("former", [])),
            returned={name: since for since, name in returns},
        )

    def newly_suspended(self, repositories: Sequence[Repository]) -> list[str]:
        """Return which of the repositories are to be taken out and still get WAL."""
        return [
            item.name
            for item in repositories
            if item.suspended and item.name in self.served and item.name not in self.suspended
        ]

    def returned_of(self, repositories: Sequence[Repository], now: float) -> dict[str, float]:
        """Return since when each repository gets WAL again: it owes a full backup since then.

        It is written down, so that a killed run forgets nothing.
        """
        was = self.suspended | self.former
        back = {item.name: float(int(now)) for item in repositories if item.name in was and not item.suspended}
        return dict(sorted({**self.returned, **back}.items()))

    def former_of(self, repositories: Sequence[Repository]) -> list[str]:
        """Return the repositories that were there once, and are no more."""
        return sorted((self.served | self.suspended | self.former) - {item.name for item in repositories})
