# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what an instance is, without changing it: its files, its control data, its running server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _journal, _kept_files, _observe_sql
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import SYNCHRONOUS_SET, parse_lsn
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    observe_json,
    owner_exists,
    query,
    query_json,
    read_json,
    run,
    run_as_owner,
)

SETTING = re.compile(r"^\s*([a-z_][\w.]*)\s*=?\s*'?(.*?)'?\s*$", re.IGNORECASE)
HISTORY = re.compile(r"^(\d+)\s+([0-9A-F]+/[0-9A-F]+)\s", re.IGNORECASE)
SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
CONTROL_FIELDS = {
    "Database system identifier": "system_identifier",
    "Database cluster state": "state",
    "Latest checkpoint location": "checkpoint_lsn",
    "Latest checkpoint's TimeLineID": "timeline",
    "Minimum recovery ending location": "minimum_recovery_lsn",
    "Min recovery ending loc's timeline": "minimum_recovery_timeline",
    "Data page checksum version": "checksums",
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
PROC = Path("/proc")
REPLACED = " (deleted)"  # proc_pid_exe(5)
# What pg_ctlcluster reads before the server runs; in the folder of the configuration.
READ_AT_START = ("environment", "pg_ctl.conf")
TEXT_FIELDS = {"system_identifier", "state", "checkpoint_lsn", "minimum_recovery_lsn"}


def data(instance: Instance) -> dict[str, Any]:
    """Return what stands in the data directory: absent, empty, cluster or foreign (something else)."""
    directory = instance.data_directory
    return {
        "directory": str(directory),
        "state": _data_state(directory),
        "version": _first_line(directory / "PG_VERSION"),
        "wal_directory": os.path.realpath(directory / "pg_wal") if (directory / "pg_wal").is_symlink() else None,
        "incomplete": beside(instance).exists(),
        "standby_signal": (directory / "standby.signal").exists(),
        "auto_conf": _settings(directory / "postgresql.auto.conf"),
        "slots": sorted(path.name for path in (directory / "pg_replslot").glob("*")),
        # What is in force says the server; of one that does not run, its file says what will be.
        "synchronous_set": _settings(instance.synchronous_file).get(SYNCHRONOUS_SET, ""),
    }


def beside(instance: Instance) -> Path:
    """Where a bootstrap or clone is made before it is renamed to the data directory."""
    return instance.data_directory.with_name(f"{instance.data_directory.name}.incomplete")


def marker(instance: Instance) -> dict[str, str] | None:
    """Return the collection's own record of the instance, None for one that it did not make."""
    found: dict[str, str] | None = read_json(instance.marker)
    return found


def journal(instance: Instance) -> dict[str, Any]:
    """Return what the journal last says about the synchronous set, and why it cannot be read."""
    try:
        return {"synchronous_set": _journal.last(instance.journal, _journal.SYNCHRONOUS), "error": None}
    except OSError as error:
        return {"synchronous_set": None, "error": str(error)}


def control(instance: Instance) -> dict[str, Any] | None:
    """Return the control data, None where there is no data directory or no program to read it."""
    try:
        shown = run([instance.binaries / "pg_controldata", instance.data_directory])
    except CommandError:
        return None
    found: dict[str, Any] = {}
    for line in shown.splitlines():
        name, _, value = line.partition(":")
        if field := CONTROL_FIELDS.get(name.strip()):
            found[field] = value.strip() if field in TEXT_FIELDS else int(value)
    return found


def replicas(instance: Instance) -> dict[str, str]:
    """Return the members' addresses that the last run wrote down: who cannot be asked now had that one."""
    try:
        text = (instance.configuration / "pg_hba.conf").read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    return _hba.replicas(text)


def server(instance: Instance) -> tuple[dict[str, Any] | None, str | None]:
    """Return what the running server says, or None and why it did not answer."""
    if not owner_exists():
        return None, None
    try:
        answer: dict[str, Any] = observe_json(instance, _observe_sql.OBSERVE)
    except CommandError as error:
        return None, str(error)
    if not _is_same(answer["data_directory"], instance):
        # What belongs to it is not where the rest of this is read.
        return None, f"the server on port {instance.port} runs from {answer['data_directory']}"
    if answer["in_recovery"]:
        answer["timeline"] = max(answer["timeline"], _written_timeline(instance, answer))
    answer["history"] = _history(instance, int(answer["timeline"]))
    answer["archiver"]["waiting"] = _waiting_for_archive(instance)
    answer["pending"] |= files_for_restart(instance, answer["started_at"])
    return answer, None


def elsewhere(instance: Instance) -> dict[str, Any] | None:
    """Return where a server runs that is not where the inventory says: on another port, or from another directory.

    Called where no server of the instance answers.
    """
    running = _running_port(instance)
    if running not in {None, instance.port}:
        return {"port": running, "wanted_port": instance.port, "directory": str(instance.data_directory)}
    try:
        directory = query(instance, "SHOW data_directory").strip() if owner_exists() else None
    except CommandError:
        return None
    if directory is None or _is_same(directory, instance):
        return None
    return {"port": instance.port, "wanted_port": instance.port, "directory": directory}


def _is_same(directory: str, instance: Instance) -> bool:
    return os.path.realpath(directory) == os.path.realpath(instance.data_directory)


def _running_port(instance: Instance) -> int | None:
    """Return the port of the server that runs from the data directory, as its lock file says.

    Lines: https://www.postgresql.org/docs/16/storage-file-layout.html (postmaster.pid).
    """
    try:
        lines = (instance.data_directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        os.kill(int(lines[0]), 0)
        return int(lines[3])
    except (OSError, ValueError, IndexError):
        return None  # none runs


def former(instance: Instance, answer: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what a running cluster that is not ours lets in, and who is in; None for our own."""
    known = (marker(instance) or {}).get("system_identifier")
    if answer is None or known == answer["system_identifier"]:
        return None
    found: dict[str, Any] = query_json(instance, _observe_sql.FORMER)
    return found


def files_for_restart(instance: Instance, started_at: float) -> dict[str, dict[str, str]]:
    """Return what only a start of the service reads and what is newer than the server's: files, and its program.

    Args:
        instance: the instance.
        started_at: when the server was started, epoch seconds.
    """
    read = [*instance.drop_ins.glob("*.conf"), *(instance.configuration / name for name in READ_AT_START)]
    newer = [path for path in read if path.exists() and path.stat().st_mtime > started_at]
    own = program(instance)
    # Only what has been touched since is worth a look at the process.
    touched = own.exists() and own.stat().st_ctime > started_at
    replaced = [own] if touched and is_replaced(instance) else []
    return {str(path): {"running": "as it was", "configured": "the new file"} for path in sorted(newer) + replaced}


def program(instance: Instance) -> Path:
    """Where the server's program lies."""
    return instance.binaries / "postgres"


def is_replaced(instance: Instance) -> bool:
    """Whether the server runs a program that is no longer there: a package has brought another one."""
    pid = _first_line(instance.data_directory / "postmaster.pid")
    try:
        # Root may not look at it in a container that may not trace; the process's own user may.
        return run_as_owner(["readlink", PROC / str(pid) / "exe"]).strip().endswith(REPLACED)
    except CommandError:
        return False  # it ended meanwhile


def stale(instance: Instance, answer: dict[str, Any] | None, certificates: Path) -> list[str]:
    """Return the files that the server reads and that are newer than its last load of them, or gone since."""
    if answer is None:
        return []
    read = [*_files(instance.configuration), *_files(certificates)]
    newer = {str(path) for path in read if path.stat().st_mtime > answer["conf_loaded_at"]}
    # What somebody removed stays in force until the server reads its files again.
    places = {item["sourcefile"] for item in answer["settings"].values() if item.get("sourcefile")}
    return sorted(newer | {place for place in places if not Path(place).exists()})


def _files(folder: Path) -> Iterable[Path]:
    # A dot file is a candidate that an interrupted run left, and what is kept aside is not read either.
    files = (path for path in folder.rglob("*") if path.is_file())
    return (path for path in files if not path.name.startswith(".") and path.suffix not in _kept_files.BOTH)


def _data_state(directory: Path) -> str:
    if (directory / "PG_VERSION").exists():
        return "cluster"
    if not directory.exists():
        return "absent"
    # A file system of its own brings lost+found along.
    return "foreign" if set(os.listdir(directory)) - {"lost+found"} else "empty"


def _first_line(path: Path) -> str | None:
    return path.read_text(encoding="ascii").split("\n", 1)[0] if path.exists() else None


def _settings(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
    return {found[1].lower(): found[2] for line in lines if (found := SETTING.match(line))}


def libraries(instance: Instance) -> dict[str, Any] | None:
    """Return the folder of the libraries that the server can load, and their names; None without its programs."""
    try:
        folder = Path(run([instance.binaries / "pg_config", "--pkglibdir"]).strip())
    except CommandError:
        return None
    return {"directory": str(folder), "names": sorted(path.stem for path in folder.glob("*.so"))}


def _history(instance: Instance, timeline: int) -> list[dict[str, Any]]:
    path = instance.data_directory / "pg_wal" / f"{timeline:08X}.history"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [{"timeline": int(found[1]), "switch_lsn": found[2]} for line in lines if (found := HISTORY.match(line))]


def _written_timeline(instance: Instance, answer: dict[str, Any]) -> int:
    """Return the timeline of the newest WAL file that a standby has replayed from.

    A standby whose receiver is down and that has made no restartpoint since a switch says it nowhere else.
    """
    segments_a_log = 0x1_0000_0000 // int(answer["segment_bytes"])
    replayed = parse_lsn(answer["lsn"]) // int(answer["segment_bytes"])
    files = (SEGMENT.fullmatch(name) for name in os.listdir(instance.data_directory / "pg_wal"))
    written = [(int(found[1], 16), int(found[2], 16) * segments_a_log + int(found[3], 16)) for found in files if found]
    # Files beyond that are recycled ones, made ahead under the name of whatever timeline was current.
    return max((timeline for timeline, segment in written if segment <= replayed), default=0)


def _waiting_for_archive(instance: Instance) -> int:
    status = instance.data_directory / "pg_wal" / "archive_status"
    return sum(name.endswith(".ready") for name in os.listdir(status))
