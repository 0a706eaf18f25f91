# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does as a pooler: where its pools lead to, its files, its processes, what servers let it do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import situations
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _pooler_plan
from pooled import READERS, SHOP, account, at_work, context, database, draining, entry, pool, process
from situations import all_empty, healthy, primary, standby, stopped

POOL1 = whole.member("pool1", "us-west", duties=["pooler"], address="10.0.0.5")
SEPARATE = tuple({**found, "duties": ["database"]} for found in (whole.DB1, whole.DB2, whole.DB3))
SECOND = {"timeline": 2, "history": {1: "0/5000000"}}
FOLDER = "/etc/pgbouncer/steadfast"
TEMPLATE = "/etc/systemd/system/pgbouncer@.service"


def text(found: dict[str, Any], path: str) -> str:
    return str(next(item["content"] for item in found["files"] if item["path"] == path))


@pytest.mark.parametrize(
    ("host", "hosts", "expected"),
    [
        pytest.param("db1", None, ("10.0.0.1", "10.0.0.2"), id="the primary's host reads in its region"),
        pytest.param("db2", None, ("10.0.0.1", "10.0.0.2"), id="a standby reads at home"),
        pytest.param("db3", None, ("10.0.0.1", "10.0.0.3"), id="a standby of another region reads at home"),
        pytest.param("db1", all_empty(), ("10.0.0.1", "10.0.0.2"), id="fresh hosts"),
        pytest.param(
            "db1",
            healthy(db1=primary("db3"), db2=stopped()),
            ("10.0.0.1", "10.0.0.3"),
            id="a standby of its region that does not stream is passed over",
        ),
        pytest.param(
            "db2",
            healthy(db1=primary("db3", slots={"db2": situations.slot()})),
            ("10.0.0.1", "10.0.0.3"),
            id="one that does not stream reads elsewhere",
        ),
        pytest.param("db1", situations.moved(), ("10.0.0.2", "10.0.0.3"), id="after a failover"),
        pytest.param(
            "db1",
            situations.moved(db1=standby("10.0.0.2", **SECOND), db2=primary(**SECOND)),
            ("10.0.0.2", "10.0.0.1"),
            id="after a move by hand, when this run makes the slots",
        ),
        pytest.param(
            "db1", healthy(db1=primary(), db2=None, db3=None), ("10.0.0.1", "10.0.0.1"), id="no standby is to be seen"
        ),
    ],
)
def test_where_pools_lead_to(host: str, hosts: Any, expected: tuple[str, str]) -> None:
    found = _pooler_plan.targets(context(host, hosts, READERS))
    assert (found["primary"], found["standby"]) == expected


def test_a_pooler_stays_where_it_is_while_nobody_knows_the_primary() -> None:
    unknown = healthy(db1=None, db2=stopped(), db3=stopped())
    found = context("db2", unknown, SHOP, seen=at_work())
    assert _pooler_plan.targets(found) == {"primary": "10.0.0.1", "standby": "10.0.0.2"}
    assert list(_pooler_plan.left(found)) == [
        "pools: are not set up on db3, because the primary is not known; run site.yml once it answers"
    ]
    assert _pooler_plan.of_host(_pooler_plan.on(found, "db3"))["act"] == "none"


def test_nothing_is_left_where_the_primary_is_known() -> None:
    assert list(_pooler_plan.left(context("db2", None, SHOP))) == []


@pytest.mark.parametrize(
    ("host", "given"),
    [
        pytest.param("db1", {"none": True}, id="no application has a pool"),
        pytest.param("ops1", {}, id="no pooler"),
        pytest.param("db2", {"hosts": healthy(db2=None)}, id="not seen"),
    ],
)
def test_who_has_nothing_to_do(host: str, given: dict[str, Any]) -> None:
    assert _pooler_plan.of_host(context(host, **given)) == {"act": "none", "before_packages": []}


@pytest.mark.parametrize(
    ("host", "given"),
    [
        pytest.param("db1", {"none": True}, id="no application has a pool any more"),
        pytest.param("ops1", {}, id="others pool now"),
    ],
)
def test_a_former_pooler_goes(host: str, given: dict[str, Any]) -> None:
    assert _pooler_plan.of_host(context(host, **given, seen=at_work())) == {
        "act": "retire",
        "before_packages": [],
        "units": [{"name": "pgbouncer@1.service", "state": "stopped", "enabled": False}],
        "files": [{"path": "/etc/pgbouncer/steadfast/primary.ini", "state": "absent"}],
    }


