# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mistake that the preflight knows, by its exact message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils import _arguments, _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from ansible_collections.steadfast.postgresql.plugins.module_utils._preflight import Member

ROLES = Path(__file__).parents[2] / "roles"
SECRET = "correct horse battery"
PLACES = {"db1": ("eu-west", "1a"), "db2": ("eu-west", "1b"), "db3": ("us-west", "2a"), "ops1": ("", "")}
DATABASE = ("database", "pooler")
REPOSITORY = ("repository", "migrations", "drill")


def defaults() -> dict[str, Any]:
    """Return the defaults of the roles that this file is about, as the preflight reads them."""
    found: dict[str, Any] = {}
    for role in ("cluster", "server", "replication"):
        spec = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
        found |= {name: option["default"] for name, option in spec["options"].items()}
    return found | {"postgresql_server_data_directory": "/var/lib/postgresql/16/main"}


def member(host: str, given: dict[str, Any] | None = None, *, missing: tuple[str, ...] = ()) -> Member:
    region, zone = PLACES.get(host, ("eu-west", "1a"))
    values = defaults() | {"postgresql_region": region, "postgresql_zone": zone} | (given or {})
    values = {name: value for name, value in values.items() if name not in missing}
    duties = REPOSITORY if host.startswith("ops") else DATABASE
    return Member(host, duties, values, frozenset(given or ()))


def platform(*, everywhere: dict[str, Any] | None = None, **hosts: dict[str, Any]) -> list[Member]:
    """Return db1, db2, db3 and ops1 as they should be, changed by what a test gives."""
    common = {"postgresql_initial_primary": "db1"} | (everywhere or {})
    return [member(host, common | hosts.get(host, {})) for host in PLACES]


def test_an_inventory_without_mistakes_is_accepted() -> None:
    assert _preflight.mistakes("main", platform()) == []


def test_one_host_needs_nothing() -> None:
    lone = Member("pg", DATABASE, defaults())
    assert _preflight.mistakes("main", [lone]) == []
    cluster = _preflight.resolve("main", [lone])
    assert (cluster["initial_primary"], cluster["durability"]) == ("pg", "asynchronous")


