# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots and the synchronous set of a live primary."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    DB1,
    DB2,
    DB3,
    DB4,
    NO_PROMISE,
    UNSEEN,
    Situation,
    cluster,
    empty,
    healthy,
    moved,
    outcome,
    primary,
    repository,
    slot,
    standby,
    stopped,
    stopped_standby,
)

ANY_DB2 = 'ANY 1 ("db2")'
LOST = slot(active=False, wal_status="lost")
WITH_DB4 = cluster(DB1, DB2, DB3, DB4)
COULD_BE_IN = "warning db1: db1 runs degraded: its synchronous set is empty, though db2 could be in it."
DEGRADED_DB1 = "warning db1: db1 runs degraded: its synchronous set is empty, no candidate (db2) streams."
MOVED_TO_DB2 = "info db2: db2 is the primary, not the initial primary db1."


def rejoined(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The platform after db2 was promoted, with db1 as its standby."""
    first = primary("db1", "db3", timeline=2, history={1: "0/5000000"}, **changes.pop("primary", {}))
    followers = {name: standby("10.0.0.2", timeline=2, history={1: "0/5000000"}) for name in ("db1", "db3")}
    return {"db2": first, "ops1": repository()} | followers | changes


SLOTS = [
    Situation(
        "a slot is missing",
        healthy(db1=primary("db2", replication={"db3": {"state": "streaming"}}, synchronous=ANY_DB2)),
        {"create": ["db3"], "acts": True},
    ),
    Situation(
        "a slot is lost, and its standby has caught up from the archive",
        healthy(
            db1=primary("db2", synchronous=ANY_DB2, lsn="0/7000000", slots={"db3": LOST}),
            db3=standby(lsn="0/5000000", receiver=None),
        ),
        {"create": ["db3"], "drop": {"db1": ["db3"]}},
    ),
    Situation(
        "a slot is lost, and its standby has not caught up",
        healthy(
            db1=primary("db2", synchronous=ANY_DB2, lsn="0/7000001", slots={"db3": LOST}),
            db3=standby(lsn="0/5000000", receiver=None),
        ),
        {
            "findings": ["error db3: The slot of db3 on db1 is lost: WAL that db3 lacks is gone there."],
            "advice": [
                "It catches up from the archive, and the slot is made again then; else clone it again "
                "(docs/runbooks/clone_again.md)."
            ],
        },
    ),
    Situation(
        "a slot is lost, and its standby is on an earlier timeline",
        moved(
            db1=standby("10.0.0.2", timeline=2, history={1: "0/5000000"}),
            db2=primary("db1", timeline=2, history={1: "0/5000000"}, synchronous='ANY 1 ("db1")', slots={"db3": LOST}),
            db3=standby("10.0.0.2", receiver=None),
        ),
        {
            "findings": [
                MOVED_TO_DB2,
                "error db3: The slot of db3 on db2 is lost: WAL that db3 lacks is gone there.",
            ],
        },
    ),
    Situation(
        "a slot is lost, and its standby is cloned anyway",
        healthy(db1=primary("db2", synchronous=ANY_DB2, slots={"db3": LOST}), db3=empty()),
        {"actions": {"db3": "clone"}, "create": ["db3"], "drop": {"db1": ["db3"]}},
    ),
    Situation(
        "a slot is lost, and its standby is unknown",
        healthy(db1=primary("db2", synchronous=ANY_DB2, slots={"db3": LOST}), db3=None),
        {
            "findings": [
                UNSEEN["db3"],
                "error db3: The slot of db3 on db1 is lost: WAL that db3 lacks is gone there.",
            ],
            "left": ["db3: not observed"],
        },
    ),
    Situation(
        "an old primary kept its slots",
        rejoined(
            primary={"synchronous": 'ANY 1 ("db1")'},
            db1=standby(
                "10.0.0.2",
                timeline=2,
                history={1: "0/5000000"},
                slots={"db2": slot(active=False), "db3": slot(active=False)},
            ),
        ),
        {"drop": {"db1": ["db2", "db3"]}, "findings": [MOVED_TO_DB2], "acts": True},
    ),
    Situation(
        "a member's slot on a standby is in use",
        healthy(db2=standby(slots={"db3": slot(active=True)})),
        {},
    ),
    Situation(
        "the primary has a slot for itself",
        rejoined(primary={"slots": {"db2": slot(active=False)}, "synchronous": 'ANY 1 ("db1")'}),
        {"drop": {"db2": ["db2"]}, "findings": [MOVED_TO_DB2]},
    ),
    Situation(
        "slots that stand for no member stay",
        healthy(
            db1=primary(
                "db2",
                "db3",
                synchronous=ANY_DB2,
                slots={"zabbix": slot(retained_bytes=7 << 20), "barman": slot(active=False, retained_bytes=3 << 30)},
            ),
            db2=standby(slots={"debezium": slot(active=False)}),
        ),
        {
            "findings": [
                'warning db1: Slot "barman" on db1 stands for no member, is unused and keeps 3072 MiB of WAL.',
                'info db1: Slot "zabbix" on db1 stands for no member, is in use and keeps 7 MiB of WAL.',
                'warning db2: Slot "debezium" on db2 stands for no member, is unused and keeps 0 MiB of WAL.',
            ],
            "advice": [
                "If nothing needs it, run there: SELECT pg_drop_replication_slot('barman');",
                "If nothing needs it, run there: SELECT pg_drop_replication_slot('zabbix');",
                "If nothing needs it, run there: SELECT pg_drop_replication_slot('debezium');",
            ],
            "acts": False,
        },
    ),
]

SET = [
    Situation(
        "a candidate streams and enters",
        healthy(db1=primary("db2", "db3")),
        {
            "set": ANY_DB2,
            "enters": ["db2"],
            "flags": ["strengthened", "degraded"],
            "findings": [COULD_BE_IN],
            "acts": True,
        },
    ),
    Situation(
        "durability preferred lets it enter as well",
        healthy(db1=primary("db2", "db3")),
        {"set": ANY_DB2, "enters": ["db2"], "flags": ["strengthened", "degraded"], "findings": [COULD_BE_IN]},
        cluster(durability="preferred"),
    ),
    Situation(
        "a candidate catches up and waits",
        healthy(db1=primary("db3", slots={"db2": slot()}, replication={"db2": {"state": "catchup"}})),
        {
            "flags": ["degraded"],
            "findings": [DEGRADED_DB1],
            "advice": ["Acknowledged commits can be lost with db1 until one streams; site.yml restores the set then."],
        },
    ),
    Situation(
        "the primary says that a candidate streams, the candidate does not",
        healthy(db1=primary("db2", "db3"), db2=standby(receiver={"status": "starting", "timeline": 1})),
        {"flags": ["degraded"], "findings": [DEGRADED_DB1]},
    ),
    Situation(
        "a candidate streams another timeline",
        rejoined(
            db1=standby("10.0.0.2", lsn="0/4000000"),
        ),
        {
            "flags": ["degraded"],
            "findings": [
                MOVED_TO_DB2,
                "warning db2: db2 runs degraded: its synchronous set is empty, no candidate (db1) streams.",
            ],
        },
    ),
    Situation(
        "a candidate streams but is outside --limit",
        healthy(db1=primary("db2", "db3"), db2=None),
        {
            "flags": ["degraded"],
            "findings": [UNSEEN["db2"], DEGRADED_DB1],
            "left": ["db2: not observed", '"db2" in the synchronous set: db2 was not observed'],
        },
    ),
    Situation(
        "an asynchronous cluster leaves nobody at the door",
        healthy(db1=primary("db2", "db3"), db2=None),
        {"findings": [UNSEEN["db2"], NO_PROMISE], "left": ["db2: not observed"]},
        cluster(durability="asynchronous"),
    ),
    Situation(
        "the only candidate is down: it stays in, commits wait",
        healthy(db1=primary("db3", slots={"db2": slot()}, synchronous=ANY_DB2), db2=stopped_standby()),
        {
            "actions": {"db2": "start"},
            "flags": ["waits"],
            "findings": ["error db1: Commits wait on db1: too few of its synchronous set (db2) stream."],
            "advice": ["Bring one back; or run the playbook relax_synchronous, which states what can be lost."],
        },
    ),
    Situation(
        "one of two candidates is down: it stays in",
        healthy(
            db1=primary("db3", "db4", slots={"db2": slot()}, synchronous='ANY 1 ("db2", "db4")'),
            db2=None,
            db4=standby(),
        ),
        {"findings": [UNSEEN["db2"]], "left": ["db2: not observed"]},
        WITH_DB4,
    ),
    Situation(
        "a second candidate enters: the first alone is no proof any more",
        healthy(db1=primary("db2", "db3", "db4", synchronous=ANY_DB2), db4=standby()),
        {"set": 'ANY 1 ("db2", "db4")', "enters": ["db4"], "flags": ["weakened"], "candidates": ["db2", "db4"]},
        WITH_DB4,
    ),
    Situation(
        "after a failover the old set's names go once a candidate streams",
        rejoined(primary={"synchronous": 'ANY 1 ("db2")'}),
        {
            "set": 'ANY 1 ("db1")',
            "enters": ["db1"],
            "leaves": ["db2"],
            "flags": ["weakened", "strengthened"],
            "findings": [MOVED_TO_DB2],
            "candidates": ["db1"],
        },
    ),
    Situation(
        "a name without business there stays while no candidate streams",
        healthy(db1=primary("db3", slots={"db2": slot()}, synchronous='ANY 1 ("db3")'), db2=stopped_standby()),
        {
            "actions": {"db2": "start"},
            "flags": ["weakened"],
            "coming": ["db2"],
            "keep": [],
            "findings": [
                'warning db1: "db3" in the synchronous set of db1 is no standby in its region and another zone.',
            ],
            "advice": ["It leaves the set once a standby streams that is."],
        },
    ),
    Situation(
        "somebody's name leaves once a candidate streams",
        healthy(db1=primary("db2", "db3", synchronous="FIRST 1 (db2, receivewal)")),
        {"set": ANY_DB2, "leaves": ["receivewal"], "flags": ["strengthened"]},
    ),
    Situation(
        "everybody is replaced by the candidate",
        healthy(db1=primary("db2", "db3", synchronous="*")),
        {"set": ANY_DB2, "enters": ["db2"], "leaves": ["*"], "flags": ["strengthened"]},
    ),
    Situation(
        "candidates are coming: a clone, and one that only lacks its slot",
        healthy(
            db1=primary("db3", synchronous='ANY 1 ("db2", "db9")'), db2=standby(receiver=None), db3=None, db4=empty()
        ),
        {
            "actions": {"db4": "clone"},
            "create": ["db2", "db4"],
            "flags": ["weakened", "waits"],
            "coming": ["db4"],
            "keep": ["db2"],
            "findings": [
                UNSEEN["db3"],
                'warning db1: "db9" in the synchronous set of db1 is no standby in its region and another zone.',
                "error db1: Commits wait on db1: too few of its synchronous set (db2, db9) stream.",
            ],
            "left": ["db3: not observed"],
        },
        WITH_DB4,
    ),
    Situation(
        "after a promotion by hand the candidate only lacks its slot",
        rejoined(
            db2=primary("db3", timeline=2, history={1: "0/5000000"}),
            db1=standby("10.0.0.2", timeline=2, history={1: "0/5000000"}, receiver=None),
        ),
        {
            "create": ["db1"],
            "flags": ["degraded"],
            "coming": ["db1"],
            "keep": [],
            "findings": [
                MOVED_TO_DB2,
                "warning db2: db2 runs degraded: its synchronous set is empty, no candidate (db1) streams.",
            ],
        },
    ),
    Situation(
        "the set of a stopped primary is what its file says: who is in stays in, and is waited for",
        healthy(db1=stopped(data={"synchronous_set": ANY_DB2}), db2=stopped_standby()),
        {
            "actions": {"db1": "start", "db2": "start"},
            "create": ["db2", "db3"],
            "candidates": ["db2"],
            "coming": ["db2"],
            "keep": ["db2"],
        },
    ),
    Situation(
        "a stopped primary that gets a second candidate",
        healthy(db1=stopped(data={"synchronous_set": ANY_DB2}), db2=stopped_standby(), db4=empty()),
        {
            "actions": {"db1": "start", "db2": "start", "db4": "clone"},
            "create": ["db2", "db3", "db4"],
            "coming": ["db2", "db4"],
            "keep": ["db2"],
            "meanwhile": ["db2", "db4"],
            "flags": ["weakened"],
            "behind": [],
        },
        WITH_DB4,
    ),
    Situation(
        "nobody comes to a stopped primary where durability is asynchronous",
        healthy(db1=stopped(), db2=stopped_standby()),
        {
            "actions": {"db1": "start", "db2": "start"},
            "create": ["db2", "db3"],
            "candidates": ["db2"],
            "coming": [],
            "keep": [],
            "findings": ["info : Commits wait for no standby: postgresql_replication_durability is asynchronous."],
        },
        cluster(durability="asynchronous"),
    ),
    Situation(
        "a new cluster's candidates are coming",
        {name: empty() for name in ("db1", "db2", "db3", "db4")},
        {
            "actions": {"db1": "bootstrap", "db2": "clone", "db3": "clone", "db4": "clone"},
            "create": ["db2", "db3", "db4"],
            "coming": ["db2", "db4"],
            "keep": [],
        },
        WITH_DB4,
    ),
    Situation(
        "nobody comes where durability is asynchronous",
        {name: empty() for name in ("db1", "db2")},
        {
            "actions": {"db1": "bootstrap", "db2": "clone"},
            "create": ["db2"],
            "coming": [],
            "findings": [NO_PROMISE],
        },
        cluster(DB1, DB2, durability="asynchronous"),
    ),
    Situation(
        "the same rule in other words",
        healthy(db1=primary("db2", "db3", synchronous="DB2")),
        {},
    ),
    Situation(
        "an asynchronous cluster empties the set",
        healthy(db1=primary("db2", "db3", synchronous=ANY_DB2)),
        {"leaves": ["db2"], "flags": ["weakened"], "findings": [NO_PROMISE], "acts": True},
        cluster(durability="asynchronous"),
    ),
]


@pytest.mark.parametrize("row", SLOTS + SET, ids=lambda row: row.name)
def test_replication(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome
