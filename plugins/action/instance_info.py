# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name and add when the controller sent it and had its answer, to compare clocks by.

`asked`, on the controller's clock that nobody sets, tells it from what an earlier play of the same run has seen.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Read a host's instance; options are those of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and stamp its clock."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        sent, asked = time.time(), time.monotonic()
        result.update(self._execute_module(task_vars=task_vars))
        if "instance" in result:
            result["instance"]["clock"] |= {"sent": sent, "received": time.time()}
        return result | {"asked": asked}
