# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What replication asks of a host in a run: candidates, the watch, the synchronous set, slots, the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import situations
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision
from situations import all_empty, empty, healthy, moved, primary, repository, standby, stopped, stopped_standby
from whole import decide, picked

SPARE = whole.member("db4", "eu-west", "eu-west-1c")
UNUSED = {"db2": situations.slot(active=False)}


@pytest.mark.parametrize(
    ("host", "candidates"), [("db1", ["db2", "db4"]), ("db2", ["db1", "db4"]), ("db3", []), ("ops1", [])]
)
def test_candidates_beside(host: str, candidates: list[str]) -> None:
    members = [whole.DB1, SPARE, whole.DB2, whole.DB3, whole.OPS1]
    hosts = healthy(db4=standby())
    assert decide(host, hosts, cluster=whole.cluster(*members))["self"]["candidates"] == candidates


@pytest.mark.parametrize(
    ("durability", "active", "wanted", "running"),
    [
        ("required", "inactive", False, False),
        ("required", "active", False, True),
        ("preferred", "inactive", True, False),
        ("preferred", "active", True, True),
    ],
)
def test_watch(durability: str, active: str, wanted: bool, running: bool) -> None:
    given = whole.given("db2", cluster=whole.cluster(durability=durability))
    whole.seen(given, "db2")["unit"]["watch"] = {"active": active}
    own = _decision.decide(given)["self"]
    assert (own["watch_wanted"], own["watch_running"]) == (wanted, running)


def test_a_host_without_systemd_runs_no_watch() -> None:
    given = whole.given("db2")
    del whole.seen(given, "db2")["unit"]["watch"]
    assert _decision.decide(given)["self"]["watch_running"] is False


# act, keep, enter, weakened, who is recorded before and who is in force now.
WITH_SET = stopped(data={"synchronous_set": 'ANY 1 ("db2")'})
SYNCHRONOUS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]] = {
    "at rest": (healthy(), {}, (False, ["db2"], [], False, ["db2"], ["db2"])),
    "fresh: db2 enters once it streams": (all_empty(), {}, (True, [], ["db2"], False, [], [])),
    "relaxed, and the standby streams again": (
        healthy(db1=primary("db2", "db3")),
        {},
        (True, [], ["db2"], False, [], []),
    ),
    "relaxed, and the standby is to be started": (
        healthy(db1=primary("db3", slots=UNUSED), db2=stopped_standby()),
        {},
        (True, [], ["db2"], False, [], []),
    ),
    "relaxed, and the standby is away": (
        healthy(db1=primary("db3", slots=UNUSED), db2=None),
        {},
        (False, [], [], False, [], []),
    ),
    "the synchronous standby is away": (
        healthy(db1=primary("db3", slots=UNUSED, synchronous='ANY 1 ("db2")'), db2=None),
        {},
        (False, ["db2"], [], False, ["db2"], ["db2"]),
    ),
    "moved by hand, slots missing": (
        moved(
            db1=standby("10.0.0.2", timeline=2, history={1: "0/5000000"}),
            db2=primary(
                timeline=2,
                history={1: "0/5000000"},
                replication={"db1": {"state": "streaming"}, "db3": {"state": "streaming"}},
            ),
        ),
        {},
        (True, [], ["db1"], False, [], []),
    ),
    "durability is asynchronous now": (
        healthy(),
        {"durability": "asynchronous"},
        (True, [], [], True, [], ["db2"]),
    ),
    "a second candidate joins": (
        healthy(db4=empty()),
        {"members": [whole.DB1, whole.DB2, whole.DB3, SPARE, whole.OPS1]},
        (True, ["db2"], ["db4"], True, ["db2", "db4"], ["db2"]),
    ),
    "a stranger leaves for the one that comes": (
        healthy(
            db1=primary("db3", synchronous='ANY 1 ("db3")', slots=UNUSED),
            db2=stopped_standby(),
        ),
        {},
        (True, [], ["db2"], True, ["db2", "db3"], ["db3"]),
    ),
    "all stopped, and no set was ever written": (
        healthy(db1=stopped(), db2=stopped_standby(), db3=stopped_standby()),
        {},
        (True, [], ["db2"], False, [], []),
    ),
    "all stopped: the set is what the file says": (
        healthy(db1=WITH_SET, db2=stopped_standby(), db3=stopped_standby()),
        {},
        (True, ["db2"], ["db2"], False, ["db2"], ["db2"]),
    ),
    "all stopped, with a second candidate": (
        healthy(db1=WITH_SET, db2=stopped_standby(), db3=stopped_standby(), db4=empty()),
        {"members": [whole.DB1, whole.DB2, whole.DB3, SPARE, whole.OPS1]},
        (True, ["db2"], ["db2", "db4"], True, ["db2", "db4"], ["db2"]),
    ),
    "all stopped, and durability is asynchronous now": (
        healthy(db1=WITH_SET, db2=stopped_standby(), db3=stopped_standby()),
        {"durability": "asynchronous"},
        (True, [], [], True, [], ["db2"]),
    ),
    "durability is preferred now": (
        healthy(),
        {"durability": "preferred"},
        (False, ["db2"], [], True, ["db2"], ["db2"]),
    ),
    "no primary": (
        {"db1": None, "db2": standby(), "db3": standby(), "ops1": repository()},
        {},
        (False, [], [], False, [], []),
    ),
}


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_synchronous_set(name: str) -> None:
    hosts, facts, (act, keep, enter, weakened, meanwhile, live) = SYNCHRONOUS[name]
    plan = decide("db1", hosts, cluster=whole.cluster(**facts))["synchronous"]
    assert picked(plan, {"act": 0, "weakened": 0}) == {"act": act, "weakened": weakened}
    assert picked(plan, {"keep": 0, "enter": 0}) == {"keep": keep, "enter": enter}
    assert plan["entry"]["to"] == live
    if weakened:
        assert plan["meanwhile"] == meanwhile


