# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of backups: which a host has, what they run and when."""

from __future__ import annotations

import configparser

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_units
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_units import Schedule

SCHEDULES = [
    Schedule("local", "full", "Sun *-*-* 02:00:00 UTC"),
    Schedule("offsite", "incremental", "*-*-* 04:00:00 UTC"),
]
SERVER = ["pgbackrest.service"]
OF_DATABASE = ["steadfast-check-archive.timer"]
OF_REPOSITORY = ["steadfast-check-repositories.timer", "steadfast-verify-repositories.timer"]
BACKUPS = ["steadfast-backup-local-full.timer", "steadfast-backup-offsite-incremental.timer"]


@pytest.mark.parametrize(
    ("duties", "running"),
    [
        (["database"], SERVER + OF_DATABASE),
        (["repository"], SERVER + OF_REPOSITORY + BACKUPS),
        (["database", "repository"], SERVER + OF_DATABASE + OF_REPOSITORY + BACKUPS),
    ],
)
def test_units_of_a_host(duties: list[str], running: list[str]) -> None:
    assert _backup_units.running(duties, SCHEDULES, serves=True) == running
    assert SERVER + _backup_units.running(duties, SCHEDULES, serves=False) == running
    texts = _backup_units.units("main", "postgres", 8432, duties, SCHEDULES)
    timers = {name for name in running if name.endswith(".timer")}
    assert {name for name in texts if name.endswith(".timer")} == timers
    for name in timers:
        unit = parsed(texts[name])["Timer"]["Unit"]
        assert unit in texts or unit.startswith("steadfast-backup@")


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(text)
    return found


def test_a_timer_starts_its_backup() -> None:
    texts = _backup_units.units("main", "pgbackrest", 8432, ["repository"], SCHEDULES)
    timer = parsed(texts["steadfast-backup-local-full.timer"])["Timer"]
    assert dict(timer) == {
        "Unit": "steadfast-backup@local-full.service",
        "OnCalendar": "Sun *-*-* 02:00:00 UTC",
        "Persistent": "true",
        "RandomizedDelaySec": "120",
        "FixedRandomDelay": "true",
        "AccuracySec": "1",
    }
    service = parsed(texts["steadfast-backup@.service"])["Service"]
    assert (service["User"], service["ExecStart"]) == ("pgbackrest", "/usr/local/lib/steadfast/backup %i")


def test_the_server_serves_on_its_port() -> None:
    service = parsed(_backup_units.units("main", "postgres", 9999, ["database"], [])["pgbackrest.service"])["Service"]
    assert service["ExecStart"] == "/usr/bin/pgbackrest server --tls-server-port=9999"
    assert (service["User"], service["Restart"]) == ("postgres", "always")
