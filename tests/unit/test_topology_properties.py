# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no input may ever bring about: two primaries, data overwritten, a set with a name that does not stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import (
    Control,
    Observation,
    Receiver,
    Server,
    Slot,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._record import Record
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import Decision, decide
from generated import CLUSTERS, SEEN, Observed
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import ID

ROUNDS = 4
"""Runs until nothing is left to do: start, re-point and clone, let in who streams, nothing."""

properties = settings(max_examples=250, deadline=None, derandomize=True)


def databases(cluster: Cluster, observed: Observed) -> dict[str, Observation]:
    return {name: seen for name in cluster.databases if (seen := observed.get(name))}


def writers(cluster: Cluster, observed: Observed) -> list[str]:
    return [name for name, seen in databases(cluster, observed).items() if seen.runs_as_primary]


@properties
@given(CLUSTERS, SEEN)
def test_a_refusal_leaves_everything_alone(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    assert not (decided.refusals and decided.acts)
    assert set(decided.hosts) == set(cluster.databases)


@properties
@given(CLUSTERS, SEEN)
def test_never_two_primaries(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    if decided.refusals:
        return
    seen = databases(cluster, observed)
    made = [name for name, host in decided.hosts.items() if host.action == "bootstrap"]
    started = [
        name
        for name, host in decided.hosts.items()
        if host.action in {"start", "adopt"} and not seen[name].is_standby and not seen[name].runs_as_primary
    ]
    assert len(writers(cluster, observed) + made + started) <= 1
    if made or started:
        assert set(seen) == set(cluster.databases)


@properties
@given(CLUSTERS, SEEN)
def test_never_overwrites_data(cluster: Any, observed: dict[str, Any]) -> None:
    seen = databases(cluster, observed)
    for name, host in decide(cluster, observed).hosts.items():
        if host.action in {"bootstrap", "clone"}:
            assert seen[name].data.state in {"absent", "empty"}
            assert seen[name].server is None
            assert seen[name].control is None
        if host.action == "bootstrap":
            assert set(seen) == set(cluster.databases)
            assert all(other.is_empty for other in seen.values())


FITS = {
    "bootstrap": lambda seen: seen.is_empty,
    "clone": lambda seen: seen.is_empty,
    "start": lambda seen: seen.is_stopped_primary or seen.is_stopped_standby,
    "adopt": lambda seen: seen.holds_data and seen.marker != seen.system_identifier,
    "repoint": lambda seen: seen.runs_as_standby,
}


@properties
@given(CLUSTERS, SEEN)
def test_an_action_fits_its_host(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    for name, host in decided.hosts.items():
        assert host.action == "none" or FITS[host.action](observed[name])
        assert host.action == "none" or not observed[name].is_fenced
        assert host.upstream in {None, decided.primary}
        assert host.role != "primary" or name == decided.primary


@properties
@given(CLUSTERS, SEEN)
def test_unknown_hosts_are_not_touched(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    unknown = {member.name for member in cluster.members if not observed.get(member.name)}
    assert set(decided.unknown) == unknown
    for name in unknown & set(decided.hosts):
        assert (decided.hosts[name].role, decided.hosts[name].action) == ("unknown", "none")
        assert name not in decided.slots.create


@properties
@given(CLUSTERS, SEEN)
def test_only_who_streams_enters_the_set(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    synchronous = decided.synchronous
    if not synchronous.changed:
        return
    assert decided.primary
    leader = observed[decided.primary]
    live = StandbyNames.parse(leader.setting("synchronous_standby_names")).names
    for name in synchronous.enters:
        assert name in synchronous.candidates
        assert name in leader.streaming
        assert observed[name].receives_on(leader.timeline)
    assert set(synchronous.names) - live == set(synchronous.enters)
    if cluster.durability != "asynchronous":
        assert not set(synchronous.leaves) & set(synchronous.candidates)
        assert set(synchronous.names) & leader.streaming


@properties
@given(CLUSTERS, SEEN)
def test_only_slots_of_members_are_dropped(cluster: Any, observed: dict[str, Any]) -> None:
    slots = decide(cluster, observed).slots
    members = {member.member_name for member in cluster.databases.values()}
    assert all(set(names) <= members for names in slots.drop.values())
    assert set(slots.create) <= members


@properties
@given(CLUSTERS, SEEN, st.randoms(use_true_random=False))
def test_the_order_of_what_was_seen_does_not_matter(cluster: Any, observed: dict[str, Any], random: Any) -> None:
    names, members = list(observed), list(cluster.members)
    random.shuffle(names)
    random.shuffle(members)
    shuffled = decide(replace(cluster, members=tuple(members)), {name: observed[name] for name in names})
    assert shuffled.to_dict() == decide(cluster, observed).to_dict()


@properties
@given(CLUSTERS, SEEN)
def test_it_comes_to_rest(cluster: Any, observed: dict[str, Any]) -> None:
    decided = decide(cluster, observed)
    for _ in range(ROUNDS):
        if not decided.acts:
            break
        before = databases(cluster, observed)
        observed = carry_out(cluster, observed, decided)
        for name, seen in before.items():
            assert seen.is_empty or observed[name].system_identifier == seen.system_identifier
        assert len(writers(cluster, observed)) <= 1
        decided = decide(cluster, observed)
    assert not decided.acts


def carry_out(cluster: Cluster, observed: Observed, decided: Decision) -> dict[str, Any]:
    """Do what a decision says, as the roles would, and return what is seen then."""
    after: dict[str, Any] = dict(observed)
    for name, slots in decided.slots.drop.items():
        after[name] = with_slots(
            after[name], {key: slot for key, slot in after[name].slots.items() if key not in slots}
        )
    if decided.primary is None:
        started = [name for name, host in decided.hosts.items() if host.action == "start"]
        return after | {name: running_standby(after[name], after[name], None) for name in started}
    leader = after[decided.primary] = running_primary(after[decided.primary], decided)
    for name, host in decided.hosts.items():
        if host.role in {"synchronous", "asynchronous"} and host.action != "none":
            assert host.upstream
            after[name] = running_standby(after[name], leader, cluster.databases[host.upstream].address)
    follows = {name for name, host in decided.hosts.items() if host.action in {"clone", "start", "adopt", "repoint"}}
    assert leader.server
    streams = dict(leader.server.replication) | dict.fromkeys(follows - {decided.primary}, "streaming")
    after[decided.primary] = replace(leader, server=replace(leader.server, replication=streams))
    live = StandbyNames.parse(after[decided.primary].synchronous_set).names
    record = Record(live, cluster.durability, leader.timeline)
    return {name: seen and replace(seen, record=record) for name, seen in after.items()}


def with_slots(seen: Observation, slots: dict[str, Slot]) -> Observation:
    assert seen.server
    return replace(seen, server=replace(seen.server, slots=slots))


def running_primary(seen: Observation, decided: Decision) -> Observation:
    new = Control(ID, "shut down", 1, 0x3000000)
    control = seen.control or new
    server = seen.server or Server(False, control.system_identifier, control.timeline, control.lsn)
    names = {"synchronous_standby_names": decided.synchronous.wanted} if decided.synchronous.changed else {}
    created = {name: Slot(True, "reserved", 0) for name in decided.slots.create}
    server = replace(server, settings={**server.settings, **names}, slots={**server.slots, **created})
    whole = replace(seen.data, state="cluster", version="16", incomplete=False)
    return replace(seen, data=whole, marker=server.system_identifier, control=control, server=server)


def running_standby(seen: Observation, leader: Observation, address: str | None) -> Observation:
    known = leader.server or Server(True, leader.system_identifier, leader.timeline, leader.lsn)
    told = {"primary_conninfo": f"host={address}"} if address else {}
    server = replace(
        known,
        in_recovery=True,
        settings=told,
        slots=seen.slots,
        replication={},
        receiver=Receiver("streaming", address or "", known.timeline),
    )
    whole = replace(seen.data, state="cluster", version="16", incomplete=False, standby_signal=True)
    return replace(seen, data=whole, marker=server.system_identifier, control=seen.control, server=server)
