# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose address is known: stated, observed, or written down by the last run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _addresses


def seen(ipv4: str | None = None, ipv6: str | None = None, **more: Any) -> dict[str, Any]:
    return {"host": {"ipv4": ipv4, "ipv6": ipv6}, **more}


STANDBY = {"in_recovery": True}
PRIMARY = {"in_recovery": False}


@pytest.mark.parametrize(
    ("stated", "observed", "expected"),
    [
        pytest.param({}, {"db1": seen("10.0.0.1"), "db2": seen("10.0.0.2")}, ["10.0.0.1", "10.0.0.2"], id="observed"),
        pytest.param({}, {"db1": seen(None, "fd00::1"), "db2": seen("10.0.0.2", "fd00::2")}, ["fd00::1", "10.0.0.2"]),
        pytest.param({"db1": "192.0.2.1"}, {"db1": seen("10.0.0.1"), "db2": None}, ["192.0.2.1", ""], id="stated"),
        pytest.param({}, {"db1": seen("10.0.0.1"), "db2": None}, ["10.0.0.1", ""], id="not known"),
        pytest.param(
            {},
            {"db1": seen("10.0.0.1", replicas={"db1": "10.0.0.9", "db2": "10.0.0.2"}), "db2": None},
            ["10.0.0.1", "10.0.0.2"],
            id="written down",
        ),
        pytest.param(
            {"db2": "192.0.2.2"},
            {"db1": seen("10.0.0.1", replicas={"db2": "10.0.0.2"}), "db2": None},
            ["10.0.0.1", "192.0.2.2"],
            id="stated and written down",
        ),
        pytest.param(
            {},
            {"db1": seen("10.0.0.1", replicas={"db2": "10.0.0.1"}), "db2": None},
            ["10.0.0.1", ""],
            id="another member has it now",
        ),
        pytest.param(
            {},
            {"db1": seen("10.0.0.1", replicas={"gone": "10.0.0.7"}), "db2": None},
            ["10.0.0.1", ""],
            id="no member any more",
        ),
    ],
)
def test_addresses(stated: dict[str, str], observed: dict[str, Any], expected: list[str]) -> None:
    members = [{"name": name, "address": stated.get(name, "")} for name in ("db1", "db2")]
    assert _addresses.addresses(members, observed) == dict(zip(["db1", "db2"], expected, strict=True))


@pytest.mark.parametrize("names", [["db1", "db2", "db3"], ["db2", "db1", "db3"]])
def test_the_file_of_the_primary_counts(names: list[str]) -> None:
    observed = {
        "db1": seen("10.0.0.1", server=PRIMARY, replicas={"db3": "10.0.0.3"}),
        "db2": seen("10.0.0.2", server=STANDBY, replicas={"db3": "192.0.2.3"}),
        "db3": None,
    }
    members = [{"name": name, "address": ""} for name in names]
    found = _addresses.addresses(members, {name: observed[name] for name in names})
    assert found["db3"] == "10.0.0.3"


def test_two_members_that_were_away_with_one_address() -> None:
    observed = {"db1": seen("10.0.0.1", replicas={"db2": "10.0.0.2", "db3": "10.0.0.2"}), "db2": None, "db3": None}
    members = [{"name": name, "address": ""} for name in observed]
    found = _addresses.addresses(members, observed)
    assert found == {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": ""}


def test_left() -> None:
    text = (
        "pg_hba.conf: has no rule for the replication of db3, whose address is not known; run site.yml once it "
        "answers, or write postgresql_address for db3"
    )
    assert list(_addresses.left({"db1": "10.0.0.1", "db3": ""})) == [text]
