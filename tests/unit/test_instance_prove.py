# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restart has to show: the program that is installed, and standbys that have caught up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _instance_prove, _observe_instance, _postgres
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance

INSTANCE = Instance("16", "main", Path("/data"))
DEBIAN = "16.15 (Debian 16.15-1.pgdg13+1)"


@pytest.mark.parametrize(
    ("running", "installed", "replaced", "expected"),
    [
        pytest.param("16.15", "16.15", False, "16.15", id="plain"),
        pytest.param(DEBIAN, DEBIAN, False, DEBIAN, id="Debian's"),
        pytest.param("16.14", "16.15", False, "16/main runs 16.14, and the installed program is 16.15", id="former"),
        pytest.param(
            "16.15 (Debian 16.15-1)",
            "16.15 (Debian 16.15-2)",
            False,
            "16/main runs 16.15 (Debian 16.15-1), and the installed program is 16.15 (Debian 16.15-2)",
            id="former build",
        ),
        pytest.param("16.15", "16.15", True, "16/main runs 16.15, and the installed program is 16.15", id="replaced"),
    ],
)
def test_program(monkeypatch: pytest.MonkeyPatch, running: str, installed: str, replaced: bool, expected: str) -> None:
    monkeypatch.setattr(_instance_prove, "query", lambda instance, sql: f"{running}\n")
    monkeypatch.setattr(_instance_prove, "run", lambda command: f"postgres (PostgreSQL) {installed}\n")
    monkeypatch.setattr(_observe_instance, "is_replaced", lambda instance: replaced)
    try:
        found = _instance_prove.program(INSTANCE)
    except CommandError as error:
        found = str(error)
    assert found == expected


def sender(state: str = "streaming", behind: int = 0) -> dict[str, Any]:
    return {"state": state, "behind": behind}


def wait(monkeypatch: pytest.MonkeyPatch, answers: list[Any], names: list[str], limit: float) -> list[str]:
    asked: list[str] = []

    def query_json(instance: Instance, sql: str) -> Any:
        asked.append(sql)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(_instance_prove, "query", lambda instance, sql: "0/3000060\n")
    monkeypatch.setattr(_instance_prove, "query_json", query_json)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    _instance_prove.standbys(INSTANCE, names, limit)
    return asked


def test_standbys_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [{}, CommandError("no socket"), {"db2": sender("catchup")}, {"db2": sender(behind=9)}, {"db2": sender()}]
    asked = wait(monkeypatch, steps, ["db2"], 60)
    assert len(asked) == len(steps)
    assert "pg_wal_lsn_diff('0/3000060', replay_lsn)" in asked[0]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param({}, "db2 is not connected; db3 is not connected", id="none"),
        pytest.param(
            {"db2": sender("catchup"), "db3": sender()}, "db2 does not stream: catchup", id="it does not stream yet"
        ),
        pytest.param({"db2": sender(), "db3": sender(behind=512)}, "db3 is 512 bytes behind", id="behind"),
        pytest.param(
            {"db2": sender(behind=-1), "db3": sender()}, "db2 has not said how far it is", id="just connected"
        ),
    ],
)
def test_standbys_in_vain(monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError) as raised:
        wait(monkeypatch, [seen], ["db2", "db3"], 0)
    assert str(raised.value) == f"{words}, after 0 s"


PROGRAM = "/usr/lib/postgresql/16/bin/postgres"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An instance whose server is process 77; its program was just put there."""
    data, binaries = tmp_path / "data", tmp_path / "bin"
    for folder in (data, binaries, tmp_path / "proc" / "77"):
        folder.mkdir(parents=True)
    (data / "postmaster.pid").write_text("77\n/data\n")
    (binaries / "postgres").write_text("")
    monkeypatch.setattr(_observe_instance, "PROC", tmp_path / "proc")
    monkeypatch.setattr(_observe_instance, "run_as_owner", _postgres.run)
    monkeypatch.setattr(Instance, "binaries", binaries)
    return Instance("16", "main", data)


@pytest.mark.parametrize(
    ("target", "age", "expected"),
    [
        pytest.param(PROGRAM, 60, False, id="the same"),
        pytest.param(f"{PROGRAM} (deleted)", 60, True, id="another"),
        pytest.param(f"{PROGRAM} (deleted)", -60, False, id="started since"),
        pytest.param(None, 60, False, id="it ended meanwhile"),
    ],
)
def test_a_program_that_a_package_has_replaced(
    instance: Instance, tmp_path: Path, target: str | None, age: int, expected: bool
) -> None:
    if target:
        (tmp_path / "proc" / "77" / "exe").symlink_to(target)
    waiting = {str(instance.binaries / "postgres"): {"running": "as it was", "configured": "the new file"}}
    assert _observe_instance.files_for_restart(instance, time.time() - age) == (waiting if expected else {})


def test_no_server_has_no_program(instance: Instance) -> None:
    (instance.data_directory / "postmaster.pid").unlink()
    assert not _observe_instance.is_replaced(instance)
