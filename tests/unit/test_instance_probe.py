# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A write that is followed to a standby, and what is said when it does not arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _instance_probe
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance
from ansible_collections.steadfast.postgresql.plugins.module_utils._probe import Answer

INSTANCE = Instance("16", "main", Path("/data"), 5433)
Server = tuple[dict[str, list[Any]], list[str]]
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= '0/3000060'"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Answers by statement, one after the other and the last for ever; returns what was asked."""
    answers: dict[str, list[Any]] = {}
    asked: list[str] = []

    def query(instance: Instance, sql: str) -> Any:
        asked.append(sql)
        left = answers[sql]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(_instance_probe, "query", query)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return answers, asked


def test_write(server: Server) -> None:
    answers, asked = server
    answers |= {_instance_probe.WRITE: ["0/3000058\n"], _instance_probe.POSITION: ["0/3000060\n"]}
    assert _instance_probe.write(INSTANCE, False) == (Answer(True, "0/3000060"), "0/3000060")
    assert asked == [_instance_probe.WRITE, _instance_probe.POSITION]


def test_check_mode_writes_nothing(server: Server) -> None:
    answers, asked = server
    answers[_instance_probe.POSITION] = ["0/3000060\n"]
    assert _instance_probe.write(INSTANCE, True) == (Answer(True, "0/3000060"), "0/3000060")
    assert asked == [_instance_probe.POSITION]


def test_a_write_that_fails(server: Server) -> None:
    answers, _ = server
    answers[_instance_probe.WRITE] = [CommandError("psql ended with status 3: read only\nLINE 1: SELECT")]
    assert _instance_probe.write(INSTANCE, False) == (Answer(False, "psql ended with status 3: read only"), "")


def test_replay_is_waited_for(server: Server) -> None:
    answers, asked = server
    answers[REPLAYED] = ["f\n", CommandError("no socket"), "\n", "t\n"]
    assert _instance_probe.replay(INSTANCE, "0/3000060", 60) == Answer(True, "0/3000060")
    assert asked == 4 * [REPLAYED]


@pytest.mark.parametrize(
    ("replayed", "paused", "words"),
    [
        pytest.param("f\n", "f\n", "", id="slow"),
        pytest.param("f\n", "t\n", "; replay is paused", id="paused"),
        pytest.param(CommandError("no socket"), CommandError("no socket"), " (no socket)", id="gone"),
    ],
)
def test_replay_in_vain(server: Server, replayed: str | CommandError, paused: str | CommandError, words: str) -> None:
    answers, _ = server
    answers |= {REPLAYED: [replayed], _instance_probe.PAUSED: [paused]}
    said = f"replay of 0/3000060 did not happen within 0 s{words}"
    assert _instance_probe.replay(INSTANCE, "0/3000060", 0) == Answer(False, said)