PRIMARY = "cluster main: postgresql_initial_primary: "
DURABILITY = "cluster main: postgresql_replication_durability: "
OUTSIDE = "write a directory outside, or remove the line to keep the write-ahead log with the data"
ADVICE = "write at least 12 characters, from a secrets manager or an environment variable"
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


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("postgresql_port", 80, "postgresql_port: 80 is no port for the server; write 1024 to 65535"),
        ("postgresql_port", 65536, "postgresql_port: 65536 is no port for the server; write 1024 to 65535"),
        ("postgresql_port", 1024, ""),
        ("postgresql_port", 65535, ""),
        (
            "postgresql_address",
            "192.0.2.0/24",
            'postgresql_address: "192.0.2.0/24" is no address and no host name; write one, such as 192.0.2.10',
        ),
        (
            "postgresql_address",
            "0.0.0.0",
            "postgresql_address: 0.0.0.0 is not the address of a host; write its own, such as 192.0.2.10",
        ),
        ("postgresql_address", "db1.example.com", ""),
        ("postgresql_address", "127.0.0.1", ""),
        (
            "postgresql_application_networks",
            ["10.1.2.3/8"],
            "postgresql_application_networks[0]: 10.1.2.3/8 is an address inside a network; write 10.0.0.0/8 for the "
            "network or 10.1.2.3/32 for the one host",
        ),
        (
            "postgresql_management_networks",
            ["10.0.0.0/8", "ten"],
            "postgresql_management_networks[1]: 'ten' is no network; write an address with a prefix length, "
            "such as 10.20.0.0/16",
        ),
        (
            "postgresql_application_networks",
            "10.0.0.0/8",
            "postgresql_application_networks: must be a list of networks such as 10.20.0.0/16, "
            "but is the text '10.0.0.0/8'",
        ),
        (
            "postgresql_server_package_source",
            "pgdb",
            'postgresql_server_package_source: "pgdb" is unknown; write pgdg, distribution or a whole line such as '
            '"deb https://mirror.example.com/pgdg trixie-pgdg main"',
        ),
        (
            "postgresql_server_package_source",
            "deb https://mirror.example.com/pgdg",
            'postgresql_server_package_source: "deb https://mirror.example.com/pgdg" is unknown; write pgdg, '
            'distribution or a whole line such as "deb https://mirror.example.com/pgdg trixie-pgdg main"',
        ),
        ("postgresql_server_package_source", "distribution", ""),
        (
            "postgresql_server_package_source",
            "deb [signed-by=/k.asc arch=amd64] https://m/pgdg trixie-pgdg main 16",
            "",
        ),
        ("postgresql_server_package_source", "deb [trusted=yes] file:/srv/packages ./", ""),
        (
            "postgresql_server_data_directory",
            "data/16",
            'postgresql_server_data_directory: "data/16" is not absolute; write a path that begins with /',
        ),
        (
            "postgresql_server_data_directory",
            "",
            "postgresql_server_data_directory: is empty; write an absolute path, or remove the line",
        ),
        (
            "postgresql_server_wal_directory",
            "wal",
            'postgresql_server_wal_directory: "wal" is not absolute; write a path that begins with /',
        ),
        (
            "postgresql_server_wal_directory",
            "/var/lib/postgresql//16/main/",
            "postgresql_server_wal_directory: /var/lib/postgresql/16/main is the data directory as well; " + OUTSIDE,
        ),
        (
            "postgresql_server_wal_directory",
            "/var/lib/postgresql/16/main/wal",
            "postgresql_server_wal_directory: /var/lib/postgresql/16/main/wal is inside the data directory "
            "/var/lib/postgresql/16/main; " + OUTSIDE,
        ),
        (
            "postgresql_server_wal_directory",
            "/var/lib/postgresql/16",
            "postgresql_server_wal_directory: /var/lib/postgresql/16 holds the data directory "
            "/var/lib/postgresql/16/main; " + OUTSIDE,
        ),
        ("postgresql_server_wal_directory", "/var/lib/postgresql/16/main-wal", ""),
        ("postgresql_server_memory", "16gb", 'postgresql_server_memory: "16gb" has a wrong unit; write 16GB'),
        ("postgresql_server_memory", "512 MiB", 'postgresql_server_memory: "512 MiB" has a wrong unit; write 512MB'),
        (
            "postgresql_server_memory",
            "16",
            'postgresql_server_memory: "16" has no unit; write a number with kB, MB, GB or TB, such as 16GB',
        ),
        (
            "postgresql_server_memory",
            "much",
            'postgresql_server_memory: "much" is no number; write a number with kB, MB, GB or TB, such as 16GB',
        ),
        (
            "postgresql_server_memory",
            "0GB",
            'postgresql_server_memory: "0GB" is nothing; write a number with kB, MB, GB or TB, such as 16GB',
        ),
        ("postgresql_server_memory", "2GB", ""),
        (
            "postgresql_server_listen_addresses",
            ["localhost", "10.0.0.0/8"],
            'postgresql_server_listen_addresses[1]: "10.0.0.0/8" is no address and no host name; '
            "write one, such as 192.0.2.10",
        ),
        ("postgresql_server_listen_addresses", ["*", "0.0.0.0", "db1.example.com", "::"], ""),
        (
            "postgresql_adopt",
            "yes",
            'postgresql_adopt: "yes" is no system identifier; '
            "write the number that the refusal or pg_controldata prints",
        ),
        ("postgresql_adopt", "7432100000000000000", ""),
        ("postgresql_replication_wait", 0, "postgresql_replication_wait: 0 is too small; write at least 1"),
        (
            "postgresql_replication_preferred_after",
            -1,
            "postgresql_replication_preferred_after: -1 is too small; write at least 1",
        ),
        (
            "postgresql_certificates_lifetime_days",
            0,
            "postgresql_certificates_lifetime_days: 0 is too small; write at least 1",
        ),
        (
            "postgresql_certificates_directory",
            "tls",
            'postgresql_certificates_directory: "tls" is not absolute; write a path that begins with /',
        ),
        (
            "postgresql_replication_durability",
            "required",
            "cluster main: postgresql_replication_durability: required needs a standby in the initial primary's region "
            "and another zone, but db1 is the only database host; add one, or write asynchronous",
        ),
        (
            "postgresql_initial_primary",
            "db2",
            "cluster main: postgresql_initial_primary: db2 is no database host of the cluster; write one of db1",
        ),
    ],
)
def test_mistakes_of_a_value(variable: str, value: Any, expected: str) -> None:
    found = _preflight.mistakes("main", [member("db1", {variable: value})])
    assert found == ([expected if expected.startswith("cluster") else f"db1: {expected}"] if expected else [])


