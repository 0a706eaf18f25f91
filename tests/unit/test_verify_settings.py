# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are in force, that wait, or that something else decides."""

from __future__ import annotations

from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _in_force
from verification import at, verified
from whole import setting


def running(name: str, found: dict[str, Any] | None, wanted: str, **changes: Any) -> list[str]:
    """Findings about one setting of db2."""
    given = whole.given("db1")
    if found is not None:
        whole.seen(given, "db2")["server"]["settings"][name] = found
    return verified(given, wanted={"db2": {name: wanted}}, **changes)


PLACE = "/etc/postgresql/16/main/conf.d/10-server.conf"
OVERRIDDEN = "Remove what overrides it, then run site."
RESTART = "Run site with -e postgresql_server_restart=true when it suits."


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("work_mem", setting("8192", unit="kB"), "8MB"),
        ("max_wal_size", setting("4096", unit="MB"), "4GB"),
        ("shared_buffers", setting("262144", unit="8kB"), "'2GB'"),
        ("jit", setting("on"), "yes"),
        ("log_line_prefix", setting("it's %m"), "'it''s %m'"),
        ("temp_file_limit", setting("-1", unit="kB"), "-1"),
        ("autovacuum_vacuum_cost_delay", setting("0.5", unit="ms"), "500us"),
        # What the connection that asks has differently.
        ("tcp_keepalives_idle", setting("0", unit="s"), "10s"),
        ("statement_timeout", None, "1min"),
        # Not seen, because no file sets it, and wanted as it is by default.
        ("work_mem", None, "4MB"),
        ("pg_stat_statements.track", None, "all"),
        ("app.tenant", None, "x"),
    ],
)
def test_a_setting_in_force(name: str, found: dict[str, Any] | None, wanted: str) -> None:
    assert running(name, found, wanted) == []


@pytest.mark.parametrize(
    ("name", "found", "wanted", "finding"),
    [
        pytest.param(
            "work_mem",
            setting("16384", unit="kB"),
            "8MB",
            f"error db2: db2 runs with work_mem 16384kB by {PLACE}, not with 8MB. {OVERRIDDEN}",
            id="another value",
        ),
        pytest.param(
            "jit",
            setting("on", source="database", sourcefile=None),
            "off",
            f"error db2: db2 runs with jit on by database, not with off. {OVERRIDDEN}",
            id="not by a file",
        ),
        pytest.param(
            "work_mem",
            None,
            "8MB",
            f"error db2: db2 runs with work_mem 4096kB by default, not with 8MB. {OVERRIDDEN}",
            id="no file sets it",
        ),
        pytest.param(
            "shared_buffers",
            setting("16384", unit="8kB", pending_restart=True),
            "2GB",
            "warning db2: db2 runs with shared_buffers 131072kB, and 2GB waits for a restart "
            f"(postgresql_server_restart is false). {RESTART}",
            id="waits for a restart",
        ),
        pytest.param(
            "ssl_ciphers",
            setting("''"),
            "'HIGH'",
            f"error db2: db2 runs with ssl_ciphers '' by {PLACE}, not with 'HIGH'. {OVERRIDDEN}",
            id="text",
        ),
    ],
)
def test_a_setting_that_is_not_in_force(name: str, found: dict[str, Any] | None, wanted: str, finding: str) -> None:
    assert running(name, found, wanted) == [finding]


def test_why_a_setting_waits() -> None:
    found = setting("100", pending_restart=True)
    assert running("max_connections", found, "50", held={"db2": "db1 has more max_connections, and keeps it"}) == [
        "warning db2: db2 runs with max_connections 100, and 50 waits for a restart "
        f"(db1 has more max_connections, and keeps it). {RESTART}"
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("16384", "8kB", "131072kB"),
        ("2", "16MB", "32MB"),
        ("200", "ms", "200ms"),
        ("15", "min", "15min"),
        ("1.5", "ms", "1.5ms"),
        ("0", "8kB", "0"),
        ("-1", "kB", "-1"),
        ("on", None, "on"),
    ],
)
def test_with_unit(value: str, unit: str | None, text: str) -> None:
    assert _in_force.with_unit({"value": value, "unit": unit}) == text


STRAY = "/etc/postgresql/16/main/conf.d/99-local.conf"


@pytest.mark.parametrize(
    ("settings", "findings"),
    [
        pytest.param({"fsync": setting("on"), "synchronous_commit": setting("remote_apply")}, [], id="as promised"),
        pytest.param(
            {"fsync": setting("off")},
            [
                "error db2: db2 runs with fsync off, which loses the cluster when the host crashes. "
                f"Remove it from {PLACE}."
            ],
            id="a promise is broken",
        ),
        pytest.param(
            {"synchronous_commit": setting("off", source="command line", sourcefile=None)},
            [
                "error db2: db2 runs with synchronous_commit off, which breaks the promise that an acknowledged "
                "commit is on a second host. Remove it from command line."
            ],
            id="not by a file",
        ),
        pytest.param(
            {"work_mem": setting("64", unit="kB", sourcefile=STRAY), "jit": setting("off", sourcefile=STRAY)},
            [
                f"error db2: db2 runs with jit, work_mem by {STRAY}, which is no file of the collection. "
                "Write what is wanted in postgresql_server_parameters, remove it there, then run site."
            ],
            id="a file of somebody else",
        ),
    ],
)
def test_what_the_inventory_knows_nothing_of(settings: dict[str, Any], findings: list[str]) -> None:
    given = whole.given("db1")
    whole.seen(given, "db2")["server"]["settings"] |= settings
    assert verified(given) == findings


FILE = "/etc/postgresql/16/main/environment"


@pytest.mark.parametrize(
    ("pending", "wanted", "finding"),
    [
        pytest.param(
            {"max_prepared_transactions": {"running": "10", "configured": "0"}},
            {},
            "db2 runs with max_prepared_transactions 10, and 0 waits for a restart (not allowed).",
            id="a setting that is wanted no more",
        ),
        pytest.param(
            {FILE: {"running": "as it was", "configured": "the new file"}},
            {},
            f"db2 runs with {FILE} as it was, and the new file waits for a restart (not allowed).",
            id="a file of the service",
        ),
        pytest.param(
            {"max_connections": {"running": "200", "configured": "250"}},
            {"max_connections": "200"},
            None,
            id="a setting that is wanted is judged by its value",
        ),
    ],
)
def test_what_waits_for_a_restart_besides(
    pending: dict[str, dict[str, str]], wanted: dict[str, str], finding: str | None
) -> None:
    given = at("db2", "server", pending=pending)
    found = verified(given, wanted={"db2": wanted}, held={"db2": "not allowed"})
    assert found == ([f"warning db2: {finding} {RESTART}"] if finding else [])
