# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, reload and restart an instance, each with its wait for the effect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_instance, _observe_sql
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    change,
    query,
    query_json,
    run,
    wait_until,
)

Changes = list[dict[str, str]]

LOAD_TIME = "SELECT extract(epoch FROM pg_conf_load_time())"
FILE_ERRORS = f"SELECT {_observe_sql.FILE_ERRORS}"
HBA_ERRORS = f"SELECT {_observe_sql.RULE_ERRORS}"


def start(instance: Instance, limit: float, check_mode: bool) -> Changes:
    """Enable and start the instance and wait until it answers.

    Args:
        instance: the instance to start.
        limit: seconds to wait; recovery after a crash can take long.
        check_mode: only say what would change.
    """
    state = run(["systemctl", "show", "--property=ActiveState", "--value", instance.unit]).strip()
    changes = [] if state == "active" else [change("service", instance.unit, "stopped", "started")]
    if not _enabled(instance):
        changes.append(change("service", instance.unit, "disabled", "enabled"))
    if changes and not check_mode:
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", instance.unit])
        _systemctl(instance, "start", limit)
    return changes


def restart(instance: Instance, needed: Mapping[str, int], limit: float, check_mode: bool) -> Changes:
    """Restart the instance and wait until it answers.

    Args:
        instance: the instance to restart.
        needed: on a standby, the primary's values of the parameters that a standby must not have lower; it has to
            have replayed their change before it restarts with lower values, or it does not start.
        limit: seconds for each of the two waits.
        check_mode: only say what would change.
    """
    if not check_mode:
        if needed:
            wait_until(lambda: _replayed(instance, needed), limit, "replay of the primary's settings", interval=0.2)
        _systemctl(instance, "restart", limit)
    return [change("service", instance.unit, "running", "restarted")]


def reload(instance: Instance, limit: float, check_mode: bool) -> tuple[Changes, dict[str, Any]]:
    """Make the server read its files again; returns the changes and the settings that wait for a restart.

    Raises:
        CommandError: a file has an error; what it replaced is put back before, where that was kept (keep_previous).
    """
    changes = [change("service", instance.unit, "files newer than its last load", "reloaded")]
    if check_mode:
        return changes, {}
    errors = query_json(instance, HBA_ERRORS) + query_json(instance, FILE_ERRORS)
    if errors:
        back = put_back(instance)
        raise CommandError(f"{instance.label} refuses its configuration: {'; '.join(errors)}.{back}")
    before = query(instance, LOAD_TIME)
    query(instance, "SELECT pg_reload_conf()")
    wait_until(lambda: query(instance, LOAD_TIME) != before, limit, "the reload")
    accept(instance)
    return changes, pending(instance)


def pending(instance: Instance) -> dict[str, Any]:
    """Return the settings that wait for a restart: name to running and configured value."""
    found: dict[str, Any] = query_json(instance, f"SELECT {_observe_sql.PENDING}")
    return found


def put_back(instance: Instance) -> str:
    """Put the predecessors of files in their places again; returns a sentence for the message."""
    kept = _predecessors(instance)
    for path in kept:
        path.replace(path.with_suffix(""))
    return f" The former {', '.join(path.stem for path in kept)} is back in place." if kept else ""


def accept(instance: Instance) -> None:
    """Forget the predecessors of files, now that the server works with the new ones."""
    for path in _predecessors(instance):
        path.unlink()


def _predecessors(instance: Instance) -> list[Path]:
    return sorted(instance.configuration.glob("*.previous"))


def log_tail(instance: Instance, lines: int = 8) -> str:
    """Return the end of the server's log: why it did not start."""
    path = Path("/var/log/postgresql") / f"postgresql-{instance.version}-{instance.cluster}.log"
    if not path.exists():
        return "no log yet"
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 8192), os.SEEK_SET)
        text = stream.read().decode("utf-8", "replace")
    return " | ".join(text.splitlines()[-lines:])


def _systemctl(instance: Instance, verb: str, limit: float) -> None:
    # Starts that are asked for count against the unit's limit as well, which is there for crashes alone. As a pattern
    # the name is no error when systemd has not loaded the unit.
    run(["systemctl", "reset-failed", f"{instance.unit}*"])
    try:
        run(["systemctl", verb, instance.unit], timeout=limit)
        wait_until(lambda: query(instance, "SELECT 1").strip() == "1", limit, f"an answer of {instance.label}")
    except CommandError as error:
        words = f"{instance.label} did not {verb}: {error}. Its log ends: {log_tail(instance)}.{put_back(instance)}"
        raise CommandError(words) from error
    accept(instance)


def _enabled(instance: Instance) -> bool:
    state = run(["systemctl", "show", "--property=UnitFileState", "--value", instance.unit]).strip()
    return state == "enabled"


def _replayed(instance: Instance, needed: Mapping[str, int]) -> bool:
    control = _observe_instance.control(instance) or {}
    return all(control.get(name) == value for name, value in needed.items())
