# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables over `_parameter_values`: how values are read, written and compared."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules as rules
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters as parameters
from hypothesis import given, settings
from hypothesis import strategies as st

PRELOADED = ["pg_stat_statements"]


@pytest.mark.parametrize(
    ("name", "value", "text", "line"),
    [
        ("work_mem", "64 MB", "64MB", "64MB"),
        ("work_mem", 4096, "4096", "4096"),
        ("max_connections", 300, "300", "300"),
        ("wal_buffers", -1, "-1", "-1"),
        ("random_page_cost", 1.1, "1.1", "1.1"),
        ("random_page_cost", "1e-1", "1e-1", "'1e-1'"),
        ("autovacuum_vacuum_scale_factor", 1e-07, "1e-07", "'1e-07'"),
        ("jit", True, "on", "on"),
        ("jit", "FALSE", "off", "off"),
        ("jit", "tr", "on", "on"),
        ("jit", "of", "off", "off"),
        ("jit", 0, "off", "off"),
        ("ssl", True, "on", "on"),
        ("huge_pages", False, "off", "off"),
        ("huge_pages", "TRY", "try", "try"),
        ("huge_pages", "yes", "on", "on"),
        ("synchronous_commit", True, "on", "on"),
        ("synchronous_commit", "remote_apply", "remote_apply", "remote_apply"),
        ("wal_level", "logical", "logical", "logical"),
        ("wal_level", "hot_standby", "replica", "replica"),
        ("log_min_messages", "debug", "debug2", "debug2"),
        ("wal_compression", "lz4", "lz4", "lz4"),
        ("default_transaction_isolation", "repeatable read", "repeatable read", "'repeatable read'"),
        ("ssl_min_protocol_version", "tlsv1.3", "TLSv1.3", "'TLSv1.3'"),
        ("ssl_max_protocol_version", "", "", "''"),
        ("log_destination", ["stderr", "csvlog"], "stderr, csvlog", "'stderr, csvlog'"),
        ("log_destination", "stderr,CSVLOG", "stderr,CSVLOG", "'stderr,CSVLOG'"),
        ("search_path", ["app", "$user", 'a"b'], 'app, "$user", "a""b"', '\'app, "$user", "a""b"\''),
        ("application_name", 5, "5", "5"),
        ("log_line_prefix", "%m [%p] ", "%m [%p] ", "'%m [%p] '"),
        ("log_line_prefix", "it's a \\ ", "it's a \\ ", "'it''s a \\\\ '"),
        ("default_text_search_config", "pg_catalog.english", "pg_catalog.english", "'pg_catalog.english'"),
        ("timezone", "Europe/Berlin", "Europe/Berlin", "'Europe/Berlin'"),
        ("unix_socket_permissions", "0700", "0700", "0700"),
        ("vacuum_buffer_usage_limit", 0, "0", "0"),
        ("autovacuum_work_mem", -1, "-1", "-1"),
        ("max_wal_size", "32MB", "32MB", "32MB"),
        ("max_slot_wal_keep_size", "10GB", "10GB", "10GB"),
        ("pg_stat_statements.track", "all", "all", "all"),
        ("plpgsql.extra_warnings", ["shadowed_variables"], "shadowed_variables", "shadowed_variables"),
        ("pg_trgm.similarity_threshold", 0.4, "0.4", "0.4"),
        ("max_wal_senders", 0, "0", "0"),
    ],
)
def test_accepted(name: str, value: Any, text: str, line: str) -> None:
    if name not in rules.OWNED:
        assert parameters.check({name: value}, "16", PRELOADED) == []
    assert parameters.text(name, value, "16") == text
    assert parameters.render(name, value, "16") == line
    assert parameters.same_value(name, value, line, "16")


def test_an_extension_without_a_catalogue_takes_any_value() -> None:
    values = {"cron.use_background_workers": True, "cron.anything": "a b"}
    assert parameters.check(values, "16", ["pg_cron"]) == []
    assert parameters.merged({}, values, "16") == {"cron.use_background_workers": "on", "cron.anything": "a b"}


@pytest.mark.parametrize(
    ("name", "a", "b", "same"),
    [
        ("shared_buffers", "1GB", "131072", True),
        ("shared_buffers", "1GB", "131073", False),
        ("shared_buffers", "1GB", "1024MB", True),
        ("work_mem", 4096, "4MB", True),
        ("work_mem", "0.3GB", "314368", True),
        ("checkpoint_timeout", "15min", "900", True),
        ("wal_retrieve_retry_interval", "200ms", "200", True),
        ("jit", "yes", "on", True),
        ("jit", "off", "on", False),
        ("jit", False, "off", True),
        ("random_page_cost", "1.10", "1.1", True),
        ("random_page_cost", 4, "4", True),
        ("random_page_cost", 4, "4.1", False),
        ("wal_compression", "on", "pglz", True),
        ("wal_compression", "on", "lz4", False),
        ("wal_level", "hot_standby", "replica", True),
        ("log_destination", "stderr,csvlog", "stderr, csvlog", True),
        ("log_destination", ["stderr", "csvlog"], "csvlog", False),
        ("search_path", ["a", "B"], 'a, "B"', True),
        ("DateStyle", "iso, mdy", "ISO, MDY", True),
        ("timezone", "utc", "UTC", True),
        ("application_name", "a", "A", False),
        ("log_line_prefix", "'%m [%p] '", "%m [%p] ", True),
        ("log_line_prefix", "'it''s'", "it's", True),
        ("unix_socket_permissions", "448", "0700", True),
        ("wal_buffers", "-1", "2048", True),
        ("wal_buffers", "16MB", "2048", True),
        ("wal_buffers", "8MB", "2048", False),
        ("work_mem", "-1", "4096", False),
        ("work_mem", "nonsense", "nonsense", True),
        ("work_mem", "nonsense", "4096", False),
        ("cron.something", "a", "a", True),
        ("cron.something", "a", "b", False),
    ],
)
def test_same_value(name: str, a: Any, b: Any, same: bool) -> None:
    assert parameters.same_value(name, a, b, "16") is same
    assert parameters.same_value(name, b, a, "16") is same


def test_merged_wins_by_name_whatever_the_case() -> None:
    base = {"timezone": "UTC", "work_mem": "4MB", "jit": "off"}
    assert parameters.merged(base, {"TimeZone": "Europe/Berlin", "jit": True}, "16") == {
        "TimeZone": "Europe/Berlin",
        "work_mem": "4MB",
        "jit": "on",
    }


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20))
def test_quoted_text_reads_back(value: str) -> None:
    line = parameters.quote(value)
    if line != value:
        assert line.startswith("'")
        assert line.endswith("'")
        assert line[1:-1].replace("''", "").count("'") == 0
        assert line[1:-1].replace("''", "'").replace("\\\\", "\\") == value
