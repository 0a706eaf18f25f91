"""Units of systemd: what systemctl is told, and the list of changes, the same in check mode."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _services
from ansible_collections.steadfast.postgresql.plugins.module_utils._services import Unit

STATES = {
    "runs": "ActiveState=active\nUnitFileState=enabled\n",
    "stands": "ActiveState=inactive\nUnitFileState=disabled\n",
    "failed": "ActiveState=failed\nUnitFileState=enabled\n",
    "unknown": "ActiveState=inactive\nUnitFileState=\n",
}

ROWS = [
    ([Unit("runs", "started", True)], [], []),
    ([Unit("stands", "stopped", False)], [], []),
    ([Unit("stands", "started")], ["start stands"], ["stands: stopped -> started"]),
    (
        [Unit("stands", "started", True)],
        ["enable stands", "start stands"],
        ["stands: disabled -> enabled", "stands: stopped -> started"],
    ),
    ([Unit("failed", "started", True)], ["start failed"], ["failed: stopped -> started"]),
    ([Unit("runs", "reloaded", True)], ["reload runs"], ["runs: running -> reloaded"]),
    ([Unit("runs", "restarted")], ["restart runs"], ["runs: running -> restarted"]),
    ([Unit("stands", "reloaded")], ["start stands"], ["stands: stopped -> started"]),
    (
        [Unit("runs", "stopped", False)],
        ["stop runs", "disable runs"],
        ["runs: running -> stopped", "runs: enabled -> disabled"],
    ),
    ([Unit("unknown", "stopped")], [], []),
    ([Unit("runs", "any", False)], ["disable runs"], ["runs: enabled -> disabled"]),
    ([Unit("stands", "any", True)], ["enable stands"], ["stands: disabled -> enabled"]),
    (
        [Unit("stands", "started"), Unit("failed", "started"), Unit("runs", "started")],
        ["start stands failed"],
        ["stands: stopped -> started", "failed: stopped -> started"],
    ),
]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(("units", "told", "words"), ROWS)
def test_units(
    units: list[Unit],
    told: list[str],
    words: list[str],
    check_mode: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []

    def run(command: list[str], timeout: float = 0) -> str:
        if command[1] == "show":
            return STATES[command[-1]]
        heard.append(" ".join(word for word in command[1:] if word != "--quiet"))
        return ""

    monkeypatch.setattr(_services, "run", run)
    changes = _services.converge(units, daemon_reload=True, check_mode=check_mode)
    assert [f"{made['name']}: {made['from']} -> {made['to']}" for made in changes] == words
    assert heard == ([] if check_mode else ["daemon-reload", *told])
