# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name for the cluster that preflight returned, and add the controller's clock.

When it sent the module and had its answer tells how far the host's clock is off. `asked`, on the controller's clock
that nobody sets, tells it from what an earlier play of the same run has seen.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_plan, _pooler_plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play


class ActionModule(ActionBase):  # type: ignore[misc]
    """Read a host's instance; options are those of the module, which come from preflight unless they are given."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and stamp its clock."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        sent, asked = time.time(), time.monotonic()
        arguments = _arguments(_play.Play(task_vars or {})) | self._task.args
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if "instance" in result:
            result["instance"]["clock"] |= {"sent": sent, "received": time.time()}
        return result | {"asked": asked}


def _arguments(play: _play.Play) -> dict[str, Any]:
    cluster, own, duties = play.cluster, play.own, play.preflight["duties"]
    return {
        "version": cluster["version"],
        "cluster": cluster["name"],
        "port": cluster["port"],
        "data_directory": own["postgresql_server_data_directory"],
        "wal_directory": own["postgresql_server_wal_directory"] or None,
        "certificates_directory": own["postgresql_certificates_directory"],
        "database": DATABASE in duties,
        "peers": [member["address"] for member in cluster["members"] if member["address"]],
        "backup": _backup_plan.to_observe(cluster, duties),
        "pooler": _pooler_plan.to_observe(cluster, duties),
    }