@pytest.mark.parametrize(
    ("name", "password", "expected"),
    [
        (
            "ada",
            "",
            [f"password: is empty; {ADVICE}"],
        ),
        (
            "ada",
            "12345678901",
            [f"password: has 11 characters; {ADVICE}"],
        ),
        ("ada", "123456789012", []),
        ("ada.lovelace@example", SECRET, []),
        ("postgres", SECRET, ["name: postgres is reserved; write another name"]),
        ("Replicator", SECRET, ["name: Replicator is reserved; write another name"]),
        ("pg_ada", SECRET, ["name: pg_ada is reserved; write another name"]),
        ("all", SECRET, ["name: all is reserved; write another name"]),
        ("", SECRET, ['name: "" is not made of letters, digits and _ . @ -; write such as ada_lovelace']),
        ("+ada", SECRET, ['name: "+ada" is not made of letters, digits and _ . @ -; write such as ada_lovelace']),
        ("a" * 64, SECRET, ["name: has 64 characters; write at most 63"]),
        ("a" * 63, SECRET, []),
    ],
)
def test_administrators(name: str, password: str, expected: list[str]) -> None:
    administrators = [{"name": name, "password": password, "comment": ""}]
    given = {"postgresql_administrators": administrators, "postgresql_management_networks": ["10.0.0.0/8"]}
    found = _preflight.mistakes("main", [member("db1", given)])
    assert found == [f"db1: postgresql_administrators[0].{text}" for text in expected]


def test_an_administrator_twice() -> None:
    administrators = [{"name": name, "password": SECRET, "comment": ""} for name in ("ada", "grace", "ada")]
    given = {"postgresql_administrators": administrators, "postgresql_management_networks": ["10.0.0.0/8"]}
    assert _preflight.mistakes("main", [member("db1", given)]) == [
        "db1: postgresql_administrators[2].name: ada is postgresql_administrators[0] already; remove one of the two"
    ]


def test_administrators_without_a_way_in() -> None:
    given = {"postgresql_administrators": [{"name": "ada", "password": SECRET, "comment": ""}]}
    assert _preflight.mistakes("main", [member("db1", given)]) == [
        "db1: postgresql_management_networks: is empty, but postgresql_administrators log in from there only; "
        "write their networks, such as [10.0.0.0/24]"
    ]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (
            ["db-1", "db.1", "DB_1"],
            "DB_1, db-1, db.1: inventory name: in PostgreSQL all of them are db_1 (slot, application_name); "
            "rename all but one",
        ),
        (["d" * 64], f"{'d' * 64}: inventory name: has 64 characters and PostgreSQL takes 63; rename the host"),
        (["d" * 63], ""),
    ],
)
def test_inventory_names(hosts: list[str], expected: str) -> None:
    zones = {host: {"postgresql_zone": host, "postgresql_initial_primary": hosts[0]} for host in hosts}
    found = _preflight.mistakes("main", [member(host, zones[host]) for host in hosts] + [member("ops1")])
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", []),
        ("a_1", []),
        ("Main-1", ['"Main-1" is not made of a-z, 0-9 and _; write such as main_1']),
        ("", ['"" is not made of a-z, 0-9 and _; write such as main']),
        ("m" * 63, []),
        ("m" * 64, ["has 64 characters; write at most 63"]),
    ],
)
def test_cluster_names(name: str, expected: list[str]) -> None:
    assert list(_preflight.cluster_name_mistakes(name)) == [
        Mistake("postgresql_cluster_name", text) for text in expected
    ]


