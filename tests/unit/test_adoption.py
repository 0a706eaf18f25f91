# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster that is taken over loses, and whom it must not."""

from __future__ import annotations

from typing import Any

import pytest
import situations
import verification
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision
from situations import ID, healthy, primary, standby

FILE = "/etc/postgresql/16/main/postgresql.conf"


def hba(words: str, netmask: str | None = None) -> dict[str, Any]:
    """A line as pg_hba_file_rules shows it: type, databases, users, address if there is one, method."""
    kind, databases, users, *address, method = words.split()
    return {
        "type": kind,
        "database": databases.split(","),
        "user_name": users.split(","),
        "address": address[0] if address else None,
        "netmask": netmask,
        "method": method,
    }


def client(user: str, address: str, **more: Any) -> dict[str, Any]:
    """A client as the observation shows it."""
    plain = {"database": "", "name": "", "replication": False, "tls": False, "certificate": False, "scram": True}
    return {"user": user, "address": address, **plain, **more}


OLD_STANDBY = client("repl", "10.9.0.9", name="old", replication=True)
SUBSCRIBER = client("sub", "10.9.0.8", name="copy", replication=True, tls=True, database="shop")
SHOP = client("shop", "10.20.0.7", database="shop")
CUT = (
    'db1: taking the cluster over would cut off "{}" of {}, which replicates as the role {} {} TLS: no rule would let '
    "it in again. Write a rule for it in postgresql_server_hba_rules (databases: [{}], users: [{}]){}, make its host a "
    "member of the cluster, or end it."
)


def taken_over(
    settings: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | tuple[Any, ...] = (),
    clients: list[dict[str, Any]] | tuple[Any, ...] = (),
    hba_rules: list[dict[str, Any]] | tuple[Any, ...] = (),
    host: str = "db1",
    **hosts: dict[str, Any] | None,
) -> dict[str, Any]:
    """Decide upon a cluster of others that is to be taken over."""
    member = whole.DB1 | {"hba_rules": list(hba_rules)}
    given = whole.given(
        host,
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', marker=None), **hosts),
        cluster=whole.cluster(
            member, whole.DB2, whole.DB3, whole.OPS1, adopt=ID, application_networks=["10.9.0.0/16", "10.20.0.0/16"]
        ),
    )
    seen = whole.seen(given, "db1")
    seen["former"] = {"rules": list(rules), "clients": list(clients)}
    seen["server"]["settings"] = {
        name: whole.setting(value, sourcefile=FILE) if isinstance(value, str) else value
        for name, value in (settings or {}).items()
    } | {name: whole.setting(value) for name, value in whole.MINIMA.items()}
    seen["server"]["settings"]["synchronous_standby_names"] = whole.setting('ANY 1 ("db2")')
    return _decision.decide(given)


def lines(decision: dict[str, Any]) -> list[str]:
    return [f"{made['kind']} {made['name']}: {made['from']} -> {made['to']}" for made in decision["self"]["adoption"]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, [], id="none"),
        pytest.param(
            {"log_line_prefix": "%t "}, ["parameter log_line_prefix: %t  -> %m [%p]: user=%u,db=%d,app=%a,client=%h "]
        ),
        pytest.param(
            {"deadlock_timeout": whole.setting("3000", unit="ms", sourcefile=FILE)},
            ["parameter deadlock_timeout: 3000ms -> not set"],
            id="dropped",
        ),
        pytest.param({"deadlock_timeout": whole.setting("1000", unit="ms", sourcefile=FILE)}, [], id="the default"),
        pytest.param(
            {"primary_conninfo": "host=old password=secret"},
            ["parameter primary_conninfo: hidden -> not set"],
            id="with a secret",
        ),
        pytest.param({"archive_command": ""}, ["parameter archive_command: empty -> /bin/true"], id="empty"),
        pytest.param({"my.setting": "on"}, ["parameter my.setting: on -> not set"], id="of an extension"),
        pytest.param({"local_preload_libraries": whole.setting("x", source="command line")}, [], id="from elsewhere"),
        pytest.param({"unix_socket_directories": "/run"}, [], id="of the layout"),
        pytest.param(
            {"my.setting": whole.setting("on", sourcefile="/etc/postgresql/16/main/conf.d/their.conf")},
            [],
            id="of a file that stays",
        ),
    ],
)
def test_settings(settings: dict[str, Any], expected: list[str]) -> None:
    assert [line for line in lines(taken_over(settings)) if "max_" not in line] == expected


