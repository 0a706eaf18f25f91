# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in a cluster as a whole, by its exact message; and the cluster without it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from ansible_collections.steadfast.postgresql.plugins.module_utils._preflight import Member
from preflight_members import DATABASE, defaults, member, platform

SECRET = "correct horse battery"


def test_an_inventory_without_mistakes_is_accepted() -> None:
    assert _preflight.mistakes("main", platform()) == []


def test_one_host_needs_nothing() -> None:
    lone = Member("pg", DATABASE, defaults())
    assert _preflight.mistakes("main", [lone]) == []
    cluster = _preflight.resolve("main", [lone])
    assert (cluster["initial_primary"], cluster["durability"]) == ("pg", "asynchronous")


PRIMARY = "cluster main: postgresql_initial_primary: "


DURABILITY = "cluster main: postgresql_replication_durability: "


WHOLE = "write one value for the whole cluster"


@pytest.mark.parametrize(
    ("everywhere", "hosts", "expected"),
    [
        pytest.param(
            {"postgresql_initial_primary": ""},
            {},
            [PRIMARY + "is missing, and the cluster has 3 database hosts; write one of db1, db2, db3"],
            id="no initial primary",
        ),
        pytest.param(
            {},
            {"db2": {"postgresql_initial_primary": "db2"}},
            [PRIMARY + "the members name different ones: db1 on db1, db3; db2 on db2; write one for the whole cluster"],
            id="two initial primaries",
        ),
        pytest.param(
            {},
            {"db3": {"postgresql_initial_primary": ""}},
            [
                PRIMARY
                + "the members name different ones: db1 on db1, db2; none on db3; write one for the whole cluster"
            ],
            id="initial primary not everywhere",
        ),
        pytest.param(
            {"postgresql_initial_primary": "db9"},
            {},
            [PRIMARY + "db9 is no database host of the cluster; write one of db1, db2, db3"],
            id="initial primary is no host",
        ),
        pytest.param(
            {"postgresql_initial_primary": "ops1"},
            {},
            [PRIMARY + "ops1 is no database host of the cluster; write one of db1, db2, db3"],
            id="initial primary is the repository host",
        ),
        pytest.param(
            {},
            {"db2": {"postgresql_zone": "1a"}},
            [
                DURABILITY + "required (the default with two or more database hosts) needs a standby in the initial "
                "primary's region and another zone, but the initial primary db1 is in eu-west / 1a, and there is only "
                "db2 in eu-west / 1a, db3 in us-west / 2a; put a standby into another zone of eu-west, or write "
                "asynchronous"
            ],
            id="all standbys of the region in the primary's zone",
        ),
        pytest.param(
            {"postgresql_replication_durability": "preferred", "postgresql_initial_primary": "db3"},
            {},
            [
                DURABILITY + "preferred needs a standby in the initial primary's region and another zone, but the "
                "initial primary db3 is in us-west / 2a, and there is only db1 in eu-west / 1a, db2 in eu-west / 1b; "
                "put a standby into another zone of us-west, or write asynchronous"
            ],
            id="initial primary alone in its region",
        ),
        pytest.param(
            {"postgresql_replication_durability": "asynchronous"},
            {"db2": {"postgresql_zone": "1a"}},
            [],
            id="asynchronous needs no zone",
        ),
        pytest.param(
            {"postgresql_region": "", "postgresql_zone": ""},
            {},
            [
                "db1, db2, db3: postgresql_region: is missing, and the cluster has 3 database hosts; "
                "write the region where the host stands, such as eu-west",
                "db1, db2, db3: postgresql_zone: is missing, and the cluster has 3 database hosts; "
                "write the availability zone of the host, such as eu-west-1a",
            ],
            id="no region and zone",
        ),
        pytest.param(
            {},
            {"db2": {"postgresql_zone": ""}},
            [
                "db2: postgresql_zone: is missing, and the cluster has 3 database hosts; "
                "write the availability zone of the host, such as eu-west-1a"
            ],
            id="one zone missing",
        ),
        pytest.param(
            {},
            {
                "db1": {"postgresql_address": "192.0.2.1"},
                "ops1": {"postgresql_address": "192.0.2.1"},
                "db2": {"postgresql_address": "2001:db8::1"},
                "db3": {"postgresql_address": "2001:DB8:0::1"},
            },
            [
                "db1, ops1: postgresql_address: 192.0.2.1 is the address of several hosts; write each host's own",
                "db2, db3: postgresql_address: 2001:db8::1 is the address of several hosts; write each host's own",
            ],
            id="duplicate addresses",
        ),
        pytest.param(
            {},
            {"db1": {"postgresql_address": "DB.example.com."}, "db2": {"postgresql_address": "db.example.com"}},
            ["db1, db2: postgresql_address: db.example.com is the address of several hosts; write each host's own"],
            id="duplicate names",
        ),
        pytest.param(
            {},
            {
                "db1": {"postgresql_address": "127.0.1.1"},
                "db2": {"postgresql_address": "localhost"},
                "db3": {"postgresql_address": "::1"},
            },
            [
                "db1: postgresql_address: 127.0.1.1 leads every host to itself; "
                "write the address at which the other members reach this one",
                "db2: postgresql_address: localhost leads every host to itself; "
                "write the address at which the other members reach this one",
                "db3: postgresql_address: ::1 leads every host to itself; "
                "write the address at which the other members reach this one",
            ],
            id="loopback",
        ),
        pytest.param(
            {},
            {"db2": {"postgresql_version": "17"}, "ops1": {"postgresql_version": "16"}},
            [
                'cluster main: postgresql_version: differs between the members: "16" on db1, db3, ops1; '
                f'"17" on db2; {WHOLE}'
            ],
            id="different versions",
        ),
        pytest.param(
            {},
            {"db3": {"postgresql_port": 5433}},
            [f"cluster main: postgresql_port: differs between the members: 5432 on db1, db2; 5433 on db3; {WHOLE}"],
            id="different ports",
        ),
        pytest.param(
            {},
            {
                "db1": {"postgresql_application_networks": ["10.0.0.0/8"]},
                "ops1": {"postgresql_replication_preferred_after": 5},
            },
            [
                "cluster main: postgresql_application_networks: differs between the members: "
                f'["10.0.0.0/8"] on db1; [] on db2, db3; {WHOLE}',
                "cluster main: postgresql_replication_preferred_after: differs between the members: "
                f"30 on db1, db2, db3; 5 on ops1; {WHOLE}",
            ],
            id="other values of the cluster",
        ),
        pytest.param(
            {"postgresql_management_networks": ["10.0.0.0/8"]},
            {
                "db1": {"postgresql_administrators": [{"name": "ada", "password": SECRET, "comment": ""}]},
                "db2": {"postgresql_administrators": [{"name": "ada", "password": SECRET + "!", "comment": ""}]},
                "db3": {"postgresql_administrators": [{"name": "ada", "password": SECRET, "comment": ""}]},
            },
            [
                "cluster main: postgresql_administrators: differs between the members: "
                f"one value on db1, db3; one value on db2; {WHOLE}"
            ],
            id="different secrets are not shown",
        ),
        pytest.param(
            {"postgresql_cluster_name": "main"},
            {"db1": {"postgresql_port": 5433}, "db2": {"postgresql_port": 5433}, "db3": {"postgresql_port": 5433}},
            [],
            id="a member without a database may leave a value out",
        ),
        pytest.param(
            {},
            {"db1": {"postgresql_server_memory": "1GB"}, "db2": {"postgresql_server_workload": "web"}},
            [],
            id="values of a host may differ",
        ),
        pytest.param(
            {"postgresql_server_parameters": {"max_connectoins": 10}},
            {},
            [
                "db1, db2, db3: postgresql_server_parameters.max_connectoins: is no parameter of PostgreSQL 16; "
                "write max_connections"
            ],
            id="parameters of the database hosts",
        ),
        pytest.param(
            {"postgresql_server_parameters": {"max_wal_senders": 3}},
            {},
            [
                "db1, db2, db3: postgresql_server_parameters.max_wal_senders: 3 is too few "
                "(one to stream and one to clone for each standby); write 4 or more"
            ],
            id="parameters and the number of standbys",
        ),
        pytest.param(
            {"postgresql_server_preload_libraries": [], "postgresql_server_parameters": {"pg_stat_statements.max": 9}},
            {},
            [
                "db1, db2, db3: postgresql_server_parameters.pg_stat_statements.max: belongs to pg_stat_statements, "
                "which is not preloaded; write pg_stat_statements into postgresql_server_preload_libraries"
            ],
            id="parameters and preloaded libraries",
        ),
        pytest.param(
            {
                "postgresql_server_hba_rules": [
                    {
                        "comment": "Reports",
                        "databases": ["all"],
                        "users": ["all"],
                        "addresses": ["10.9.0.0/16"],
                        "method": "trust",
                    }
                ],
                "postgresql_application_networks": ["10.9.0.0/17"],
            },
            {},
            [
                "db1, db2, db3: postgresql_server_hba_rules[0].addresses[0]: 10.9.0.0/16 is wider than 10.9.0.0/17 of "
                "postgresql_application_networks; write that or a part of it",
                "db1, db2, db3: postgresql_server_hba_rules[0].method: trust asks for no proof at all; "
                "write scram-sha-256, cert or reject",
            ],
            id="rules of pg_hba.conf",
        ),
    ],
)
def test_mistakes_of_a_cluster(
    everywhere: dict[str, Any], hosts: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    assert _preflight.mistakes("main", platform(everywhere=everywhere, **hosts)) == expected


def test_a_cluster_without_a_database_host() -> None:
    assert _preflight.mistakes("spare", [member("ops1")]) == [
        "cluster spare: postgresql_cluster_name: the cluster has no database host; "
        "add a host with postgresql_cluster_name: spare to the group postgresql"
    ]


def test_the_same_mistake_is_said_once() -> None:
    wrong = Mistake("postgresql_prot", "is no variable of this collection; write postgresql_port")
    members = [Member(m.name, m.duties, m.values, m.given, (wrong,)) for m in platform()]
    line = "postgresql_prot: is no variable of this collection; write postgresql_port"
    assert _preflight.mistakes("main", members) == [f"all hosts: {line}"]
    assert _preflight.mistakes("main", [*members[:2], *platform()[2:]]) == [f"db1, db2: {line}"]
    assert _preflight.mistakes("main", [Member("pg", DATABASE, defaults(), mistakes=(wrong,))]) == [f"pg: {line}"]


def test_the_list_is_one_text() -> None:
    assert _preflight.message("main", ["a: b: c", "d: e: f"]) == (
        "Cluster main: 2 mistakes in the inventory; no host was touched.\n- a: b: c\n- d: e: f"
    )
    assert _preflight.message("", ["a: b: c"]) == (
        "Cluster (without a name): 1 mistake in the inventory; no host was touched.\n- a: b: c"
    )


def test_the_others_point_to_the_list() -> None:
    assert _preflight.pointer("main", "db1") == (
        "Cluster main: refused before any host was touched; the list of mistakes is at db1."
    )


def test_a_cluster_whose_name_cannot_be_read() -> None:
    assert _preflight.mistakes("", platform(everywhere={"postgresql_initial_primary": ""})) == [
        "cluster (without a name): postgresql_initial_primary: is missing, and the cluster has 3 database hosts; "
        "write one of db1, db2, db3"
    ]


def test_the_order_of_members_does_not_matter() -> None:
    members = platform(db2={"postgresql_zone": "1a", "postgresql_port": 80}, db1={"postgresql_address": "::"})
    reverse = _preflight.mistakes("main", members[::-1])
    forward = _preflight.mistakes("main", members)
    assert len(forward) == 4
    assert forward == sorted(forward)
    assert {line.partition(": ")[0] for line in forward} == {line.partition(": ")[0] for line in reverse}


@pytest.mark.parametrize(
    ("database", "repository", "pooler", "expected"),
    [
        (["a"], [], [], {"a": ("database", "pooler")}),
        (
            ["a", "b"],
            ["o"],
            [],
            {"a": ("database", "pooler"), "b": ("database", "pooler"), "o": ("repository", "migrations", "drill")},
        ),
        (["a"], ["a"], ["p"], {"a": ("database", "repository", "migrations", "drill"), "p": ("pooler",)}),
        ([], ["o"], [], {"o": ("repository", "migrations", "drill")}),
    ],
)
def test_duties(
    database: list[str], repository: list[str], pooler: list[str], expected: dict[str, tuple[str, ...]]
) -> None:
    assert _preflight.duties(database, repository, pooler) == expected


@pytest.mark.parametrize(
    ("members", "play_hosts", "expected"),
    [(["a", "b"], ["c", "b", "a"], "b"), (["a"], ["b"], ""), ([], [], "")],
)
def test_speaker(members: list[str], play_hosts: list[str], expected: str) -> None:
    assert _preflight.speaker(members, play_hosts) == expected


def test_the_cluster_for_the_decision() -> None:
    members = platform(
        everywhere={"postgresql_application_networks": ["10.0.0.0/8"], "postgresql_adopt": "7432100000000000000"},
        db1={"postgresql_address": "192.0.2.1", "postgresql_server_parameters": {"work_mem": "8MB"}},
    )
    assert _preflight.mistakes("main", members) == []
    cluster = _preflight.resolve("main", members)
    assert [entry["name"] for entry in cluster.pop("members")] == ["db1", "db2", "db3", "ops1"]
    assert cluster == {
        "name": "main",
        "version": "16",
        "port": 5432,
        "initial_primary": "db1",
        "durability": "required",
        "preferred_after": 30,
        "application_networks": ["10.0.0.0/8"],
        "management_networks": [],
        "locale": "C.UTF-8",
        "locale_provider": "libc",
        "adopt": "7432100000000000000",
        "administrators": [],
        "applications": [],
        "pools": {},
        "repositories": [],
        "backup_port": 0,
    }
    assert _preflight.resolve("main", members)["members"][0] == {
        "name": "db1",
        "member_name": "db1",
        "duties": ["database", "pooler"],
        "region": "eu-west",
        "zone": "1a",
        "address": "192.0.2.1",
        "parameters": {"work_mem": "8MB"},
        "hba_rules": [],
        "extension_packages": [],
        "preload_libraries": ["pg_stat_statements"],
        "memory": "",
        "storage": "",
        "workload": "mixed",
        "data_directory": "/var/lib/postgresql/16/main",
        "package_source": "pgdg",
        "allow_untested_platform": False,
        "listen_addresses": [],
        "host": {
            "firewall": True,
            "ssh_networks": [],
            "open_ports": [],
            "huge_pages": "off",
            "encryption": "observed",
        },
    }
