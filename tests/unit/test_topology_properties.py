# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no input may ever bring about: two primaries, data overwritten, a set with a name that does not stream."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import (
    Clock,
    Control,
    Data,
    Observation,
    Receiver,
    Server,
    Slot,
    Unit,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import Decision, decide
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import ADDRESSES, DB1, DB2, DB3, DB4, ID, OPS1, OTHER_ID

FOUR = (DB1, DB2, DB3, DB4, OPS1)
NAMES = [member.name for member in FOUR]
ROUNDS = 4
"""Runs until nothing is left to do: start, re-point and clone, let in who streams, nothing."""

# Mostly what a cluster of ours looks like, now and then what it must not.
IDENTIFIERS = st.sampled_from([ID] * 9 + [OTHER_ID])
MARKERS = st.sampled_from([ID] * 8 + [OTHER_ID, None])
TIMELINES = st.sampled_from([1, 1, 2, 2, 3])
LSNS = st.sampled_from([0x3000000, 0x4000000, 0x5000000, 0x5002100, 0x9000000])
FORKS = st.dictionaries(st.sampled_from([1, 2]), LSNS, max_size=2)
SLOT_NAMES = st.sampled_from([*NAMES[:4], "foreign"])
SLOTS = st.dictionaries(
    SLOT_NAMES,
    st.builds(Slot, st.booleans(), st.sampled_from(["reserved", "reserved", "lost"]), st.just(0)),
    max_size=3,
)
SETS = st.sampled_from(
    ["", "", 'ANY 1 ("db2")', 'ANY 1 ("db1", "db2")', "FIRST 2 (db1, db2, db4)", "*", 'ANY 1 ("stranger")']
)
UNITS = st.builds(
    Unit,
    st.sampled_from(["inactive", "inactive", "failed", "activating", "active"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["inactive", "active"]),
)
CLOCKS = st.sampled_from([Clock(10.0, 10.5, 10.2)] * 12 + [Clock(10.0, 10.5, 13.0), None])
LIBRARIES = st.sampled_from(["2.41"] * 9 + ["2.36", ""])
STATES = st.sampled_from(
    ["in production", "shut down", "shut down in recovery", "in archive recovery", "in crash recovery", "starting up"]
)
REPLICATION = st.dictionaries(
    st.sampled_from([*NAMES[:4], "stranger"]), st.sampled_from(["streaming", "streaming", "catchup"]), max_size=4
)
ALL_REPLICATE = st.fixed_dictionaries(dict.fromkeys(NAMES[:4], st.sampled_from(["streaming", "streaming", "catchup"])))
AUTO_CONF = st.sampled_from([frozenset()] * 15 + [frozenset({"work_mem"})])


def data(state: str, signal: st.SearchStrategy[bool]) -> st.SearchStrategy[Data]:
    version = st.sampled_from(["16"] * 15 + ["15", None])
    return st.builds(Data, st.just("/data"), st.just(state), version, st.booleans(), signal, AUTO_CONF)


def observation(**parts: st.SearchStrategy) -> st.SearchStrategy[Observation]:
    common = {"clock": CLOCKS, "libc": LIBRARIES, "marker": MARKERS, "unit": UNITS}
    return st.builds(Observation, **(common | parts))


CONTROL = st.builds(Control, IDENTIFIERS, STATES, TIMELINES, LSNS)
SERVER = {
    "system_identifier": IDENTIFIERS,
    "timeline": TIMELINES,
    "lsn": LSNS,
    "forks": FORKS,
    "locale": st.sampled_from(["C.UTF-8"] * 5 + ["de_DE.UTF-8"]),
    "slots": SLOTS,
    "replication": REPLICATION,
}
PRIMARY = st.builds(
    Server,
    in_recovery=st.just(False),
    settings=SETS.map(lambda names: {"synchronous_standby_names": names}),
    **SERVER,
)
STANDBY = st.builds(
    Server,
    in_recovery=st.just(True),
    settings=st.sampled_from(list(ADDRESSES.values())).map(lambda host: {"primary_conninfo": f"host={host}"}),
    receiver=st.none() | st.builds(Receiver, st.just("streaming"), st.just("10.0.0.1"), TIMELINES),
    **SERVER,
)
EMPTY = observation(
    data=st.one_of(data("absent", st.just(False)), data("empty", st.just(False))),
    marker=st.sampled_from([None, None, None, ID]),
)
HOSTS = st.one_of(
    st.none(),
    EMPTY,
    EMPTY,
    observation(data=data("foreign", st.just(False))),
    observation(data=data("cluster", st.booleans()), control=st.none() | CONTROL),
    observation(data=data("cluster", st.just(True)), control=CONTROL),
    observation(data=data("cluster", st.just(True)), control=CONTROL, server=STANDBY),
    observation(data=data("cluster", st.just(True)), control=CONTROL, server=STANDBY),
    observation(data=data("cluster", st.just(False)), control=CONTROL, server=PRIMARY),
    observation(data=data("absent", st.just(False)), server=st.one_of(PRIMARY, STANDBY)),
)
OBSERVED = st.fixed_dictionaries(dict.fromkeys(NAMES[:4], HOSTS) | {"ops1": st.none() | EMPTY})
FRESH = st.fixed_dictionaries(dict.fromkeys(NAMES[:4], EMPTY) | {"ops1": EMPTY})


def calm(**parts: st.SearchStrategy) -> st.SearchStrategy[Observation]:
    """A host with nothing unusual but what is given."""
    known = {"clock": st.just(Clock(10.0, 10.5, 10.2)), "libc": st.just("2.41"), "marker": st.just(ID)}
    return st.builds(Observation, **(known | parts))


def whole(signal: bool) -> st.SearchStrategy[Data]:
    return st.just(Data("/data", "cluster", "16", standby_signal=signal))


@st.composite
def led(draw: st.DrawFn) -> dict[str, Observation | None]:
    """One primary and what usually stands beside it, which independent hosts rarely make."""
    leader = draw(st.sampled_from(NAMES[:4]))
    timeline = draw(st.sampled_from([1, 2]))
    forks = {1: 0x4000000} if timeline == 2 else {}
    known = {"system_identifier": st.just(ID), "slots": SLOTS}
    server = {"in_recovery": st.just(True), "timeline": st.just(timeline), "lsn": LSNS, "forks": st.just(forks)} | known
    conninfo = st.sampled_from([leader, leader, "db1", "db2"]).map(lambda name: f"host={name}")
    told = {"settings": conninfo.map(lambda value: {"primary_conninfo": value})}
    follower = st.builds(
        Server, **server, **told, receiver=st.sampled_from([None, *[Receiver("streaming", leader, timeline)] * 3])
    )
    behind = {"timeline": st.just(1), "lsn": st.sampled_from([0x3000000, 0x4000000]), "forks": st.just({})}
    other = st.builds(Server, **(server | behind), **told, receiver=st.just(Receiver("streaming", "db9", 1)))
    names = SETS.map(lambda value: {"synchronous_standby_names": value})
    first = st.builds(Server, **(server | {"in_recovery": st.just(False)}), settings=names, replication=ALL_REPLICATE)
    control = st.builds(Control, st.just(ID), STATES, st.just(1), st.just(0x3000000))
    beside = st.one_of(
        st.none(),
        calm(data=st.just(Data("/data", "absent")), marker=st.none()),
        calm(data=whole(True), control=control),
        calm(data=whole(False), control=control),
        *[calm(data=whole(True), server=follower)] * 6,
        calm(data=whole(True), server=other, marker=st.sampled_from([ID, None])),
    )
    hosts = {name: draw(beside) for name in NAMES[:4]}
    return hosts | {leader: draw(calm(data=whole(False), server=first)), "ops1": draw(st.none() | EMPTY)}


SEEN = OBSERVED | led() | led() | FRESH
CLUSTERS = st.builds(
    Cluster,
    members=st.sampled_from([FOUR, FOUR[:3]]),
    initial_primary=st.sampled_from(["db1", "db1", "db2", ""]),
    durability=st.sampled_from(["required", "preferred", "asynchronous"]),
    adopt=st.sampled_from(["", "", ID, OTHER_ID]),
)

properties = settings(max_examples=250, deadline=None, derandomize=True)


def databases(cluster: Cluster, observed: dict[str, Observation | None]) -> dict[str, Observation]:
    return {name: observed[name] for name in cluster.databases if observed.get(name)}


def writers(cluster: Cluster, observed: dict[str, Observation | None]) -> list[str]:
    return [name for name, seen in databases(cluster, observed).items() if seen.runs_as_primary]


@properties
@given(CLUSTERS, SEEN)
def test_a_refusal_leaves_everything_alone(cluster, observed):
    decided = decide(cluster, observed)
    assert not (decided.refusals and decided.acts)
    assert set(decided.hosts) == set(cluster.databases)


@properties
@given(CLUSTERS, SEEN)
def test_never_two_primaries(cluster, observed):
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
def test_never_overwrites_data(cluster, observed):
    seen = databases(cluster, observed)
    for name, host in decide(cluster, observed).hosts.items():
        if host.action in {"bootstrap", "clone"}:
            assert seen[name].data.state in {"absent", "empty"}
            assert seen[name].server is None
            assert seen[name].control is None
        if host.action == "bootstrap":
            assert set(seen) == set(cluster.databases)
            assert all(other.is_empty for other in seen.values())


@properties
@given(CLUSTERS, SEEN)
def test_unknown_hosts_are_not_touched(cluster, observed):
    decided = decide(cluster, observed)
    unknown = {member.name for member in cluster.members if not observed.get(member.name)}
    assert set(decided.unknown) == unknown
    for name in unknown & set(decided.hosts):
        assert (decided.hosts[name].role, decided.hosts[name].action) == ("unknown", "none")
        assert name not in decided.slots.create


@properties
@given(CLUSTERS, SEEN)
def test_only_who_streams_enters_the_set(cluster, observed):
    decided = decide(cluster, observed)
    synchronous = decided.synchronous
    if not synchronous.changed:
        return
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
def test_only_slots_of_members_are_dropped(cluster, observed):
    slots = decide(cluster, observed).slots
    members = {member.member_name for member in cluster.databases.values()}
    assert all(set(names) <= members for names in slots.drop.values())
    assert set(slots.create) <= members


@properties
@given(CLUSTERS, SEEN, st.randoms(use_true_random=False))
def test_the_order_of_what_was_seen_does_not_matter(cluster, observed, random):
    names, members = list(observed), list(cluster.members)
    random.shuffle(names)
    random.shuffle(members)
    shuffled = decide(replace(cluster, members=tuple(members)), {name: observed[name] for name in names})
    assert shuffled.to_dict() == decide(cluster, observed).to_dict()


@properties
@given(CLUSTERS, SEEN)
def test_it_comes_to_rest(cluster, observed):
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


def carry_out(cluster: Cluster, observed: dict[str, Observation | None], decided: Decision) -> dict:
    """Do what a decision says, as the roles would, and return what is seen then."""
    after = dict(observed)
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
            after[name] = running_standby(after[name], leader, cluster.databases[host.upstream].address)
    follows = {name for name, host in decided.hosts.items() if host.action in {"clone", "start", "adopt", "repoint"}}
    streams = leader.server.replication | dict.fromkeys(follows - {decided.primary}, "streaming")
    after[decided.primary] = replace(leader, server=replace(leader.server, replication=streams))
    return after


def with_slots(seen: Observation, slots: dict[str, Slot]) -> Observation:
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
