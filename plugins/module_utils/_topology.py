# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what a cluster should become: the primary, each host's action, the slots, the synchronous set.

The function is pure: the same observations give the same decision on whatever host it is computed.

Where the cluster is in danger - two primaries, no primary though data exists, histories or identifiers that do
not fit together, data that is not ours, settings that override ours - it refuses, and nothing at all is done.
Where one host is bad and the others are not in danger from it - an old primary that is stopped, a fenced host,
foreign files, control data that cannot be read, a host that was not observed - that host is left alone with a
finding, and the others converge. A host that was not observed never counts as empty, stopped or dead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _findings
from ansible_collections.steadfast.postgresql.plugins.module_utils._durability import (
    Synchronous,
    decide_synchronous,
    names_left,
    set_findings,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import Observation
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture
from ansible_collections.steadfast.postgresql.plugins.module_utils._primary import Choice, choose_primary
from ansible_collections.steadfast.postgresql.plugins.module_utils._refusals import (
    danger_of_clocks,
    dangers_beside,
    dangers_of_data,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._slots import (
    Slots,
    decide_slots,
    slot_findings,
    slots_left,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import (
    BOOTSTRAP,
    CLONE,
    NONE,
    HostDecision,
    decide_host,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames


@dataclass(frozen=True)
class Decision:
    """What is to be done with a cluster.

    Attributes:
        refusals: why nothing may be done; with one there is no action below.
        primary: inventory name, None where it is not known.
        primary_reason: why that one, a sentence.
        unknown: members that were not observed.
        left: what was left undone because of what is not known.
        hosts: by inventory name, every database host.
        slots: slots to create and to drop.
        synchronous: the synchronous set.
        findings: what an operator should know.
    """

    refusals: tuple[str, ...]
    primary: str | None
    primary_reason: str
    unknown: tuple[str, ...]
    left: tuple[str, ...]
    hosts: Mapping[str, HostDecision]
    slots: Slots = field(default_factory=Slots)
    synchronous: Synchronous = field(default_factory=Synchronous)
    findings: tuple[Finding, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether anything is to be changed."""
        acted_on = any(host.action != NONE for host in self.hosts.values())
        records = self.synchronous.changed or bool(self.synchronous.behind)
        return acted_on or bool(self.slots.create or self.slots.drop) or records

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries, with `acts`."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain | {"acts": self.acts}


def decide(cluster: Cluster, observed: Mapping[str, Observation | None]) -> Decision:
    """Decide what is to be done with a cluster.

    Args:
        cluster: what the inventory states.
        observed: by inventory name what was seen; None for a host that is unreachable or outside --limit.
    """
    picture = Picture.of(cluster, observed)
    choice = choose_primary(picture)
    hosts = {name: decide_host(picture, choice, name) for name in cluster.databases}
    refusals = _refusals(picture, choice, hosts)
    if refusals:
        return _refused(picture, choice, hosts, refusals)
    plan = _of_hosts(picture, choice, hosts)
    return plan if choice.name is None else _with_replication(plan, picture, choice.name)


def _refusals(picture: Picture, choice: Choice, hosts: Mapping[str, HostDecision]) -> tuple[str, ...]:
    made = [name for name, host in hosts.items() if host.action in {BOOTSTRAP, CLONE}]
    beside = dangers_beside(picture, choice.name) if choice.name else []
    return (*choice.refusals, *dangers_of_data(picture), *beside, *danger_of_clocks(picture, made))


def _refused(
    picture: Picture, choice: Choice, hosts: Mapping[str, HostDecision], refusals: tuple[str, ...]
) -> Decision:
    untouched = {
        name: HostDecision(host.role, NONE, "nothing is done: see the refusals") for name, host in hosts.items()
    }
    plan = Decision(
        refusals=refusals,
        primary=choice.name,
        primary_reason=choice.reason,
        unknown=picture.unknown,
        left=(),
        hosts=untouched,
        findings=tuple(_findings.of_unknown_members(picture)),
    )
    return plan if choice.name is None else _with_set_as_it_is(plan, picture, choice.name)


def _with_set_as_it_is(plan: Decision, picture: Picture, primary: str) -> Decision:
    """Say what a refused cluster's commits do: they may wait meanwhile."""
    seen = decide_synchronous(picture, primary, set())
    names = tuple(sorted(StandbyNames.parse(seen.live).names))
    live = Synchronous(seen.candidates, seen.live, seen.live, names, waits=seen.waits)
    return replace(plan, synchronous=live, findings=(*plan.findings, *set_findings(picture, primary, live)))


def _of_hosts(picture: Picture, choice: Choice, hosts: Mapping[str, HostDecision]) -> Decision:
    others = [name for name in picture.unknown if name not in hosts]
    return Decision(
        refusals=(),
        primary=choice.name,
        primary_reason=choice.reason,
        unknown=picture.unknown,
        left=(
            *(f"{name}: not observed" for name in others),
            *(f"{name}: {host.reason}" for name, host in hosts.items() if host.left),
        ),
        hosts=hosts,
        findings=(
            *_findings.of_unknown_members(picture),
            *_findings.of_primary(picture, choice.name, choice.reason),
            *(found for name in picture.hosts if (found := _of_host(picture, choice, hosts, name))),
            *_findings.of_clocks(picture),
            *_findings.of_adoption(picture),
            *_findings.of_durability(picture),
        ),
    )


def _of_host(picture: Picture, choice: Choice, hosts: Mapping[str, HostDecision], name: str) -> Finding | None:
    seen = picture.hosts[name]
    found = _findings.obstacle(picture, name, choice.name) if name != choice.name else None
    if found:
        return found
    if seen.is_starting:
        return _findings.starting(picture, name)
    if hosts[name].action == CLONE and seen.marker and not seen.data.incomplete:
        return _findings.data_is_gone(picture, name)
    return None


def _with_replication(plan: Decision, picture: Picture, primary: str) -> Decision:
    databases = picture.cluster.databases
    slots = decide_slots(picture, primary, plan.hosts)
    touched = {
        name for name, host in plan.hosts.items() if host.action != NONE or databases[name].member_name in slots.create
    }
    synchronous = decide_synchronous(picture, primary, touched)
    return replace(
        plan,
        slots=slots,
        synchronous=synchronous,
        left=(*plan.left, *slots_left(picture, primary), *names_left(picture, primary, synchronous)),
        findings=(
            *plan.findings,
            *slot_findings(picture, primary, plan.hosts),
            *set_findings(picture, primary, synchronous),
        ),
    )
