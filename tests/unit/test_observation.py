# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed view of what instance_info returns."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import (
    Clock,
    Control,
    Observation,
    Receiver,
    Slot,
    Unit,
    format_lsn,
    parse_lsn,
)
from situations import DIRECTORY, ID, OTHER_ID, empty, primary, setting, slot, standby, stopped, stopped_standby


def seen(given: dict[str, Any]) -> Observation:
    return Observation.from_json(given)


@pytest.mark.parametrize(
    ("text", "position"), [("0/0", 0), ("0/3000060", 0x3000060), ("16/B374D848", 0x16B374D848), ("1/0", 1 << 32)]
)
def test_lsn(text: str, position: int) -> None:
    assert parse_lsn(text) == position
    assert format_lsn(position) == text


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_lsn(nothing: str | None) -> None:
    assert parse_lsn(nothing) == 0


@pytest.mark.parametrize("given", [{}, {"data": None, "server": None, "control": None, "marker": None, "unit": None}])
def test_a_host_of_which_little_was_seen_is_not_empty(given: dict[str, None]) -> None:
    view = seen(given)
    assert (view.is_empty, view.holds_data, view.is_stopped_primary, view.is_starting) == (False, True, False, False)
    assert (view.system_identifier, view.timeline, view.lsn, view.forks, view.slots) == ("", 0, 0, {}, {})
    assert (view.senders, view.streaming, view.setting("port"), view.clock) == (frozenset(), frozenset(), "", None)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (empty(), "is_empty"),
        (empty(data={"state": "empty"}), "is_empty"),
        (empty(data={"state": "foreign"}), "has_foreign_files"),
        (primary(), "is_active runs_as_primary"),
        (standby(), "is_active runs_as_standby is_standby"),
        (stopped(), "is_stopped is_stopped_primary"),
        (stopped("in production"), "is_stopped is_stopped_primary"),
        (stopped("shutting down"), "is_stopped is_stopped_primary"),
        (stopped("in crash recovery"), "is_stopped is_stopped_primary"),
        (stopped("shut down in recovery"), "is_stopped"),
        (stopped("in archive recovery"), "is_stopped"),
        (stopped("starting up"), "is_stopped"),
        (stopped(control=None), "is_stopped"),
        (stopped_standby(), "is_stopped is_stopped_standby is_standby"),
        (stopped_standby(state="shut down"), "is_stopped is_stopped_standby is_standby"),
        (stopped(unit={"active": "activating"}), "is_stopped is_stopped_primary is_active is_starting"),
        (stopped(unit={"active": "active"}), "is_stopped is_stopped_primary is_active is_starting"),
        (stopped(unit={"active": "failed"}), "is_stopped is_stopped_primary"),
        (stopped(unit={"masked": True}), "is_stopped is_stopped_primary is_fenced"),
        (primary(unit={"masked": True}), "is_active runs_as_primary"),
        (empty(unit={"masked": True}), "is_empty is_fenced"),
        (empty(unit={"active": "failed"}), "is_empty"),
        # What contradicts itself is never empty.
        (empty(unit={"active": "activating"}), "is_active is_stopped is_starting"),
        (empty(data={"state": "foreign"}, unit={"active": "active"}), "is_active is_stopped is_starting"),
        (primary(data={"state": "absent"}), "is_active runs_as_primary"),
        (primary(data={"state": "foreign"}), "is_active runs_as_primary"),
        (stopped(data={"state": "absent"}), "is_stopped is_stopped_primary"),
    ],
)
def test_kinds(given: dict[str, Any], kind: str) -> None:
    kinds = (
        "is_empty",
        "has_foreign_files",
        "runs_as_primary",
        "runs_as_standby",
        "is_stopped",
        "is_stopped_primary",
        "is_stopped_standby",
        "is_standby",
        "is_active",
        "is_starting",
        "is_fenced",
    )
    view = seen(given)
    assert " ".join(name for name in kinds if getattr(view, name)) == " ".join(
        name for name in kinds if name in kind.split()
    )
    assert view.holds_data is not (view.is_empty or view.has_foreign_files)


def test_a_server_knows_better_than_its_control_data() -> None:
    running = primary(timeline=3, lsn="0/9000000") | {"control": stopped(identifier=OTHER_ID)["control"]}
    view = seen(running)
    assert (view.system_identifier, view.timeline, view.lsn) == (ID, 3, 0x9000000)


@pytest.mark.parametrize("furthest", ["lsn", "receive_lsn", "flush_lsn"])
def test_all_wal_counts_whether_replayed_or_not(furthest: str) -> None:
    lsns = {"lsn": "0/1000000", "receive_lsn": "0/1000000", "flush_lsn": None}
    assert seen(standby(server=lsns | {furthest: "0/2000000"})).lsn == 0x2000000