def test_a_cluster_without_a_database_host() -> None:
    assert _preflight.mistakes("spare", [member("ops1")]) == [
        "cluster spare: postgresql_cluster_name: the cluster has no database host; "
        "add a host with postgresql_cluster_name: spare to the group postgresql"
    ]


def test_database_checks_leave_other_hosts_alone() -> None:
    odd = {"postgresql_server_memory": "much", "postgresql_server_data_directory": "here", "postgresql_adopt": "x"}
    assert _preflight.mistakes("main", platform(ops1={**odd, "postgresql_adopt": ""})) == []


def test_what_could_not_be_read_is_not_judged_again() -> None:
    hosts = [member(host, missing=tuple(defaults())) for host in ("db1", "db2")]
    assert _preflight.mistakes("main", hosts) == []


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
    }
    assert _preflight.resolve("main", members)["members"][0] == {
        "name": "db1",
        "member_name": "db1",
        "duties": ["database", "pooler"],
        "region": "eu-west",
        "zone": "1a",
        "address": "192.0.2.1",
        "parameters": {"work_mem": "8MB"},
        "memory": "",
        "storage": "",
        "workload": "mixed",
        "package_source": "pgdg",
        "allow_untested_platform": False,
    }


TEXT = {"type": "str"}
NESTED = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "limit": {"type": "int", "default": 5},
        "kind": {"type": "str", "choices": ["a", "b"], "default": "a"},
    },
}


