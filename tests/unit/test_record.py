# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journals prove, and when they have to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._record import Record, common
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    DB1,
    DB2,
    DB3,
    DB4,
    NO_PROMISE,
    OPS1,
    UNSEEN,
    Situation,
    cluster,
    empty,
    healthy,
    journal,
    outcome,
    primary,
    repository,
    standby,
    stopped,
    stopped_standby,
)

ANY_DB2 = 'ANY 1 ("db2")'
DEGRADED = "warning db1: db1 runs degraded: its synchronous set is empty, no candidate (db2) streams."


def record(*names: str, durability: str = "required", timeline: int = 1) -> Record:
    return Record(frozenset(names), durability, timeline)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"to": ["db2"], "durability": "required", "timeline": 2}, record("db2", timeline=2)),
        ({"to": []}, record(durability="", timeline=0)),
        ({"to": None, "timeline": None, "durability": None}, record(durability="", timeline=0)),
        ({"to": ["db2"], "by": "site"}, record("db2", durability="", timeline=0)),
    ],
)
def test_an_entry(entry: Mapping[str, Any], expected: Record) -> None:
    assert Record.from_json(entry) == expected


@pytest.mark.parametrize(
    ("said", "live", "same"),
    [
        (record("db2"), record("db2"), True),
        (record("db2"), record("db2", "db4"), False),
        (record("db2"), record("db2", durability="preferred"), False),
        (record("db2"), record("db2", timeline=2), False),
        (record("db2"), record(), False),
        (record(), record("db2"), False),
        (record(), record(), True),
        (record(durability="preferred", timeline=7), record(), True),
    ],
)
def test_the_same(said: Record, live: Record, same: bool) -> None:
    assert said.says_the_same_as(live) is same


@pytest.mark.parametrize(
    ("said", "proof"),
    [
        (record("db2", "db4"), {"db2", "db4"}),
        (record(), set()),
        (record("db2", durability="preferred"), set()),
        (record("db2", durability=""), set()),
        (record("db2", timeline=2), set()),
        (record("*"), set()),
    ],
)
def test_proof(said: Record, proof: set[str]) -> None:
    assert said.proof(1) == proof


@pytest.mark.parametrize(
    ("live", "wanted", "names"),
    [
        ("ANY 1 (db2)", "ANY 1 (db2)", {"db2"}),
        ("ANY 1 (db2)", "ANY 1 (db2, db4)", {"db2", "db4"}),
        ("ANY 1 (db2, db4)", "ANY 1 (db4)", {"db2", "db4"}),
        ("ANY 1 (db2)", "ANY 1 (db4)", {"db2", "db4"}),
        ("ANY 1 (db2)", "", set()),
        ("", "ANY 1 (db2)", set()),
        ("", "", set()),
        ("*", "ANY 1 (db2)", set()),
        ("ANY 2 (db2, db3, db4)", "ANY 1 (db2)", {"db2", "db3", "db4"}),
    ],
)
def test_what_holds_during_a_change(live: str, wanted: str, names: set[str]) -> None:
    before, after = StandbyNames.parse(live), StandbyNames.parse(wanted)
    meanwhile = common(before, after)
    assert meanwhile == names
    # Nobody who is a proof by the record lacks a commit, whichever of the two is in force.
    if meanwhile:
        assert before.proves(meanwhile)
        assert after.proves(meanwhile)


SAYS_DB2: dict[str, Any] = {"journal": journal("db2")}
SAYS_NOBODY: dict[str, Any] = {"journal": journal()}
NOTHING: dict[str, Any] = {"journal": {"synchronous_set": None, "error": None}}
UNREADABLE: dict[str, Any] = {"journal": {"synchronous_set": None, "error": "[Errno 21] Is a directory"}}


def behind(*hosts: str, of: str = "db1") -> list[str]:
    return [
        f"warning {host}: The journal of {host} does not say what the synchronous set of {of} is." for host in hosts
    ]


