# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data directories that come into being, by programs that only look like PostgreSQL's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _instance_make, _observe_instance, _postgres
from ansible_collections.steadfast.postgresql.plugins.module_utils._instance_make import CloneState
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance, change

UNIT = "steadfast-clone-16-main.service"
IDENTIFIER = "7300000000000000001"
MADE = [change("instance", "16/main", "absent", "bootstrapped")]

# They fill the directory that is given, as initdb and pg_basebackup do, and keep their arguments.
FILL = """#!/bin/sh
for argument in "$@"; do
  echo "$argument" >> {root}/arguments
  case $argument in
    --pgdata=*) data=${{argument#--pgdata=}} ;;
    --waldir=*) wal=${{argument#--waldir=}} ;;
  esac
done
[ -z "$(ls -A "$data")" ] || {{ echo "directory \\"$data\\" exists but is not empty" >&2; exit 1; }}
[ -z "$wal" ] || [ -z "$(ls -A "$wal")" ] || {{ echo "directory \\"$wal\\" exists but is not empty" >&2; exit 1; }}
if [ -n "$wal" ]; then ln -s "$wal" "$data/pg_wal"; else mkdir "$data/pg_wal"; fi
echo x > "$data/pg_wal/000000010000000000000001"
[ ! -e {root}/interrupt ] || {{ echo "interrupted" >&2; exit 1; }}
echo 16 > "$data/PG_VERSION"
mkdir "$data/global"
"""
CONTROL = """#!/bin/sh
[ -e "$1/global" ] || { echo "no pg_control" >&2; exit 1; }
echo "Database system identifier:           7300000000000000001"
echo "Database cluster state:               shut down"
"""


@dataclass
class Systemd:
    """Units as systemctl and systemd-run see them; a started unit runs its program at once."""

    states: list[str]
    log: str = "pg_basebackup: error: no room"
    calls: list[list[str]] = field(default_factory=list)

    def run(self, command: list[Any], timeout: int = 60, **options: Any) -> str:
        words = [os.fspath(word) for word in command]
        if words[0] not in {"systemctl", "systemd-run", "journalctl"}:
            return _postgres.run(command, timeout, **options)
        self.calls.append(words)
        if words[:2] == ["systemctl", "show"]:
            return (self.states.pop(0) if len(self.states) > 1 else self.states[0]) + "\n"
        if words[0] == "systemd-run":
            _postgres.run(words[words.index("--") + 1 :])
        return self.log if words[0] == "journalctl" else ""

    def verbs(self) -> list[str]:
        shown = [" ".join(words[:2]) if words[0] == "systemctl" else words[0] for words in self.calls]
        return [verb for verb in shown if verb != "systemctl show"]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, text in {
        "initdb": FILL.format(root=tmp_path),
        "pg_basebackup": FILL.format(root=tmp_path),
        "pg_controldata": CONTROL,
    }.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    monkeypatch.setattr(Instance, "binaries", binaries)
    monkeypatch.setattr(_postgres, "STATE_DIRECTORY", tmp_path / "state")
    monkeypatch.setattr(_instance_make, "run_as_owner", _postgres.run)
    monkeypatch.setattr(_instance_make, "_give_to_owner", lambda path: None)
    return Instance("16", "main", tmp_path / "postgresql" / "16" / "main", 5432)


def with_wal(instance: Instance) -> Instance:
    return replace(instance, wal_directory=instance.data_directory.parents[2] / "wal" / "main")


def systemd(monkeypatch: pytest.MonkeyPatch, *states: str) -> Systemd:
    units = Systemd(list(states))
    monkeypatch.setattr(_instance_make, "run", units.run)
    return units


def arguments(tmp_path: Path) -> list[str]:
    return (tmp_path / "arguments").read_text().splitlines()


def bootstrap(instance: Instance, check_mode: bool = False) -> list[dict[str, str]] | None:
    return _instance_make.bootstrap(instance, "C.UTF-8", "libc", check_mode)


def clone(instance: Instance, patience: float = 5) -> CloneState:
    copy = _instance_make.from_primary(instance, "host=db1 user=replicator", "db2")
    return _instance_make.clone(instance, copy, patience)