def test_a_setting_that_becomes_another() -> None:
    found = taken_over({"shared_buffers": whole.setting("1048576", unit="8kB", sourcefile=FILE)})
    wanted = found["settings"]["shared_buffers"]["value"]
    assert f"parameter shared_buffers: 8388608kB -> {wanted}" in lines(found)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (hba("local all postgres peer"), []),
        (hba("local all all peer"), ["rule local all all peer: in pg_hba.conf -> dropped"]),
        (
            hba("host shop,books +app 10.20.0.0 md5", "255.255.0.0"),
            ["rule host shop,books +app 10.20.0.0/16 md5: in pg_hba.conf -> dropped"],
        ),
        (
            hba("host all all fd00:: trust", "ffff:ffff::"),
            ["rule host all all fd00::/32 trust: in pg_hba.conf -> dropped"],
        ),
        (hba("host all all all md5"), ["rule host all all all md5: in pg_hba.conf -> dropped"]),
        (hba("hostssl replication replicator 10.0.0.2 cert", "255.255.255.255"), []),
    ],
)
def test_rules(rule: dict[str, Any], expected: list[str]) -> None:
    assert [line for line in lines(taken_over(rules=[rule])) if line.startswith("rule")] == expected


LETS_SHOP_IN = {
    "comment": "The shop",
    "databases": ["shop"],
    "users": ["shop"],
    "addresses": ["10.20.0.0/16"],
    "method": "scram-sha-256",
}


@pytest.mark.parametrize(
    ("seen", "rules", "expected"),
    [
        (SHOP, [LETS_SHOP_IN], ["client shop of 10.20.0.7 in shop: let in -> refused"]),
        (SHOP | {"tls": True}, [LETS_SHOP_IN], []),
        (SHOP | {"tls": True}, [], ["client shop of 10.20.0.7 in shop: let in -> refused"]),
    ],
)
def test_clients(seen: dict[str, Any], rules: list[dict[str, Any]], expected: list[str]) -> None:
    decision = taken_over(clients=[seen], hba_rules=rules)
    assert decision["refusals"] == []
    assert [line for line in lines(decision) if line.startswith("client")] == expected


LETS_STANDBY_IN = LETS_SHOP_IN | {"databases": ["replication"], "users": ["repl"], "addresses": ["10.9.0.9/32"]}
OF_MEMBER = client("repl", "10.0.0.2", name="walreceiver", replication=True)


@pytest.mark.parametrize(
    ("seen", "rules", "hosts", "refusals"),
    [
        pytest.param(
            OLD_STANDBY,
            [],
            {},
            [CUT.format("old", "10.9.0.9", "repl", "without", "replication", "repl", " and make it use TLS")],
            id="a standby",
        ),
        pytest.param(
            OLD_STANDBY,
            [LETS_STANDBY_IN],
            {},
            [CUT.format("old", "10.9.0.9", "repl", "without", "replication", "repl", " and make it use TLS")],
            id="a standby with a rule and without TLS",
        ),
        pytest.param(OLD_STANDBY | {"tls": True}, [LETS_STANDBY_IN], {}, [], id="a standby with a rule"),
        pytest.param(
            SUBSCRIBER, [], {}, [CUT.format("copy", "10.9.0.8", "sub", "over", "shop", "sub", "")], id="a subscriber"
        ),
        pytest.param(OF_MEMBER, [], {"db2": standby(marker=None)}, [], id="a member that is pointed anew"),
        pytest.param(
            OF_MEMBER,
            [],
            {"db2": None},
            [CUT.format("walreceiver", "10.0.0.2", "repl", "without", "replication", "repl", " and make it use TLS")],
            id="a member that is away",
        ),
    ],
)
@pytest.mark.parametrize("host", ["db1", "db3"])
def test_replication_that_would_be_cut_off(
    host: str, seen: dict[str, Any], rules: list[dict[str, Any]], hosts: dict[str, Any], refusals: list[str]
) -> None:
    assert taken_over(clients=[seen], hba_rules=rules, host=host, **hosts)["refusals"] == refusals


def test_a_cluster_of_our_own_loses_nothing() -> None:
    given = whole.given("db1")
    whole.seen(given, "db1")["former"] = {"rules": [], "clients": [OLD_STANDBY]}
    decision = _decision.decide(given)
    assert (decision["refusals"], decision["self"]["adoption"]) == ([], [])


def test_a_stopped_cluster_tells_nothing() -> None:
    hosts = {"db1": situations.stopped(marker=None)}
    one = whole.cluster(whole.DB1, durability="asynchronous", adopt=ID)
    decision = _decision.decide(whole.given("db1", hosts, cluster=one))
    assert (decision["self"]["action"], decision["self"]["adoption"]) == ("adopt", [])


def test_without_archive_mode_the_command_is_not_judged_and_there_is_no_archive() -> None:
    given = whole.given("db1")
    whole.seen(given, "db1")["server"]["settings"]["archive_command"] = whole.setting("(disabled)")
    found = verification.verified(given, databases=["db1"], wanted={"db1": {"archive_command": "'/bin/true'"}})
    text = "There is no archive of db1's WAL: no moment of the past can be restored."
    assert [finding for finding in found if "archive" in finding] == [
        f"warning db1: {text} Back the cluster up before it holds anything of value."
    ]
