# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synchronous set: how it is read, what it proves, what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import (
    ANY,
    FIRST,
    StandbyNames,
    decide_set,
)


def names(count: int, *members: str, method: str = ANY) -> StandbyNames:
    return StandbyNames(method, count, frozenset(members))


@pytest.mark.parametrize(
    ("text", "parsed", "rendered"),
    [
        ("", names(1), ""),
        ("  ", names(1), ""),
        ('ANY 1 ("db2")', names(1, "db2"), 'ANY 1 ("db2")'),
        ('ANY 1 ("db2", db3)', names(1, "db2", "db3"), 'ANY 1 ("db2", "db3")'),
        ("any 2 (db4,DB3 , db2)", names(2, "db2", "db3", "db4"), 'ANY 2 ("db2", "db3", "db4")'),
        ("FIRST 1 (db2, db3)", names(1, "db2", "db3", method=FIRST), 'FIRST 1 ("db2", "db3")'),
        ("2 (db2, db3, db4)", names(2, "db2", "db3", "db4", method=FIRST), 'FIRST 2 ("db2", "db3", "db4")'),
        ("db2, db3", names(1, "db2", "db3", method=FIRST), 'FIRST 1 ("db2", "db3")'),
        ("db2", names(1, "db2", method=FIRST), 'FIRST 1 ("db2")'),
        ("*", names(1, "*", method=FIRST), 'FIRST 1 ("*")'),
        ("ANY 1 (*)", names(1, "*"), 'ANY 1 ("*")'),
        ('ANY 1 ("db-2.example.com", "a ""b"" (c)")', names(1, "db-2.example.com", 'a "b" (c)'), None),
        (" \n ANY 1\n(\n db2 )", names(1, "db2"), 'ANY 1 ("db2")'),
    ],
)
def test_parse(text: str, parsed: StandbyNames, rendered: str | None) -> None:
    assert StandbyNames.parse(text) == parsed
    assert rendered is None or StandbyNames.parse(text).render() == rendered


@pytest.mark.parametrize(
    ("rule", "streaming", "met"),
    [
        (names(1), set(), True),
        (names(1, "db2"), {"db2"}, True),
        (names(1, "db2"), {"db3"}, False),
        (names(1, "db2", "db3"), {"db3"}, True),
        (names(2, "db2", "db3"), {"db3"}, False),
        (names(2, "db2", "db3"), {"db2", "db3"}, True),
        (names(1, "*"), {"db9"}, True),
        (names(1, "*"), set(), False),
    ],
)
def test_commits_wait(rule: StandbyNames, streaming: set[str], met: bool) -> None:
    assert rule.is_met_by(streaming) is met


@pytest.mark.parametrize(
    ("rule", "survivors", "proof"),
    [
        (names(1), {"db2"}, False),
        (names(1, "*"), {"db2"}, False),
        (names(1, "db2"), {"db2"}, True),
        (names(1, "db2"), {"db3"}, False),
        (names(1, "db2", "db3"), {"db2"}, False),
        (names(1, "db2", "db3"), {"db2", "db3"}, True),
        (names(2, "db2", "db3", "db4"), {"db2"}, False),
        (names(2, "db2", "db3", "db4"), {"db2", "db4"}, True),
        (names(3, "db2", "db3", "db4"), {"db4"}, True),
        (names(9, "db2"), set(), False),
    ],
)
def test_proof_that_nothing_acknowledged_is_missing(rule: StandbyNames, survivors: set[str], proof: bool) -> None:
    assert rule.proves(survivors) is proof


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (names(1, "db2"), names(1, "db2"), True),
        (names(1, "db2"), names(1, "db3"), False),
        (names(1, "db2"), names(1, "db2", method=FIRST), True),
        (names(1, "db2", "db3"), names(1, "db2", "db3", method=FIRST), False),
        (names(1, "db2", "db3"), names(2, "db2", "db3"), False),
        (names(2, method=FIRST), names(1), True),
    ],
)
def test_same_rule(one: StandbyNames, other: StandbyNames, same: bool) -> None:
    assert one.does_the_work_of(other) is same


def change(
    live: StandbyNames,
    ready: list[str] | tuple[Any, ...] = (),
    streaming: list[str] | None = None,
    durability: str = "required",
    candidates: tuple[str, str] = ("db2", "db4"),
) -> Any:
    heard = set(ready) if streaming is None else set(streaming)
    return decide_set(live, set(candidates), set(ready), heard, durability)


@pytest.mark.parametrize(
    ("decided", "wanted", "flags"),
    [
        # Nothing to do: wanted is what is live.
        (change(names(1)), names(1), ""),
        (change(names(1, "db2"), ["db2"]), names(1, "db2"), ""),
        (change(names(1, "*"), streaming=["db9"]), names(1, "*"), ""),
        (change(names(2, "db2", "db3"), streaming=["db2", "db3"]), names(2, "db2", "db3"), ""),
        (change(names(1), durability="asynchronous", ready=["db2"]), names(1), ""),
        # Nobody streams who could take over: nothing leaves, and commits wait.
        (change(names(1, "db2")), names(1, "db2"), "waits"),
        (change(names(1, "db9"), streaming=["db9"]), names(1, "db9"), ""),
        (change(names(1, "db9")), names(1, "db9"), "waits"),
        (change(names(2, "db2", "db4"), streaming=["db2"]), names(2, "db2", "db4"), "waits"),
        # Who streams enters; a candidate that is down stays.
        (change(names(1), ["db2"]), names(1, "db2"), "changed strengthened"),
        (change(names(1), ["db2", "db4"]), names(1, "db2", "db4"), "changed strengthened"),
        (change(names(1, "db2"), ["db4"]), names(1, "db2", "db4"), "changed weakened"),
        (change(names(1), ["db3"]), names(1), ""),
        # Who has no business there leaves.
        (change(names(1, "db2", "db9"), ["db2"]), names(1, "db2"), "changed strengthened"),
        (change(names(1, "db9"), ["db2"]), names(1, "db2"), "changed weakened strengthened"),
        (change(names(1, "*"), ["db2"]), names(1, "db2"), "changed strengthened"),
        # Fewer confirmations a commit: what one survivor proved it proves no more.
        (change(names(2, "db2", "db4"), ["db2", "db4"]), names(1, "db2", "db4"), "changed weakened"),
        (change(names(2, "db2", "db9"), ["db2"]), names(1, "db2"), "changed weakened"),
        # Asynchronous: nobody guards commits.
        (change(names(1, "db2"), ["db2"], durability="asynchronous"), names(1), "changed weakened"),
        (change(names(1, "*"), durability="asynchronous"), names(1), "changed"),
        (change(names(1, "db2"), ["db2"], durability="preferred"), names(1, "db2"), ""),
    ],
)
def test_change(decided: Any, wanted: StandbyNames, flags: str) -> None:
    said = [flag for flag in ("changed", "weakened", "strengthened", "waits") if getattr(decided, flag)]
    assert (decided.wanted, " ".join(said)) == (wanted, flags)


def test_who_enters_and_who_leaves() -> None:
    decided = change(names(1, "db9", "db8"), ["db4", "db2"])
    assert (decided.enters, decided.leaves) == (("db2", "db4"), ("db8", "db9"))