def marker(instance: Instance) -> Any:
    return json.loads(instance.marker.read_text())


def tree(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@pytest.mark.parametrize("present", [False, True], ids=["absent", "empty"])
def test_bootstrap(instance: Instance, tmp_path: Path, present: bool) -> None:
    if present:
        instance.data_directory.mkdir(parents=True)
    assert bootstrap(instance) == MADE
    assert arguments(tmp_path) == [
        f"--pgdata={instance.data_directory}.incomplete",
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth=reject",
        "--auth-local=peer",
    ]
    assert marker(instance) == {"system_identifier": IDENTIFIER, "version": "16"}
    assert (instance.data_directory / "PG_VERSION").exists()
    assert not _observe_instance.beside(instance).exists()
    assert instance.data_directory.stat().st_mode & 0o777 == 0o700
    assert instance.data_directory.parent.stat().st_mode & 0o777 == 0o755
    assert bootstrap(instance) == []


@pytest.mark.parametrize(
    ("locale", "provider", "words"),
    [
        ("de_DE.UTF-8", "libc", ["--locale=de_DE.UTF-8"]),
        ("de-DE", "icu", ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=de-DE"]),
    ],
)
def test_locale(instance: Instance, tmp_path: Path, locale: str, provider: str, words: list[str]) -> None:
    _instance_make.bootstrap(instance, locale, provider, False)
    assert [word for word in arguments(tmp_path) if re.match("--(icu-)?locale", word)] == words


def test_bootstrap_with_its_wal_elsewhere(instance: Instance, tmp_path: Path) -> None:
    instance = with_wal(instance)
    bootstrap(instance)
    assert f"--waldir={tmp_path}/wal/main" in arguments(tmp_path)
    assert os.readlink(instance.data_directory / "pg_wal") == f"{tmp_path}/wal/main"
    assert tree(tmp_path / "wal") == ["main", "main/000000010000000000000001"]


@pytest.mark.parametrize("wal", [False, True], ids=["inside", "elsewhere"])
def test_an_interrupted_bootstrap_is_repaired(instance: Instance, tmp_path: Path, wal: bool) -> None:
    instance = with_wal(instance) if wal else instance
    (tmp_path / "interrupt").touch()
    with pytest.raises(CommandError, match="interrupted"):
        bootstrap(instance)
    assert not instance.data_directory.exists()
    assert not instance.marker.exists()
    (tmp_path / "interrupt").unlink()
    assert bootstrap(instance) == MADE


@pytest.mark.parametrize("present", ["absent", "cluster"])
def test_check_mode_touches_nothing(instance: Instance, tmp_path: Path, present: str) -> None:
    if present == "cluster":
        bootstrap(instance)
    before = tree(tmp_path)
    assert bootstrap(instance, check_mode=True) == (MADE if present == "absent" else [])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", [bootstrap, clone])
def test_foreign_files_are_refused(instance: Instance, tmp_path: Path, make: Callable[..., Any]) -> None:
    instance.data_directory.mkdir(parents=True)
    (instance.data_directory / "notes.txt").touch()
    before = tree(tmp_path)
    text = f"{instance.data_directory} holds files that are no PostgreSQL cluster; empty it first"
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        make(instance)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", [bootstrap, clone])
def test_a_mount_point_is_refused(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]
) -> None:
    instance.data_directory.mkdir(parents=True)
    (instance.data_directory / "lost+found").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == instance.data_directory)
    text = f"{instance.data_directory} is a mount point; name a folder inside it as data directory"
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        make(instance)


def test_foreign_wal_is_left_alone(instance: Instance, tmp_path: Path) -> None:
    instance = with_wal(instance)
    assert instance.wal_directory
    instance.wal_directory.mkdir(parents=True)
    (instance.wal_directory / "000000010000000000000009").touch()
    for _ in range(2):
        with pytest.raises(CommandError, match="exists but is not empty"):
            bootstrap(instance)
    assert tree(instance.wal_directory) == ["000000010000000000000009"]


