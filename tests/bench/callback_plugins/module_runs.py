# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Note each module that a play runs on a host. What an action plugin does on the controller alone is not one."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_runs
type: aggregate
short_description: Notes each module that runs on a host
description:
  - Appends a line of JSON with host, module and task to a file, each time that a module runs on a host.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Note module runs in the file that the environment variable STEADFAST_MODULE_RUNS names."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # Results do not tell how many modules an action plugin ran, if any; this is where all of them come through.
        # Workers are forked from this process later.
        ActionBase._execute_module = noted(ActionBase._execute_module)


def noted(execute: Any) -> Any:
    """Wrap ActionBase._execute_module."""

    @functools.wraps(execute)
    def wrapper(self: Any, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        if self._connection.transport != "local":
            variables = kwargs.get("task_vars") or {}
            run = {
                "host": self._task.delegate_to or variables.get("inventory_hostname"),
                "module": module_name or self._task.action,
                "task": self._task.get_name(),
            }
            with open(os.environ["STEADFAST_MODULE_RUNS"], "a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
        return execute(self, module_name, *args, **kwargs)

    return wrapper