def test_pools_in_the_files() -> None:
    found = _pooler_plan.of_host(context("db1", None, READERS))
    assert text(found, f"{FOLDER}/primary.ini").splitlines()[3:] == [
        "[databases]",
        "steadfast_login = host=10.0.0.1 port=5432 dbname=postgres pool_mode=transaction pool_size=2 "
        "max_db_connections=2",
        "shop = host=10.0.0.1 port=5432 dbname=shop pool_mode=transaction pool_size=10 reserve_pool=0 "
        "max_db_connections=10 max_db_client_connections=333 auth_dbname=steadfast_login",
    ]
    assert text(found, f"{FOLDER}/standby.ini").splitlines()[3:] == [
        "[databases]",
        "steadfast_login_ro = host=10.0.0.2 port=5432 dbname=postgres pool_mode=transaction pool_size=2 "
        "max_db_connections=2",
        "shop_ro = host=10.0.0.2 port=5432 dbname=shop pool_mode=transaction pool_size=4 reserve_pool=0 "
        "max_db_connections=4 max_db_client_connections=100 auth_dbname=steadfast_login_ro",
    ]
    assert "max_client_conn = 483\n" in text(found, f"{FOLDER}/pgbouncer.ini")


def test_without_readers_nothing_leads_to_a_standby() -> None:
    found = _pooler_plan.of_host(context("db1", None, SHOP))
    assert text(found, f"{FOLDER}/standby.ini").splitlines()[3:] == ["[databases]"]


def test_who_may_log_in_from_where() -> None:
    narrow = entry("narrow", account("n_app"), pool=pool(), networks=["10.1.7.0/24"])
    rules = text(_pooler_plan.of_host(context("db1", None, READERS, narrow)), f"{FOLDER}/hba.conf")
    lines = [line.split() for line in rules.splitlines() if line and not line.startswith("#")]
    assert lines == [
        ["local", "pgbouncer", "pgbouncer", "peer"],
        ["hostssl", "shop,shop_ro", "shop_app", "10.1.0.0/16", "scram-sha-256"],
        ["hostssl", "narrow", "n_app", "10.1.7.0/24", "scram-sha-256"],
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_a_process_has_its_own_socket(number: int) -> None:
    process = text(_pooler_plan.of_host(context("db2", None, SHOP)), f"{FOLDER}/{number}.ini")
    assert f"unix_socket_dir = /run/pgbouncer/{number}\n" in process
    assert f"peer_id = {number}\n" in process
    assert "listen_addr = 127.0.0.1,10.0.0.2\nlisten_port = 6432\nso_reuseport = 1\n" in process


def test_no_file_holds_a_secret_or_a_time() -> None:
    files = _pooler_plan.of_host(context("db1", None, READERS))["files"]
    again = _pooler_plan.of_host(context("db1", None, READERS, seen=at_work()))["files"]
    assert files == again
    assert not any("password" in item.get("content", "") or "SCRAM" in item.get("content", "") for item in files)


def unit(number: int, state: str, enabled: bool | None = True) -> dict[str, Any]:
    return {"name": f"pgbouncer@{number}.service", "state": state, "enabled": enabled}


FRESH = {**_pooler_plan.NOT_SEEN}
LEAVES = unit(1, "any", enabled=False)
STALE = {"reload": [], "restart": ["/usr/sbin/pgbouncer"]}
UNREAD = {"reload": ["/etc/pgbouncer/steadfast/primary.ini"], "restart": []}
KILLED = at_work(current=None, processes={}, units={"pgbouncer@2.service": {"active": False, "enabled": True}})
PACKAGED = at_work()["units"] | {"pgbouncer.service": {"active": True, "enabled": False}}


@pytest.mark.parametrize(
    ("seen", "changed", "certificate", "expected", "daemon_reload"),
    [
        pytest.param(FRESH, [TEMPLATE], True, [unit(1, "started")], True, id="first start"),
        pytest.param(at_work(), [], False, [unit(1, "started")], False, id="at rest"),
        pytest.param(at_work(), [f"{FOLDER}/primary.ini"], False, [unit(1, "reloaded")], False, id="pools changed"),
        pytest.param(at_work(), [], True, [unit(1, "reloaded")], False, id="certificate"),
        pytest.param(at_work(), ["/usr/local/lib/steadfast/pooler"], False, [unit(1, "started")], False, id="program"),
        pytest.param(at_work(stale=UNREAD), [], False, [unit(1, "reloaded")], False, id="killed before the reload"),
        pytest.param(at_work(), [TEMPLATE], False, [unit(2, "started"), LEAVES], True, id="unit changed"),
        pytest.param(at_work(), [f"{FOLDER}/1.ini"], False, [unit(2, "started"), LEAVES], False, id="port changed"),
        pytest.param(at_work(stale=STALE), [], False, [unit(2, "started"), LEAVES], False, id="another program"),
        pytest.param(
            at_work(stale=STALE), [f"{FOLDER}/primary.ini"], True, [unit(2, "started"), LEAVES], False, id="all at once"
        ),
        pytest.param(
            draining() | {"stale": STALE}, [], False, [unit(2, "started")], False, id="no place while another drains"
        ),
        pytest.param(
            draining(),
            [f"{FOLDER}/primary.ini"],
            False,
            [unit(2, "reloaded"), unit(1, "reloaded", None)],
            False,
            id="both have clients",
        ),
        pytest.param(KILLED, [], False, [unit(2, "started")], False, id="the one that starts with the host"),
        pytest.param(
            at_work(units=PACKAGED),
            [],
            False,
            [unit(1, "started"), {"name": "pgbouncer.service", "state": "stopped", "enabled": None}],
            False,
            id="the package's own runs",
        ),
    ],
)
def test_what_becomes_of_the_processes(
    seen: dict[str, Any], changed: list[str], certificate: bool, expected: list[Any], daemon_reload: bool
) -> None:
    plan = _pooler_plan.of_host(context("db1", None, SHOP, seen=seen))
    found = _pooler_plan.units(plan, changed, certificate)
    assert found == {"units": expected, "daemon_reload": daemon_reload}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (at_work(), False),
        (FRESH, True),
        (at_work(stale=UNREAD), True),
        (at_work(stale=STALE), True),
        (at_work(units=PACKAGED), True),
        (at_work(current=None), True),
        (draining(), False),
        (draining() | {"units": at_work()["units"]}, True),
    ],
)
def test_when_there_is_something_to_do(seen: dict[str, Any], expected: bool) -> None:
    assert _pooler_plan.of_host(context("db1", None, SHOP, seen=seen))["service_needed"] is expected


