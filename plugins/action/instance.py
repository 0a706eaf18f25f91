# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name on the instance that was decided about; a long clone is polled, and shown to live."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()
MEBIBYTE = 1024**2


class ActionModule(ActionBase):  # type: ignore[misc]
    """Operate on an instance.

    Options are those of the module, of which version, cluster, port and directories come from the decision unless
    they are given; and expected_bytes of a clone, the size of the whole.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module once, or until the clone is complete."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = {**variables.get(_play.DECISION, {}).get("instance", {}), **self._task.args}
        expected = int(arguments.pop("expected_bytes", 0) or 0)
        started = time.monotonic()
        while True:
            answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
            if answer.get("finished", True):
                return result | answer
            host = variables["inventory_hostname"]
            DISPLAY.display(progress(host, int(answer["bytes"]), expected, time.monotonic() - started))


def progress(host: str, done: int, expected: int, seconds: float) -> str:
    """Say how far a copy is: percent where the whole is known, amount and rate per second."""
    share = f"{min(99, done * 100 // expected)} % of {expected // MEBIBYTE} MiB, " if expected else ""
    return f"{host}: clone: {share}{done // MEBIBYTE} MiB, {done / MEBIBYTE / max(seconds, 0.1):.0f} MiB/s"
