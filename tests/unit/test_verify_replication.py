# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about standbys, slots, the synchronous set and the archive, each with its exact words."""

from __future__ import annotations

from typing import Any

import pytest
import situations
import whole
from situations import all_empty, healthy, primary, slot, standby
from verification import at, judged, verified
from whole import NOW, setting


def without(**changes: Any) -> Any:
    return healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **changes))


STREAM_ADVICE = "The server's log on db3 says what its WAL receiver meets."


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        pytest.param(
            {"replication": {"db3": {"state": "catchup"}}},
            f"error db3: db3 does not stream from db1: catchup. {STREAM_ADVICE}",
            id="catches up",
        ),
        pytest.param(
            {"replication": {"db3": {"state": "streaming", "tls": None}}},
            "error db3: db3 streams from db1 without TLS. Run site.",
            id="without TLS",
        ),
        pytest.param(
            {"slots": {"db3": slot(active=False)}},
            "error db3: db3 streams without its slot on db1. Run site.",
            id="slot not in use",
        ),
    ],
)
def test_a_standby_that_does_not_stream_as_it_should(changes: dict[str, Any], finding: str) -> None:
    assert finding in judged(without(**changes))


@pytest.mark.parametrize(("behind", "said"), [(256 << 20, False), ((256 << 20) + 1, True), (None, False)])
def test_a_standby_that_lags(behind: int | None, said: bool) -> None:
    finding = "warning db3: db3 is 256 MiB behind db1. Look at its load and at the network between them."
    found = judged(without(replication={"db3": {"state": "streaming", "lag_bytes": behind}}))
    assert found == ([finding] if said else [])


def test_a_fenced_host_is_named_once() -> None:
    hosts = healthy(db3=situations.stopped_standby(unit={"masked": True}))
    about = [text for text in judged(hosts) if text.split()[1] == "db3:"]
    assert len(about) == 1
    assert about[0].startswith("error db3: db3 is fenced: its service is masked, so it is not started.")


def test_a_standby_that_is_not_connected() -> None:
    hosts = healthy(db1=primary("db2", synchronous='ANY 1 ("db2")', slots={"db3": slot(active=False)}))
    assert f"error db3: db3 does not stream from db1: not connected. {STREAM_ADVICE}" in judged(hosts)


def test_a_standby_without_a_slot() -> None:
    hosts = healthy(db1=primary("db2", synchronous='ANY 1 ("db2")', replication={"db3": {"state": "streaming"}}))
    assert judged(hosts) == [
        "error db1: db1 lacks slots: db3. Run site.",
        "error db3: db3 streams without its slot on db1. Run site.",
    ]


def test_standbys_are_not_judged_without_their_primary() -> None:
    hosts = healthy(db1=None)
    assert not [text for text in judged(hosts) if "stream" in text and text.startswith("error db")]


def test_there_is_no_archive() -> None:
    given = at("db1", None)
    whole.seen(given, "db1")["server"]["settings"]["archive_command"] = setting("/bin/true")
    whole.seen(given, "db1")["server"]["archiver"] |= {"last_failed_at": NOW}
    assert verified(given) == [
        "warning db1: There is no archive of db1's WAL: no moment of the past can be restored. "
        "Back the cluster up before it holds anything of value."
    ]


def test_what_slots_a_stopped_primary_has_is_not_known() -> None:
    assert not [text for text in judged(healthy(db1=situations.stopped())) if "lacks slots" in text]


def test_a_primary_that_failed_in_this_run_is_not_called_dead() -> None:
    hosts = healthy(db1=None, db2=None, db3=None)
    said = judged(hosts, failed=["db1", "db2", "db3"])
    assert (
        "warning : Who is the primary was not looked at in the end: db1, db2 and db3 failed in this run. Their failed "
        "tasks say why. Run check_cluster."
    ) in said
    assert not [text for text in said if "promote" in text]


def test_a_primary_that_was_not_reached_is_not_called_failed() -> None:
    said = judged(healthy(db1=None, db2=None, db3=None), failed=["db2", "db3"])
    assert [text for text in said if "The primary is not known:" in text]
    assert not [text for text in said if "Who is the primary" in text]


def test_weak_commits_are_the_promise_where_it_is_asynchronous() -> None:
    given = at("db1", "server", weak_commits=["role app: synchronous_commit=off"])
    found = verified(given, durability="asynchronous")
    assert not [text for text in found if "synchronous_commit" in text]


@pytest.mark.parametrize(
    ("hosts", "finding"),
    [
        pytest.param(
            all_empty(),
            "error db2: db2 still has to clone: it holds no cluster. Run site.",
            id="action",
        ),
        pytest.param(
            all_empty(),
            "error db1: db1 still has to bootstrap: no database host holds a cluster, and db1 is the initial primary. "
            "Run site.",
            id="action of a primary",
        ),
        pytest.param(
            healthy(db1=primary(synchronous='ANY 1 ("db2")')),
            "error db1: db1 lacks slots: db2, db3. Run site.",
            id="slots",
        ),
        pytest.param(
            healthy(db1=primary("db2", "db3")),
            'warning db1: The synchronous set of db1 is to become ANY 1 ("db2"). Run site.',
            id="set",
        ),
    ],
)
def test_what_is_left_to_do(hosts: dict[str, dict[str, Any]], finding: str) -> None:
    assert finding in judged(hosts)


STRAY = {"db3": slot(active=False)}


@pytest.mark.parametrize(
    ("hosts", "finding"),
    [
        pytest.param(healthy(db2=standby(slots=STRAY)), "db2 has slots that keep WAL for nobody: db3.", id="standby"),
        pytest.param(
            healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', slots={"db1": slot(active=False)})),
            "db1 has slots that keep WAL for nobody: db1.",
            id="primary",
        ),
    ],
)
def test_slots_that_are_left(hosts: dict[str, Any], finding: str) -> None:
    assert judged(hosts) == [f"warning {finding[:3]}: {finding} Run site, which drops them."]


def test_a_slot_that_is_made_again_is_named_once() -> None:
    lost = primary("db2", "db3", synchronous='ANY 1 ("db2")', slots={"db3": slot(active=False, wal_status="lost")})
    assert [text for text in judged(healthy(db1=lost)) if "slots" in text] == [
        "error db1: db1 lacks slots: db3. Run site."
    ]


def test_a_set_that_is_to_be_empty() -> None:
    given = whole.given("db1", cluster=whole.cluster(durability="asynchronous"))
    assert "warning db1: The synchronous set of db1 is to become empty. Run site." in verified(given)


def test_refusals_are_findings() -> None:
    found = judged(healthy(db2=primary()))
    assert found[0].startswith("error : 2 hosts run as primary: db1 ")