def test_the_package_never_starts_its_own() -> None:
    plan = _pooler_plan.of_host(context("db1", None, SHOP))
    mask = {"path": "/etc/systemd/system/pgbouncer.service", "state": "link", "target": "/dev/null"}
    assert plan["before_packages"] == [mask]


def test_what_servers_let_poolers_do() -> None:
    found = context("db1", None, READERS)
    addresses = ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]
    assert _pooler_plan.hba_rules(found.cluster, found.members) == [
        {
            "comment": "Poolers ask for verifiers, by their certificates",
            "databases": ["postgres"],
            "users": ["pgbouncer"],
            "addresses": addresses,
            "method": "cert",
            "options": {"map": "pooler"},
        },
        {
            "comment": "Application shop, through a pooler",
            "databases": ["shop"],
            "users": ["shop_app"],
            "addresses": addresses,
            "method": "scram-sha-256",
            "options": {"clientcert": "verify-ca"},
        },
    ]
    assert _pooler_plan.ident_maps(found.cluster, found.members)[0] == {
        "comment": "The pooler on db1",
        "map": "pooler",
        "system_user": "db1",
        "role": "pgbouncer",
    }


def test_hosts_of_their_own() -> None:
    found = context("db1", None, SHOP, members=(*SEPARATE, whole.OPS1, POOL1))
    assert [rule["addresses"] for rule in _pooler_plan.hba_rules(found.cluster, found.members)] == [["10.0.0.5/32"]] * 2
    assert [line["system_user"] for line in _pooler_plan.ident_maps(found.cluster, found.members)] == ["pool1"]
    assert _pooler_plan.of_host(found) == {"act": "none", "before_packages": []}


def test_without_pools_nobody_is_let_in() -> None:
    found = context("db1", none=True)
    assert (
        _pooler_plan.hba_rules(found.cluster, found.members),
        _pooler_plan.ident_maps(found.cluster, found.members),
    ) == ([], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.24.1-1", (1, 24, 1)),
        ("1.18.0-1", (1, 18, 0)),
        ("1.25.0-1.pgdg13+1", (1, 25, 0)),
        ("1:1.24.1+dfsg-1", (1, 24, 1)),
    ],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    assert _pooler_plan.version(text) == expected


