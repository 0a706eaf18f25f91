# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install packages that the observation lacks, and list them among the changes of the run.

In check mode apt is not asked: a package of a source that check mode did not write cannot be looked up.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play


class ActionModule(ActionBase):  # type: ignore[misc]
    """Install packages; the option names lists them."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run apt, or only say what it would install."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec({"names": {"type": "list", "elements": "str", "required": True}})
        play = _play.Play(task_vars or {})
        observed = (play.seen(play.host, _play.OBSERVATION) or {}).get("packages", {})
        changes = [change("package", name, "absent", "installed") for name in given["names"] if name not in observed]
        if self._task.check_mode:
            return result | {"changed": bool(changes), "changes": changes}
        options = {"name": given["names"], "install_recommends": False, "update_cache": True}
        answer: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.apt", module_args=options, task_vars=task_vars
        )
        installed = answer.get("changed", False) and not answer.get("failed", False)
        return result | answer | {"changes": changes if installed else []}
