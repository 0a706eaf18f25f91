# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that are missing are refused before anything is written, by their exact message."""

from __future__ import annotations

from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision, _libraries

THERE = {"directory": "/usr/lib/postgresql/16/lib", "names": ["auto_explain", "pg_stat_statements"]}
PRELOADED = "postgresql_server_preload_libraries"
OF_SESSIONS = "postgresql_server_parameters.session_preload_libraries"


def refusal(variable: str, library: str, hosts: str = "db1") -> str:
    return (
        f"{variable}: /usr/lib/postgresql/16/lib/{library}.so is not there on {hosts}, and nothing starts without it; "
        "write the package that brings it for PostgreSQL 16 into postgresql_server_extension_packages, or leave "
        f"{library} out"
    )


@pytest.mark.parametrize(
    ("preload", "parameters", "expected"),
    [
        pytest.param([], {}, [], id="none"),
        pytest.param(["pg_stat_statements", "auto_explain"], {}, [], id="all there"),
        pytest.param(["pg_stat_statements", "pg_cron"], {}, [refusal(PRELOADED, "pg_cron")], id="missing"),
        pytest.param(["$libdir/pg_cron"], {}, [refusal(PRELOADED, "pg_cron")], id="missing in libdir"),
        pytest.param(["$libdir/auto_explain.so"], {}, [], id="there in libdir"),
        pytest.param(["/opt/audit/audit.so", "$libdir/plugins/x"], {}, [], id="elsewhere"),
        pytest.param(
            [],
            {"session_preload_libraries": 'auto_explain, "pg_hint_plan"'},
            [refusal(OF_SESSIONS, "pg_hint_plan")],
            id="missing for sessions",
        ),
        pytest.param(
            [], {"session_preload_libraries": ["pg_hint_plan"]}, [refusal(OF_SESSIONS, "pg_hint_plan")], id="as a list"
        ),
        pytest.param([], {"session_preload_libraries": ""}, [], id="empty for sessions"),
        pytest.param(["pg_cron"], {"dynamic_library_path": "/opt/lib:$libdir"}, [], id="the user says where"),
    ],
)
def test_refusals(preload: list[str], parameters: dict[str, Any], expected: list[str]) -> None:
    member = whole.DB1 | {"preload_libraries": preload, "parameters": parameters}
    assert _libraries.refusals([member], {"db1": {"libraries": THERE}}, "16") == expected


def test_hosts_that_lack_the_same_are_named_together() -> None:
    members = [whole.DB1, whole.DB2, whole.DB3, whole.OPS1]
    none = {"directory": "/usr/lib/postgresql/16/lib", "names": []}
    observed = {"db1": {"libraries": none}, "db2": {"libraries": THERE}, "db3": {"libraries": none}, "ops1": {}}
    assert _libraries.refusals(members, observed, "16") == [refusal(PRELOADED, "pg_stat_statements", "db1, db3")]


@pytest.mark.parametrize("seen", [None, {}, {"libraries": None}])
def test_a_host_without_packages_is_not_judged(seen: Any) -> None:
    assert _libraries.refusals([whole.DB1], {"db1": seen}, "16") == []


def test_a_library_may_come_with_a_package_of_this_run() -> None:
    member = whole.DB1 | {"preload_libraries": ["pg_cron"], "extension_packages": ["postgresql-16-cron"]}
    assert _libraries.refusals([member], {"db1": {"libraries": THERE, "packages": {}}}, "16") == []
    installed = {"db1": {"libraries": THERE, "packages": {"postgresql-16-cron": "1.6.4"}}}
    assert _libraries.refusals([member], installed, "16") == [refusal(PRELOADED, "pg_cron")]


def test_the_decision_refuses() -> None:
    given = whole.given("db2")
    for host in ("db1", "db2", "db3"):
        whole.seen(given, host)["libraries"] = THERE | {"names": []}
    assert _decision.decide(given)["refusals"] == [refusal(PRELOADED, "pg_stat_statements", "db1, db2, db3")]
