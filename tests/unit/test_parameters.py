# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables over `_parameters`: what is refused, by its exact message."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters as parameters
from hypothesis import given, settings
from hypothesis import strategies as st

PRELOADED = ["pg_stat_statements"]
SIZES = "write a size with one of B, kB, MB, GB, TB"
TIMES = "write a time with one of us, ms, s, min, h, d"
WORK_MEM = "write a size from 64kB to 2147483647kB (about 2TB)"
CONNECTIONS = "write a whole number from 1 to 262143"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        # names
        ("work_memm", "4MB", "is no parameter of PostgreSQL 16; write work_mem"),
        ("shared_bufers", "1GB", "is no parameter of PostgreSQL 16; write shared_buffers"),
        ("frobnicate", 1, "is no parameter of PostgreSQL 16; write a name that pg_settings lists"),
        ("transaction_timeout", "5s", "is a parameter of PostgreSQL 17, not of 16; leave it out"),
        ("wal_keep_segments", 5, "is gone since before PostgreSQL 16; write wal_keep_size instead"),
        ("promote_trigger_file", "x", "is gone since before PostgreSQL 16; leave it out: promotion is a playbook"),
        ("server_version", "16.1", "can only be read; leave it out"),
        ("block_size", 8192, "can only be read; leave it out"),
        ("Work_Mem", "4MB", "is spelt work_mem; write work_mem"),
        # numbers and units
        ("work_mem", "64mb", '"64mb" has the unknown unit mb; write 64MB'),
        ("work_mem", "64M", '"64M" has the unknown unit M; write 64MB'),
        ("work_mem", "5m", '"5m" has the unknown unit m; write 5MB'),
        ("work_mem", "64 KB", '"64 KB" has the unknown unit KB; write 64kB'),
        ("work_mem", "1GiB", '"1GiB" has the unknown unit GiB; write 1GB'),
        ("work_mem", "1XB", f'"1XB" has the unknown unit XB; {SIZES}'),
        ("work_mem", "10s", f'"10s" has a unit of time, and this is a size; {SIZES}'),
        ("work_mem", "10min", f'"10min" has a unit of time, and this is a size; {SIZES}'),
        ("work_mem", "ten", f'"ten" is no number; {WORK_MEM}'),
        ("work_mem", 32, f"32 counts as 32kB and is out of range; {WORK_MEM}"),
        ("work_mem", "32kB", f'"32kB" is out of range; {WORK_MEM}'),
        ("work_mem", "3TB", f'"3TB" is out of range; {WORK_MEM}'),
        ("work_mem", -1, f"-1 is out of range; {WORK_MEM}"),
        ("work_mem", "", f'"" is no number; {WORK_MEM}'),
        ("checkpoint_timeout", "5m", '"5m" has the unknown unit m; write 5min'),
        ("checkpoint_timeout", "5 minutes", '"5 minutes" has the unknown unit minutes; write 5min'),
        ("checkpoint_timeout", "2hours", '"2hours" has the unknown unit hours; write 2h'),
        ("checkpoint_timeout", "90sec", '"90sec" has the unknown unit sec; write 90s'),
        ("checkpoint_timeout", "1x", f'"1x" has the unknown unit x; {TIMES}'),
        ("checkpoint_timeout", "5GB", f'"5GB" has a unit of size, and this is a time; {TIMES}'),
        ("checkpoint_timeout", 5, "5 counts as 5s and is out of range; write a time from 30s to 1d"),
        ("vacuum_cost_delay", "1s", '"1s" is out of range; write a time from 0 to 100ms'),
        ("max_connections", "200MB", f'"200MB" has a unit where none belongs; {CONNECTIONS}'),
        ("max_connections", 0, f"0 is out of range; {CONNECTIONS}"),
        ("max_connections", "many", f'"many" is no number; {CONNECTIONS}'),
        ("max_connections", True, f"true is no number; {CONNECTIONS}"),
        ("random_page_cost", "1,1", '"1,1" is no number; write a number of 0 or more'),
        ("random_page_cost", -1, "-1 is out of range; write a number of 0 or more"),
        ("checkpoint_completion_target", 1.5, "1.5 is out of range; write a number from 0 to 1"),
        ("max_wal_size", "16MB", '"16MB" is too small; write 32MB or more: two WAL segments'),
        ("min_wal_size", 31, "31 is too small; write 32MB or more: two WAL segments"),
        ("wal_buffers", "8kB", '"8kB" is too small; write -1 or 32kB and more'),
        ("autovacuum_work_mem", "512kB", '"512kB" is too small; write -1 or 1MB and more'),
        ("vacuum_buffer_usage_limit", "64kB", '"64kB" is too small; write 0 or a size from 128kB to 16GB'),
        # other types
        ("jit", "maybe", '"maybe" is neither on nor off; write on or off'),
        ("jit", 2, "2 is neither on nor off; write on or off"),
        ("jit", "o", '"o" is neither on nor off; write on or off'),
        ("jit", "", '"" is neither on nor off; write on or off'),
        ("log_statement", "everything", '"everything" is not one of its values; write one of none, ddl, mod, all'),
        ("log_statement", True, "true is not one of its values; write one of none, ddl, mod, all"),
        (
            "ssl_max_protocol_version",
            "x",
            '"x" is not one of its values; write one of "", TLSv1, TLSv1.1, TLSv1.2, TLSv1.3',
        ),
        ("log_line_prefix", True, "true is no text; write the text in quotes"),
        ("log_line_prefix", "a\nb", "holds a line break or a control character; write it on one line"),
        ("log_destination", "file", '"file" is not one of its values; write one of stderr, csvlog, jsonlog, syslog'),
        (
            "log_destination",
            ["stderr", "x"],
            '"x" is not one of its values; write one of stderr, csvlog, jsonlog, syslog',
        ),
        ("work_mem", ["4MB"], "is a list where one value belongs; write one value"),
        ("search_path", ["a", 5], "holds something that is no text; write texts in quotes"),
        ("search_path", ["a\n"], "holds something that is no text; write texts in quotes"),
        ("work_mem", None, "has no value; write one, or leave the parameter out"),
        ("work_mem", {"value": 5}, "has no value; write one, or leave the parameter out"),
        # what the collection sets
        ("port", 5433, "is set by this collection; write postgresql_port instead"),
        ("listen_addresses", "*", "is set by this collection; write postgresql_server_listen_addresses instead"),
        ("data_directory", "/x", "is set by this collection; write postgresql_server_data_directory instead"),
        ("hba_file", "/x", "is set by this collection; write postgresql_server_hba_rules instead"),
        ("ident_file", "/x", "is set by this collection; leave it out: the role server places this file"),
        ("cluster_name", "x", "is set by this collection; write postgresql_cluster_name instead"),
        ("ssl_key_file", "x", "is set by this collection; write postgresql_certificates_provided instead"),
        (
            "shared_preload_libraries",
            ["x"],
            "is set by this collection; write postgresql_server_preload_libraries instead",
        ),
        (
            "synchronous_standby_names",
            "*",
            "is set by this collection; write postgresql_replication_durability instead",
        ),
        (
            "archive_command",
            "cp",
            "is set by this collection; leave it out: the roles server and backup set archiving",
        ),
        ("recovery_target_lsn", "0/0", "is set by this collection; leave it out: a restore sets it"),
        # what this platform refuses
        ("ssl", False, "off would end every connection but the local socket's; write on"),
        ("fsync", "no", "off loses the cluster when the host crashes; write on"),
        ("full_page_writes", "off", "off loses pages when the host crashes; write on"),
        ("hot_standby", False, "off would close the standbys to every check and reader; write on"),
        ("wal_level", "full", '"full" is not one of its values; write one of minimal, replica, logical'),
        ("wal_level", "minimal", "minimal has no archive and no standby; write replica or logical"),
        ("password_encryption", "md5", "md5 is not accepted by any rule of pg_hba.conf here; write scram-sha-256"),
        ("ssl_min_protocol_version", "tlsv1.1", "TLSv1.1 would offer TLS below 1.2; write TLSv1.2 or TLSv1.3"),
        ("ssl_max_protocol_version", "TLSv1", "TLSv1 would offer TLS below 1.2; write TLSv1.2 or TLSv1.3"),
        (
            "max_slot_wal_keep_size",
            -1,
            "-1 would let a standby that is away fill the disk;"
            " write a size that the disk of the WAL can hold beside the rest",
        ),
        (
            "synchronous_commit",
            "local",
            "local breaks the promise that an acknowledged commit is on a second host;"
            " write postgresql_replication_durability to change what is promised, or set it in a session that can lose"
            " commits",
        ),
        (
            "zero_damaged_pages",
            True,
            "on would hide corruption; write off, and set it in the one session that rescues data",
        ),
        # extensions
        (
            "auto_explain.log_min_duration",
            "1s",
            "belongs to auto_explain, which is not preloaded;"
            " write auto_explain into postgresql_server_preload_libraries",
        ),
        (
            "cron.database_name",
            "x",
            "belongs to pg_cron, which is not preloaded; write pg_cron into postgresql_server_preload_libraries",
        ),
        ("pg_stat_statements.maxx", 5, "is no parameter of pg_stat_statements; write pg_stat_statements.max"),
        ("pg_stat_statements.max", 5, "5 is out of range; write a whole number from 100 to 1073741823"),
        ("my-app.x", "1", "is no name of a parameter; write letters, digits and _ on both sides of the dot"),
        # together
        (
            "reserved_connections",
            197,
            "superuser_reserved_connections 3 + reserved_connections 197 reserve 200 of max_connections 200,"
            " a reserve of connections that leaves none;"
            " write less than 200 for both together, or more max_connections",
        ),
        (
            "max_connections",
            3,
            "superuser_reserved_connections 3 + reserved_connections 0 reserve 3 of max_connections 3,"
            " a reserve of connections that leaves none; write less than 3 for both together, or more max_connections",
        ),
        (
            "max_worker_processes",
            262000,
            "max_connections + autovacuum_max_workers + max_worker_processes + max_wal_senders + 1 = 262214"
            " is above 262143; write less",
        ),
    ],
)
def test_refused(name: str, value: Any, problem: str) -> None:
    assert parameters.check({name: value}, "16", PRELOADED) == [f"postgresql_server_parameters.{name}: {problem}"]


