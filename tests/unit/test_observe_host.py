# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a host: hardware, packages, disks, the instance's unit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_host
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance

GIB = 1 << 30
INSTANCE = Instance("16", "main", Path("/data"))


def refuse(*given: Instance | list[Any] | str, **options: Any) -> None:
    raise CommandError("it is not there")


def test_host() -> None:
    found = _observe_host.host()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert 0 < (found["cgroup_memory_bytes"] or 1) < found["memory_bytes"]
    assert set(found["groups"]) <= {"postgres", "ssl-cert"}


@pytest.mark.parametrize(
    ("release", "distribution", "version"),
    [({"ID": "debian", "VERSION_ID": "13"}, "Debian", "13"), ({}, "", ""), (OSError(2, "no such file"), "", "")],
)
def test_distribution(
    monkeypatch: pytest.MonkeyPatch, release: OSError | dict[str, str], distribution: str, version: str
) -> None:
    def read() -> dict[str, str]:
        if isinstance(release, OSError):
            raise release
        return release

    monkeypatch.setattr(platform, "freedesktop_os_release", read)
    found = _observe_host.host()
    assert (found["distribution"], found["distribution_version"]) == (distribution, version)


def files(monkeypatch: pytest.MonkeyPatch, **contents: str) -> None:
    """Let the kernel's files hold this; one that is not named is not there."""
    monkeypatch.setattr(Path, "exists", lambda path: path.name in contents)
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: contents[path.name])


MEMINFO = "MemFree:  1 kB\nMemTotal:        8388608 kB\n"


@pytest.mark.parametrize(
    ("contents", "limit"),
    [
        ({"memory.max": "2147483648\n"}, 2 * GIB),
        ({"memory.max": "max\n"}, None),
        ({"memory.limit_in_bytes": "1073741824\n"}, GIB),
        ({"memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"memory.max": "8589934592\n"}, None),
        ({}, None),
    ],
)
def test_memory_of_the_cgroup(monkeypatch: pytest.MonkeyPatch, contents: dict[str, str], limit: int | None) -> None:
    files(monkeypatch, meminfo=MEMINFO, **contents)
    found = _observe_host.host()
    assert (found["memory_bytes"], found["cgroup_memory_bytes"]) == (8 * GIB, limit)


@pytest.mark.parametrize(("turns", "found"), [("1\n", True), ("0\n", False), (None, None)])
def test_kind_of_a_disk(monkeypatch: pytest.MonkeyPatch, turns: str | None, found: bool | None) -> None:
    files(monkeypatch, **({"rotational": turns} if turns else {}))
    assert _observe_host._rotational(os.makedev(8, 1)) is found


def test_disks(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    found = _observe_host.disks({"data": tmp_path / "made", "wal": tmp_path / "to" / "come"})
    room = os.statvfs(tmp_path)
    assert set(found) == {"data", "wal"}
    for disk in found.values():
        assert disk["bytes"] == room.f_frsize * room.f_blocks
        assert 0 < disk["available"] <= disk["bytes"]
        assert Path(disk["mount"]).is_mount()


LISTED = "ii |postgresql-16|16.14-1.pgdg13+1\nrc |postgresql-15|15.9-1\nii |ssl-cert|1.1.3\n"


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, LISTED, "dpkg-query: no packages found matching pgbouncer*")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: done)
    assert _observe_host.packages() == {"postgresql-16": "16.14-1.pgdg13+1", "ssl-cert": "1.1.3"}


def test_packages_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*command: list[str], **options: bool | int) -> None:
        raise FileNotFoundError(2, "No such file or directory", "dpkg-query")

    monkeypatch.setattr(subprocess, "run", run)
    assert _observe_host.packages() == {}


def shown(**changes: str) -> str:
    values = {
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "LoadState": "loaded",
        "NRestarts": "0",
        "NeedDaemonReload": "no",
        "MainPID": "0",
        "OOMScoreAdjust": "-900",
        **changes,
    }
    return "\n".join(f"{name}={value}" for name, value in values.items())


UNIT = {
    "active": "active",
    "enabled": True,
    "masked": False,
    "restarts": 0,
    "needs_daemon_reload": False,
    "oom": None,
    "clone": {"active": "inactive"},
    "watch": {"active": "active"},
}


@pytest.mark.parametrize(
    ("own", "differs"),
    [
        ({}, {}),
        ({"ActiveState": "failed", "NRestarts": "5"}, {"active": "failed", "restarts": 5}),
        ({"UnitFileState": "disabled"}, {"enabled": False}),
        ({"UnitFileState": "", "NRestarts": ""}, {"enabled": False}),
        ({"LoadState": "masked", "UnitFileState": "masked"}, {"masked": True, "enabled": False}),
        ({"NeedDaemonReload": "yes"}, {"needs_daemon_reload": True}),
    ],
)
def test_unit(monkeypatch: pytest.MonkeyPatch, own: dict[str, str], differs: dict[str, Any]) -> None:
    blocks = [shown(**own), shown(ActiveState="inactive"), shown()]
    asked: list[Any] = []

    def answer(command: Any) -> str:
        asked.append(command)
        return "\n\n".join(blocks) + "\n"

    monkeypatch.setattr(_observe_host, "run", answer)
    assert _observe_host.unit(INSTANCE) == UNIT | differs
    assert asked[0][3:] == [
        "postgresql@16-main.service",
        "steadfast-clone-16-main.service",
        "steadfast-watch-16-main.timer",
    ]


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host whose init may do everything, with a server that runs as process 70 and two children."""
    scores = {"70": -900, "71": 0, "72": -900}
    for pid, score in scores.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "oom_score_adj").write_text(f"{score}\n")
    (tmp_path / "70/task/70").mkdir(parents=True)
    (tmp_path / "70/task/70/children").write_text("71 72 ")
    (tmp_path / "1").mkdir()
    (tmp_path / "1/status").write_text("Name:\tsystemd\nCapPrm:\t0\nCapEff:\t000001ffffffffff\n")
    monkeypatch.setattr(_observe_host, "PROC", tmp_path)
    return tmp_path


SCORES = {"unit": -900, "server": -900, "child": 0, "may_protect": True}


def oom(monkeypatch: pytest.MonkeyPatch, pid: str) -> Any:
    blocks = [shown(MainPID=pid), shown(), shown()]
    monkeypatch.setattr(_observe_host, "run", lambda command: "\n\n".join(blocks) + "\n")
    return _observe_host.unit(INSTANCE)["oom"]


def test_scores_of_the_oom_killer(monkeypatch: pytest.MonkeyPatch, proc: Path) -> None:
    assert oom(monkeypatch, "70") == SCORES
    (proc / "70/task/70/children").write_text("")
    (proc / "1/status").write_text("Name:\tsystemd\nCapPrm:\t000001ffffffffff\nCapEff:\t00000000a80435fb\n")
    assert oom(monkeypatch, "70") == SCORES | {"child": None, "may_protect": False}


@pytest.mark.parametrize("gone", ["70/oom_score_adj", "71/oom_score_adj", "70/task/70/children"])
def test_no_scores_of_a_server_that_ended_meanwhile(monkeypatch: pytest.MonkeyPatch, proc: Path, gone: str) -> None:
    (proc / gone).unlink()
    assert oom(monkeypatch, "70") is None


def test_unit_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_host, "run", refuse)
    found = _observe_host.unit(INSTANCE)
    assert (found["active"], found["enabled"], found["masked"]) == ("unknown", False, False)