@pytest.mark.parametrize(
    ("minimum", "control"),
    [
        ({}, Control(ID, "shut down", 1, 0x5000028)),
        (
            {"minimum_recovery_timeline": 2, "minimum_recovery_lsn": "0/6000000"},
            Control(ID, "shut down", 2, 0x6000000),
        ),
        ({"minimum_recovery_timeline": 0, "minimum_recovery_lsn": "0/0"}, Control(ID, "shut down", 1, 0x5000028)),
    ],
)
def test_control_data(minimum: dict[str, Any], control: Control) -> None:
    given = stopped()
    given["control"] |= minimum
    assert seen(given).control == control


@pytest.mark.parametrize(
    ("conninfo", "receiver", "senders"),
    [
        ("host=10.0.0.1 port=5432", None, {"10.0.0.1"}),
        ("user=replicator host = '10.0.0.1' port=5432", None, {"10.0.0.1"}),
        ("host=db1 hostaddr=10.0.0.1", {"sender_host": "db9"}, {"db1", "10.0.0.1"}),
        ("user=replicator localhost=x", {"sender_host": "db9"}, {"db9"}),
        ("", {"sender_host": "db9"}, {"db9"}),
        ("", None, set()),
    ],
)
def test_senders(conninfo: str, receiver: dict[str, str] | None, senders: set[str]) -> None:
    assert seen(standby(conninfo=conninfo, receiver=receiver)).senders == senders


@pytest.mark.parametrize(
    ("receiver", "receives"),
    [
        ({"status": "streaming", "timeline": 2}, True),
        ({"status": "streaming", "timeline": 1}, False),
        ({"status": "starting", "timeline": 2}, False),
        (None, False),
    ],
)
def test_receives_on(receiver: dict[str, Any] | None, receives: bool) -> None:
    assert seen(standby(receiver=receiver)).receives_on(2) is receives


def test_a_stopped_host_receives_nothing() -> None:
    assert not seen(stopped_standby()).receives_on(1)


def test_streaming_standbys_are_named_as_the_set_compares_them() -> None:
    senders = {"DB2": {"state": "streaming"}, "db3": {"state": "catchup"}, "db4": {"state": None}}
    assert seen(primary(replication=senders)).streaming == {"db2"}


def test_settings_of_auto_conf_from_file_and_server() -> None:
    settings = {"work_mem": setting("1", f"{DIRECTORY}/postgresql.auto.conf"), "port": setting("5432", None)}
    view = seen(primary(data={"auto_conf": {"fsync": "off"}}, server={"settings": settings}))
    assert view.auto_settings == {"fsync", "work_mem"}
    assert view.setting("port") == "5432"
    assert seen(stopped(data={"auto_conf": {"fsync": "off"}})).auto_settings == {"fsync"}


def test_the_rest_of_a_server() -> None:
    view = seen(
        primary(
            timeline=3,
            history={1: "0/3000000", 2: "0/4000000"},
            slots={"db2": slot(False, "lost"), "db3": {"active": True, "wal_status": None, "retained_bytes": None}},
        )
    )
    assert view.forks == {1: 0x3000000, 2: 0x4000000}
    assert view.slots == {"db2": Slot(False, "lost", 0), "db3": Slot(True, "", 0)}
    server = seen(standby()).server
    assert server
    assert server.receiver == Receiver("streaming", "10.0.0.1", 1)


def test_the_rest_of_a_host() -> None:
    given = empty(host={"ipv4": "10.0.0.1", "ipv6": "fd00::1"}, marker={"system_identifier": ID, "version": "16"})
    view = seen(given)
    assert view.addresses == ("10.0.0.1", "fd00::1")
    assert view.marker == ID
    assert view.libc == "2.41"
    assert view.unit == Unit("inactive", False, "inactive")
    assert seen(empty(unit={"clone": {"active": "active"}})).unit.clone == "active"


@pytest.mark.parametrize("missing", ["sent", "received", "now"])
def test_a_clock_needs_all_three_times(missing: str) -> None:
    assert seen(empty(clock={"sent": 1.0, "received": 2.0, "now": 0.0} | {missing: None})).clock is None


def test_a_clock_at_the_epoch() -> None:
    clock = seen(empty(clock={"sent": 0.0, "received": 2.0, "now": 5.0})).clock
    assert clock == Clock(0.0, 2.0, 5.0)
    assert (clock.earliest, clock.latest) == (3.0, 5.0)
