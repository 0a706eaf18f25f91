# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters and observations for the properties of the topology: usual ones, and whatever instance_info could return."""

from __future__ import annotations

from typing import Any

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
from hypothesis import strategies as st
from situations import ADDRESSES, DB1, DB2, DB3, DB4, ID, OPS1, OTHER_ID

Strategy = st.SearchStrategy
Observed = dict[str, Observation | None]

MEMBERS = (DB1, DB2, DB3, DB4, OPS1)
NAMES = [member.name for member in MEMBERS]
HOSTS = NAMES[:4]
CLOCK = Clock(10.0, 10.5, 10.2)


def usually(times: int, usual: Any, *rare: Any) -> Strategy:
    """Draw the usual value or strategy so many times as often as each of the rare ones."""
    choices = [usual] * times + list(rare)
    strategies = [choice if isinstance(choice, Strategy) else st.just(choice) for choice in choices]
    return st.integers(0, len(choices) - 1).flatmap(strategies.__getitem__)


# Alone: each host by itself, with every contradiction that a program could return.
IDENTIFIERS = usually(9, ID, OTHER_ID)
TIMELINES = st.sampled_from([1, 2, 3])
LSNS = st.sampled_from([0x3000000, 0x4000000, 0x5000000, 0x5002100, 0x9000000])
STATES = st.sampled_from(
    ["in production", "shut down", "shut down in recovery", "in archive recovery", "in crash recovery", "starting up"]
)
SLOTS = st.dictionaries(
    st.sampled_from([*HOSTS, "foreign"]),
    st.builds(Slot, st.booleans(), usually(3, "reserved", "lost"), st.just(0)),
    max_size=3,
)
SETS = st.sampled_from(
    ["", 'ANY 1 ("db2")', 'ANY 1 ("db1", "db2")', "FIRST 2 (db1, db2, db4)", "*", 'ANY 1 ("stranger")']
).map(lambda names: {"synchronous_standby_names": names})
UNITS = st.builds(
    Unit,
    st.sampled_from(["inactive", "failed", "activating", "active"]),
    usually(4, False, True),
    st.sampled_from(["inactive", "active"]),
)
CONTROL = st.builds(Control, IDENTIFIERS, STATES, TIMELINES, LSNS)
SERVER = {
    "system_identifier": IDENTIFIERS,
    "timeline": TIMELINES,
    "lsn": LSNS,
    "forks": st.dictionaries(st.sampled_from([1, 2]), LSNS, max_size=2),
    "locale": usually(9, "C.UTF-8", "de_DE.UTF-8"),
    "slots": SLOTS,
    "replication": st.dictionaries(st.sampled_from([*HOSTS, "stranger"]), st.sampled_from(["streaming", "catchup"])),
}
PRIMARY = st.builds(Server, in_recovery=st.just(False), settings=SETS, **SERVER)
STANDBY = st.builds(
    Server,
    in_recovery=st.just(True),
    settings=st.sampled_from(list(ADDRESSES.values())).map(lambda host: {"primary_conninfo": f"host={host}"}),
    receiver=st.none() | st.builds(Receiver, st.just("streaming"), st.just("10.0.0.1"), TIMELINES),
    **SERVER,
)
DATA = st.builds(
    Data,
    directory=st.just("/data"),
    state=usually(5, "cluster", "absent", "empty", "foreign", ""),
    version=usually(19, "16", "15", None),
    incomplete=st.booleans(),
    standby_signal=st.booleans(),
    auto_conf=usually(19, frozenset(), frozenset({"work_mem"})),
)
ALONE = st.builds(
    Observation,
    clock=usually(9, CLOCK, Clock(10.0, 10.5, 13.0), None),
    libc=usually(9, "2.41", "2.36", ""),
    data=DATA,
    marker=usually(6, ID, OTHER_ID, None),
    control=st.none() | CONTROL,
    unit=UNITS,
    server=st.none() | PRIMARY | STANDBY,
)


def calm(**parts: Strategy) -> Strategy[Observation]:
    """A host with nothing unusual but what is given."""
    known = {"clock": st.just(CLOCK), "libc": st.just("2.41"), "marker": st.just(ID)}
    return st.builds(Observation, **(known | parts))


def whole(signal: bool) -> Strategy[Data]:
    """A complete data directory."""
    return st.just(Data("/data", "cluster", "16", standby_signal=signal))


EMPTY = calm(data=st.builds(Data, st.just("/data"), st.sampled_from(["absent", "empty"])), marker=st.none())
STOPPED = st.builds(Control, st.just(ID), STATES, usually(3, 1, 2), st.sampled_from([0x3000000, 0x4000000]))


@st.composite
def led(draw: st.DrawFn) -> Observed:
    """One primary, most times, and what usually stands beside it; now and then a second one."""
    leader = draw(st.sampled_from(HOSTS))
    timeline = draw(st.sampled_from([1, 2]))
    forks = {1: 0x4000000} if timeline == 2 else {}
    known = {
        "system_identifier": st.just(ID),
        "timeline": st.just(timeline),
        "lsn": LSNS,
        "forks": st.just(forks),
        "slots": SLOTS,
    }
    replication = st.fixed_dictionaries(dict.fromkeys(HOSTS, usually(2, "streaming", "catchup")))
    primary = st.builds(Server, in_recovery=st.just(False), settings=SETS, replication=replication, **known)
    follower = {
        "in_recovery": st.just(True),
        "settings": usually(4, leader, "db1", "db2").map(lambda name: {"primary_conninfo": f"host={name}"}),
        "receiver": usually(3, Receiver("streaming", leader, timeline), Receiver("streaming", leader, 1), None),
    }
    behind = {"timeline": st.just(1), "lsn": st.sampled_from([0x3000000, 0x4000000]), "forks": st.just({})}
    beside = usually(
        6,
        calm(data=whole(True), server=st.builds(Server, **(known | follower))),
        calm(data=whole(True), server=st.builds(Server, **(known | follower | behind)), marker=usually(3, ID, None)),
        calm(data=whole(True), control=STOPPED),
        calm(data=whole(False), control=STOPPED),
        EMPTY,
        None,
    )
    first = usually(
        9,
        calm(data=whole(False), server=primary),
        calm(data=whole(False), control=STOPPED),
        None,
    )
    hosts = {name: draw(beside) for name in HOSTS} | {leader: draw(first)}
    second = draw(usually(9, {}, st.fixed_dictionaries({"db3": calm(data=whole(False), server=primary)})))
    everything: dict[str, Observation | None] = hosts | second | {"ops1": draw(usually(3, EMPTY, None))}
    return everything


WILD = st.fixed_dictionaries(dict.fromkeys(HOSTS, usually(4, ALONE, EMPTY, None)) | {"ops1": st.none() | EMPTY})
FRESH = st.fixed_dictionaries(dict.fromkeys(NAMES, usually(12, EMPTY, ALONE, None)))
SEEN = usually(2, led(), FRESH, WILD)
CLUSTERS = st.builds(
    Cluster,
    members=usually(2, MEMBERS, MEMBERS[:3]),
    initial_primary=usually(6, "db1", "db2", ""),
    durability=st.sampled_from(["required", "preferred", "asynchronous"]),
    adopt=usually(6, "", ID, OTHER_ID),
)
