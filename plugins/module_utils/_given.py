# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a decision is made of: the inventory of a cluster and the observations of its members, seen from one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _addresses, _backup_plan, _platform
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster, Member
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import Observation

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """All that a decision is made of.

    Attributes:
        host: inventory name of the host in question.
        cluster: what preflight returned about the cluster.
        own: the host's own variables.
        observed: what instance_info saw on each member; None for a host that was not observed.
        platforms: the data of every known distribution, by key.
        confirm: what the operator stated with -e confirm.
    """

    host: str
    cluster: Json
    own: Json
    observed: Mapping[str, Json | None]
    platforms: Mapping[str, Json]
    confirm: str = ""

    @property
    def platform(self) -> Json:
        """The data of the host's distribution; nothing for one that is refused anyway."""
        return self.platforms.get(_platform.key(self.seen), {"packages": []}) if self.seen else {"packages": []}

    @property
    def seen(self) -> Json:
        """What was seen on the host itself."""
        return self.observed[self.host] or {}

    @property
    def members(self) -> list[Json]:
        """The members with their addresses, of which the inventory names some; "" for one that is not known."""
        port, addresses = self.cluster["port"], _addresses.addresses(self.cluster["members"], self.observed)
        return [{**member, "address": addresses[member["name"]], "port": port} for member in self.cluster["members"]]

    @property
    def backups(self) -> _backup_plan.Context:
        """What the plan of the backups is made of."""
        return _backup_plan.Context(self.host, self.cluster, self.members, self.own, self.observed)

    def member(self, name: str) -> Json:
        """Return a member by its name."""
        return next(member for member in self.members if member["name"] == name)


def facts(given: Given) -> Cluster:
    """Return what the inventory states about the cluster, as the topology reads it."""
    cluster = given.cluster
    return Cluster(
        members=tuple(Member.from_json(member) for member in given.members),
        initial_primary=cluster["initial_primary"],
        name=cluster["name"],
        version=cluster["version"],
        durability=cluster["durability"],
        adopt=cluster["adopt"],
        locale=cluster["locale"],
        locale_provider=cluster["locale_provider"],
    )


def observations(observed: Mapping[str, Json | None]) -> dict[str, Observation | None]:
    """Return the typed view of what was seen."""
    return {name: Observation.from_json(seen) if seen else None for name, seen in observed.items()}
