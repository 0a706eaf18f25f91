# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a pooler on a host: units, what its console says, files that it has not read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_pooler, _pooler_files
from ansible_collections.steadfast.postgresql.plugins.module_utils._console import ConsoleError

STARTED = 1_000_000_000.0
SHOWN = "Sun 2001-09-09 01:46:40.000000 UTC"
AT_REST: dict[str, list[str]] = {"reload": [], "restart": []}


def units(*active: int, enabled: int = 1) -> str:
    blocks = ["Id=pgbouncer.service\nActiveState=inactive\nUnitFileState=masked\nExecMainStartTimestamp="]
    for number in (1, 2):
        state = "active" if number in active else "inactive"
        starts = "enabled" if number == enabled else "disabled"
        blocks.append(
            f"Id=pgbouncer@{number}.service\nActiveState={state}\nUnitFileState={starts}\n"
            f"ExecMainStartTimestamp={SHOWN if number in active else ''}"
        )
    return "\n\n".join(blocks) + "\n"


def pool(database: str, user: str, **figures: str) -> dict[str, str]:
    zeros = dict.fromkeys(("sv_active", "cl_active", "cl_waiting", "maxwait", "maxwait_us"), "0")
    return {"database": database, "user": user} | zeros | figures


ANSWERS: dict[str, Any] = {
    "SHOW DATABASES": [
        {"name": "shop", "host": "10.0.0.1", "paused": "0", "max_connections": "16"}
        | {"pool_size": "12", "reserve_pool_size": "4", "max_client_connections": "333"},
        {"name": "pgbouncer", "paused": "0", "max_connections": "0"},
    ],
    "SHOW POOLS": [
        pool("shop", "a", sv_active="3", cl_active="5"),
        pool("shop", "b", sv_active="4", cl_active="4", cl_waiting="2", maxwait="1", maxwait_us="500000"),
        pool("pgbouncer", "c", cl_active="1"),
    ],
}


