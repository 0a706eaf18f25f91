# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with the hosts beside a primary: cloned, started, re-pointed, or left alone with a finding."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    DB1,
    DB2,
    DIRECTORY,
    ID,
    NO_PROMISE,
    UNSEEN,
    Situation,
    cluster,
    empty,
    healthy,
    moved,
    outcome,
    primary,
    standby,
    stopped,
    stopped_standby,
)

DEGRADED_DB1 = "warning db1: db1 runs degraded: its synchronous set is empty, no candidate (db2) streams."
MOVED_TO_DB2 = "info db2: db2 is the primary, not the initial primary db1."
DEGRADED_DB2 = "warning db2: db2 runs degraded: its synchronous set is empty, no candidate (db1) streams."

STANDBYS = [
    Situation(
        "standbys are to be cloned",
        healthy(db1=primary(), db2=empty(), db3=empty(data={"state": "empty"})),
        {
            "actions": {"db2": "clone", "db3": "clone"},
            "create": ["db2", "db3"],
            "reasons": {"db1": "db1 runs as the primary", "db2": "holds no cluster", "db3": "holds no cluster"},
            "flags": ["degraded"],
            "findings": [DEGRADED_DB1],
        },
    ),
    Situation(
        "a clone runs, another was interrupted",
        healthy(
            db2=empty(data={"incomplete": True}, unit={"clone": {"active": "activating"}}),
            db3=empty(data={"incomplete": True}, marker={"system_identifier": ID}),
        ),
        {
            "actions": {"db2": "clone", "db3": "clone"},
            "reasons": {
                "db1": "db1 runs as the primary",
                "db2": "is being cloned already",
                "db3": "holds a clone that was interrupted",
            },
        },
    ),
    Situation(
        "a standby's data is gone",
        healthy(db3=empty(data={"state": "empty"}, marker={"system_identifier": ID})),
        {
            "actions": {"db3": "clone"},
            "findings": [
                f"warning db3: db3 held the cluster {ID}, but {DIRECTORY} is empty: it is cloned again.",
            ],
            "advice": ["If a file system should be mounted there, stop the run and mount it first."],
        },
    ),
    Situation(
        "a standby is stopped",
        healthy(db2=stopped_standby()),
        {
            "actions": {"db2": "start"},
            "hosts": {"db1": "primary none None", "db2": "synchronous start db1", "db3": "asynchronous none db1"},
            "reasons": {"db1": "db1 runs as the primary", "db2": "is a stopped standby", "db3": "follows db1"},
        },
    ),
    Situation(
        "a clone was never started: standby.signal makes it a standby",
        healthy(db3=stopped_standby(state="in production")),
        {"actions": {"db3": "start"}},
    ),
    Situation(
        "a standby is starting",
        healthy(db3=stopped_standby(unit={"active": "activating"})),
        {
            "actions": {"db3": "start"},
            "findings": ["warning db3: db3 does not answer yet: its service is activating."],
        },
    ),
    Situation(
        "a standby follows the primary by its name",
        healthy(db2=standby("db1", conninfo="host=db1 hostaddr=10.0.0.1 port=5432")),
        {},
    ),
    Situation(
        "a standby's connection is not told, but its receiver's",
        healthy(db2=standby("10.0.0.1", conninfo="")),
        {},
    ),
    Situation(
        "a standby is told to follow the primary and does not reach it",
        healthy(db3=standby("10.0.0.1", receiver=None)),
        {},
    ),
    Situation(
        "a standby follows nobody",
        healthy(db3=standby(conninfo="", receiver=None)),
        {
            "actions": {"db3": "repoint"},
            "reasons": {
                "db1": "db1 runs as the primary",
                "db2": "follows db1",
                "db3": "follows nobody instead of db1",
            },
        },
    ),
    Situation(
        "the addresses are those that were observed",
        {"db1": primary("db2", host={"ipv4": "10.0.0.7", "ipv6": "fd00::7"}), "db2": standby("fd00::7")},
        {"findings": [NO_PROMISE]},
        cluster(
            *(member.__class__(member.name, member.duties, member.region, member.zone) for member in (DB1, DB2)),
            durability="asynchronous",
        ),
    ),
    Situation(
        "standbys follow the old primary up to the fork",
        moved(
            db1=standby("10.0.0.2", timeline=2, history={1: "0/5000000"}),
            db2=primary("db1", timeline=2, history={1: "0/5000000"}, synchronous='ANY 1 ("db1")'),
            db3=standby("10.0.0.1", lsn="0/5000000"),
        ),
        {
            "actions": {"db3": "repoint"},
            "create": ["db3"],
            "hosts": {"db1": "synchronous none db2", "db2": "primary none None", "db3": "asynchronous repoint db2"},
            "reasons": {
                "db1": "follows db2",
                "db2": "db2 runs as the primary",
                "db3": "follows 10.0.0.1 instead of db2",
            },
            "findings": [MOVED_TO_DB2],
        },
    ),
    Situation(
        "a standby of an earlier timeline waits until the primary can say where it left it",
        healthy(db1=stopped(timeline=2), db3=standby("10.0.0.2")),
        {
            "actions": {"db1": "start"},
            "create": ["db2", "db3"],
            "left": ["db3: is re-pointed once db1 runs"],
            "hosts": {"db1": "primary start None", "db2": "synchronous none db1", "db3": "asynchronous none None"},
        },
    ),
    Situation(
        "a standby on the stopped primary's timeline is re-pointed at once",
        healthy(db1=stopped(), db3=standby("10.0.0.2")),
        {"actions": {"db1": "start", "db3": "repoint"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "a region without a zone has no candidates",
        {"db1": primary("db2"), "db2": standby()},
        {
            "hosts": {"db1": "primary none None", "db2": "asynchronous none db1"},
            "flags": ["degraded"],
            "findings": [
                "warning db1: db1 runs degraded: no other database host is in its region and in another zone."
            ],
            "advice": ["Acknowledged commits can be lost with db1. Add such a standby."],
        },
        cluster(DB1, DB2.__class__("db2", DB2.duties, DB2.region, "", DB2.address)),
    ),
    Situation(
        "an asynchronous cluster has no synchronous standby",
        healthy(db1=primary("db2", "db3")),
        {
            "hosts": {"db1": "primary none None", "db2": "asynchronous none db1", "db3": "asynchronous none db1"},
            "findings": [NO_PROMISE],
        },
        cluster(durability="asynchronous"),
    ),
]

LEFT_ALONE = [
    Situation(
        "a standby is unknown",
        healthy(db3=None),
        {
            "findings": [UNSEEN["db3"]],
            "advice": ["Nothing that depends on it was changed. Run site.yml again once it answers."],
            "left": ["db3: not observed"],
            "hosts": {"db1": "primary none None", "db2": "synchronous none db1", "db3": "unknown none None"},
        },
    ),
    Situation(
        "the old primary is dead",
        moved(db1=None),
        {
            "flags": ["degraded"],
            "findings": [UNSEEN["db1"], MOVED_TO_DB2, DEGRADED_DB2],
            "left": ["db1: not observed", 'slot "db1" on db2: db1 was not observed'],
        },
    ),
    Situation(
        "a standby's directory holds other files",
        healthy(db3=empty(data={"state": "foreign"})),
        {
            "findings": [f"error db3: db3: {DIRECTORY} holds files that are no cluster; nothing is put there."],
            "advice": ["Move them away by hand, or name another directory in postgresql_server_data_directory."],
            "hosts": {"db1": "primary none None", "db2": "synchronous none db1", "db3": "unknown none None"},
        },
    ),
    Situation(
        "a standby is fenced",
        healthy(db2=stopped_standby(unit={"masked": True})),
        {
            "findings": ["error db2: db2 is fenced: its service is masked, so it is not started."],
            "advice": ["When it may return, run systemctl unmask postgresql@16-main there, then site.yml."],
            "reasons": {
                "db1": "db1 runs as the primary",
                "db2": "db2 is fenced: its service is masked, so it is not started.",
                "db3": "follows db1",
            },
        },
    ),
    Situation(
        "an empty host is fenced",
        healthy(db3=empty(unit={"masked": True}, marker={"system_identifier": ID})),
        {"findings": ["error db3: db3 is fenced: its service is masked, so it is not started."]},
    ),
    Situation(
        "a standby that runs is masked",
        healthy(db2=standby(unit={"masked": True})),
        {},
    ),
    Situation(
        "a standby's control data cannot be read",
        healthy(db3=stopped(control=None, marker={"system_identifier": ID})),
        {
            "findings": [f"error db3: db3: the control data in {DIRECTORY} cannot be read; it is not started."],
            "advice": ["Install the package postgresql-16 there, or clone it again (docs/runbooks/clone_again.md)."],
        },
    ),
    Situation(
        "a standby's signal file is gone",
        healthy(db3=stopped("shut down in recovery")),
        {
            "findings": [
                'error db3: db3 stopped in the state "shut down in recovery" and has no standby.signal: it would '
                "start as "
                "a primary."
            ],
            "advice": [
                f"Make the empty file {DIRECTORY}/standby.signal (owner postgres), or clone it again "
                "(docs/runbooks/clone_again.md)."
            ],
        },
    ),
    Situation(
        "an old primary without a marker is not adopted",
        moved(db1=stopped(marker=None)),
        {
            "flags": ["degraded"],
            "findings": [
                MOVED_TO_DB2,
                "error db1: db1 was a primary (timeline 1, LSN 0/5000028) and is stopped; beside db2 it is not "
                "started.",
                DEGRADED_DB2,
            ],
        },
    ),
    Situation(
        "all but the primary are in trouble",
        {
            "db1": empty(data={"state": "foreign"}),
            "db2": primary("db3", timeline=2, history={1: "0/5000000"}, synchronous='ANY 1 ("db1")'),
            "db3": stopped(unit={"masked": True}),
        },
        {
            "flags": ["waits"],
            "findings": [
                UNSEEN["ops1"],
                MOVED_TO_DB2,
                f"error db1: db1: {DIRECTORY} holds files that are no cluster; nothing is put there.",
                "error db3: db3 is fenced: its service is masked, so it is not started.",
                "error db2: Commits wait on db2: too few of its synchronous set (db1) stream.",
            ],
            "left": ["ops1: not observed"],
        },
    ),
]


@pytest.mark.parametrize("row", STANDBYS + LEFT_ALONE, ids=lambda row: row.name)
def test_hosts(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome
