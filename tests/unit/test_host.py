# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role host does: who is let in where, when it acts, what it refuses, what it leaves."""

from __future__ import annotations

from typing import Any

import pytest
import verification
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision, _firewall, _host, _host_files
from situations import healthy

GUARDED = whole.wanted_of_host(firewall=True)
NETWORKS = {"application_networks": ["10.1.0.0/16"], "management_networks": ["10.9.0.0/24"]}
OUT_OF_REACH = {"value": "7", "writable": False}


def platform(*, cluster: dict[str, Any] | None = None, **hosts: dict[str, Any]) -> dict[str, Any]:
    """A cluster whose members have the role's variables; with their changes, and where else they differ."""
    places = {"db1": whole.DB1, "db2": whole.DB2, "db3": whole.DB3, "ops1": whole.OPS1}
    members = [{**base, "host": GUARDED, **hosts.get(name, {})} for name, base in places.items()]
    return whole.cluster(*members, **NETWORKS, **(cluster or {}))


def wanted(**changes: Any) -> dict[str, Any]:
    return {"host": GUARDED | changes}


def inputs(host: str = "db1", cluster: dict[str, Any] | None = None, **guards: dict[str, Any]) -> _host.Inputs:
    """A converged platform; guards replace parts of what is seen of a host's guard, None takes the host away."""
    given = whole.given(host, healthy(), cluster=cluster or platform())
    for name, parts in guards.items():
        whole.seen(given, name)["guard"] |= parts
    return _decision.host_inputs(given)


def openings(host: str, cluster: dict[str, Any] | None = None, **guards: dict[str, Any]) -> dict[str, Any]:
    return {
        opening.comment: (opening.ports, opening.networks)
        for opening in _host.firewall(inputs(host, cluster, **guards)).openings
    }


MEMBERS = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"]
SSH = {"SSH": ([22], None)}
PEOPLE = {"members": MEMBERS, "applications": ["10.1.0.0/16"], "administrators": ["10.9.0.0/24"]}
POSTGRESQL = {f"PostgreSQL: {who}": ([5432], where) for who, where in PEOPLE.items()}
PGBOUNCER = {f"PgBouncer: {who}": ([6432], where) for who, where in PEOPLE.items()}
BACKUP = {"pgBackRest: members": ([8432], MEMBERS)}
AGENT = {"comment": "agent", "port": 9100, "protocol": "tcp", "networks": ["10.7.0.0/16"]}


@pytest.mark.parametrize(
    ("host", "cluster", "expected"),
    [
        ("db1", platform(), SSH | POSTGRESQL),
        ("db1", platform(cluster={"pools": {"port": 6432}}), SSH | POSTGRESQL | PGBOUNCER),
        ("ops1", platform(), SSH),
        ("db1", platform(cluster={"backup_port": 8432}), SSH | POSTGRESQL | BACKUP),
        ("ops1", platform(cluster={"backup_port": 8432}), SSH | BACKUP),
        ("ops1", platform(ops1={"duties": ["pooler"]}, cluster={"pools": {"port": 6432}}), SSH | PGBOUNCER),
        ("db1", platform(db1={"duties": ["database"]}), SSH | POSTGRESQL),
        ("ops1", platform(ops1=wanted(ssh_networks=["10.9.0.0/24"])), {"SSH": ([22], ["10.9.0.0/24"])}),
        ("ops1", platform(ops1=wanted(open_ports=[AGENT])), SSH | {"agent": ([9100], ["10.7.0.0/16"])}),
    ],
)
def test_who_is_let_in(host: str, cluster: dict[str, Any], expected: dict[str, Any]) -> None:
    assert openings(host, cluster) == expected


@pytest.mark.parametrize(("ports", "expected"), [([2222], [2222]), ([22, 2222], [22, 2222]), ([], [22])])
def test_ssh_is_let_in_where_the_run_came_in(ports: list[int], expected: list[int]) -> None:
    assert openings("ops1", ops1={"ssh": {"ports": ports, "client": ""}})["SSH"] == (expected, None)


NAMED = platform(db2={"address": "db2.example.com"})


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        pytest.param({}, ["10.0.0.2"], id="what it was seen with"),
        pytest.param(
            {"resolved": {"db2.example.com": ["10.4.0.2", "2001:db8::2"]}},
            ["10.0.0.2", "10.4.0.2", "2001:db8::2"],
            id="and where the name leads",
        ),
    ],
)
def test_addresses_of_a_member_with_a_name(guard: dict[str, Any], expected: list[str]) -> None:
    assert _host.firewall(inputs("db1", NAMED, db1=guard)).members["db2"] == expected


@pytest.mark.parametrize(("former", "expected"), [({"db2": ["10.0.0.2"]}, ["10.0.0.2"]), ({}, [])])
def test_a_member_that_is_away_keeps_its_address(former: dict[str, list[str]], expected: list[str]) -> None:
    given = whole.given("db1", healthy(db2=None), cluster=NAMED)
    whole.seen(given, "db1")["guard"]["firewall"]["members"] = former
    assert _host.firewall(_decision.host_inputs(given)).members["db2"] == expected


def in_force(host: str = "db1", **changes: Any) -> dict[str, Any]:
    """The guard of a host whose firewall is as it should be."""
    rules = _firewall.fingerprint(_firewall.render(_host.firewall(inputs(host))))
    record = {"rules": rules, "live": "as nft lists it"}
    found = {"live": "as nft lists it", "file": rules, "record": record, "enabled": True, "members": {}}
    unit = _host_files.contents("main", (), firewall=True)[_host_files.unit("main")]
    files = inputs(host).seen["files"] | {_host_files.unit("main"): _host_files.fingerprint(unit)}
    return {"firewall": found | changes, "files": files}


def decided(host: str = "db1", *, packages: tuple[str, ...] = ("nftables",), **guard: Any) -> dict[str, Any]:
    given = whole.given(host, healthy(), cluster=platform())
    seen = whole.seen(given, host)
    seen["packages"] |= dict.fromkeys(packages, "1")
    seen["guard"] |= guard
    return _host.decide(_decision.host_inputs(given))


def test_a_host_at_rest_is_left_alone() -> None:
    found = decided(**in_force())
    assert found["firewall"].pop("rules").startswith("# Ansible managed\n")
    assert found == {
        "act": False,
        "files": [],
        "kernel": {},
        "firewall": {"reason": ""},
        "findings": [],
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"live": "", "file": "", "record": None, "enabled": False}, "is not there"),
        ({"live": ""}, "was taken away"),
        ({"live": "something else"}, "is not the one that was confirmed last"),
        ({"record": None}, "is not the one that was confirmed last"),
        ({"file": "another"}, "does not say what the inventory says"),
        ({"record": {"rules": "another", "live": "as nft lists it"}}, "does not say what the inventory says"),
        ({"enabled": False}, "is not loaded when the host starts"),
    ],
)
def test_when_the_firewall_is_acted_upon(changes: dict[str, Any], reason: str) -> None:
    found = decided(**in_force(**changes))
    assert found["act"]
    assert found["firewall"]["reason"] == reason
    assert found["findings"] == [{"severity": "error", "text": f"The firewall of db1 {reason}."}]


def test_a_unit_that_differs_is_loaded_again() -> None:
    guard = in_force()
    path = _host_files.unit("main")
    guard["files"][path] = "0:0:0644:another"
    found = decided(**guard)
    assert found["firewall"]["reason"] == "is not loaded when the host starts"
    assert path in [entry["path"] for entry in found["files"]]


@pytest.mark.parametrize(
    ("firewall", "packages", "missing"),
    [(True, ("nftables",), []), (True, (), ["nftables"]), (False, (), [])],
)
def test_the_package_is_installed_where_it_is_missing(
    firewall: bool, packages: tuple[str, ...], missing: list[str]
) -> None:
    given = whole.given("db1", healthy(), cluster=platform(db1=wanted(firewall=firewall)))
    whole.seen(given, "db1")["packages"] |= dict.fromkeys(packages, "1")
    assert _host.missing_packages(_decision.host_inputs(given)) == missing


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"live": "", "file": "", "record": None, "enabled": False}, ""),
        ({"live": "", "enabled": False}, "is not wanted any more"),
        ({"live": "", "file": ""}, "is not wanted any more"),
        ({"file": "", "enabled": False}, "is not wanted any more"),
    ],
)
def test_a_firewall_that_is_not_wanted(changes: dict[str, Any], reason: str) -> None:
    guard = in_force(**changes)
    found = _host.decide(inputs("db1", platform(db1=wanted(firewall=False)), db1={"firewall": guard["firewall"]}))
    assert found["firewall"] == {"rules": "", "reason": reason}


def test_files_that_differ_are_written() -> None:
    guard = in_force()
    guard["files"][_host_files.UPGRADES] = ""
    found = decided(**guard)
    assert (found["act"], found["firewall"]["reason"]) == (True, "")
    assert [entry["path"] for entry in found["files"]] == [
        "/etc/needrestart",
        "/etc/needrestart/conf.d",
        "/etc/sysctl.d/60-steadfast-postgresql.conf",
        "/etc/apt/apt.conf.d/52steadfast-postgresql",
        "/etc/needrestart/conf.d/steadfast-postgresql.conf",
        "/etc/systemd/system/steadfast-firewall-main.service",
    ]
    text = "db1 has other files than declared: /etc/apt/apt.conf.d/52steadfast-postgresql."
    assert found["findings"] == [{"severity": "warning", "text": text}]


def kernel(**values: dict[str, Any]) -> dict[str, Any]:
    live: dict[str, Any] = whole.guard()["kernel"]
    return live | {f"vm.{name}": value for name, value in values.items()}


def test_settings_that_differ_are_set() -> None:
    guard = in_force() | {"kernel": kernel(swappiness={"value": "60", "writable": True})}
    found = decided(**guard)
    assert (found["act"], found["kernel"]) == (True, {"vm.swappiness": "1"})
    assert found["findings"] == [{"severity": "warning", "text": "The kernel of db1 has vm.swappiness 60, not 1."}]


def test_a_container_keeps_its_settings() -> None:
    cannot = dict.fromkeys(whole.guard()["kernel"], OUT_OF_REACH)
    guard = in_force() | {"kernel": cannot}
    guard["files"][_host_files.SYSCTL] = ""
    assert decided(**guard)["act"] is False
    assert list(_host.left(inputs("db1", db1={"kernel": cannot}, db2={"kernel": cannot}, ops1={"kernel": cannot}))) == [
        "settings of the kernel: db1 and db2 may not change vm.swappiness, vm.dirty_background_bytes, vm.dirty_bytes, "
        "net.ipv4.tcp_keepalive_time, net.ipv4.tcp_keepalive_intvl, net.ipv4.tcp_keepalive_probes (a container): set "
        "them on the machine below"
    ]


def test_a_host_without_a_database_keeps_its_kernel() -> None:
    others = {name: {"value": "7", "writable": True} for name in whole.guard()["kernel"]}
    assert decided("ops1", kernel=others)["kernel"] == {}
    assert list(_host.left(inputs())) == []


def test_a_host_that_was_not_observed() -> None:
    given = whole.given("db2", healthy(db2=None), cluster=platform())
    assert _host.decide(_decision.host_inputs(given)) == {"act": False, "findings": []}


PAGES = "vm.nr_hugepages"


@pytest.mark.parametrize(
    ("huge_pages", "seen", "expected"),
    [
        ("off", "0", {}),
        ("try", "0", {PAGES: "1076"}),
        ("on", "0", {PAGES: "1076"}),
        ("on", "1075", {PAGES: "1076"}),
        ("on", "1076", {}),
    ],
)
def test_huge_pages_for_shared_buffers(huge_pages: str, seen: str, expected: dict[str, str]) -> None:
    cluster = platform(db1=wanted(huge_pages=huge_pages))
    given = kernel(nr_hugepages={"value": seen, "writable": True})
    assert _host.decide(inputs("db1", cluster, db1={"kernel": given}))["kernel"] == expected


@pytest.mark.parametrize(("huge_pages", "expected"), [("off", "try"), ("try", "try"), ("on", "on")])
def test_the_server_knows_of_them(huge_pages: str, expected: str) -> None:
    found = whole.decide(cluster=platform(db1=wanted(huge_pages=huge_pages)))
    assert found["settings"]["huge_pages"]["value"] == expected


WITHOUT_PAGES = {"kernel": kernel(nr_hugepages={"value": "0", "writable": False})}


@pytest.mark.parametrize(
    ("huge_pages", "refusals", "left"),
    [
        ("off", [], []),
        (
            "try",
            [],
            ["settings of the kernel: db1 may not change vm.nr_hugepages (a container): set them on the machine below"],
        ),
        (
            "on",
            [
                "db1: postgresql_host_huge_pages is on, but the host cannot reserve huge pages (vm.nr_hugepages is "
                "read-only, as in a container); reserve them on the machine below and write try or off"
            ],
            [],
        ),
    ],
)
def test_huge_pages_in_a_container(huge_pages: str, refusals: list[str], left: list[str]) -> None:
    given = inputs("db1", platform(db1=wanted(huge_pages=huge_pages)), db1=WITHOUT_PAGES)
    assert list(_host.refusals(given)) == refusals
    assert list(_host.left(given)) == left


@pytest.mark.parametrize(
    ("networks", "client", "expected"),
    [
        ([], "192.0.2.1", []),
        (["10.9.0.0/24"], "10.9.0.7", []),
        (["10.9.0.0/24"], "", []),
        (
            ["10.9.0.0/24", "10.8.0.0/24"],
            "192.0.2.1",
            [
                "db1: this run comes from 192.0.2.1, which is in no network of postgresql_host_ssh_networks "
                "(10.9.0.0/24, 10.8.0.0/24); add its network, or the firewall would lock the run out"
            ],
        ),
    ],
)
def test_networks_that_would_lock_the_run_out(networks: list[str], client: str, expected: list[str]) -> None:
    cluster = platform(db1=wanted(ssh_networks=networks))
    assert list(_host.refusals(inputs("db2", cluster, db1={"ssh": {"ports": [22], "client": client}}))) == expected
    unguarded = platform(db1=wanted(ssh_networks=networks, firewall=False))
    assert list(_host.refusals(inputs("db2", unguarded, db1={"ssh": {"ports": [22], "client": client}}))) == []


def loopback(host: str, found: str) -> str:
    return (
        f"{host}: db2.example.com, the postgresql_address of db2, leads to {found} there, which is {host} alone; take "
        "the name out of that line of its /etc/hosts, or write as postgresql_address of db2 what leads to it from "
        "every member"
    )


LEADS = {"resolved": {"db2.example.com": ["10.0.0.2", "127.0.1.1"]}}
LISTENS = platform(db2={"address": "db2.example.com", "listen_addresses": ["*"]})


@pytest.mark.parametrize(
    ("cluster", "guards", "expected"),
    [
        pytest.param(NAMED, {}, [], id="nowhere"),
        pytest.param(NAMED, {"db1": {"resolved": {"db2.example.com": ["10.0.0.2"]}}}, [], id="to the member"),
        pytest.param(NAMED, {"db1": LEADS}, [loopback("db1", "127.0.1.1")], id="on a peer"),
        pytest.param(
            NAMED,
            {"ops1": {"resolved": {"db2.example.com": ["::1"]}}},
            [loopback("ops1", "::1")],
            id="on the repository",
        ),
        # Debian's installer writes such a line; the server would listen there and nowhere else.
        pytest.param(NAMED, {"db2": LEADS}, [loopback("db2", "127.0.1.1")], id="on the member itself"),
        pytest.param(LISTENS, {"db2": LEADS}, [], id="on the member itself, which listens elsewhere"),
        pytest.param(LISTENS, {"db1": LEADS}, [loopback("db1", "127.0.1.1")], id="on a peer of one that does"),
    ],
)
def test_names_that_lead_to_a_loopback_address(cluster: dict[str, Any], guards: Any, expected: list[str]) -> None:
    assert list(_host.refusals(inputs("db3", cluster, **guards))) == expected
    given = whole.given("db3", healthy(), cluster=cluster)
    for name, parts in guards.items():
        whole.seen(given, name)["guard"] |= parts
    assert _decision.decide(given)["refusals"] == expected


def test_the_decision_holds_all_of_it() -> None:
    found = whole.decide("db1", cluster=platform())
    assert found["self"]["host"]["firewall"]["reason"] == "is not there"
    assert "nftables" in found["self"]["missing_packages"]


def test_what_is_undone_is_a_finding() -> None:
    undone = {"db1": [{"severity": "error", "text": "The firewall of db1 was taken away."}], "db2": []}
    assert verification.judged(healthy(), guards=undone) == [
        "error db1: The firewall of db1 was taken away. Run site.yml, which sets it right."
    ]