def test_the_wal_of_another_is_left_alone(instance: Instance, tmp_path: Path) -> None:
    """Only what the attempt itself points to is cleared."""
    instance = with_wal(instance)
    assert instance.wal_directory
    instance.wal_directory.mkdir(parents=True)
    (instance.wal_directory / "000000010000000000000009").touch()
    beside = _observe_instance.beside(instance)
    beside.mkdir(parents=True)
    (beside / "pg_wal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match="exists but is not empty"):
        bootstrap(instance)
    assert tree(instance.wal_directory) == ["000000010000000000000009"]


def test_the_marker_comes_before_the_rename(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, target: Path) -> None:
        raise OSError(5, "killed here")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="killed here"):
        bootstrap(instance)
    assert marker(instance)["system_identifier"] == IDENTIFIER
    assert _observe_instance.data(instance)["state"] == "absent"
    monkeypatch.undo()


def test_a_copy_without_control_data_does_not_count(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_instance, "control", lambda instance: None)
    with pytest.raises(CommandError, match=r"^/.*/main\.incomplete has no control data$"):
        bootstrap(instance)
    assert not instance.data_directory.exists()
    assert not instance.marker.exists()


@pytest.mark.parametrize(
    ("before", "adopts"),
    [(None, True), ("8", True), (IDENTIFIER, False)],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_adopt(instance: Instance, before: str | None, adopts: bool, check_mode: bool) -> None:
    if before:
        _postgres.write_marker(instance, before)
    copy = instance.state / f"adopted-{IDENTIFIER}"
    lost = change("parameter", "work_mem", "64MB", "not set")
    expected = [
        change("instance", "16/main", "not ours", f"adopted {IDENTIFIER}"),
        change("copy", str(instance.configuration), "absent", str(copy)),
        lost,
    ]
    assert _instance_make.adopt(instance, IDENTIFIER, [lost], check_mode) == (expected if adopts else [])
    found = _observe_instance.marker(instance)
    assert (found or {}).get("system_identifier") == (before if check_mode else IDENTIFIER)
    assert copy.exists() is (adopts and not check_mode)


@pytest.fixture
def configured(instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An instance that somebody else configured."""
    monkeypatch.setattr(Instance, "configuration", tmp_path / "etc")
    (tmp_path / "etc" / "conf.d").mkdir(parents=True)
    (tmp_path / "etc" / "postgresql.conf").write_text("work_mem = 64MB\n")
    (tmp_path / "etc" / "postgresql.conf").chmod(0o640)
    (tmp_path / "etc" / "conf.d" / "more.conf").write_text("port = 5433\n")
    (tmp_path / "etc" / "pgdata").symlink_to(instance.data_directory)
    instance.data_directory.mkdir(parents=True)
    (instance.data_directory / "postgresql.auto.conf").write_text("# nothing\n")
    return instance


def adopted(instance: Instance) -> Path:
    _instance_make.adopt(instance, IDENTIFIER, [], check_mode=False)
    return instance.state / f"adopted-{IDENTIFIER}"


def test_an_adoption_keeps_the_former_configuration(configured: Instance) -> None:
    copy = adopted(configured)
    assert tree(copy) == [
        "configuration",
        "configuration/conf.d",
        "configuration/conf.d/more.conf",
        "configuration/pgdata",
        "configuration/postgresql.conf",
        "postgresql.auto.conf",
    ]
    kept = copy / "configuration" / "postgresql.conf"
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("work_mem = 64MB\n", 0o640)
    assert (copy / "configuration" / "pgdata").is_symlink()
    assert copy.stat().st_mode & 0o777 == 0o700


def test_the_copy_of_an_adoption_is_never_made_again(configured: Instance) -> None:
    copy = adopted(configured)
    (configured.configuration / "postgresql.conf").write_text("# ours\n")
    configured.marker.unlink()
    assert _instance_make.adopt(configured, IDENTIFIER, [], check_mode=False) == [
        change("instance", "16/main", "not ours", f"adopted {IDENTIFIER}")
    ]
    assert (copy / "configuration" / "postgresql.conf").read_text() == "work_mem = 64MB\n"


def test_an_adoption_that_was_killed_is_completed(configured: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(source: str, target: str) -> None:
        raise OSError(5, "killed here")

    with monkeypatch.context() as patch:
        patch.setattr(_instance_make, "_copy_durably", killed)
        with pytest.raises(OSError, match="killed here"):
            adopted(configured)
    assert not configured.marker.exists()
    assert not (configured.state / f"adopted-{IDENTIFIER}").exists()
    assert "configuration/postgresql.conf" in tree(adopted(configured))
    assert tree(configured.state) == sorted(
        [
            configured.marker.name,
            f"adopted-{IDENTIFIER}",
            *(f"adopted-{IDENTIFIER}/{path}" for path in tree(adopted(configured))),
        ]
    )


def test_clone(instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = systemd(monkeypatch, "inactive", "activating", "active")
    assert clone(instance) == CloneState(finished=True)
    assert arguments(tmp_path) == [
        f"--pgdata={instance.data_directory}.incomplete",
        "--dbname=host=db1 user=replicator",
        "--slot=db2",
        "--wal-method=stream",
        "--checkpoint=fast",
    ]
    assert tree(instance.data_directory) == [
        "PG_VERSION",
        "global",
        "pg_wal",
        "pg_wal/000000010000000000000001",
        "standby.signal",
    ]
    assert (instance.data_directory / "standby.signal").stat().st_mode & 0o777 == 0o600
    assert marker(instance) == {"system_identifier": IDENTIFIER, "version": "16"}
    assert units.verbs() == ["systemctl stop", "systemctl reset-failed", "systemd-run", "systemctl stop"]
    started = next(words for words in units.calls if words[0] == "systemd-run")
    assert {f"--unit={UNIT}", "--property=Type=oneshot", "--remain-after-exit", "--no-block", "--uid=postgres"} < set(
        started
    )
    units.calls.clear()
    assert clone(instance) == CloneState(finished=True)
    assert units.calls == []


def test_a_clone_that_takes_longer(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd(monkeypatch, "inactive", "activating")
    state = clone(instance, patience=0)
    assert (state.finished, state.bytes) == (False, len("x\n") + len("16\n"))
    assert not instance.data_directory.exists()
    again = systemd(monkeypatch, "activating", "active")
    assert clone(instance) == CloneState(finished=True)
    assert "systemd-run" not in again.verbs()


def test_files_that_the_copy_renames_meanwhile(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd(monkeypatch, "inactive", "activating")
    walked = os.walk

    def walk(top: Path) -> Iterator[Any]:
        for folder, folders, names in walked(top):
            yield folder, folders, [*names, "backup_manifest.tmp"]

    monkeypatch.setattr(os, "walk", walk)
    assert clone(instance, patience=0).bytes == len("x\n") + len("16\n")


def test_a_clone_that_fails(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    units = systemd(monkeypatch, "inactive", "activating", "failed")
    with pytest.raises(CommandError, match=r"^the clone of 16/main failed: pg_basebackup: error: no room$"):
        clone(instance)
    assert units.verbs()[-2:] == ["journalctl", "systemctl reset-failed"]
    assert not instance.data_directory.exists()
    systemd(monkeypatch, "inactive", "active")
    assert clone(instance) == CloneState(finished=True)


@pytest.mark.parametrize(
    ("states", "left"),
    [
        pytest.param(["failed", "active"], True, id="it failed"),
        pytest.param(["active", "active"], False, id="it ended, and its data was removed since"),
    ],
)
def test_a_unit_that_nobody_looked_after_makes_room(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, states: list[str], left: bool
) -> None:
    if left:
        (_observe_instance.beside(instance) / "base").mkdir(parents=True)
    units = systemd(monkeypatch, *states)
    assert clone(instance) == CloneState(finished=True)
    assert units.calls[1:3] == [["systemctl", "stop", f"{UNIT}*"], ["systemctl", "reset-failed", f"{UNIT}*"]]
    assert units.verbs()[2] == "systemd-run"


def test_the_clone_of_another_wal_directory(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = with_wal(instance)
    systemd(monkeypatch, "inactive", "active")
    clone(instance)
    assert f"--waldir={tmp_path}/wal/main" in arguments(tmp_path)
    assert tree(tmp_path / "wal") == ["main", "main/000000010000000000000001"]