class FakeConsole:
    """A console of two pools, of which one is busy."""

    def __init__(self, path: Path) -> None:
        if not path.exists() and path.name != ".s.PGSQL.6432":
            raise ConsoleError("No such file or directory")

    def __enter__(self) -> FakeConsole:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, command: str) -> Any:
        return ANSWERS[command]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host that pools, everything written and started at the same moment."""
    for name in ("run/1", "etc", "certificates", "systemd"):
        (tmp_path / name).mkdir(parents=True)
    places = {"SETTINGS": "pgbouncer.ini", "RULES": "hba.conf"}
    for constant, name in places.items():
        monkeypatch.setattr(_pooler_files, constant, str(tmp_path / "etc" / name))
    files = {name: tmp_path / "etc" / f"{name}.ini" for name in ("primary", "standby")}
    monkeypatch.setattr(_observe_pooler, "FILES", files)
    monkeypatch.setattr(_pooler_files, "TEMPLATE", str(tmp_path / "systemd" / "pgbouncer@.service"))
    monkeypatch.setattr(_pooler_files, "process_file", lambda number: str(tmp_path / "etc" / f"{number}.ini"))
    monkeypatch.setattr(_pooler_files, "own_files", lambda: [str(path) for path in files.values()])
    monkeypatch.setattr(_observe_pooler, "RUN", tmp_path / "run")
    monkeypatch.setattr(_observe_pooler, "PROGRAM", tmp_path / "no program")
    monkeypatch.setattr(_observe_pooler, "Console", FakeConsole)
    monkeypatch.setattr(_observe_pooler, "run", lambda command: units(1))
    monkeypatch.setattr(_observe_pooler, "user_exists", lambda user: True)
    (tmp_path / "run" / "current").symlink_to("1")
    for name in (
        "etc/pgbouncer.ini",
        "etc/hba.conf",
        "etc/1.ini",
        "etc/2.ini",
        "certificates/server.crt",
        "run/1/loaded",
    ):
        (tmp_path / name).touch()
    (tmp_path / "systemd" / "pgbouncer@.service").touch()
    (tmp_path / "etc" / "primary.ini").write_text("[databases]\nshop = host=10.0.0.1 port=5432\n")
    (tmp_path / "etc" / "standby.ini").write_text("[databases]\n")
    for path in tmp_path.rglob("*"):
        os.utime(path, (STARTED, STARTED), follow_symlinks=False)
    return tmp_path


def seen(host: Path, port: int = 6432) -> dict[str, Any]:
    return _observe_pooler.pooler(port, host / "certificates")


def test_a_pooler_at_work(host: Path) -> None:
    found = seen(host)
    assert found["processes"]["1"]["databases"]["shop"] == {
        "host": "10.0.0.1",
        "paused": False,
        "clients": {"a": 5, "b": 6},
        "connections": 16,
        "figures": {"pool_size": 12, "reserve_pool": 4, "max_db_connections": 16, "max_db_client_connections": 333},
        "busy": 7,
        "waiting": 2,
        "longest_wait": 1.5,
    }
    assert (found["current"], found["stale"], found["targets"]) == (1, AT_REST, {"primary": "10.0.0.1"})
    assert found["units"]["pgbouncer@1.service"] == {"active": True, "enabled": True}
    assert found["units"]["pgbouncer.service"] == {"active": False, "enabled": False}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("etc/pgbouncer.ini", "reload"),
        ("etc/primary.ini", "reload"),
        ("etc/standby.ini", "reload"),
        ("etc/hba.conf", "reload"),
        ("certificates/server.crt", "reload"),
        ("etc/1.ini", "restart"),
        ("systemd/pgbouncer@.service", "restart"),
    ],
)
def test_files_that_it_has_not_read(host: Path, name: str, kind: str) -> None:
    os.utime(host / name, (STARTED + 0.01, STARTED + 0.01))
    assert seen(host)["stale"] == AT_REST | {kind: [str(host / name)]}


def test_the_files_of_the_other_process_do_not_count(host: Path) -> None:
    os.utime(host / "etc/2.ini", (STARTED + 5, STARTED + 5))
    assert seen(host)["stale"] == AT_REST


def test_another_program(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = host / "pgbouncer"
    program.touch()
    monkeypatch.setattr(_observe_pooler, "PROGRAM", program)
    assert seen(host)["stale"]["restart"] == [str(program)]


def test_one_that_does_not_answer(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> FakeConsole:
        assert path == Path("/run/pgbouncer/1/.s.PGSQL.6432")
        raise ConsoleError("it does not answer in time")

    monkeypatch.setattr(_observe_pooler, "Console", refuse)
    process = {"active": True, "answers": False, "error": "it does not answer in time", "databases": {}}
    assert seen(host)["processes"] == {"1": process}


@pytest.mark.parametrize("port", [0, 7000], ids=["without pools from now on", "another port from now on"])
def test_a_former_pooler_is_asked_for_its_clients(host: Path, port: int) -> None:
    (host / "run/1/.s.PGSQL.6432").touch()
    process = seen(host, port)["processes"]["1"]
    assert (process["answers"], process["databases"]["shop"]["clients"]) == (True, {"a": 5, "b": 6})


def test_files_that_others_may_write(host: Path) -> None:
    assert seen(host)["writable"] == []
    (host / "etc/primary.ini").chmod(0o664)
    (host / "etc/standby.ini").chmod(0o602)
    assert seen(host)["writable"] == [str(host / "etc/primary.ini"), str(host / "etc/standby.ini")]


def test_two_processes(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_pooler, "run", lambda command: units(1, 2))
    found = seen(host)["processes"]
    assert (found["1"]["answers"], found["2"]) == (True, {"active": True, **_observe_pooler.DRAINING})


def test_one_that_was_killed(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_pooler, "run", lambda command: units())
    found = seen(host)
    assert (found["processes"], found["stale"]) == ({}, AT_REST)


def test_a_host_without_a_pooler_is_not_asked(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pooler_files, "own_files", list)
    monkeypatch.setattr(_observe_pooler, "run", lambda command: pytest.fail("asked"))
    assert seen(host, port=0)["units"] == {}
