# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification judges: an observation of a play, and what was decided and done in it."""

from __future__ import annotations

import time
from dataclasses import replace

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _authority,
    _certificate_checks,
    _database_findings,
    _decision,
    _findings,
    _given,
    _host,
    _pooler_context,
    _pooler_findings,
    _pooler_plan,
    _pooler_summary,
    _service_roles,
    _settings,
    _topology,
    _tuning,
    _verify,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

PLAN = "__postgresql_server_plan"
DATABASES = "__postgresql_databases_result"
PROBES = (
    "__postgresql_cluster_probes",
    "__postgresql_cluster_write",
    "__postgresql_cluster_replay",
    "__postgresql_databases_proof",
)


def judged(play: _play.Play, name: str) -> tuple[_verify.Outcome, _topology.Decision]:
    """Return what is to be judged, and the decision that it would lead to: at the end of a run nothing more to do.

    Args:
        play: the play.
        name: what the hosts registered the observation as.
    """
    decision = play.registered(play.host, _play.DECISION)
    seen = {host: observed for host, observed in play.observations(name).items() if observed}
    observed = {member: seen.get(member) for member in play.members}
    given = _given.Given(play.host, play.cluster, play.own, observed, {})
    topology = _topology.decide(_given.facts(given), _given.observations(given.observed))
    poolers = _pooler_context.context(given, topology)
    outcome = _verify.Outcome(
        cluster=play.cluster["name"],
        primary=topology.primary,
        durability=play.cluster["durability"],
        databases=list(decision["addresses"]),
        seen=seen,
        wanted={
            host: {setting: line["value"] for setting, line in found["settings"].items()}
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
            for probes in PROBES
            for probe in play.registered(host, probes).get("probes", [])
        ],
        authority=_authority_state(play.own),
        now=time.time(),
        of_databases=[
            finding for host in seen for finding in _database_findings.findings(host, play.registered(host, DATABASES))
        ],
        of_services=_of_services(given, topology.primary),
        guards={host: _host.decide(_decision.host_inputs(_seen_from(play, host, given)))["findings"] for host in seen},
        poolers=[finding for host in seen for finding in _pooler_findings.findings(_pooler_plan.on(poolers, host))],
        pools=_pooler_summary.lines(poolers, _play.authority(play.own)),
    )
    return outcome, topology


def _of_services(given: _given.Given, primary: str | None) -> list[_findings.Finding]:
    server = (given.observed.get(primary or "") or {}).get("server") or {}
    found = _service_roles.findings(primary or "", server.get("services"), _service_roles.Services.of(given.cluster))
    return list(found)


def _authority_state(own: _play.Json) -> _authority.State | None:
    """Return what this controller knows of the cluster's CA; nothing where the certificates are the user's own."""
    if any((own[_certificate_checks.PROVIDED] or {}).values()):
        return None
    return _authority.read(own[_certificate_checks.DIRECTORY])


def _seen_from(play: _play.Play, host: str, given: _given.Given) -> _given.Given:
    return replace(given, host=host, own=play.registered(host, _play.PREFLIGHT)["own"])


def _shortages(given: _given.Given) -> dict[str, str]:
    """Return which hosts' memory is too small for their connections, should all of them work at once."""
    databases = [member for member in given.members if DATABASE in member["duties"] and given.observed[member["name"]]]
    found = {
        member["name"]: _tuning.shortage(_settings.tuning_inputs(member, given.cluster, given.observed))
        for member in databases
    }
    return {host: text for host, text in found.items() if text}
