# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and properties over `_tuning`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules as rules
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters as parameters
from ansible_collections.steadfast.postgresql.plugins.module_utils import _tuning as tuning
from ansible_collections.steadfast.postgresql.plugins.module_utils import _units as units
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from hypothesis import given, settings
from hypothesis import strategies as st

MB = units.MB
GB = units.GB

HOST = tuning.Inputs(
    memory_bytes=16 * GB,
    cores=4,
    storage="ssd",
    workload="mixed",
    version="16",
    data_disk_bytes=500 * GB,
    wal_disk_bytes=500 * GB,
)


def values(inputs: tuning.Inputs) -> dict[str, str]:
    return {name: item.value for name, item in tuning.tuned(inputs).items()}


def number(inputs: tuning.Inputs, name: str) -> int:
    return units.parse_integer(values(inputs)[name], parameters.catalogue(inputs.version)[name].unit)


hosts = st.builds(
    tuning.Inputs,
    memory_bytes=st.integers(256 * MB, 2**42),
    cores=st.integers(1, 256),
    storage=st.sampled_from(["ssd", "hdd"]),
    workload=st.sampled_from(["web", "oltp", "warehouse", "mixed"]),
    version=st.sampled_from(parameters.VERSIONS),
    data_disk_bytes=st.integers(GB, 2**50),
    wal_disk_bytes=st.integers(GB, 2**50),
    wal_on_data_disk=st.booleans(),
    database_hosts=st.integers(1, 20),
    max_connections=st.one_of(st.none(), st.integers(4, 5000)),
    cluster_floor=st.dictionaries(st.sampled_from(STANDBY_MINIMA), st.integers(0, 1000)),
)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (512 * MB, ("64MB", "384MB", "448kB", "32MB", "8MB")),
        (GB, ("256MB", "768MB", "768kB", "64MB", "16MB")),
        (4 * GB, ("1GB", "3GB", "4MB", "256MB", "64MB")),
        (16 * GB, ("4GB", "12GB", "20MB", "1GB", "256MB")),
        (64 * GB, ("16GB", "48GB", "93MB", "2GB", "512MB")),
        (512 * GB, ("128GB", "384GB", "256MB", "2GB", "512MB")),
    ],
)
def test_memory_by_size(memory: int, expected: tuple[str, ...]) -> None:
    found = values(replace(HOST, memory_bytes=memory))
    names = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "autovacuum_work_mem")
    assert tuple(found[name] for name in names) == expected
    assert found["max_connections"] == "200"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"workload": "web"}, {"work_mem": "20MB", "max_wal_size": "4GB", "min_wal_size": "1GB", "jit": "off"}),
        (
            {"workload": "oltp"},
            {"max_wal_size": "8GB", "min_wal_size": "2GB", "autovacuum_vacuum_scale_factor": "0.02"},
        ),
        (
            {"workload": "warehouse"},
            {
                "max_connections": "200",
                "maintenance_work_mem": "2GB",
                "max_wal_size": "16GB",
                "default_statistics_target": "500",
                "jit": "on",
                "autovacuum_analyze_scale_factor": "0.1",
            },
        ),
        ({"workload": "mixed"}, {"jit": "off", "default_statistics_target": "100"}),
        ({"storage": "ssd"}, {"random_page_cost": "1.1", "effective_io_concurrency": "200"}),
        (
            {"storage": "hdd"},
            {"random_page_cost": "4", "effective_io_concurrency": "2", "autovacuum_vacuum_cost_limit": "400"},
        ),
        (
            {"cores": 1},
            {
                "max_parallel_workers": "1",
                "max_parallel_workers_per_gather": "0",
                "max_parallel_maintenance_workers": "0",
                "autovacuum_max_workers": "3",
            },
        ),
        ({"cores": 8, "workload": "web"}, {"max_parallel_workers": "8", "max_parallel_workers_per_gather": "2"}),
        ({"cores": 8, "workload": "mixed"}, {"max_parallel_workers_per_gather": "4"}),
        (
            {"cores": 20, "workload": "warehouse"},
            {"max_parallel_workers_per_gather": "10", "autovacuum_max_workers": "5"},
        ),
        (
            {"cores": 96},
            {"max_parallel_workers": "24", "max_worker_processes": "32", "autovacuum_max_workers": "8"},
        ),
        (
            {"cores": 96, "cluster_floor": {"max_worker_processes": 104}},
            {"max_parallel_workers": "96", "max_worker_processes": "104"},
        ),
        ({"max_connections": 50}, {"max_connections": "50", "work_mem": "79MB"}),
        ({"max_connections": 50, "cluster_floor": {"max_connections": 80}}, {"max_connections": "80"}),
        ({"cluster_floor": {"max_connections": 80}}, {"max_connections": "200"}),
        ({"database_hosts": 1}, {"max_wal_senders": "16", "max_replication_slots": "16"}),
        ({"database_hosts": 9}, {"max_wal_senders": "22", "max_replication_slots": "22"}),
        ({}, {"wal_sender_timeout": "6s", "wal_receiver_timeout": "6s"}),
        (
            {"wal_disk_bytes": 10 * GB},
            {
                "max_wal_size": "1GB",
                "min_wal_size": "512MB",
                "max_slot_wal_keep_size": "2GB",
                "wal_keep_size": "512MB",
            },
        ),
        (
            {"wal_disk_bytes": 10 * GB, "wal_on_data_disk": False},
            {"max_wal_size": "2GB", "min_wal_size": "1GB", "max_slot_wal_keep_size": "4GB", "wal_keep_size": "1GB"},
        ),
        (
            {"wal_disk_bytes": 4096 * GB},
            {"max_wal_size": "4GB", "max_slot_wal_keep_size": "128GB", "wal_keep_size": "8GB"},
        ),
        (
            {"wal_disk_bytes": 100 * MB},
            {
                "max_wal_size": "64MB",
                "min_wal_size": "32MB",
                "max_slot_wal_keep_size": "64MB",
                "wal_keep_size": "32MB",
            },
        ),
    ],
)
def test_follows_from(changed: dict[str, Any], expected: dict[str, str]) -> None:
    found = values(replace(HOST, **changed))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wal_level", "replica"),
        ("hot_standby", "on"),
        ("hot_standby_feedback", "on"),
        ("wal_log_hints", "on"),
        ("wal_retrieve_retry_interval", "200ms"),
        ("archive_timeout", "60s"),
        ("tcp_user_timeout", "30s"),
        ("password_encryption", "scram-sha-256"),
        ("ssl", "on"),
        ("ssl_min_protocol_version", "TLSv1.2"),
        ("log_connections", "on"),
        ("log_disconnections", "on"),
        ("log_statement", "ddl"),
        ("log_lock_waits", "on"),
        ("log_line_prefix", "%m [%p]: user=%u,db=%d,app=%a,client=%h "),
    ],
)
def test_promises_that_hold_everywhere(name: str, value: str) -> None:
    assert values(HOST)[name] == value


