# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does in a run, as its roles read it: from a fresh cluster to one whose primary moved."""

from __future__ import annotations

from typing import Any

import pytest
import situations
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision
from situations import all_empty, empty, healthy, moved, primary, repository, standby, stopped, stopped_standby

CLONE_CONNINFO = (
    "host=db1 hostaddr=10.0.0.1 port=5432 user=replicator application_name={name} sslmode=verify-full "
    "sslrootcert=/etc/ssl/postgresql/main/ca.crt sslcert=/etc/ssl/postgresql/main/server.crt "
    "sslkey=/etc/ssl/postgresql/main/server.key ssl_min_protocol_version=TLSv1.2 connect_timeout=5 "
    "keepalives_idle=5 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=6000 "
    "options=-cwal_sender_timeout={timeout}"
)
SPARE = whole.member("db4", "eu-west", "eu-west-1c")
UNUSED = {"db2": situations.slot(active=False)}
ONE = whole.cluster(whole.DB1, durability="asynchronous")


def decide(host: str = "db1", hosts: Any = None, **changes: Any) -> dict[str, Any]:
    return _decision.decide(whole.given(host, hosts, **changes))


def picked(decision: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    return {name: decision[name] for name in expected}


FRESH = {
    "db1": {
        "role": "primary",
        "action": "bootstrap",
        "reason": "no database host holds a cluster, and db1 is the initial primary",
        "upstream": None,
        "conninfo": "",
        "receiver_timeout": "",
        "service_needed": True,
        "accounts_needed": True,
        "create_slots": ["db2", "db3"],
        "candidates": ["db2"],
    },
    "db2": {
        "role": "synchronous",
        "action": "clone",
        "reason": "holds no cluster",
        "upstream": "db1",
        "conninfo": CLONE_CONNINFO.format(name="db2", timeout="6s"),
        "receiver_timeout": "6s",
        "service_needed": False,
        "accounts_needed": False,
        "create_slots": [],
        "candidates": ["db1"],
    },
    "db3": {
        "role": "asynchronous",
        "action": "clone",
        "upstream": "db1",
        "conninfo": CLONE_CONNINFO.format(name="db3", timeout="30s"),
        "receiver_timeout": "30s",
        "candidates": [],
    },
    "ops1": {
        "role": "none",
        "action": "none",
        "reason": "is no database host",
        "duties": ["repository", "migrations", "drill"],
        "upstream": None,
        "missing_packages": [],
        "service_needed": False,
        "accounts_needed": False,
        "create_slots": [],
        "candidates": [],
    },
}


@pytest.mark.parametrize("host", FRESH)
def test_fresh(host):
    own = decide(host, all_empty())["self"]
    quiet = {"running": False, "stale": [], "unit_stale": False, "pending": {}, "minima": {}, "drop_slots": []}
    expected = {"name": host, "member_name": host, "address": situations.ADDRESSES[host], **quiet, **FRESH[host]}
    assert picked(own, expected) == expected


@pytest.mark.parametrize("host", ["db1", "db2", "db3", "ops1"])
def test_every_host_decides_the_same(host):
    own = {"self", "instance", "settings", "platform"}
    shared = [{key: value for key, value in decide(name).items() if key not in own} for name in ("db1", host)]
    assert shared[0] == shared[1]


AT_REST = {
    "action": "none",
    "running": True,
    "service_needed": False,
    "accounts_needed": False,
    "missing_packages": [],
    "stale": [],
    "pending": {},
    "files_in_force": True,
    "create_slots": [],
    "drop_slots": [],
    "watch_wanted": False,
    "watch_running": False,
    "minima": {name: int(value) for name, value in whole.MINIMA.items()},
}


@pytest.mark.parametrize("host", ["db1", "db2", "db3"])
def test_at_rest(host):
    decision = decide(host)
    assert picked(decision["self"], AT_REST) == AT_REST
    expected = {
        "refusals": [],
        "cluster": "main",
        "durability": "required",
        "replicated": True,
        "primary": "db1",
        "addresses": {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": "10.0.0.3"},
        "targets": [{"name": f"db{n}", "address": f"10.0.0.{n}", "port": 5432} for n in (1, 2, 3)],
        "recorders": ["db1", "db2", "db3", "ops1"],
        "left": [],
        "database_bytes": 30_000_000,
        "platform": whole.DEBIAN_13,
        "instance": {
            "version": "16",
            "cluster": "main",
            "port": 5432,
            "data_directory": "/var/lib/postgresql/16/main",
        },
    }
    assert picked(decision, expected) == expected


@pytest.mark.parametrize(
    ("place", "address", "start"),
    [
        pytest.param("db1", "10.0.0.1", "host=db1 hostaddr=10.0.0.1 port=5432 ", id="IPv4"),
        pytest.param("db1", "fd00::1", "host=db1 hostaddr=fd00::1 port=5432 ", id="IPv6"),
        pytest.param("db1", "db1.example.com", "host=db1.example.com port=5432 ", id="name"),
    ],
)
def test_conninfo_names_the_certificate(place, address, start):
    members = [whole.DB1 | {"address": address}, whole.DB2]
    assert _decision.conninfo(whole.given("db2", cluster=whole.cluster(*members)), place).startswith(start)


def test_conninfo_of_a_name_that_postgresql_does_not_take():
    members = [whole.DB1, whole.member("db2", "eu-west", "eu-west-1b", member_name="db_2_example_com")]
    text = _decision.conninfo(whole.given("db2", cluster=whole.cluster(*members, port=5433)), "db1")
    assert "port=5433 user=replicator application_name=db_2_example_com " in text


def test_a_receiver_timeout_of_the_user_stands_elsewhere():
    given = {"postgresql_server_parameters": {"wal_receiver_timeout": "1min"}}
    decision = decide("db2", own=given)
    assert decision["self"]["receiver_timeout"] == ""
    assert decision["settings"]["wal_receiver_timeout"]["value"] == "1min"


def test_the_receiver_timeout_stands_in_one_file():
    assert "wal_receiver_timeout" not in decide("db2")["settings"]


UNKNOWN = healthy(db3=None)


@pytest.mark.parametrize("host", ["db1", "db2", "ops1"])
def test_an_unknown_member(host):
    decision = decide(host, UNKNOWN)
    expected = {
        "refusals": [],
        "addresses": {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": ""},
        "targets": [{"name": f"db{n}", "address": f"10.0.0.{n}", "port": 5432} for n in (1, 2)],
        "left": [
            "db3: not observed",
            "pg_hba.conf: has no rule for the replication of db3, whose address is not known; run site.yml once it "
            "answers, or write postgresql_address for db3",
        ],
    }
    assert picked(decision, expected) == expected


def test_a_member_with_a_given_address_is_known_unseen():
    members = [whole.DB1, whole.DB2, whole.DB3 | {"address": "192.0.2.3"}, whole.OPS1]
    decision = decide("db1", UNKNOWN, cluster=whole.cluster(*members))
    assert decision["addresses"] == {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": "192.0.2.3"}
    assert decision["left"] == ["db3: not observed"]


def test_an_unknown_member_keeps_the_address_that_the_others_wrote_down():
    given = whole.given("db2", healthy(db3=None))
    given.observed["db1"]["replicas"] = {"db1": "10.0.0.1", "db3": "192.0.2.3"}
    decision = _decision.decide(given)
    assert decision["addresses"]["db3"] == "192.0.2.3"
    assert decision["left"] == ["db3: not observed"]
    assert [target["name"] for target in decision["targets"]] == ["db1", "db2"]


def test_an_upstream_without_address_is_none():
    hosts = healthy()
    given = whole.given("db2", hosts)
    given.observed["db1"]["host"]["ipv4"] = None
    decision = _decision.decide(given)
    assert picked(decision["self"], {"upstream": 0, "conninfo": 0, "receiver_timeout": 0}) == {
        "upstream": None,
        "conninfo": "",
        "receiver_timeout": "",
    }


def test_an_address_is_ipv6_where_there_is_no_other():
    given = whole.given("db1")
    given.observed["db1"]["host"] |= {"ipv4": None, "ipv6": "fd00::1"}
    assert _decision.decide(given)["addresses"]["db1"] == "fd00::1"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [([], "'localhost, 10.0.0.2'"), (["10.0.0.2", "192.0.2.7"], "'10.0.0.2, 192.0.2.7'"), (["*"], "'*'")],
)
def test_listen_addresses(listen, expected):
    settings = decide("db2", own={"postgresql_server_listen_addresses": listen})["settings"]
    assert settings["listen_addresses"] == {"value": expected, "reason": ""}


def test_a_host_without_an_instance_has_no_settings():
    assert decide("ops1")["settings"] == {}


def test_a_host_that_was_not_observed_has_no_settings():
    decision = decide("db3", UNKNOWN)
    assert (decision["settings"], decision["platform"], decision["self"]["missing_packages"]) == (
        {},
        {"packages": []},
        [],
    )


def test_wal_directory():
    decision = decide(own={"postgresql_server_wal_directory": "/wal/main"})
    assert decision["instance"]["wal_directory"] == "/wal/main"


@pytest.mark.parametrize(
    ("packages", "missing"),
    [
        ({}, ["postgresql-16", "postgresql-client-16"]),
        ({"postgresql-16": "16.14-1", "postgresql-17": "17.6-1"}, ["postgresql-client-16"]),
        ({"postgresql-16": "16.14-1", "postgresql-client-16": "16.14-1"}, []),
    ],
)
def test_missing_packages(packages, missing):
    given = whole.given("db1", all_empty())
    given.observed["db1"]["packages"] = packages
    assert _decision.decide(given)["self"]["missing_packages"] == missing


@pytest.mark.parametrize(
    ("members", "recorders"),
    [
        pytest.param((whole.DB1, whole.DB2, whole.OPS1), ["db1", "db2", "ops1"], id="repository"),
        pytest.param((whole.DB1, whole.member("pool1", duties=["pooler"])), ["db1"], id="no pooler"),
    ],
)
def test_recorders(members, recorders):
    assert decide(cluster=whole.cluster(*members))["recorders"] == recorders


@pytest.mark.parametrize(
    ("host", "candidates"), [("db1", ["db2", "db4"]), ("db2", ["db1", "db4"]), ("db3", []), ("ops1", [])]
)
def test_candidates_beside(host, candidates):
    members = [whole.DB1, SPARE, whole.DB2, whole.DB3, whole.OPS1]
    hosts = healthy(db4=standby())
    assert decide(host, hosts, cluster=whole.cluster(*members))["self"]["candidates"] == candidates


STALE = ["/etc/postgresql/16/main/pg_hba.conf"]
PENDING = {"shared_buffers": {"running": "128MB", "configured": "2GB"}}


@pytest.mark.parametrize(
    ("part", "value", "key", "seen"),
    [
        pytest.param("stale", STALE, "stale", STALE, id="file newer than its load"),
        pytest.param("server", {"pending": PENDING}, "pending", PENDING, id="setting waits"),
        pytest.param("unit", {"needs_daemon_reload": True}, "unit_stale", True, id="unit changed"),
        pytest.param("unit", {"enabled": False}, "to_enable", True, id="unit not enabled"),
    ],
)
def test_the_service_is_needed(part, value, key, seen):
    given = whole.given("db1")
    before = given.observed["db1"][part]
    given.observed["db1"][part] = value if part == "stale" else before | value
    own = _decision.decide(given)["self"]
    assert (own["service_needed"], own[key]) == (True, seen)


def test_a_fenced_unit_is_not_enabled():
    given = whole.given("db1")
    given.observed["db1"]["unit"] |= {"enabled": False, "masked": True}
    own = _decision.decide(given)["self"]
    assert (own["service_needed"], own["to_enable"]) == (False, False)


@pytest.mark.parametrize(
    ("hosts", "changes", "needed"),
    [
        pytest.param(healthy(), {}, False, id="at rest"),
        pytest.param(all_empty(), {}, True, id="bootstrap"),
        pytest.param(healthy(db1=primary("db2", "db3", server={"roles": {}})), {}, True, id="no replicator"),
        pytest.param({"db1": primary(server={"roles": {}})}, {"cluster": ONE}, False, id="one host needs none"),
        # A run that was killed between the bootstrap and the accounts is repaired by the next.
        pytest.param(all_empty(db1=stopped()), {}, True, id="start"),
        pytest.param(
            {"db1": primary(marker=None)},
            {"cluster": ONE | {"adopt": situations.ID}},
            True,
            id="adopt",
        ),
    ],
)
def test_accounts_are_needed(hosts, changes, needed):
    assert decide("db1", hosts, **changes)["self"]["accounts_needed"] is needed


@pytest.mark.parametrize(
    ("durability", "active", "wanted", "running"),
    [
        ("required", "inactive", False, False),
        ("required", "active", False, True),
        ("preferred", "inactive", True, False),
        ("preferred", "active", True, True),
    ],
)
def test_watch(durability, active, wanted, running):
    given = whole.given("db2", cluster=whole.cluster(durability=durability))
    given.observed["db2"]["unit"]["watch"] = {"active": active}
    own = _decision.decide(given)["self"]
    assert (own["watch_wanted"], own["watch_running"]) == (wanted, running)


def test_a_host_without_systemd_runs_no_watch():
    given = whole.given("db2")
    del given.observed["db2"]["unit"]["watch"]
    assert _decision.decide(given)["self"]["watch_running"] is False


# act, keep, enter, weakened, who is recorded before and who is in force now.
WITH_SET = stopped(data={"synchronous_set": 'ANY 1 ("db2")'})
SYNCHRONOUS = {
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
def test_synchronous_set(name):
    hosts, facts, (act, keep, enter, weakened, meanwhile, live) = SYNCHRONOUS[name]
    plan = decide("db1", hosts, cluster=whole.cluster(**facts))["synchronous"]
    assert picked(plan, {"act": 0, "weakened": 0}) == {"act": act, "weakened": weakened}
    assert picked(plan, {"keep": 0, "enter": 0}) == {"keep": keep, "enter": enter}
    assert plan["entry"]["to"] == live
    if weakened:
        assert plan["meanwhile"] == meanwhile


def test_the_primary_that_was_moved_gets_its_slots():
    hosts = SYNCHRONOUS["moved by hand, slots missing"][0]
    decision = decide("db2", hosts)
    assert decision["primary"] == "db2"
    assert decision["self"]["create_slots"] == ["db1", "db3"]
    assert {name: host["action"] for name, host in decision["hosts"].items()} == dict.fromkeys(
        ["db1", "db2", "db3"], "none"
    )
    assert decide("db1", hosts)["self"]["create_slots"] == []


def test_slots_to_drop_are_the_hosts_own():
    hosts = healthy(db2=standby(slots={"db1": situations.slot(active=False)}))
    assert decide("db2", hosts)["self"]["drop_slots"] == ["db1"]
    assert decide("db1", hosts)["self"]["drop_slots"] == []


def test_lines_of_the_journal():
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
def test_who_keeps_a_journal(host, keeps):
    pooler = whole.member("pool1", duties=["pooler"])
    given = whole.given(host, cluster=whole.cluster(whole.DB1, whole.DB2, whole.DB3, whole.OPS1, pooler))
    given.observed["pool1"] = given.observed["ops1"] | {"host": given.observed["ops1"]["host"] | {"ipv4": "10.0.0.8"}}
    decision = _decision.decide(given)
    assert decision["self"]["is_recorder"] is keeps
    assert decision["recorders"] == ["db1", "db2", "db3", "ops1"]


def test_members_of_one_address_are_refused():
    hosts = healthy()
    given = whole.given("db1", hosts)
    given.observed["db3"]["host"]["ipv4"] = "10.0.0.2"
    given.observed["ops1"]["host"]["ipv4"] = None
    assert _decision.decide(given)["refusals"] == [
        "db2 and db3: both have the address 10.0.0.2; write postgresql_address for each of them"
    ]


def test_refusals_stand_in_one_list():
    given = whole.given("db1", healthy(db2=primary()))
    given.observed["db3"]["host"] |= {"distribution_version": "12", "ipv4": "10.0.0.1"}
    refusals = _decision.decide(given)["refusals"]
    assert [text.split(":")[0] for text in refusals] == ["db3", "db1 and db3", "2 hosts run as primary"]


@pytest.mark.parametrize(
    ("hosts", "stale"),
    [
        pytest.param(healthy(), False, id="a standby with an empty set"),
        pytest.param(healthy(db2=standby(settings={"synchronous_standby_names": 'ANY 1 ("db1")'})), True, id="former"),
        pytest.param(healthy(db2=stopped_standby()), False, id="a stopped one without"),
        pytest.param(healthy(db2=stopped_standby(data={"synchronous_set": "x"})), True, id="stopped"),
        pytest.param(
            healthy(db2=stopped_standby(data={"synchronous_set": "x"}, marker=None)), True, id="to be adopted"
        ),
        pytest.param(healthy(db2=empty(data={"synchronous_set": "x"})), True, id="to be cloned again"),
        pytest.param(healthy(db2=stopped(data={"synchronous_set": "x"})), False, id="an old primary is left alone"),
        pytest.param(
            {
                "db1": None,
                "db2": stopped_standby(data={"synchronous_set": "x"}),
                "db3": standby(),
                "ops1": repository(),
            },
            True,
            id="beside an unknown primary",
        ),
    ],
)
def test_the_set_of_a_former_primary_is_stale(hosts, stale):
    assert decide("db2", hosts)["self"]["set_is_stale"] is stale
    assert decide("db1", hosts)["self"]["set_is_stale"] is False


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        pytest.param(None, {"stale": ["/etc/postgresql/16/main/pg_hba.conf"]}, id="not loaded"),
        pytest.param("server", {"pending": {"port": {"running": "1", "configured": "2"}}}, id="waits for a restart"),
        pytest.param(None, {"server": None}, id="does not run"),
    ],
)
def test_files_that_are_not_in_force(part, seen):
    given = whole.given("db2")
    observed = given.observed["db2"]
    (observed[part] if part else observed).update(seen)
    assert _decision.decide(given)["self"]["files_in_force"] is False


def test_what_will_wait_for_a_restart():
    expected = {"running": "200", "configured": "250"}
    more = decide("db2", own={"postgresql_server_parameters": {"max_connections": 250}})["self"]
    assert more["pending_after_reload"]["max_connections"] == expected
    assert more["pending"] == {}
    assert "max_connections" not in decide("db2")["self"]["pending_after_reload"]
    assert decide("db2", all_empty())["self"]["pending_after_reload"] == {}
