# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring an instance's data directory into being: made beside, renamed when complete, never over anything."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_instance
from ansible_collections.steadfast.postgresql.plugins.module_utils._journal import sync_directory
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import AUTO_CONF
from ansible_collections.steadfast.postgresql.plugins.module_utils._observe_host import clone_unit
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    OWNER,
    CommandError,
    Instance,
    change,
    run,
    run_as_owner,
    wait_until,
    write_marker,
)

Changes = list[dict[str, str]]
RUNNING = {"activating", "active"}


@dataclass(frozen=True)
class CloneState:
    """How far a clone is: finished, or the bytes that have arrived."""

    finished: bool
    bytes: int = 0


def bootstrap(instance: Instance, locale: str, provider: str, check_mode: bool) -> Changes:
    """Make a new cluster with checksums and UTF8 unless there is one.

    Args:
        instance: the instance to make.
        locale: locale of the template databases.
        provider: libc or icu.
        check_mode: only say what would change.

    Raises:
        CommandError: the data directory holds something else, or initdb failed.
    """
    if _present(instance):
        return []
    if not check_mode:
        _clear(instance)
        _make_parents(instance)
        collation = ["--locale-provider=icu", f"--icu-locale={locale}"] if provider == "icu" else []
        wal = [f"--waldir={instance.wal_directory}"] if instance.wal_directory else []
        run_as_owner(
            [
                instance.binaries / "initdb",
                f"--pgdata={_observe_instance.beside(instance)}",
                *wal,
                "--data-checksums",
                "--encoding=UTF8",
                f"--locale={'C.UTF-8' if provider == 'icu' else locale}",
                *collation,
                "--auth=reject",  # pg_hba.conf is the role's; initdb's own copy in the data directory is never read
                "--auth-local=peer",
            ],
            timeout=300,
        )
        _finish(instance)
    return [change("instance", instance.label, "absent", "bootstrapped")]


def adopt(instance: Instance, system_identifier: str, consequences: Changes, check_mode: bool) -> Changes:
    """Record an existing cluster as the collection's own, once a copy of its configuration is kept.

    Args:
        instance: the instance to take over.
        system_identifier: of the cluster that it holds.
        consequences: what that changes besides, for the list of changes.
        check_mode: only say what would change.
    """
    if (_observe_instance.marker(instance) or {}).get("system_identifier") == system_identifier:
        return []
    copy = instance.state / f"adopted-{system_identifier}"
    kept = [] if copy.exists() else [change("copy", str(instance.configuration), "absent", str(copy))]
    if not check_mode:
        if kept:
            _keep_configuration(instance, copy)
        write_marker(instance, system_identifier)
    return [change("instance", instance.label, "not ours", f"adopted {system_identifier}"), *kept, *consequences]


def _keep_configuration(instance: Instance, copy: Path) -> None:
    """Copy the configuration of somebody else, which the role replaces afterwards: whole or not at all."""
    beside = copy.with_name(f"{copy.name}.incomplete")
    if beside.exists():
        shutil.rmtree(beside)
    instance.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside.mkdir(mode=0o700)  # ssl keys and passwords may stand there
    if instance.configuration.is_dir():
        # A link stays one: it can lead to the data directory.
        shutil.copytree(instance.configuration, beside / "configuration", symlinks=True, copy_function=_copy_durably)
    settings = instance.data_directory / AUTO_CONF
    if settings.exists():
        _copy_durably(settings, beside / AUTO_CONF)
    beside.rename(copy)
    sync_directory(copy.parent)


def _copy_durably(source: str | Path, target: str | Path) -> None:
    """Copy a file with its owner and mode, onto the disk."""
    shutil.copy2(source, target, follow_symlinks=False)
    if Path(target).is_symlink():
        return
    seen = Path(source).stat()
    with open(target, "rb") as stream:
        os.fchown(stream.fileno(), seen.st_uid, seen.st_gid)
        os.fsync(stream.fileno())