@pytest.mark.parametrize("reported", [16 * GB - 300 * MB, 16 * GB - 301 * MB, 16 * GB - 305 * MB])
def test_a_kernel_that_reports_a_little_less_changes_nothing(reported: int) -> None:
    assert values(replace(HOST, memory_bytes=reported)) == values(replace(HOST, memory_bytes=16 * GB - 300 * MB))


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ""),
        ({"memory_bytes": GB}, ""),
        ({"memory_bytes": 512 * MB}, ""),
        (
            {"memory_bytes": GB, "max_connections": 1000},
            "max_connections 1000 do not fit into 1GB of memory; write 440 or less, or give the host more",
        ),
        (
            {"memory_bytes": GB, "cluster_floor": {"max_connections": 5000}},
            "max_connections 5000 do not fit into 1GB of memory; write 440 or less, or give the host more",
        ),
        ({"memory_bytes": 32 * MB}, "max_connections 200 do not fit into 32MB of memory; give the host more"),
    ],
)
def test_shortage(changed: dict[str, Any], text: str) -> None:
    assert tuning.shortage(replace(HOST, cores=2, **changed)) == text


def test_what_the_shortage_offers_fits() -> None:
    small = replace(HOST, memory_bytes=GB, cores=2)
    assert tuning.shortage(replace(small, max_connections=440)) == ""
    assert tuning.shortage(replace(small, max_connections=441)) != ""