@pytest.mark.parametrize(
    ("spec", "value", "clean", "expected"),
    [
        (TEXT, "x", "x", []),
        (TEXT, 16, "16", []),
        (TEXT, "", "", []),
        (TEXT, None, None, ["v: has no value; write a text, or remove the line"]),
        (TEXT, True, None, ["v: is true or false, not a text; write it in quotes"]),
        (TEXT, 1.5, None, ["v: is a number, not a text; write it in quotes"]),
        (TEXT, ["x"], None, ["v: is a list; write a text"]),
        (TEXT, {"x": 1}, None, ["v: is a dictionary; write a text"]),
        ({"type": "str", "choices": ["", "a"]}, "b", None, ['v: "b" is unknown; write one of "", a']),
        ({"type": "str", "choices": ["16", "17"]}, 17, "17", []),
        ({"type": "str", "choices": ["16", "17"]}, 18, None, ["v: 18 is unknown; write one of 16, 17"]),
        (
            {"type": "str", "no_log": True, "choices": ["a"]},
            SECRET,
            None,
            ["v: has a value that is unknown; write one of a"],
        ),
        ({"type": "int"}, "5433", 5433, []),
        ({"type": "int"}, 7, 7, []),
        ({"type": "int"}, "many", None, ['v: "many" is not a whole number; write a whole number']),
        ({"type": "int"}, True, None, ["v: is true or false; write a whole number"]),
        ({"type": "int"}, 1.5, None, ["v: 1.5 is not a whole number; write a whole number"]),
        ({"type": "int"}, [], None, ["v: is a list; write a whole number"]),
        (
            {"type": "int", "no_log": True},
            SECRET,
            None,
            ["v: has a value that is not a whole number; write a whole number"],
        ),
        ({"type": "bool"}, "yes", True, []),
        ({"type": "bool"}, "false", False, []),
        ({"type": "bool"}, "maybe", None, ['v: "maybe" is not true or false; write true or false']),
        ({"type": "bool"}, [], None, ["v: is a list; write true or false"]),
        ({"type": "list", "elements": "str"}, ["a", 1], ["a", "1"], []),
        ({"type": "list", "elements": "str"}, "a,b", None, ["v: is a text, not a list; write [a,b]"]),
        ({"type": "list", "elements": "str"}, {"a": 1}, None, ["v: is a dictionary; write a list"]),
        (
            {"type": "list", "elements": "str"},
            ["a", None],
            ["a", None],
            ["v[1]: has no value; write a text, or remove the line"],
        ),
        ({"type": "list", "elements": "str", "no_log": True}, SECRET, None, ["v: is a text; write a list"]),
        ({"type": "list"}, ["a", 1], ["a", 1], []),
        ({"type": "dict"}, {"a": [1]}, {"a": [1]}, []),
        ({"type": "dict"}, "a=1", None, ["v: is a text; write a dictionary"]),
        ({"type": "dict"}, [], None, ["v: is a list; write a dictionary"]),
        (NESTED, [], [], []),
        (
            NESTED,
            [{"name": "n", "password": "p"}],
            [{"name": "n", "password": "p", "limit": 5, "kind": "a"}],
            [],
        ),
        (NESTED, "n", None, ["v: is a text; write a list"]),
        (NESTED, ["n"], [None], ["v[0]: is a text; write a dictionary"]),
        (
            NESTED,
            [{"name": "n", "pasword": SECRET, "limit": "x", "colour": 1, "kind": "c"}],
            [{"name": "n", "limit": None, "kind": None}],
            [
                "v[0].colour: is no key here; the keys are name, password, limit, kind",
                "v[0].pasword: is no key here; write password",
                "v[0].password: is missing; write a text",
                'v[0].limit: "x" is not a whole number; write a whole number',
                'v[0].kind: "c" is unknown; write one of a, b',
            ],
        ),
        (
            NESTED,
            [{"name": "n", "password": [SECRET]}],
            [{"name": "n", "password": None, "limit": 5, "kind": "a"}],
            ["v[0].password: is a list; write a text"],
        ),
    ],
)
def test_arguments(spec: dict[str, Any], value: Any, clean: Any, expected: list[str]) -> None:
    found, mistakes = _arguments.check("v", spec, value)
    assert [f"{mistake.variable}: {mistake.text}" for mistake in mistakes] == expected
    assert found == clean
    assert SECRET not in str(mistakes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postgresql_prot", "write postgresql_port"),
        ("postgresql_regoin", "write postgresql_region"),
        ("postgresql_memory", "write postgresql_server_memory"),
        ("postgresql_serverlocale", "write postgresql_server_locale"),
        ("postgresql_x", "remove it or give it another name"),
        ("postgresql_directory", "remove it or give it another name"),
        ("postgresql_backup_repositories", "remove it or give it another name"),
    ],
)
def test_unknown_names(name: str, expected: str) -> None:
    known = ["postgresql_port", "postgresql_hosts", *defaults()]
    found = _arguments.unknown(["postgresql_port", name], known, "postgresql_")
    assert found == [Mistake(name, f"is no variable of this collection; {expected}")]


@pytest.mark.parametrize(
    ("spec", "secret"),
    [(TEXT, False), ({"no_log": True}, True), (NESTED, True), ({"type": "dict", "options": {"a": TEXT}}, False)],
)
def test_secrets(spec: dict[str, Any], secret: bool) -> None:
    assert _arguments.is_secret(spec) is secret


def test_long_values_are_cut() -> None:
    assert _arguments.shown("x" * 100) == '"' + "x" * 56 + "..."
    assert len(_arguments.shown("x" * 58)) == 60
