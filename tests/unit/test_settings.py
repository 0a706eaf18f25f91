# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a server's configuration, and what the tuning is told about a host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _settings
from ansible_collections.steadfast.postgresql.plugins.module_utils._settings import Owned, Setting
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning import Tuned
from situations import all_empty, healthy
from whole import DB1, DB2, DB3, GIB, cluster, platform

SERVER = Owned(
    "main", ["localhost", "10.0.0.1"], 5433, "/etc/ssl/postgresql/main", ["pg_stat_statements", "auto_explain"]
)
OWNED = {
    "archive_command": "'/bin/true'",
    "archive_mode": "on",
    "cluster_name": "main",
    "listen_addresses": "'localhost, 10.0.0.1'",
    "port": "5433",
    "shared_preload_libraries": "'pg_stat_statements, auto_explain'",
    "ssl": "on",
    "ssl_ca_file": "'/etc/ssl/postgresql/main/ca.crt'",
    "ssl_cert_file": "'/etc/ssl/postgresql/main/server.crt'",
    "ssl_key_file": "'/etc/ssl/postgresql/main/server.key'",
}


def test_what_the_collection_owns() -> None:
    assert _settings.assemble(SERVER, {}, {}, "16") == {name: Setting(value) for name, value in OWNED.items()}


@pytest.mark.parametrize(
    ("tuned", "given", "name", "line"),
    [
        pytest.param({"work_mem": Tuned("8MB", "why")}, {}, "work_mem", Setting("8MB", "why"), id="tuned"),
        pytest.param(
            {"work_mem": Tuned("8MB", "why")},
            {"work_mem": "64MB"},
            "work_mem",
            Setting("64MB", "postgresql_server_parameters"),
            id="the user wins",
        ),
        pytest.param(
            {"TimeZone": Tuned("UTC", "why")},
            {"timezone": "Europe/Berlin"},
            "TimeZone",
            Setting("'Europe/Berlin'", "postgresql_server_parameters"),
            id="the user wins whatever the case",
        ),
        pytest.param({}, {"jit": False}, "jit", Setting("off", "postgresql_server_parameters"), id="boolean"),
        pytest.param(
            {"ssl": Tuned("on", "no plaintext")}, {}, "ssl", Setting("on"), id="the collection wins over the tuning"
        ),
    ],
)
def test_assemble(tuned: dict[str, Tuned], given: dict[str, Any], name: str, line: Setting) -> None:
    lines = _settings.assemble(SERVER, tuned, given, "16")
    assert lines[name] == line
    assert list(lines) == sorted(lines)
    assert set(lines) == set(OWNED) | {name}


@pytest.mark.parametrize(("given", "value"), [({}, "on"), ({"cron.use_background_workers": False}, "off")])
def test_jobs_of_pg_cron_need_no_rule(given: dict[str, Any], value: str) -> None:
    lines = _settings.assemble(replace(SERVER, preload=["pg_cron"]), {}, given, "17")
    assert lines["cron.use_background_workers"].value == value


def inputs(seen: dict[str, Any] | None = None, **member: Any) -> Any:
    hosts = platform(all_empty())
    for part, values in (seen or {}).items():
        hosts["db1"][part] |= values
    first = DB1 | member
    return _settings.tuning_inputs(first, cluster(first, DB2, DB3), hosts)


def disk(**values: Any) -> dict[str, Any]:
    return {"mount": "/", "bytes": 100 * GIB, "available": 80 * GIB, "rotational": False, **values}


WAL = disk(mount="/wal", bytes=10 * GIB)


@pytest.mark.parametrize(
    ("seen", "member", "name", "value"),
    [
        ({}, {}, "memory_bytes", 8 * GIB),
        ({"host": {"cgroup_memory_bytes": 2 * GIB}}, {}, "memory_bytes", 2 * GIB),
        ({"host": {"cgroup_memory_bytes": 2 * GIB}}, {"memory": "3GB"}, "memory_bytes", 3 * GIB),
        ({"host": {"cores": 6}}, {}, "cores", 6),
        ({}, {}, "storage", "ssd"),
        ({"disks": {"data": disk(rotational=None)}}, {}, "storage", "ssd"),
        ({"disks": {"data": disk(rotational=True)}}, {}, "storage", "hdd"),
        ({"disks": {"data": disk(rotational=True)}}, {"storage": "ssd"}, "storage", "ssd"),
        ({"disks": {"wal": disk(rotational=True)}}, {}, "storage", "ssd"),
        ({}, {"workload": "oltp"}, "workload", "oltp"),
        ({}, {}, "version", "16"),
        ({"disks": {"data": disk(bytes=7)}}, {}, "data_disk_bytes", 7),
        ({"disks": {"wal": WAL}}, {}, "wal_disk_bytes", 10 * GIB),
        ({"disks": {"wal": WAL}}, {}, "wal_on_data_disk", False),
        ({}, {}, "wal_on_data_disk", True),
        ({}, {}, "database_hosts", 3),
        ({}, {}, "max_connections", None),
        ({}, {"parameters": {"max_connections": "50"}}, "max_connections", 50),
    ],
)
def test_what_tuning_looks_at(
    seen: dict[str, Any], member: dict[str, Any], name: str, value: bool | int | str | None
) -> None:
    assert getattr(inputs(seen, **member), name) == value


FLOOR = {
    "max_connections": 200,
    "max_locks_per_transaction": 128,
    "max_prepared_transactions": 0,
    "max_wal_senders": 16,
    "max_worker_processes": 32,
}


@pytest.mark.parametrize(
    ("unknown", "running", "parameters", "cores", "differs"),
    [
        pytest.param([], {}, {}, 2, {}, id="alike"),
        pytest.param([], {}, {}, 40, {"max_worker_processes": 48}, id="a large member raises all"),
        pytest.param([], {}, {"max_connections": 500}, 2, {"max_connections": 500}, id="asked by one"),
        pytest.param([], {"max_connections": "900"}, {}, 2, {}, id="what runs does not count while all are seen"),
        pytest.param(["db3"], {"max_connections": "900"}, {}, 2, {"max_connections": 900}, id="it does otherwise"),
        pytest.param(
            ["db3"],
            {"max_worker_processes": "64"},
            {"max_worker_processes": 70},
            2,
            {"max_worker_processes": 70},
            id="the largest of both",
        ),
        pytest.param(["db1", "db3"], {}, {"max_wal_senders": 20}, 2, {"max_wal_senders": 20}, id="of an unknown one"),
    ],
)
def test_floor_of_the_cluster(
    unknown: list[str], running: dict[str, str], parameters: dict[str, int], cores: int, differs: dict[str, int]
) -> None:
    first = DB1 | {"parameters": parameters}
    seen = platform(healthy(**dict.fromkeys(unknown)))
    seen["db2"]["host"]["cores"] = cores
    for name, value in running.items():
        seen["db2"]["server"]["settings"][name] = whole.setting(value)
    found = _settings.tuning_inputs(DB2, cluster(first, DB2, DB3, whole.OPS1), seen)
    assert found.cluster_floor == FLOOR | differs


def test_floor_beside_a_member_that_is_stopped() -> None:
    seen = platform(healthy(db2=None, db3=all_empty()["db3"]))
    assert _settings.tuning_inputs(DB1, cluster(), seen).cluster_floor == FLOOR
