# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load a host's rules by the module of the same name, then confirm them over a connection that is certainly new.

An SSH connection that was open before goes on under any rules, so one that is shared would prove nothing.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# ssh takes the first of several values, so these win over what the inventory says.
ALONE = "-o ControlMaster=no -o ControlPath=none"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Load and confirm; options are those of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, and once more over a new connection where it loaded rules."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = dict(self._task.args)
        result |= self._execute_module(module_args=given, task_vars=task_vars)
        live = result.pop("live", "")
        if result.get("failed") or not live:
            return result
        given |= {"operation": "confirm", "live": live}
        self._forget_connection()
        try:
            confirmed = self._execute_module(module_args=given, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            seconds = given.get("take_back_after", 60)
            words = " ".join(str(error).split())
            return result | {"failed": True, "changes": [], "msg": refusal(seconds, words)}
        finally:
            self._share_again()
        return result | ({"failed": True, "changes": [], "msg": confirmed["msg"]} if confirmed.get("failed") else {})

    def _forget_connection(self) -> None:
        """Make the next command open a connection of its own."""
        if self._connection.transport == "ssh":
            self._own_arguments = self._connection.get_option("ssh_args")
            self._connection.set_option("ssh_args", f"{ALONE} {self._own_arguments or ''}")
        elif hasattr(self._connection, "reset"):
            self._connection.reset()

    def _share_again(self) -> None:
        if self._connection.transport == "ssh":
            self._connection.set_option("ssh_args", self._own_arguments)


def refusal(seconds: int, words: str) -> str:
    """Say that rules lock out, and what becomes of them."""
    return (
        f"no new SSH connection to the host with the new rules, which are taken back within {seconds} s of their "
        f"loading: {words}. postgresql_host_ssh_networks has to hold the address that this run comes from"
    )
