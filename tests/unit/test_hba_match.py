# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom rules let in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._hba import Rule
from ansible_collections.steadfast.postgresql.plugins.module_utils._hba_match import Client, admits

SHOP = Client("shop_rw", "10.20.1.5", "shop", tls=True)
STANDBY = Client("repl", "10.0.0.9", name="old", replication=True, tls=True)


def rule(
    databases: str = "all",
    users: str = "all",
    addresses: str = "10.0.0.0/8",
    method: str = "scram-sha-256",
    kind: str = "hostssl",
) -> Rule:
    """A rule with its lists as words."""
    return Rule("for a test", tuple(databases.split()), tuple(users.split()), method, kind, tuple(addresses.split()))


@pytest.mark.parametrize(
    ("client", "rules", "admitted"),
    [
        pytest.param(SHOP, [], False, id="no rule"),
        pytest.param(SHOP, [rule()], True, id="all"),
        pytest.param(replace(SHOP, tls=False), [rule()], False, id="without TLS"),
        pytest.param(SHOP, [rule(kind="local", method="peer")], False, id="another type"),
        pytest.param(SHOP, [rule(addresses="10.30.0.0/16")], False, id="another network"),
        pytest.param(SHOP, [rule(addresses="10.30.0.0/16 10.20.0.0/16")], True, id="one of the networks"),
        pytest.param(SHOP, [rule(addresses="all")], True, id="every network"),
        pytest.param(SHOP, [rule(addresses="db1.example.com")], False, id="a host's name"),
        pytest.param(SHOP, [rule(addresses="fd00::/64")], False, id="another family"),
        pytest.param(SHOP, [rule("shop")], True, id="database"),
        pytest.param(SHOP, [rule("books")], False, id="another database"),
        pytest.param(SHOP, [rule("books shop")], True, id="one of the databases"),
        pytest.param(SHOP, [rule('"shop"')], True, id="quoted database"),
        pytest.param(SHOP, [rule("/^sh")], True, id="expression"),
        pytest.param(SHOP, [rule("/^op")], False, id="expression of another"),
        pytest.param(SHOP, [rule("replication")], False, id="only replication"),
        pytest.param(SHOP, [rule("sameuser")], False, id="not the user's database"),
        pytest.param(replace(SHOP, database="shop_rw"), [rule("sameuser")], True, id="the user's database"),
        pytest.param(SHOP, [rule("samerole")], True, id="may be in the role of the database"),
        pytest.param(SHOP, [rule(users="shop_rw")], True, id="user"),
        pytest.param(SHOP, [rule(users="other")], False, id="another user"),
        pytest.param(SHOP, [rule(users="+shop")], True, id="may be in the role"),
        pytest.param(SHOP, [rule(method="reject"), rule()], False, id="refused first"),
        pytest.param(SHOP, [rule(), rule(method="reject")], True, id="let in first"),
        pytest.param(SHOP, [rule(users="+shop", method="reject"), rule()], True, id="may not be in the refused role"),
        pytest.param(SHOP, [rule("samerole", method="reject"), rule()], True, id="may not be in that role either"),
        pytest.param(SHOP, [rule(method="cert"), rule()], False, id="no certificate"),
        pytest.param(replace(SHOP, certificate=True), [rule(method="cert")], True, id="certificate"),
        pytest.param(replace(SHOP, scram=False), [rule()], False, id="a password of md5"),
        pytest.param(
            replace(SHOP, scram=False, certificate=True), [rule(method="cert")], True, id="no password needed"
        ),
        pytest.param(STANDBY, [rule()], False, id="all is not for replication"),
        pytest.param(STANDBY, [rule("all replication", "repl")], True, id="replication"),
        pytest.param(replace(STANDBY, database="shop"), [rule("shop")], True, id="a subscriber"),
    ],
)
def test_admits(client: Client, rules: list[Rule], admitted: bool) -> None:
    assert admits(rules, client) is admitted
