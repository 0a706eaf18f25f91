# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say when this host restarts for settings that wait for it: see _restart."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import _restart
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

RELOAD = "__postgresql_server_reload"
FILES = "__postgresql_server_files"
NEW_FILE = {"running": "as it was", "configured": "the new file"}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the plan and the order of all hosts.

    Options: allowed says whether the primary may restart, and start_files names the files that only a start reads.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan from what every host's reload reported or will report, or its observation where nothing is reloaded."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "allowed": {"type": "bool", "required": True},
                "start_files": {"type": "list", "elements": "str", "required": True},
            }
        )
        play = _play.Play(task_vars or {})
        decision = play.registered(play.host, _play.DECISION)
        # The one whose failure makes no commit wait goes first.
        roles = {host: item["role"] for host, item in decision["hosts"].items()}
        databases = sorted(decision["addresses"], key=lambda host: roles.get(host) != ASYNCHRONOUS)
        predict = bool(self._task.check_mode)
        hosts = {host: found for host in databases if (found := _running(play, host, predict, given["start_files"]))}
        cluster = (hosts, databases, decision["primary"], given["allowed"])
        plan = asdict(_restart.plan(play.host, *cluster))
        return result | {"changed": False} | plan | {"order": _restart.order(*cluster)}


def _running(play: _play.Play, host: str, predict: bool, start_files: list[str]) -> _restart.Running | None:
    """Return what waits on a host, None where no server answers or the host was not reached."""
    own = play.registered(host, _play.DECISION).get("self", {})
    if not own.get("running"):
        return None
    reload = play.registered(host, RELOAD)
    if "pending" not in reload:
        pending = own["pending"]
    elif predict:
        written = [path for path in play.registered(host, FILES).get("written_paths", ()) if path in start_files]
        pending = own["pending_after_reload"] | dict.fromkeys(written, NEW_FILE)
    else:
        pending = reload["pending"]
    waiting = {name: _restart.Waiting(str(item["running"]), str(item["configured"])) for name, item in pending.items()}
    return _restart.Running(waiting, own["minima"])
