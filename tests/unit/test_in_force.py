# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload leaves to a restart, predicted from what runs and what is wanted."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _in_force
from whole import setting

FILE = "/etc/postgresql/16/main/conf.d/10-server.conf"
WHOLE = "/etc/postgresql/16/main/postgresql.conf"
FILES = (WHOLE, FILE)
OTHER = "/etc/postgresql/16/main/conf.d/99-other.conf"
BUFFERS = {"shared_buffers": setting("32768", unit="8kB", context="postmaster")}
CRON = {"cron.max_running_jobs": setting("5", context="postmaster")}
SAVED = {"max_prepared_transactions": setting("10", context="postmaster")}


@pytest.mark.parametrize(
    ("running", "wanted", "pending", "expected"),
    [
        pytest.param(BUFFERS, {"shared_buffers": "256MB"}, {}, {}, id="as it runs"),
        pytest.param(
            BUFFERS,
            {"shared_buffers": "512MB"},
            {},
            {"shared_buffers": {"running": "262144kB", "configured": "512MB"}},
            id="another value",
        ),
        pytest.param(
            {},
            {"max_connections": "250"},
            {},
            {"max_connections": {"running": "100", "configured": "250"}},
            id="default",
        ),
        pytest.param({}, {"max_connections": "100"}, {}, {}, id="as the default"),
        pytest.param({}, {"work_mem": "1GB"}, {}, {}, id="a reload is enough"),
        pytest.param({}, {"shared_preload_libraries": "''"}, {}, {}, id="empty as by default"),
        pytest.param(
            CRON,
            {"cron.max_running_jobs": "7"},
            {},
            {"cron.max_running_jobs": {"running": "5", "configured": "7"}},
            id="of a library that is loaded",
        ),
        pytest.param({}, {"cron.max_running_jobs": "7"}, {}, {}, id="of a library that is not loaded"),
        pytest.param(
            SAVED,
            {},
            {},
            {"max_prepared_transactions": {"running": "10", "configured": "0"}},
            id="wanted no more",
        ),
        pytest.param(
            {"max_files_per_process": setting("5000", sourcefile=WHOLE, context="postmaster")},
            {},
            {},
            {"max_files_per_process": {"running": "5000", "configured": "1000"}},
            id="of a cluster that is taken over",
        ),
        pytest.param(
            {"external_pid_file": setting("/run/x.pid", sourcefile=WHOLE, context="postmaster")},
            {},
            {},
            {},
            id="of the layout",
        ),
        pytest.param({"port": setting("5432", context="postmaster")}, {}, {}, {}, id="as the default, wanted no more"),
        pytest.param({"work_mem": setting("9", context="user")}, {}, {}, {}, id="a reload forgets it"),
        pytest.param(
            {"max_connections": setting("7", sourcefile=OTHER, context="postmaster")}, {}, {}, {}, id="of another file"
        ),
        pytest.param(
            {"port": setting("1", sourcefile=OTHER, context="postmaster")},
            {},
            {"port": {"running": "1", "configured": "2"}},
            {"port": {"running": "1", "configured": "2"}},
            id="another file's waits on",
        ),
        pytest.param(
            {},
            {},
            {"/etc/x": {"running": "as it was", "configured": "the new file"}},
            {"/etc/x": {"running": "as it was", "configured": "the new file"}},
            id="a file waits on",
        ),
        pytest.param(
            BUFFERS,
            {"shared_buffers": "256MB"},
            {"shared_buffers": {"running": "256MB", "configured": "1GB"}},
            {},
            id="waits no more",
        ),
        pytest.param(
            {},
            {"max_connections": "100"},
            {"max_connections": {"running": "100", "configured": "250"}},
            {},
            id="waits no more, by default",
        ),
        pytest.param(
            SAVED,
            {"max_prepared_transactions": "10"},
            {"max_prepared_transactions": {"running": "10", "configured": "0"}},
            {},
            id="wanted again",
        ),
    ],
)
def test_pending_after_reload(running: Any, wanted: Any, pending: Any, expected: Any) -> None:
    server = {"settings": running, "pending": pending}
    assert _in_force.pending_after_reload(wanted, server, FILES, "16") == expected


def test_without_a_context_the_catalogue_says_what_needs_a_restart() -> None:
    server = {"settings": {"port": setting("5432"), "work_mem": setting("4096", unit="kB")}, "pending": {}}
    found = _in_force.pending_after_reload({"port": "5433", "work_mem": "8MB"}, server, FILES, "16")
    assert found == {"port": {"running": "5432", "configured": "5433"}}
