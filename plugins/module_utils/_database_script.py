# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements in the order in which they run, what they change, and what is reported instead of changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change

Changes = list[dict[str, str]]

MOST_LINES = 20
"""Changes of one kind that a run lists one by one; more are counted."""
MOST_NAMED = 10
"""Names that one line of a report holds."""


class RefusalError(Exception):
    """Nothing may be changed; each text says what is in the way and what to do."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Refuse for these reasons."""
        super().__init__("\n".join(texts))
        self.texts = list(texts)


@dataclass(frozen=True)
class Statement:
    """One statement of SQL, without its semicolon; `shown` is what is shown of one that holds a secret."""

    sql: str
    shown: str = ""

    @property
    def text(self) -> str:
        """The statement as it may be shown."""
        return self.shown or self.sql


@dataclass(frozen=True)
class Drift:
    """Something that exists and is not declared, and what an operator may do about it."""

    text: str
    advice: str


@dataclass
class Script:
    """Statements that run one after the other.

    Attributes:
        database: where they run; "" for any.
        together: whether they are one transaction.
    """

    database: str = ""
    together: bool = True
    statements: list[Statement] = field(default_factory=list)
    changes: Changes = field(default_factory=list)

    def add(self, sql: str | Iterable[str], entry: dict[str, str] | None = None, shown: str = "") -> None:
        """Add statements, and the change that they make."""
        texts = [sql] if isinstance(sql, str) else list(sql)
        self.statements += [Statement(text, shown) for text in texts]
        if entry:
            self.changes.append(entry)

    def __bool__(self) -> bool:
        """Whether there is something to run."""
        return bool(self.statements)


def condensed(changes: Changes) -> Changes:
    """Return a list of changes that a person can read: many of one kind are one line with their number."""
    alike: dict[tuple[str, str, str], Changes] = {}
    for entry in changes:
        alike.setdefault((entry["kind"], entry["from"], entry["to"]), []).append(entry)
    found: Changes = []
    for (kind, before, after), entries in alike.items():
        if len(entries) <= MOST_LINES:
            found += entries
        else:
            names = f"{entries[0]['name']} ... {entries[-1]['name']} ({len(entries)})"
            found.append(change(kind, names, before, after))
    return found


def named(names: Sequence[str]) -> str:
    """Return names as a report lists them."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
