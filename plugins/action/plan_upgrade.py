# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which hosts get a newer minor version in what order, or why none does: see _minor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import _minor, _restart, _summary, _verify
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS, member_name
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _judgement, _play

DISPLAY = Display()
PACKAGES = "__postgresql_server_minor"
PROGRAM = "/bin/postgres"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the plan of the cluster, or fail with all refusals.

    The option allowed says whether the primary may restart.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan from what every host observed and from the packages that it has and could have."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec({"allowed": {"type": "bool", "required": True}})
        play = _play.Play(task_vars or {})
        cluster = _cluster(play, given["allowed"])
        plan = _minor.plan(cluster)
        if plan.refusals:
            return result | {"failed": True, "msg": play.refusal(plan.refusals)}
        if play.speaks(_play.OBSERVATION):
            DISPLAY.display("\n" + "\n".join(plan.lines) + "\n")
        found = {
            "changed": False,
            "streams": {host: _minor.followers(cluster, host) for host in plan.order},
            "present": _present(cluster, play.host),
            "time": play.moment,
        }
        return result | asdict(plan) | found


def _cluster(play: _play.Play, allowed: bool) -> _minor.Cluster:
    decision = play.registered(play.host, _play.DECISION)
    roles = {host: item["role"] for host, item in decision["hosts"].items()}
    outcome, topology = _judgement.judged(play, _play.OBSERVATION)
    findings = _verify.verify(outcome, topology)
    # The one whose failure makes no commit wait goes first.
    databases = sorted(decision["addresses"], key=lambda host: roles.get(host) != ASYNCHRONOUS)
    return _minor.Cluster(
        name=play.cluster["name"],
        version=play.cluster["version"],
        hosts={host: found for host in databases if (found := _host(play, host))},
        databases=databases,
        primary=decision["primary"],
        unseen=[name for name in play.members if play.seen(name, _play.OBSERVATION) is None],
        errors=[_summary.line(finding) for finding in findings if finding.severity == ERROR],
        synchronous=StandbyNames.parse(topology.synchronous.live).names,
        allowed=allowed,
    )


def _host(play: _play.Play, host: str) -> _minor.Host | None:
    """Return a database host whose server answers and whose packages were read."""
    looked = play.registered(host, PACKAGES)
    own = play.registered(host, _play.DECISION).get("self", {})
    if "packages" not in looked or not own.get("running"):
        return None
    pending = own["pending"]
    server = (play.seen(host, _play.OBSERVATION) or {})["server"]
    replication = server["replication"]
    waiting = {name: _restart.Waiting(str(it["running"]), str(it["configured"])) for name, it in pending.items()}
    return _minor.Host(
        packages={name: _minor.Package(**package) for name, package in looked["packages"].items()},
        running=_restart.Running(waiting, own["minima"]),
        is_replaced=any(name.endswith(PROGRAM) for name in pending),
        is_interrupted=looked["interrupted"],
        begun=_minor.Begun(tuple(looked["begun"]["from"]), tuple(looked["begun"]["to"])) if looked["begun"] else None,
        streams_to=frozenset(name for name, sender in replication.items() if sender["state"] == "streaming"),
        member_name=member_name(host),
    )


def _present(cluster: _minor.Cluster, host: str) -> dict[str, str]:
    """Return the versions of a host's packages."""
    found = cluster.hosts.get(host)
    return {name: package.installed for name, package in found.packages.items()} if found else {}
