# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say when this host restarts for settings that wait for it: see _restart."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import _restart
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

RELOAD = "__postgresql_server_reload"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the plan; the option allowed says whether the primary may restart."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan from what every host's reload reported, or its observation where nothing was reloaded."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"allowed": {"type": "bool", "required": True}})
        play = _play.Play(task_vars or {})
        decision = play.registered(play.host, _play.DECISION)
        databases = list(decision["addresses"])
        hosts = {host: running for host in databases if (running := _running(play, host))}
        plan = _restart.plan(play.host, hosts, databases, decision["primary"], arguments["allowed"])
        return result | {"changed": False} | asdict(plan)


def _running(play: _play.Play, host: str) -> _restart.Running | None:
    """Return what waits on a host, None where no server answers or the host was not reached."""
    own = play.registered(host, _play.DECISION).get("self", {})
    if not own.get("running"):
        return None
    pending = play.registered(host, RELOAD).get("pending", own["pending"])
    waiting = {name: _restart.Waiting(str(item["running"]), str(item["configured"])) for name, item in pending.items()}
    return _restart.Running(waiting, own["minima"])