JOURNALS = [
    Situation("every journal says what is so", healthy(), {"behind": [], "flags": [], "acts": False}),
    Situation(
        "a run was killed between the set and its record",
        healthy(
            db1=primary("db2", "db3", synchronous=ANY_DB2, **SAYS_NOBODY),
            db2=standby(**NOTHING),
            db3=standby(**SAYS_NOBODY),
            ops1=repository(**SAYS_NOBODY),
        ),
        {
            "behind": ["db1", "db2", "db3", "ops1"],
            "findings": behind("db1", "db2", "db3", "ops1"),
            "advice": 4
            * ["Run site.yml, which records it. Until then it does not tell who has every acknowledged commit."],
            "acts": True,
        },
    ),
    Situation(
        "a host was away when the set was recorded",
        healthy(db3=standby(**SAYS_NOBODY)),
        {"behind": ["db3"], "findings": behind("db3"), "acts": True},
    ),
    Situation(
        "a host was away when the set was emptied",
        healthy(
            db1=primary("db3", replication={"db2": {"state": "catchup"}}),
            db2=standby(receiver=None),
            ops1=repository(**SAYS_DB2),
        ),
        {
            "create": ["db2"],
            "coming": ["db2"],
            "behind": ["ops1"],
            "flags": ["degraded"],
            "findings": [DEGRADED, *behind("ops1")],
        },
    ),
    Situation(
        "a host joined",
        healthy(db1=primary("db2", "db3", synchronous=ANY_DB2), db3=empty(**NOTHING)),
        {"actions": {"db3": "clone"}, "create": [], "behind": ["db3"], "findings": behind("db3")},
    ),
    Situation(
        "an empty set needs no entry",
        {"db1": primary(**NOTHING), "ops1": repository(**NOTHING)},
        {"behind": [], "acts": False, "findings": [NO_PROMISE]},
        cluster(DB1, OPS1, durability="asynchronous"),
    ),
    Situation(
        "a journal is from before the primary moved",
        healthy(
            db1=primary("db2", "db3", synchronous=ANY_DB2, timeline=2, history={1: "0/4000000"}),
            db2=standby(timeline=2),
            db3=standby(timeline=2, **SAYS_DB2),
        ),
        {"behind": ["db3"], "findings": behind("db3")},
    ),
    Situation(
        "a journal cannot be read",
        healthy(ops1=repository(**UNREADABLE)),
        {
            "behind": ["ops1"],
            "findings": ["error ops1: The journal of ops1 cannot be read: [Errno 21] Is a directory."],
            "advice": [
                "Mend its file system or its file; while most journals cannot be written the synchronous set is not "
                "weakened."
            ],
        },
    ),
    Situation(
        "a host that keeps no journal is not behind",
        healthy(pool1=repository(**NOTHING)),
        {"behind": []},
        cluster(DB1, DB2, DB3, OPS1, replace(OPS1, name="pool1", duties=frozenset({"pooler"}))),
    ),
    Situation(
        "a host that was not observed is not behind",
        healthy(db3=None),
        {"behind": [], "findings": [UNSEEN["db3"]], "left": ["db3: not observed"]},
    ),
    Situation(
        "of a stopped primary nothing is said",
        healthy(
            db1=stopped(data={"synchronous_set": ANY_DB2}, **SAYS_NOBODY), db2=stopped_standby(), ops1=repository()
        ),
        {"actions": {"db1": "start", "db2": "start"}, "create": ["db2", "db3"], "behind": []},
    ),
    Situation(
        "with preferred the timer writes one journal alone, and none is a proof",
        healthy(db3=standby(journal=journal(durability="preferred"))),
        {"behind": ["db3"], "acts": True},
        cluster(durability="preferred"),
    ),
    Situation(
        "required becomes preferred: the timer may empty the set from now on",
        healthy(ops1=repository(**SAYS_DB2)),
        {"flags": ["weakened"], "meanwhile": ["db2"], "behind": ["ops1"], "acts": True},
        cluster(durability="preferred"),
    ),
    Situation(
        "preferred becomes required: nothing is taken away",
        healthy(ops1=repository(journal=journal("db2", durability="preferred"))),
        {"flags": [], "behind": ["ops1"], "findings": behind("ops1")},
    ),
    Situation(
        "one of two is replaced: meanwhile a commit may be on any of the three",
        healthy(db1=primary("db2", "db3", "db4", synchronous='ANY 1 ("db2", "db9")'), db4=standby()),
        {
            "set": 'ANY 1 ("db2", "db4")',
            "enters": ["db4"],
            "leaves": ["db9"],
            "flags": ["weakened", "strengthened"],
            "meanwhile": ["db2", "db4", "db9"],
        },
        cluster(DB1, DB2, DB3, DB4),
    ),
]


@pytest.mark.parametrize("row", JOURNALS, ids=lambda row: row.name)
def test_journals(row: Situation) -> None:
    found = outcome(decide(row.facts, row.observed).to_dict(), row.outcome)
    quiet = {key: value for key, value in row.outcome.items() if value != [] or key == "behind"}
    assert {key: value for key, value in found.items() if value != [] or key == "behind"} == quiet
