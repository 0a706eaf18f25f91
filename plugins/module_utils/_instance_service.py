# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, reload and restart an instance, each with its wait for the effect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _kept_files,
    _observe_host,
    _observe_instance,
    _observe_sql,
)
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
START_TIME = "SELECT extract(epoch FROM pg_postmaster_start_time())"
# Between two attempts of systemd, and when it has given up.
DOWN = {"failed", "inactive", "dead", "auto-restart", "auto-restart-queued"}
FILE_ERRORS = f"SELECT {_observe_sql.FILE_ERRORS}"
HBA_ERRORS = f"SELECT {_observe_sql.RULE_ERRORS}"


def start(instance: Instance, limit: float, check_mode: bool) -> Changes:
    """Enable and start the instance and wait until it answers.

    Args:
        instance: the instance to start.
        limit: seconds to wait; recovery after a crash can take long.
        check_mode: only say what would change.
    """
    stopped = _property(instance, "ActiveState") != "active"
    changes = [change("service", instance.unit, "stopped", "started")] if stopped else []
    if _property(instance, "UnitFileState") != "enabled":
        changes.append(change("service", instance.unit, "disabled", "enabled"))
    if changes and not check_mode:
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", instance.unit])
    if stopped and not check_mode:
        _bring_up(instance, "start", limit)
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
        _bring_up(instance, "restart", limit)
    return [change("service", instance.unit, "running", "restarted")]


def reload(instance: Instance, limit: float, check_mode: bool) -> tuple[Changes, dict[str, Any]]:
    """Make systemd and the server read their files again; returns the changes and what waits for a restart.

    Raises:
        CommandError: a file has an error; what it replaced is put back before, where that was kept (_kept_files).
    """
    changes = [change("service", instance.unit, "files newer than its last load", "reloaded")]
    if check_mode:
        return changes, {}
    if _property(instance, "NeedDaemonReload") == "yes":
        run(["systemctl", "daemon-reload"])
    errors = query_json(instance, HBA_ERRORS) + query_json(instance, FILE_ERRORS)
    if errors:
        back = _kept_files.put_back(instance, *_kept_files.BOTH)
        also = f" {_former(back)}." if back else ""
        raise CommandError(f"{instance.label} refuses its configuration: {'; '.join(errors)}.{also}")
    _load(instance, limit)
    waiting = pending(instance)
    # With nothing that waits, a restart would try nothing new.
    _kept_files.accept(instance, _kept_files.UNTIL_RELOAD, *([] if waiting else [_kept_files.UNTIL_RESTART]))
    return changes, waiting


def take_back(instance: Instance, limit: float, check_mode: bool) -> Changes:
    """Put back what waits for a restart, because another host did not start with it."""
    if check_mode:
        return []
    back = _kept_files.put_back(instance, _kept_files.UNTIL_RESTART)
    if back:
        run(["systemctl", "daemon-reload"])
        _load(instance, limit)
    return [change("file", str(path), "waits for a restart", "taken back") for path in back]


def watch(instance: Instance, wanted: bool, check_mode: bool) -> Changes:
    """Run or end the timer that watches over the synchronous standby."""
    timer = _observe_host.watch_unit(instance)
    runs = _property(instance, "ActiveState", timer) == "active"
    changes = [change("service", timer, *(("stopped", "started") if wanted else ("running", "ended")))]
    if not check_mode:
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable" if wanted else "disable", "--quiet", "--now", timer])
    return [] if runs == wanted else changes


def pending(instance: Instance) -> dict[str, Any]:
    """Return the settings and files that wait for a restart: name to what runs and what is configured."""
    found: dict[str, Any] = query_json(instance, f"SELECT {_observe_sql.PENDING}")
    return found | _observe_instance.files_for_restart(instance, float(query(instance, START_TIME)))


def _load(instance: Instance, limit: float) -> None:
    before = query(instance, LOAD_TIME)
    query(instance, "SELECT pg_reload_conf()")
    wait_until(lambda: query(instance, LOAD_TIME) != before, limit, "the reload")


def _former(back: list[Path]) -> str:
    names = ", ".join(path.name for path in back)
    return f"The former {names} {'is back in place' if len(back) == 1 else 'are back in place'}"


def log_tail(instance: Instance, lines: int = 8) -> str:
    """Return the end of the server's log: why it did not start."""
    path = Path("/var/log/postgresql") / f"postgresql-{instance.version}-{instance.cluster}.log"
    if not path.exists():
        return "no log yet"
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 8192), os.SEEK_SET)
        text = stream.read().decode("utf-8", "replace")
    return " | ".join(text.splitlines()[-lines:])


def _bring_up(instance: Instance, verb: str, limit: float) -> None:
    """Start or restart the server; one that does not come up is started again with the files that it last worked with.

    Raises:
        CommandError: it did not come up, in the words of its log, and what became of it.
    """
    try:
        _systemctl(instance, verb, limit)
    except CommandError as error:
        down = DOWN & {_property(instance, "ActiveState"), _property(instance, "SubState")}
        words = f"{instance.label} did not {verb}: {str(error).rstrip('.')}. Its log ends: {log_tail(instance)}."
        # One that recovers from a crash still comes up, and would only begin anew.
        more = _return(instance, limit) if down else " It may still come up; run again once it answers."
        raise CommandError(words + more) from error
    _kept_files.accept(instance, *_kept_files.BOTH)


def _return(instance: Instance, limit: float) -> str:
    """Go back to the files that the server last worked with; returns what to say about it."""
    back = _kept_files.put_back(instance, *_kept_files.BOTH)
    if not back:
        return ""
    try:
        run(["systemctl", "daemon-reload"])
        _systemctl(instance, "restart", limit)
    except CommandError as error:
        return f" {_former(back)}, and it does not start with that either: {error}"
    return f" {_former(back)}, and the server serves with that."


def _systemctl(instance: Instance, verb: str, limit: float) -> None:
    # Starts that are asked for count against the unit's limit as well, which is there for crashes alone. As a pattern
    # the name is no error when systemd has not loaded the unit.
    run(["systemctl", "reset-failed", f"{instance.unit}*"])
    run(["systemctl", verb, instance.unit], timeout=limit)
    wait_until(lambda: query(instance, "SELECT 1").strip() == "1", limit, f"an answer of {instance.label}")


def _property(instance: Instance, name: str, unit: str = "") -> str:
    return run(["systemctl", "show", f"--property={name}", "--value", unit or instance.unit]).strip()


def _replayed(instance: Instance, needed: Mapping[str, int]) -> bool:
    control = _observe_instance.control(instance) or {}
    return all(control.get(name) == value for name, value in needed.items())
