# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name with the applications of the inventory: checked, resolved, passwords apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _applications,
    _arguments,
    _logged_in,
    _preflight_databases,
)
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()
SPECS = Path(__file__).resolve().parents[2] / "roles" / "cluster" / "meta" / "argument_specs.yml"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reconcile; options are those of the module, of which the instance comes from the decision."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module once."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = {**variables.get(_play.DECISION, {}).get("instance", {}), **self._task.args}
        elsewhere = bool((arguments.get("connection") or {}).get("host"))
        given = self._applications(arguments.get("applications", []), variables, elsewhere)
        only = str(arguments.get("only") or "")
        for found in _preflight_databases.undeclared(only, given):
            raise AnsibleActionFail(f"{found.variable}: {found.text}")
        version = str(variables.get("postgresql_version", _preflight_databases.DEFAULT_VERSION))
        passwords: dict[str, str] = {}
        for entry in given:
            passwords |= _applications.passwords(entry)
        arguments |= {
            "applications": [_preflight_databases.entry(entry, version) for entry in given],
            "passwords": json.dumps(passwords),
            **({} if elsewhere else _of_play(variables)),
        }
        answer: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result | (_judged(answer) if elsewhere else answer)

    def _applications(self, value: Any, variables: Mapping[str, Any], elsewhere: bool) -> list[dict[str, Any]]:
        """Return the entries with their defaults.

        The preflight has refused what is wrong with them, unless the server is somebody else's: then there is none.
        """
        spec = self._loader.load_from_file(str(SPECS))["argument_specs"]["main"]["options"][_applications.APPLICATIONS]
        entries, mistakes = _arguments.check(_applications.APPLICATIONS, spec, value)
        if elsewhere:
            names = (_preflight_databases.CONNECTION, _applications.DESTROY, "postgresql_version")
            values = {name: self._templar.template(variables[name]) for name in names if name in variables}
            mistakes += _preflight_databases.mistakes({**values, _applications.APPLICATIONS: entries})
        if mistakes:
            lines = [f"{found.variable}: {found.text}" for found in sorted(mistakes)]
            raise AnsibleActionFail("\n".join(["Mistakes in the inventory; nothing was touched.", *lines]))
        return list(entries)


def _of_play(variables: dict[str, Any]) -> dict[str, Any]:
    """Return what was seen at the beginning of the play: who is logged in through poolers, whether packages lack."""
    play, decision = _play.Play(variables), variables[_play.DECISION]
    return {
        "logged_in": _logged_in.elsewhere(decision["members"], play.observations(_play.OBSERVATION)),
        "packages_come": bool(decision["self"]["missing_packages"]),
    }


def _judged(answer: dict[str, Any]) -> dict[str, Any]:
    """Say what the verification would say, which does not follow where the server is somebody else's."""
    for found in answer.get("drift", ()):
        DISPLAY.warning(f"{found['text']} {found['advice']}")
    failed = [probe for probe in answer.get("probes", ()) if not probe["passed"]]
    words = [f"The accounts of {probe['target']} are not kept apart: {probe['words']}." for probe in failed]
    return answer | ({"failed": True, "msg": "\n".join(words)} if words else {})
