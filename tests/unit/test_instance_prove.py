# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restart has to show: the program that is installed, and standbys that have caught up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _instance_prove, _observe_instance
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


def process(tmp_path: Path, target: str) -> Instance:
    """A server of process 77 whose program is what its link in /proc says."""
    data, own = tmp_path / "data", tmp_path / "proc" / "77"
    own.mkdir(parents=True)
    data.mkdir()
    (data / "postmaster.pid").write_text("77\n/data\n")
    (own / "exe").symlink_to(target)
    return Instance("16", "main", data)


PROGRAM = "/usr/lib/postgresql/16/bin/postgres"


@pytest.mark.parametrize(("target", "expected"), [(PROGRAM, False), (f"{PROGRAM} (deleted)", True)])
def test_a_program_that_a_package_has_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, expected: bool
) -> None:
    monkeypatch.setattr(_observe_instance, "PROC", tmp_path / "proc")
    instance = process(tmp_path, target)
    assert _observe_instance.is_replaced(instance) is expected
    waiting = {PROGRAM: {"running": "as it was", "configured": "the new file"}} if expected else {}
    assert _observe_instance.files_for_restart(instance, 0.0) == waiting


def test_no_server_has_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_instance, "PROC", tmp_path / "proc")
    assert not _observe_instance.is_replaced(Instance("16", "main", tmp_path))
