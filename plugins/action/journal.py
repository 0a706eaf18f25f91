# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name on the journal of the cluster that was decided about, and say who the operator is."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play


class ActionModule(ActionBase):  # type: ignore[misc]
    """Append to a journal; options are those of the module, of which cluster comes from the decision."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Add who runs this on the controller, unless the entry says it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        decision = (task_vars or {}).get(_play.DECISION, {})
        named = {"cluster": decision["cluster"]} if decision else {}
        arguments = {**named, **self._task.args}
        arguments["entry"] = {"operator": operator(), **arguments["entry"]}
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result


def operator() -> str:
    """Return the person at the controller, as far as the controller knows."""
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