@pytest.mark.parametrize(
    ("version", "preloaded", "name", "value", "problem"),
    [
        ("17", [], "old_snapshot_threshold", 5, "is a parameter of PostgreSQL 16, not of 17; leave it out"),
        ("17", [], "notify_buffers", 17, "17 is no multiple of 128kB; write a multiple of 128kB"),
        ("17", ["pg_cron"], "cron.max_running_jobs", 200, "200 is out of range; write a whole number from 0 to 100"),
        ("17", ["pg_cron"], "cron.databasename", "x", "is no parameter of pg_cron; write cron.database_name"),
    ],
)
def test_refused_elsewhere(version: str, preloaded: list[str], name: str, value: Any, problem: str) -> None:
    assert parameters.check({name: value}, version, preloaded) == [f"postgresql_server_parameters.{name}: {problem}"]


def test_all_mistakes_at_once() -> None:
    given = {"port": 1, "work_memm": 2, "jit": "on", "max_connections": "x", "fsync": "off"}
    found = parameters.check(given, "16", PRELOADED)
    assert [line.split(":")[0].rpartition(".")[2] for line in found] == [
        "port",
        "work_memm",
        "max_connections",
        "fsync",
    ]


@pytest.mark.parametrize("names", [("timezone", "TimeZone"), ("TimeZone", "timezone")])
def test_a_name_given_twice(names: tuple[str, str]) -> None:
    found = parameters.check(dict.fromkeys(names, "UTC"), "16", [])
    problem = "is given twice, names differ only in case; write TimeZone once"
    assert found == [f"postgresql_server_parameters.{names[1]}: {problem}"]


