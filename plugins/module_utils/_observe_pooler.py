# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host does as a pooler, without changing it."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_host, _pooler_files
from ansible_collections.steadfast.postgresql.plugins.module_utils._console import (
    Console,
    ConsoleError,
    Row,
    socket_path,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_files import PACKAGED, PROCESSES
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, run, user_exists

PROGRAM = Path("/usr/sbin/pgbouncer")
RUN = Path(_pooler_files.RUN)
FILES = {name: Path(path) for name, path in (("primary", _pooler_files.PRIMARY), ("standby", _pooler_files.STANDBY))}
PROPERTIES = "Id,ActiveState,UnitFileState,ExecMainStartTimestamp"
HOST = re.compile(r"\bhost=(\S+)")
NEVER = 0.0
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# What a pool may open, as the files call it and as the console does.
FIGURES = {
    "pool_size": "pool_size",
    "reserve_pool": "reserve_pool_size",
    "max_db_connections": "max_connections",
    "max_db_client_connections": "max_client_connections",
}
# One that only waits for its last client has closed its console.
DRAINING: Mapping[str, Any] = {"answers": False, "error": "", "databases": {}}


def pooler(port: int, certificates: Path) -> dict[str, Any]:
    """Return what a host has of a pooler.

    Args:
        port: of the poolers; 0 where none is wanted.
        certificates: folder of what it shows to others.
    """
    files = [path for path in _pooler_files.own_files() if Path(path).is_symlink() or Path(path).exists()]
    units = _units() if port or files else {}
    current = _current()
    processes = {
        str(number): {"active": True, **(_asked(number, port) if number == current else DRAINING)}
        for number in PROCESSES
        if units.get(_pooler_files.unit(number), {}).get("active")
    }
    return {
        "user": user_exists(_pooler_files.USER),
        "units": {name: {key: unit[key] for key in ("active", "enabled")} for name, unit in units.items()},
        "current": current,
        "processes": processes,
        "stale": _stale(current, units, certificates),
        "targets": {name: found for name, path in FILES.items() if (found := _target(path))},
        "files": files,
        "writable": [path for path in files if _is_writable(Path(path))],
    }


def _asked(number: int, port: int) -> dict[str, Any]:
    """Return what the console of a process says; one that is to go, or to move to another port, has its old one."""
    own = next(iter((RUN / str(number)).glob(".s.PGSQL.*")), None)
    try:
        with Console(own or socket_path(_pooler_files.socket_directory(number), port)) as console:
            databases, pools = console.ask("SHOW DATABASES"), console.ask("SHOW POOLS")
    except ConsoleError as error:
        return {"answers": False, "error": str(error), "databases": {}}
    return {"answers": True, "error": "", "databases": _databases(databases, pools)}


def _databases(databases: Sequence[Row], pools: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return each database of the console with what works and waits in its pools."""
    found = {}
    for row in databases:
        own = [pool for pool in pools if pool["database"] == row["name"]]
        found[row["name"]] = {
            "host": row.get("host", ""),
            "paused": row.get("paused") == "1",
            "clients": {pool["user"]: int(pool["cl_active"]) + int(pool["cl_waiting"]) for pool in own},
            "connections": int(row["max_connections"]),
            "figures": {option: int(row.get(column) or 0) for option, column in FIGURES.items()},
            "busy": sum(int(pool["sv_active"]) for pool in own),
            "waiting": sum(int(pool["cl_waiting"]) for pool in own),
            "longest_wait": max((int(pool["maxwait"]) + int(pool["maxwait_us"]) / 1e6 for pool in own), default=0.0),
        }
    return found


def _units() -> dict[str, dict[str, Any]]:
    """Return the units of PgBouncer on the host, and when what each runs was started."""
    names = [PACKAGED, *map(_pooler_files.unit, PROCESSES)]
    try:
        shown = run(["systemctl", "show", f"--property={PROPERTIES}", "--timestamp=us+utc", *names])
    except CommandError:
        return {}
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n"))
    return {
        block["Id"]: {
            "active": block["ActiveState"] in {"active", "reloading"},
            "enabled": block["UnitFileState"] == "enabled",
            "started": _observe_host.epoch(started) if (started := block["ExecMainStartTimestamp"]) else NEVER,
        }
        for block in blocks
    }


def _current() -> int | None:
    """Return the process that took over last."""
    link = RUN / "current"
    return int(link.readlink().name) if link.is_symlink() else None


def _stale(current: int | None, units: Mapping[str, Mapping[str, Any]], certificates: Path) -> dict[str, list[str]]:
    """Return the files that the process that serves has not read since they changed: by a reload, or as it started."""
    if current is None or not units.get(_pooler_files.unit(current), {}).get("active"):
        return {"reload": [], "restart": []}
    loaded = RUN / str(current) / "loaded"
    since = loaded.stat().st_mtime if loaded.exists() else NEVER
    reloaded = [Path(_pooler_files.SETTINGS), Path(_pooler_files.RULES), *FILES.values()]
    reloaded += [certificates / name for name in ("ca.crt", "server.crt", "server.key")]
    started = units[_pooler_files.unit(current)]["started"]
    restarted = [Path(_pooler_files.TEMPLATE), Path(_pooler_files.process_file(current))]
    # A package keeps the time at which its files were built.
    replaced = [PROGRAM] if PROGRAM.exists() and PROGRAM.stat().st_ctime > started else []
    return {"reload": _newer(reloaded, since), "restart": _newer(restarted, started) + list(map(str, replaced))}


def _newer(paths: Sequence[Path], since: float) -> list[str]:
    return sorted(str(path) for path in paths if path.exists() and path.stat().st_mtime > since)


def _is_writable(path: Path) -> bool:
    """Whether others than the owner may write a file; a link has no mode of its own."""
    return not path.is_symlink() and bool(path.stat().st_mode & OTHERS_WRITE)


def _target(path: Path) -> str:
    """Return the host that a file leads to."""
    found = HOST.search(path.read_text(encoding="utf-8")) if path.exists() else None
    return found[1] if found else ""
