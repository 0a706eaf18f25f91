# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in where poolers keep sessions that nobody uses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _logged_in
from pooled import at_work, database, draining, process

MEMBERS = [
    {"name": "db1", "address": "10.0.0.1", "duties": ["database", "pooler"]},
    {"name": "db2", "address": "10.0.0.2", "duties": ["database", "pooler"]},
    {"name": "ops1", "address": "10.0.0.4", "duties": ["repository"]},
]
BUSY = at_work(processes={"1": process(shop=database(clients={"a": 2}), shop_ro=database(clients={"a": 1, "b": 0}))})
SILENT = at_work(processes={"1": process() | {"answers": False, "databases": {}}})


def test_clients_of_all_poolers_and_databases_add_up() -> None:
    seen = {name: {"pooler": BUSY} for name in ("db1", "db2", "ops1")}
    assert _logged_in.elsewhere(MEMBERS, seen) == {
        "addresses": ["10.0.0.1", "10.0.0.2"],
        "clients": {"a": 6, "b": 0},
        "standbys": [],
    }


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(None, id="not reached"),
        pytest.param({"pooler": None}, id="not looked at"),
        pytest.param({"pooler": SILENT}, id="does not answer"),
        pytest.param({"pooler": at_work(current=None)}, id="does not serve"),
        pytest.param({"pooler": draining()}, id="has clients of which nothing is said"),
    ],
)
def test_sessions_of_a_pooler_that_does_not_tell_its_clients_count(seen: dict[str, Any] | None) -> None:
    found = _logged_in.elsewhere(MEMBERS, {"db1": {"pooler": BUSY}, "db2": seen})
    assert found == {"addresses": ["10.0.0.1"], "clients": {"a": 3, "b": 0}, "standbys": []}
    rows = [["a", "10.0.0.1", 9], ["a", "10.0.0.2", 4], ["b", "", 1], ["c", "10.0.0.1", 5]]
    assert _logged_in.sessions(rows, found) == {"a": 7, "b": 1}


def test_without_poolers_sessions_count() -> None:
    assert _logged_in.sessions([["a", "10.0.0.1", 9], ["a", "", 1]], {}) == {"a": 10}


def test_sessions_on_standbys_count() -> None:
    seen = {"db1": {"pooler": BUSY}, "db2": {"server": {"sessions": [["a", "10.1.0.7", 2], ["c", "10.0.0.1", 9]]}}}
    found = _logged_in.elsewhere(MEMBERS, seen)
    assert _logged_in.sessions([["b", "10.1.0.7", 1]], found) == {"a": 5, "b": 1}