def clone(instance: Instance, copy: Sequence[str | Path], patience: float) -> CloneState:
    """Start the clone of a standby, or attach to the one that runs, and finish it once the copy is complete.

    The copy runs in a transient unit, so it goes on when the controller is lost.

    Args:
        instance: the standby to make.
        copy: the program that copies, and its arguments; from_primary or from_repository.
        patience: seconds to wait here for the copy; where it takes longer the caller asks again.

    Raises:
        CommandError: the data directory holds something else, or the copy failed.
    """
    if _present(instance):
        return CloneState(finished=True)
    unit = clone_unit(instance)
    if _unit_state(unit) not in RUNNING or not _observe_instance.beside(instance).exists():
        _forget(unit)
        _clear(instance)
        _make_parents(instance)
        _start_copy(unit, copy)
    try:
        wait_until(lambda: _unit_state(unit) != "activating", patience, "the copy", interval=0.1)
    except CommandError:
        return CloneState(finished=False, bytes=_size(_observe_instance.beside(instance)))
    if _unit_state(unit) != "active":
        words = run(["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=5", f"--unit={unit}"])
        run(["systemctl", "reset-failed", unit])
        raise CommandError(f"the clone of {instance.label} failed: {words.strip()}")
    (_observe_instance.beside(instance) / "standby.signal").touch(mode=0o600)
    _give_to_owner(_observe_instance.beside(instance) / "standby.signal")
    _finish(instance)
    run(["systemctl", "stop", unit])
    return CloneState(finished=True)


def _present(instance: Instance) -> bool:
    state = _observe_instance.data(instance)["state"]
    if state == "foreign":
        raise CommandError(f"{instance.data_directory} holds files that are no PostgreSQL cluster; empty it first")
    if instance.data_directory.is_mount():
        raise CommandError(f"{instance.data_directory} is a mount point; name a folder inside it as data directory")
    return bool(state == "cluster")


def from_primary(instance: Instance, conninfo: str, slot: str) -> list[str | Path]:
    """Return how the primary is copied.

    Args:
        instance: the standby to make.
        conninfo: how to reach the primary; it names files for its secrets, and holds none.
        slot: the standby's replication slot on the primary, which keeps the WAL that the copy needs.
    """
    return [
        instance.binaries / "pg_basebackup",
        f"--pgdata={_observe_instance.beside(instance)}",
        *([f"--waldir={instance.wal_directory}"] if instance.wal_directory else []),
        f"--dbname={conninfo}",
        f"--slot={slot}",
        "--wal-method=stream",
        "--checkpoint=fast",
    ]


def from_repository(instance: Instance, repository: int) -> list[str | Path]:
    """Return how the newest backup of a repository is copied, which spares the primary.

    No recovery settings are written: those of a standby stand in a file of their own.
    """
    return [
        "pgbackrest",
        f"--stanza={instance.cluster}",
        f"--repo={repository}",
        f"--pg1-path={_observe_instance.beside(instance)}",
        "--type=none",
        "restore",
    ]


def _start_copy(unit: str, copy: Sequence[str | Path]) -> None:
    run(
        [
            "systemd-run",
            f"--unit={unit}",
            "--description=Clone of a PostgreSQL standby",
            "--property=Type=oneshot",
            "--remain-after-exit",  # so that a later run still sees how it ended
            "--no-block",
            "--quiet",
            f"--uid={OWNER}",
            "--working-directory=/",
            "--",
            *copy,
        ]
    )


def _forget(unit: str) -> None:
    """Make room for a new unit of that name: systemd keeps one that failed, or ended, while nobody looked."""
    # As a pattern the name is no error when systemd has not loaded the unit.
    run(["systemctl", "stop", f"{unit}*"])
    run(["systemctl", "reset-failed", f"{unit}*"])


def _unit_state(unit: str) -> str:
    return run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip()


def _clear(instance: Instance) -> None:
    """Remove what an interrupted attempt of ours left; nothing else is ever removed."""
    beside = _observe_instance.beside(instance)
    if not beside.exists():
        return
    wal = beside / "pg_wal"
    if instance.wal_directory and wal.is_symlink() and Path(os.readlink(wal)) == instance.wal_directory:
        for path in instance.wal_directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(beside)


def _make_parents(instance: Instance) -> None:
    for directory in filter(None, (instance.data_directory, instance.wal_directory)):
        missing = [place for place in directory.parents if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=0o755)
            _give_to_owner(place)
    # initdb and pg_basebackup run as the owner, who need not be able to write beside a given directory.
    made = [_observe_instance.beside(instance), *filter(None, (instance.wal_directory,))]
    for place in made:
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
        _give_to_owner(place)


def _give_to_owner(path: Path) -> None:
    owner = pwd.getpwnam(OWNER)
    os.chown(path, owner.pw_uid, owner.pw_gid)


def _finish(instance: Instance) -> None:
    """Rename the complete copy into place; the marker comes first, so that no instance is ever without one."""
    beside = _observe_instance.beside(instance)
    made: dict[str, Any] | None = _observe_instance.control(replace(instance, data_directory=beside))
    if made is None:
        raise CommandError(f"{beside} has no control data")
    write_marker(instance, made["system_identifier"])
    beside.rename(instance.data_directory)
    sync_directory(instance.data_directory.parent)


def _size(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            # The copy goes on meanwhile, and renames files.
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).lstat().st_size
    return total