def test_an_old_pgbouncer_is_refused() -> None:
    found = context("db1", None, SHOP)
    seen = found.observed["db2"]
    assert seen
    seen["packages"]["pgbouncer"] = "1.22.0-1build1"
    assert list(_pooler_plan.refusals(found)) == [
        "db2: has pgbouncer 1.22.0-1build1, which has no limit of clients for each pool and sends clients away when it "
        "restarts; install 1.24 or later, such as that of the PostgreSQL project"
    ]
    seen["packages"]["pgbouncer"] = "1.24.1-1"
    assert list(_pooler_plan.refusals(found)) == []


CRM = {"name": "crm", "database": "", "state": "absent"}
OTHER_NAME = CRM | {"database": "customers"}
IN_USE = "crm is to be removed, and clients are connected to it through the poolers: "
STOP = "; stop the application, and run again"


def used(**pools: dict[str, int]) -> dict[str, Any]:
    """A pooler with clients of these pools."""
    return at_work(processes={"1": process(**{name: database(clients=clients) for name, clients in pools.items()})})


def removing(application: dict[str, Any], hosts: Any, poolers: dict[str, Any]) -> _pooler_plan.Context:
    """A platform with an application that is to go, and what is seen of poolers."""
    found = context("db1", hosts, SHOP)
    for host, seen in poolers.items():
        observed = found.observed[host]
        assert isinstance(observed, dict)
        observed["pooler"] = seen
    return replace(found, cluster={**found.cluster, "applications": [application]})


@pytest.mark.parametrize(
    ("absent", "poolers", "databases", "expected"),
    [
        pytest.param(CRM, {"db1": used(crm={"crm_app": 2})}, ["crm"], [f"{IN_USE}crm_app 2 on db1{STOP}"], id="used"),
        pytest.param(
            CRM,
            {"db1": used(crm={"crm_app": 2, "crm_jobs": 1}), "db2": used(crm_ro={"crm_app": 3})},
            ["crm"],
            [f"{IN_USE}crm_app 2 on db1, crm_jobs 1 on db1, crm_app 3 on db2{STOP}"],
            id="readers, and several poolers",
        ),
        pytest.param(
            CRM,
            {"ops1": used(crm={"crm_app": 1})},
            ["crm"],
            [f"{IN_USE}crm_app 1 on ops1{STOP}"],
            id="a pooler that is to go",
        ),
        pytest.param(
            OTHER_NAME,
            {"db1": used(customers={"crm_app": 2}, crm={"shop_app": 1})},
            ["customers"],
            [f"{IN_USE}crm_app 2 on db1{STOP}"],
            id="a database of another name",
        ),
        pytest.param(CRM, {"db1": used(crm={"crm_app": 0})}, ["crm"], [], id="nobody is left"),
        pytest.param(CRM, {"db1": used(crm={"pgbouncer": 1})}, ["crm"], [], id="a client of its own"),
        pytest.param(CRM, {"db1": used(crm={"crm_app": 2})}, ["shop"], [], id="the database has gone"),
        pytest.param(CRM, {"db1": at_work()}, ["crm"], [], id="the pools went in a run that was killed"),
        pytest.param(CRM, {"db1": draining()}, ["crm"], [], id="a former process shows no clients"),
        pytest.param(
            CRM | {"name": "sh", "database": "shop"},
            {"db1": used(shop={"shop_app": 1})},
            ["shop"],
            [],
            id="a pool that another application has",
        ),
        pytest.param(
            CRM | {"state": "present"}, {"db1": used(crm={"crm_app": 2})}, ["crm"], [], id="it only loses its pool"
        ),
    ],
)
def test_a_database_in_use_is_not_dropped(
    absent: dict[str, Any], poolers: dict[str, Any], databases: list[str], expected: list[str]
) -> None:
    found = removing(absent, None, poolers)
    (found.observed["db1"] or {})["server"]["databases"] = databases
    assert list(_pooler_plan.refusals(found)) == expected


def test_a_database_that_nobody_sees_may_be_there() -> None:
    found = removing(CRM, healthy(db1=None), {"db2": used(crm={"crm_app": 2})})
    assert list(_pooler_plan.refusals(found)) == [f"{IN_USE}crm_app 2 on db2{STOP}"]


@pytest.mark.parametrize(
    ("duties", "pools", "expected"),
    [
        (["database", "pooler"], {"port": 7000}, {"port": 7000}),
        (["pooler"], {}, {"port": 0}),
        (["repository"], {"port": 7000}, {"port": 0}),
    ],
)
def test_what_is_looked_at(duties: list[str], pools: dict[str, Any], expected: Any) -> None:
    assert _pooler_plan.to_observe({"pools": pools}, duties) == expected
