# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what this host does in the run, from what preflight returned and what every member observed.

Runs on every host, on the controller alone. The same pure function over the same observations gives every host the
same decision, so nothing is handed from host to host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision, _given, _summary, _verify
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()
PLATFORMS = Path(__file__).resolve().parents[2] / "roles" / "cluster" / "vars"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the decision, or fail with all refusals.

    With the option despite_refusals it is returned with them, for a playbook that they do not concern: one that looks,
    or one that an operator needs while they stand. The decision then holds no action.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compute the decision of this host's cluster, seen from this host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec({"despite_refusals": {"type": "bool", "default": False}})
        play = _play.Play(task_vars or {})
        given = _given.Given(
            host=play.host,
            cluster=play.cluster,
            own=play.own,
            observed=play.observations(_play.OBSERVATION),
            platforms=self._platforms(),
            confirm=str((task_vars or {}).get("confirm", "")),
        )
        decision = _decision.decide(given)
        # What a run is about to do and would be too late to read at its end.
        if play.speaks(_play.OBSERVATION) and not options["despite_refusals"]:
            for text in decision["announced"]:
                DISPLAY.warning(text)
        if options["despite_refusals"] or not decision["refusals"]:
            return result | {"changed": False} | decision
        if play.speaks(_play.OBSERVATION):
            DISPLAY.display("\n" + "\n".join(_summary.topology(_outcome(given, decision), decision["members"])) + "\n")
        return result | {"failed": True, "msg": play.refusal(decision["refusals"])}

    def _platforms(self) -> dict[str, Any]:
        """Return the data files of the distributions by their names."""
        return {path.stem: self._loader.load_from_file(str(path)) for path in sorted(PLATFORMS.glob("*.yml"))}


def _outcome(given: _given.Given, decision: dict[str, Any]) -> _verify.Outcome:
    """Return what was seen, for the table that a refusal needs most."""
    return _verify.Outcome(
        cluster=given.cluster["name"],
        primary=decision["primary"],
        durability=given.cluster["durability"],
        databases=list(decision["addresses"]),
        seen={host: seen for host, seen in given.observed.items() if seen},
    )
