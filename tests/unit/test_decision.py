# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does in a run, as its roles read it: from a fresh cluster to one whose primary moved."""

from __future__ import annotations

from typing import Any

import pytest
import service_role
import situations
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision
from situations import all_empty, empty, healthy, primary, repository, standby, stopped, stopped_standby
from whole import decide, picked

CLONE_CONNINFO = (
    "host=db1 hostaddr=10.0.0.1 port=5432 user=replicator application_name={name} sslmode=verify-full "
    "sslrootcert=/etc/ssl/postgresql/main/ca.crt sslcert=/etc/ssl/postgresql/main/server.crt "
    "sslkey=/etc/ssl/postgresql/main/server.key ssl_min_protocol_version=TLSv1.2 connect_timeout=5 "
    "keepalives_idle=5 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=6000 "
    "options=-cwal_sender_timeout={timeout}"
)
ONE = whole.cluster(whole.DB1, durability="asynchronous")


FRESH: dict[str, dict[str, Any]] = {
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
def test_fresh(host: str) -> None:
    own = decide(host, all_empty())["self"]
    quiet = {"running": False, "stale": [], "unit_stale": False, "pending": {}, "minima": {}, "drop_slots": []}
    expected = {"name": host, "member_name": host, "address": situations.ADDRESSES[host], **quiet, **FRESH[host]}
    assert picked(own, expected) == expected


@pytest.mark.parametrize("host", ["db1", "db2", "db3", "ops1"])
def test_every_host_decides_the_same(host: str) -> None:
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
def test_at_rest(host: str) -> None:
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
def test_conninfo_names_the_certificate(place: str, address: str, start: str) -> None:
    members = [whole.DB1 | {"address": address}, whole.DB2]
    assert _decision.conninfo(whole.given("db2", cluster=whole.cluster(*members)), place).startswith(start)


def test_conninfo_of_a_name_that_postgresql_does_not_take() -> None:
    members = [whole.DB1, whole.member("db2", "eu-west", "eu-west-1b", member_name="db_2_example_com")]
    text = _decision.conninfo(whole.given("db2", cluster=whole.cluster(*members, port=5433)), "db1")
    assert "port=5433 user=replicator application_name=db_2_example_com " in text


def test_a_receiver_timeout_of_the_user_stands_elsewhere() -> None:
    given = {"postgresql_server_parameters": {"wal_receiver_timeout": "1min"}}
    decision = decide("db2", own=given)
    assert decision["self"]["receiver_timeout"] == ""
    assert decision["settings"]["wal_receiver_timeout"]["value"] == "1min"


def test_the_receiver_timeout_stands_in_one_file() -> None:
    assert "wal_receiver_timeout" not in decide("db2")["settings"]


UNKNOWN = healthy(db3=None)


@pytest.mark.parametrize("host", ["db1", "db2", "ops1"])
def test_an_unknown_member(host: str) -> None:
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


def test_a_member_with_a_given_address_is_known_unseen() -> None:
    members = [whole.DB1, whole.DB2, whole.DB3 | {"address": "192.0.2.3"}, whole.OPS1]
    decision = decide("db1", UNKNOWN, cluster=whole.cluster(*members))
    assert decision["addresses"] == {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": "192.0.2.3"}
    assert decision["left"] == ["db3: not observed"]


def test_an_unknown_member_keeps_the_address_that_the_others_wrote_down() -> None:
    given = whole.given("db2", healthy(db3=None))
    whole.seen(given, "db1")["replicas"] = {"db1": "10.0.0.1", "db3": "192.0.2.3"}
    decision = _decision.decide(given)
    assert decision["addresses"]["db3"] == "192.0.2.3"
    assert decision["left"] == ["db3: not observed"]
    assert [target["name"] for target in decision["targets"]] == ["db1", "db2"]


def test_an_upstream_without_address_is_none() -> None:
    hosts = healthy()
    given = whole.given("db2", hosts)
    whole.seen(given, "db1")["host"]["ipv4"] = None
    decision = _decision.decide(given)
    assert picked(decision["self"], {"upstream": 0, "conninfo": 0, "receiver_timeout": 0}) == {
        "upstream": None,
        "conninfo": "",
        "receiver_timeout": "",
    }


def test_an_address_is_ipv6_where_there_is_no_other() -> None:
    given = whole.given("db1")
    whole.seen(given, "db1")["host"] |= {"ipv4": None, "ipv6": "fd00::1"}
    assert _decision.decide(given)["addresses"]["db1"] == "fd00::1"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [([], "'localhost, 10.0.0.2'"), (["10.0.0.2", "192.0.2.7"], "'10.0.0.2, 192.0.2.7'"), (["*"], "'*'")],
)
def test_listen_addresses(listen: list[str], expected: str) -> None:
    settings = decide("db2", own={"postgresql_server_listen_addresses": listen})["settings"]
    assert settings["listen_addresses"] == {"value": expected, "reason": ""}


def test_a_host_without_an_instance_has_no_settings() -> None:
    assert decide("ops1")["settings"] == {}


def test_a_host_that_was_not_observed_has_no_settings() -> None:
    decision = decide("db3", UNKNOWN)
    assert (decision["settings"], decision["platform"], decision["self"]["missing_packages"]) == (
        {},
        {"packages": []},
        [],
    )


def test_wal_directory() -> None:
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
def test_missing_packages(packages: dict[str, str], missing: list[str]) -> None:
    given = whole.given("db1", all_empty())
    whole.seen(given, "db1")["packages"] = packages
    assert _decision.decide(given)["self"]["missing_packages"] == missing


def test_packages_of_extensions() -> None:
    wanted = {"extension_packages": ["postgresql-16-cron", "postgresql-16-hypopg"]}
    given = whole.given("db1", cluster=whole.cluster(whole.DB1 | wanted, whole.OPS1 | wanted))
    whole.seen(given, "db1")["packages"]["postgresql-16-hypopg"] = "1.4.1"
    assert _decision.decide(given)["self"]["missing_packages"] == ["postgresql-16-cron"]


@pytest.mark.parametrize(
    ("members", "recorders"),
    [
        pytest.param((whole.DB1, whole.DB2, whole.OPS1), ["db1", "db2", "ops1"], id="repository"),
        pytest.param((whole.DB1, whole.member("pool1", duties=["pooler"])), ["db1"], id="no pooler"),
    ],
)
def test_recorders(members: tuple[Any, ...], recorders: list[str]) -> None:
    assert decide(cluster=whole.cluster(*members))["recorders"] == recorders


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
def test_the_service_is_needed(
    part: str, value: dict[str, Any] | list[str], key: str, seen: bool | dict[str, dict[str, str]] | list[str]
) -> None:
    given = whole.given("db1")
    before = whole.seen(given, "db1")[part]
    whole.seen(given, "db1")[part] = value if part == "stale" else before | value
    own = _decision.decide(given)["self"]
    assert (own["service_needed"], own[key]) == (True, seen)


def test_a_fenced_unit_is_not_enabled() -> None:
    given = whole.given("db1")
    whole.seen(given, "db1")["unit"] |= {"enabled": False, "masked": True}
    own = _decision.decide(given)["self"]
    assert (own["service_needed"], own["to_enable"]) == (False, False)


NO_REPLICATOR = {"services": service_role.seen(replicator=None)}
LIMITED = {"services": service_role.seen(replicator={"connection_limit": 0})}


@pytest.mark.parametrize(
    ("hosts", "changes", "needed"),
    [
        pytest.param(healthy(), {}, False, id="at rest"),
        pytest.param(all_empty(), {}, True, id="bootstrap"),
        pytest.param(
            healthy(db1=primary("db2", "db3", server=NO_REPLICATOR)),
            {},
            True,
            id="no replicator",
        ),
        pytest.param(healthy(db1=primary("db2", "db3", server=LIMITED)), {}, True, id="another replicator"),
        pytest.param(
            {"db1": primary(server=NO_REPLICATOR)},
            {"cluster": ONE},
            False,
            id="one host needs none",
        ),
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
def test_accounts_are_needed(
    hosts: dict[str, dict[str, Any]], changes: dict[str, dict[str, Any]], needed: bool
) -> None:
    assert decide("db1", hosts, **changes)["self"]["accounts_needed"] is needed


def test_members_of_one_address_are_refused() -> None:
    hosts = healthy()
    given = whole.given("db1", hosts)
    whole.seen(given, "db3")["host"]["ipv4"] = "10.0.0.2"
    whole.seen(given, "ops1")["host"]["ipv4"] = None
    assert _decision.decide(given)["refusals"] == [
        "db2 and db3: both have the address 10.0.0.2; write postgresql_address for each of them"
    ]


def test_refusals_stand_in_one_list() -> None:
    given = whole.given("db1", healthy(db2=primary()))
    whole.seen(given, "db3")["host"] |= {"distribution_version": "12", "ipv4": "10.0.0.1"}
    refusals = _decision.decide(given)["refusals"]
    assert [text.split(":")[0] for text in refusals] == ["db3", "db1 and db3", "2 hosts run as primary"]


@pytest.mark.parametrize(
    ("hosts", "stale"),
    [
        pytest.param(healthy(), "", id="a standby with an empty set"),
        pytest.param(
            healthy(db2=standby(settings={"synchronous_standby_names": 'ANY 1 ("db1")'})), 'ANY 1 ("db1")', id="former"
        ),
        pytest.param(healthy(db2=stopped_standby()), "", id="a stopped one without"),
        pytest.param(healthy(db2=stopped_standby(data={"synchronous_set": "x"})), "x", id="stopped"),
        pytest.param(healthy(db2=stopped_standby(data={"synchronous_set": "x"}, marker=None)), "x", id="to be adopted"),
        pytest.param(healthy(db2=empty(data={"synchronous_set": "x"})), "x", id="to be cloned again"),
        pytest.param(healthy(db2=stopped(data={"synchronous_set": "x"})), "", id="an old primary is left alone"),
        pytest.param(
            {
                "db1": None,
                "db2": stopped_standby(data={"synchronous_set": "x"}),
                "db3": standby(),
                "ops1": repository(),
            },
            "x",
            id="beside an unknown primary",
        ),
    ],
)
def test_the_set_of_a_former_primary_is_stale(hosts: dict[str, dict[str, Any]], stale: str) -> None:
    assert decide("db2", hosts)["self"]["stale_set"] == stale
    assert decide("db1", hosts)["self"]["stale_set"] == ""


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        pytest.param(None, {"stale": ["/etc/postgresql/16/main/pg_hba.conf"]}, id="not loaded"),
        pytest.param("server", {"pending": {"port": {"running": "1", "configured": "2"}}}, id="waits for a restart"),
        pytest.param(None, {"server": None}, id="does not run"),
    ],
)
def test_files_that_are_not_in_force(part: str | None, seen: dict[str, Any]) -> None:
    given = whole.given("db2")
    observed = whole.seen(given, "db2")
    (observed[part] if part else observed).update(seen)
    assert _decision.decide(given)["self"]["files_in_force"] is False


def test_what_will_wait_for_a_restart() -> None:
    expected = {"running": "200", "configured": "250"}
    more = decide("db2", own={"postgresql_server_parameters": {"max_connections": 250}})["self"]
    assert more["pending_after_reload"]["max_connections"] == expected
    assert more["pending"] == {}
    assert "max_connections" not in decide("db2")["self"]["pending_after_reload"]
    assert decide("db2", all_empty())["self"]["pending_after_reload"] == {}


def test_a_clone_of_what_was_there_is_announced() -> None:
    marker = {"system_identifier": situations.ID, "version": "16"}
    text = (
        f"db3 held the cluster {situations.ID}, but {situations.DIRECTORY} is absent: it is cloned again. "
        "If a file system should be mounted there, stop the run and mount it first."
    )
    assert decide("db1", healthy(db3=empty(marker=marker)))["announced"] == [text]
    assert decide("db1", healthy(db3=empty()))["announced"] == []


@pytest.mark.parametrize(
    ("host", "hosts", "slots"),
    [
        pytest.param(
            "db2",
            healthy(db2=stopped_standby(data={"slots": ["db1", "db3", "other"]})),
            ["db1", "db3"],
            id="it was one",
        ),
        pytest.param("db2", healthy(db2=stopped_standby()), [], id="it was none"),
        pytest.param("db2", healthy(), [], id="it runs"),
        pytest.param("db1", healthy(db1=stopped(data={"slots": ["db2"]})), [], id="it stays one"),
    ],
)
def test_slots_of_a_former_primary(host: str, hosts: dict[str, Any], slots: list[str]) -> None:
    assert decide(host, hosts)["self"]["former_slots"] == slots
