# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench that kills runs makes of the journals and of a run that was too fast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from benches import imported


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with imported("kills", monkeypatch) as module:
        yield module


def answer(host: str, line: str, in_force: str | None = None) -> str:
    more = "" if in_force is None else f"\\nin force: {in_force}"
    return f"{host} | CHANGED | rc=0 | (stdout) {line}{more}\n"


SAYS = '{"event": "synchronous set", "to": ["db2"]}'
NOBODY = '{"event": "synchronous set", "to": []}'
FULL = 'ANY 1 ("db2")'

ANSWERS = [
    pytest.param(answer("db1", SAYS, FULL) + answer("ops1", SAYS), [], id="all agree"),
    pytest.param(answer("db1", NOBODY, "") + answer("ops1", NOBODY), [], id="on an empty set"),
    pytest.param(
        answer("db1", SAYS, FULL) + answer("ops1", NOBODY),
        ["the journal of ops1 says {'event': 'synchronous set', 'to': []}, and in force is db2"],
        id="one is behind",
    ),
    pytest.param(
        answer("db1", SAYS, "") + answer("ops1", NOBODY),
        ["the journal of db1 says {'event': 'synchronous set', 'to': ['db2']}, and in force is nobody"],
        id="one says too much",
    ),
    pytest.param(
        answer("db1", "", FULL) + answer("ops1", '{"event": "sy'),
        ["the journal of db1 says None, and in force is db2", "the journal of ops1 says None, and in force is db2"],
        id="none, and one that was cut off",
    ),
    pytest.param(answer("db2", SAYS), ["0 hosts of db2 are a primary"], id="no primary"),
    pytest.param("", ["0 hosts of none are a primary"], id="no answer"),
]


@pytest.mark.parametrize(("answers", "wrong"), ANSWERS)
def test_journals(kills: ModuleType, answers: str, wrong: list[str]) -> None:
    assert kills.disagreements(answers) == wrong


def test_a_run_that_was_too_fast_is_tried_again(kills: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def kill_at(moment: object, inventory: Path, log: str) -> None:
        tried.append(str(moment))
        if len(tried) < 4:
            raise kills.TooLateError("over")

    monkeypatch.setattr(kills, "kill_at", kill_at)
    monkeypatch.setattr(kills, "say", lambda text: None)
    kills.kill(kills.Moment(9, 1.0), Path("inventory"), "log", wanted=False)
    assert tried == ["9+1.00", "9+0.25", "9+0.06", "8+0.00"]


@pytest.mark.parametrize(("task", "wanted"), [(9, True), (1, False)])
def test_a_run_that_was_too_fast_counts_for_nothing(
    kills: ModuleType, monkeypatch: pytest.MonkeyPatch, task: int, wanted: bool
) -> None:
    def kill_at(moment: object, inventory: Path, log: str) -> None:
        raise kills.TooLateError("over")

    monkeypatch.setattr(kills, "kill_at", kill_at)
    with pytest.raises(kills.TooLateError):
        kills.kill(kills.Moment(task, 0.0), Path("inventory"), "log", wanted=wanted)
