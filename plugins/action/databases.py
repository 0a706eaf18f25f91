# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name with the applications of the inventory: checked, resolved, passwords apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _applications,
    _arguments,
    _preflight_databases,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

SPECS = Path(__file__).resolve().parents[2] / "roles" / "cluster" / "meta" / "argument_specs.yml"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reconcile; options are those of the module, of which the instance comes from the decision."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module once."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = {**variables.get(_play.DECISION, {}).get("instance", {}), **self._task.args}
        given = self._applications(arguments.get("applications", []))
        names = [entry["name"] for entry in given]
        only = str(arguments.get("only") or "")
        if only and only not in names:
            raise AnsibleActionFail(f"application: {only} is not declared; write one of {_arguments.listed(names)}")
        version = str(variables.get("postgresql_version", "16"))
        passwords: dict[str, str] = {}
        for entry in given:
            passwords |= _applications.passwords(entry)
        arguments |= {
            "applications": [_preflight_databases.entry(entry, version) for entry in given],
            "passwords": json.dumps(passwords),
        }
        return result | self._execute_module(module_args=arguments, task_vars=task_vars)

    def _applications(self, value: Any) -> list[dict[str, Any]]:
        """Return the entries with their defaults; the preflight has refused what is wrong with them."""
        spec = self._loader.load_from_file(str(SPECS))["argument_specs"]["main"]["options"][_applications.APPLICATIONS]
        entries, mistakes = _arguments.check(_applications.APPLICATIONS, spec, value)
        found: list[Mistake] = list(mistakes)
        if found:
            raise AnsibleActionFail("\n".join(f"{one.variable}: {one.text}" for one in found))
        return list(entries)
