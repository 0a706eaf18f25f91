# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the last observation and print the screen at the end of a run; fail when there is an error.

Runs on every host, on the controller alone; the first member that the play reaches speaks for its cluster.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import _summary, _verify
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _judgement, _play

DISPLAY = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Print and judge; there are no options."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Verify this host's cluster where this host speaks for it."""
        result: dict[str, Any] = super().run(tmp, task_vars) | {"changed": False}
        play = _play.Play(task_vars or {})
        if not play.speaks(_play.OUTCOME):
            return result
        check_mode = bool(self._task.check_mode)
        changes = {host: play.changes(host) for host in play.reached(_play.OUTCOME)}
        lines = _summary.changes(changes, check_mode)
        decision = play.registered(play.host, _play.DECISION)
        outcome, topology = _judgement.judged(play, _play.OUTCOME)
        # What is still to be done would only show as errors; with nothing to do a check says how things are.
        if check_mode and any(changes.values()):
            DISPLAY.display("\n" + "\n".join([*lines, *_summary.pools(outcome)]) + "\n")
            return result
        findings = _verify.verify(outcome, topology)
        screen = _summary.screen(outcome, decision["members"], findings, play.cluster["version"], _client(play))
        DISPLAY.display("\n" + "\n".join([*lines, "", *screen]) + "\n")
        errors = [_summary.line(finding) for finding in findings if finding.severity == ERROR]
        return result | ({"failed": True, "msg": "\n".join(errors)} if errors else {})


def _client(play: _play.Play) -> dict[str, str]:
    """Return who may connect, and the file of the CA on the controller."""
    users = play.cluster["administrators"]
    return {**({"user": users[0]} if users else {}), "sslrootcert": _play.authority(play.own)}
