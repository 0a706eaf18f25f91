# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name for the cluster that was decided about; long backups are polled and shown."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()
MEBIBYTE = 1024**2


class ActionModule(ActionBase):  # type: ignore[misc]
    """Make a stanza or backups; stanza and user come from the decision, all other options are those of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module once, or until the backups are made."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        backup = variables.get(_play.DECISION, {}).get("backup", {})
        arguments = {key: backup[key] for key in ("stanza", "user") if key in backup} | self._task.args
        started = time.monotonic()
        while True:
            answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
            if answer.get("finished", True) or answer.get("failed"):
                return result | answer
            arguments["begin"] = False
            DISPLAY.display(progress(answer, time.monotonic() - started))


def progress(answer: dict[str, Any], seconds: float) -> str:
    """Say which backups are being made and how far they are."""
    units = ", ".join(unit.removeprefix("steadfast-backup@").removesuffix(".service") for unit in answer["running"])
    done, expected = int(answer["bytes"]), int(answer["expected"])
    share = f"{done * 100 // expected} % of {expected // MEBIBYTE} MiB, " if expected else ""
    return f"backup {units}: {share}{seconds:.0f} s"