def test_the_primary_that_was_moved_gets_its_slots() -> None:
    hosts = SYNCHRONOUS["moved by hand, slots missing"][0]
    decision = decide("db2", hosts)
    assert decision["primary"] == "db2"
    assert decision["self"]["create_slots"] == ["db1", "db3"]
    assert {name: host["action"] for name, host in decision["hosts"].items()} == dict.fromkeys(
        ["db1", "db2", "db3"], "none"
    )
    assert decide("db1", hosts)["self"]["create_slots"] == []


def test_slots_to_drop_are_the_hosts_own() -> None:
    hosts = healthy(db2=standby(slots={"db1": situations.slot(active=False)}))
    assert decide("db2", hosts)["self"]["drop_slots"] == ["db1"]
    assert decide("db1", hosts)["self"]["drop_slots"] == []


def test_lines_of_the_journal() -> None:
    first = primary("db2", "db3", synchronous='ANY 1 ("db2")', clock=situations.clock(0), timeline=3)
    entry = {
        "event": "synchronous set",
        "operation": "site",
        "primary": "db1",
        "durability": "required",
        "to": ["db2"],
        "time": "1970-01-01T00:16:40.200000+00:00",
        "timeline": 3,
        "lsn": "0/5000000",
    }
    hosts = healthy(db1=first, db2=standby(timeline=3), db3=standby(timeline=3))
    assert decide("db1", hosts)["synchronous"]["entry"] == entry


@pytest.mark.parametrize(("host", "keeps"), [("db1", True), ("ops1", True), ("pool1", False)])
def test_who_keeps_a_journal(host: str, keeps: bool) -> None:
    pooler = whole.member("pool1", duties=["pooler"])
    given = whole.given(host, cluster=whole.cluster(whole.DB1, whole.DB2, whole.DB3, whole.OPS1, pooler))
    ops = whole.seen(given, "ops1")
    given = replace(given, observed={**given.observed, "pool1": ops | {"host": ops["host"] | {"ipv4": "10.0.0.8"}}})
    decision = _decision.decide(given)
    assert decision["self"]["is_recorder"] is keeps
    assert decision["recorders"] == ["db1", "db2", "db3", "ops1"]
