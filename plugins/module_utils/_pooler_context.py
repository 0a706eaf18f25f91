# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan of the poolers is made of, from what a whole decision is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.steadfast.postgresql.plugins.module_utils import _topology
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import Given
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_plan import Context
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import NONE, PRIMARY

STREAMING = "streaming"


def context(given: Given, topology: _topology.Decision) -> Context:
    """Return the poolers as the host in question sees them."""
    return Context(
        host=given.host,
        cluster=given.cluster,
        members=given.members,
        own=given.own,
        observed=given.observed,
        primary=topology.primary,
        standbys=tuple(_standbys(given, topology)),
    )


def _standbys(given: Given, topology: _topology.Decision) -> Iterator[str]:
    """Yield the standbys that readers may be led to: those that stream, and those that will because of this run."""
    leader = (given.observed.get(topology.primary or "") or {}).get("server") or {}
    streams = leader.get("replication", {})
    for name, host in topology.hosts.items():
        if host.role == PRIMARY or name == topology.primary or not given.observed.get(name):
            continue
        slot = given.member(name)["member_name"]
        waits_for_slot = slot in topology.slots.create and not host.left
        if host.action != NONE or waits_for_slot or streams.get(slot, {}).get("state") == STREAMING:
            yield name
