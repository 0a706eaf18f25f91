# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action plugin reads of a running play: the cluster, and the results that its members registered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

Json = Mapping[str, Any]

PREFLIGHT = "__postgresql_cluster_preflight"
OBSERVATION = "__postgresql_cluster_observation"
DECISION = "__postgresql_cluster_decision"
OUTCOME = "__postgresql_cluster_outcome"
PREFIX = "__postgresql_"


def authority(own: Json) -> str:
    """Return the file of the CA on the controller, which clients verify the servers by."""
    provided = own["postgresql_certificates_provided"]["ca"]
    return os.path.normpath(provided or f"{own['postgresql_certificates_ca_directory']}/ca.crt")


def once(results: Iterable[Json]) -> list[Json]:
    """Return the changes of several results, each once: what two steps need is predicted by both."""
    return list({tuple(change.items()): change for result in results for change in result.get("changes", ())}.values())


class Play:
    """The play as the task of one host sees it."""

    def __init__(self, task_vars: Json) -> None:
        """Look at the play by a task's variables."""
        self._task_vars = task_vars
        self.host: str = task_vars["inventory_hostname"]

    @property
    def preflight(self) -> Json:
        """What preflight returned on this host."""
        found: Json = self._task_vars[PREFLIGHT]
        return found

    @property
    def cluster(self) -> Json:
        """The cluster without mistakes."""
        found: Json = self.preflight["cluster"]
        return found

    @property
    def own(self) -> Json:
        """This host's variables, without secrets."""
        found: Json = self.preflight["own"]
        return found

    @property
    def moment(self) -> str:
        """One moment for what all members write down, in ISO 8601: of the latest observation."""
        seen = [one for one in self.observations(OBSERVATION).values() if one]
        latest = max(float(one["clock"]["now"]) for one in seen)
        return datetime.fromtimestamp(latest, timezone.utc).isoformat(timespec="microseconds")

    @property
    def members(self) -> list[str]:
        """Names of the members of this host's cluster."""
        return [member["name"] for member in self.cluster["members"]]

    def reached(self, name: str) -> list[str]:
        """Members that registered a result in this run, in the play's order.

        Unlike the hosts of the play it stays the same while a task goes through the hosts and some of them fail.
        """
        return [
            host for host in self._task_vars["ansible_play_hosts_all"] if host in self.members and self.seen(host, name)
        ]

    def speaks(self, name: str) -> bool:
        """Whether this host prints what concerns the whole cluster, of those that registered a result."""
        return self.reached(name)[:1] == [self.host]

    def seen(self, host: str, name: str) -> Json | None:
        """What a member observed in this play, None for one that is unreachable or outside --limit.

        What an earlier play of the same run registered is still there, and says what was so then.
        """
        found = self.registered(host, name)
        return found.get("instance") if found.get("asked", 0.0) >= self.preflight["started"] else None

    def registered(self, host: str, name: str) -> Json:
        """Return what a host registered in this run, or nothing."""
        found = self._task_vars["hostvars"].raw_get(host).get(name)
        return found if isinstance(found, Mapping) else {}

    def observations(self, name: str) -> dict[str, Json | None]:
        """Return what each member observed; None for one that is unreachable or outside --limit."""
        return {host: self.seen(host, name) for host in self.members}

    def changes(self, host: str) -> list[Json]:
        """Return the changes that a host's modules made or predicted, in the order of the run."""
        registered = self._task_vars["hostvars"].raw_get(host).items()
        results = [value for name, value in registered if name.startswith(PREFIX) and isinstance(value, Mapping)]
        return once(results)

    def refusal(self, texts: Sequence[str]) -> str:
        """Word refusals: the whole list where the cluster is spoken for, a pointer elsewhere."""
        if not self.speaks(OBSERVATION):
            return f"Cluster {self.cluster['name']}: refused; the reasons are at {self.reached(OBSERVATION)[0]}."
        head = f"Cluster {self.cluster['name']}: refused, and nothing was changed."
        return "\n".join([head, *(f"- {text}" for text in texts)])
