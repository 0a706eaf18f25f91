# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the last observation and print the screen at the end of a run; fail when there is an error.

Runs on every host, on the controller alone; the first member that the play reaches speaks for its cluster.
"""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _decision,
    _settings,
    _summary,
    _topology,
    _tuning,
    _verify,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()
PLAN = "__postgresql_server_plan"
PROBES = tuple(f"__postgresql_cluster_{name}" for name in ("probes", "write", "replay"))


class ActionModule(ActionBase):  # type: ignore[misc]
    """Print and judge; there are no options."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Verify this host's cluster where this host speaks for it."""
        result: dict[str, Any] = super().run(tmp, task_vars) | {"changed": False}
        play = _play.Play(task_vars or {})
        if not play.speaks(_play.OUTCOME):
            return result
        check_mode = bool(self._task.check_mode)
        changes = {host: list(play.changes(host)) for host in play.reached(_play.OUTCOME)}
        lines = _summary.changes(changes, check_mode)
        # What is still to be done would only show as errors; with nothing to do a check says how things are.
        if check_mode and any(changes.values()):
            DISPLAY.display("\n" + "\n".join(lines) + "\n")
            return result
        decision = play.registered(play.host, _play.DECISION)
        outcome, topology = _judged(play, decision)
        findings = _verify.verify(outcome, topology)
        screen = _summary.screen(outcome, decision["members"], findings, play.cluster["version"], _client(play))
        DISPLAY.display("\n" + "\n".join([*lines, "", *screen]) + "\n")
        errors = [_summary.line(finding) for finding in findings if finding.severity == ERROR]
        return result | ({"failed": True, "msg": "\n".join(errors)} if errors else {})


def _judged(play: _play.Play, decision: _play.Json) -> tuple[_verify.Outcome, _topology.Decision]:
    """Return what is to be judged, and the decision that the last observation would lead to: nothing more to do."""
    seen = {host: observed for host, observed in play.observations(_play.OUTCOME).items() if observed}
    given = _decision.Given(play.host, play.cluster, play.own, {name: seen.get(name) for name in play.members}, {})
    topology = _topology.decide(_decision.facts(given), _decision.observations(given.observed))
    outcome = _verify.Outcome(
        cluster=play.cluster["name"],
        primary=topology.primary,
        durability=play.cluster["durability"],
        databases=list(decision["addresses"]),
        seen=seen,
        wanted={
            host: {name: line["value"] for name, line in found["settings"].items()}
            for host in seen
            if (found := play.registered(host, _play.DECISION))
        },
        held={host: plan["reason"] for host in seen if (plan := play.registered(host, PLAN)).get("reason")},
        left=decision["left"],
        refusals=decision["refusals"],
        shortages=_shortages(given),
        failed=[host for host in play.reached(_play.OBSERVATION) if host not in seen],
        administrators=play.cluster["administrators"],
        # What a host finds out about itself names no target.
        probes=[
            {"target": host, **probe, "source": host}
            for host in seen
            for name in PROBES
            for probe in play.registered(host, name).get("probes", [])
        ],
        now=time.time(),
    )
    return outcome, topology


def _client(play: _play.Play) -> dict[str, str]:
    """Return who may connect, and the file of the CA on the controller."""
    own = play.own
    authority = own["postgresql_certificates_provided"]["ca"] or f"{own['postgresql_certificates_ca_directory']}/ca.crt"
    users = play.cluster["administrators"]
    return {**({"user": users[0]} if users else {}), "sslrootcert": os.path.normpath(authority)}


def _shortages(given: _decision.Given) -> dict[str, str]:
    """Return which hosts' memory is too small for their connections, should all of them work at once."""
    databases = [member for member in given.members if DATABASE in member["duties"] and given.observed[member["name"]]]
    found = {
        member["name"]: _tuning.shortage(_settings.tuning_inputs(member, given.cluster, given.observed))
        for member in databases
    }
    return {host: text for host, text in found.items() if text}