@pytest.mark.parametrize(
    ("given", "base", "hosts", "names"),
    [
        ({"reserved_connections": 150}, None, 1, []),
        ({"reserved_connections": 150}, {"max_connections": "100"}, 1, ["reserved_connections"]),
        ({"superuser_reserved_connections": 96}, {}, 1, []),
        ({"superuser_reserved_connections": 97}, {"reserved_connections": 3}, 1, ["superuser_reserved_connections"]),
        ({"max_connections": 500, "reserved_connections": 200}, None, 1, []),
        ({}, {"max_connections": 2}, 1, []),
        ({"max_wal_senders": 3, "max_replication_slots": 1}, None, 3, ["max_wal_senders", "max_replication_slots"]),
        ({"max_wal_senders": 4, "max_replication_slots": 2}, None, 3, []),
        ({"max_connections": 262000}, {"max_worker_processes": 100}, 1, []),
        ({"max_connections": 262000}, {"max_worker_processes": 140}, 1, ["max_connections"]),
    ],
)
def test_together(given: dict[str, Any], base: dict[str, Any] | None, hosts: int, names: list[str]) -> None:
    found = parameters.check(given, "16", [], base=base, database_hosts=hosts)
    assert [line.split(":")[0].rpartition(".")[2] for line in found] == names


def test_too_few_senders_and_slots() -> None:
    found = parameters.check({"max_wal_senders": 0, "max_replication_slots": 1}, "16", [], database_hosts=3)
    assert found == [
        "postgresql_server_parameters.max_wal_senders: 0 is too few (one to stream and one to clone for each standby);"
        " write 4 or more",
        "postgresql_server_parameters.max_replication_slots: 1 is too few (one for each standby); write 2 or more",
    ]


@settings(deadline=None)
@given(
    st.sampled_from(sorted(parameters.catalogue("16"))),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.text(max_size=3))),
)
def test_any_value_is_written_or_refused_with_advice(name: str, value: Any) -> None:
    for line in parameters.check(
        {name: value}, "16", ["pg_stat_statements", "auto_explain", "pg_prewarm", "auth_delay"]
    ):
        assert line.startswith(f"postgresql_server_parameters.{name}: ")
        assert "; write " in line or "; leave it out" in line
