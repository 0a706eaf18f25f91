# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in the variables of one member, by its exact message."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from preflight_members import defaults, member, platform

SECRET = "correct horse battery"


OUTSIDE = "write a directory outside, or remove the line to keep the write-ahead log with the data"


ADVICE = "write at least 12 characters, from a secrets manager or an environment variable"


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
        ("postgresql_server_extension_packages", ["postgresql-16-cron", "postgresql-16-postgis-3"], ""),
        (
            "postgresql_server_extension_packages",
            ["postgresql-16-cron", "postgresql-17-cron"],
            'postgresql_server_extension_packages[1]: "postgresql-17-cron" is no package of an extension for '
            "PostgreSQL 16; write its name, such as postgresql-16-cron",
        ),
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


def test_database_checks_leave_other_hosts_alone() -> None:
    odd = {"postgresql_server_memory": "much", "postgresql_server_data_directory": "here", "postgresql_adopt": "x"}
    assert _preflight.mistakes("main", platform(ops1={**odd, "postgresql_adopt": ""})) == []


def test_what_could_not_be_read_is_not_judged_again() -> None:
    hosts = [member(host, missing=tuple(defaults())) for host in ("db1", "db2")]
    assert _preflight.mistakes("main", hosts) == []