@pytest.mark.parametrize(
    ("per_host", "expected"),
    [
        ([], {}),
        ([{"max_connections": 200}, {"max_connections": "300"}], {"max_connections": 300}),
        (
            [{"max_connections": 200, "work_mem": "4MB"}, {"max_worker_processes": 40}],
            {"max_connections": 200, "max_worker_processes": 40},
        ),
    ],
)
def test_cluster_values(per_host: list[dict[str, int | str]], expected: dict[str, int]) -> None:
    assert tuning.cluster_values(per_host) == expected


def test_hosts_of_different_size_agree_through_the_floor() -> None:
    small, large = replace(HOST, cores=2, memory_bytes=GB), replace(HOST, cores=64, memory_bytes=512 * GB)
    floor = tuning.cluster_values([tuning.host_values(small), tuning.host_values(large)])
    agreed = [values(replace(host, cluster_floor=floor)) for host in (small, large)]
    assert floor["max_worker_processes"] == 72
    for name in STANDBY_MINIMA:
        assert agreed[0][name] == agreed[1][name]


@settings(deadline=None)
@given(hosts, hosts)
def test_the_five_parameters_do_not_follow_from_hardware(a: tuning.Inputs, b: tuning.Inputs) -> None:
    same = replace(b, cluster_floor=a.cluster_floor, max_connections=a.max_connections, database_hosts=a.database_hosts)
    found = [values(host) for host in (a, same)]
    for name in STANDBY_MINIMA:
        assert found[0][name] == found[1][name]


@settings(deadline=None)
@given(hosts)
def test_every_value_is_one_that_a_user_might_write(inputs: tuning.Inputs) -> None:
    found = values(inputs)
    mine = {name: value for name, value in found.items() if name not in rules.OWNED}
    assert parameters.check(mine, inputs.version, [], database_hosts=inputs.database_hosts) == []
    assert {parameters.canonical(name, inputs.version) for name in found} == set(found)
    for name, item in tuning.tuned(inputs).items():
        assert parameters.render(name, item.value, inputs.version)
        assert item.reason
        assert item.reason.isprintable()


@settings(deadline=None)
@given(hosts)
def test_memory_is_enough_or_the_shortage_is_told(inputs: tuning.Inputs) -> None:
    plan = tuning.memory_plan(inputs)
    assert (plan.used <= inputs.memory_bytes) == (tuning.shortage(inputs) == "")
    assert plan.shared_buffers <= inputs.memory_bytes // 4
    assert plan.work_mem >= 64 * units.KB


@settings(deadline=None)
@given(hosts, st.integers(512 * MB, 2**42), st.integers(1, 64))
def test_the_default_connections_fit_from_half_a_gigabyte_on(inputs: tuning.Inputs, memory: int, cores: int) -> None:
    host = replace(inputs, memory_bytes=memory, cores=cores, max_connections=None, cluster_floor={})
    assert tuning.shortage(host) == ""


@settings(deadline=None)
@given(hosts, st.integers(0, 2**40))
def test_more_memory_lowers_nothing(inputs: tuning.Inputs, more: int) -> None:
    names = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "autovacuum_work_mem")
    richer = replace(inputs, memory_bytes=inputs.memory_bytes + more)
    for name in names:
        assert number(richer, name) >= number(inputs, name)


@settings(deadline=None)
@given(hosts)
def test_the_wal_leaves_room_on_its_disk(inputs: tuning.Inputs) -> None:
    largest, smallest, slots, keep = (
        number(inputs, name) for name in ("max_wal_size", "min_wal_size", "max_slot_wal_keep_size", "wal_keep_size")
    )
    assert 32 <= smallest <= largest
    assert (largest + slots + keep) * MB <= inputs.wal_disk_bytes * (0.36 if inputs.wal_on_data_disk else 0.71)


@settings(deadline=None)
@given(hosts)
def test_parallel_workers_fit_into_processes(inputs: tuning.Inputs) -> None:
    found = values(inputs)
    per_query, together = (int(found[n]) for n in ("max_parallel_workers_per_gather", "max_parallel_workers"))
    assert per_query <= together <= int(found["max_worker_processes"])
    assert int(found["max_parallel_maintenance_workers"]) <= together
