# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and rules of pg_hba.conf that are refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _hba_check

NETWORKS = _hba.Networks(
    application=["10.20.0.0/16", "2001:db8:20::/48"],
    management=["10.9.0.0/24"],
    members={"db2": "10.0.0.12", "db1": "10.0.0.11", "db-3.example": "fd00::13"},
)
RULE = {
    "comment": "The shop",
    "databases": ["shop"],
    "users": ["shop_rw"],
    "addresses": ["10.20.1.0/24"],
    "method": "scram-sha-256",
}
V = "postgresql_server_hba_rules"


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in RULE.items() if name != key}


ADDRESS = ", such as 10.20.0.0/16"
INSTEAD = "write scram-sha-256, cert or reject"


@pytest.mark.parametrize(
    ("rule", "mistakes"),
    [
        (RULE, []),
        ({**RULE, "method": "cert", "options": {"clientname": "DN"}}, []),
        ({**RULE, "method": "reject", "options": {}}, []),
        ({**RULE, "options": None}, []),
        ({**RULE, "databases": ["all", '"all"'], "users": ["all", "+staff", "/^app_"]}, []),
        ({**RULE, "addresses": ["10.9.0.7/32", "2001:db8:20:1::/64", "10.0.0.12/32", "fd00::13/128"]}, []),
        # the shape
        ("all", [": must be a mapping with comment, databases, users, addresses and method, but is the text 'all'"]),
        (without("comment"), [".comment: is missing; a rule needs comment, databases, users, addresses and method"]),
        (without("method"), [".method: is missing; a rule needs comment, databases, users, addresses and method"]),
        ({**RULE, "user": ["x"]}, [".user: there is no such key; did you mean users?"]),
        (
            {**RULE, "x": 1},
            [".x: there is no such key; a rule has comment, databases, users, addresses, method and options"],
        ),
        (
            {**RULE, "type": "host"},
            [".type: there is no such key; every rule is of the type hostssl; leave it out"],
        ),
        # comments
        ({**RULE, "comment": " "}, [".comment: must say in one line what the rule is for"]),
        ({**RULE, "comment": 7}, [".comment: must say in one line what the rule is for"]),
        ({**RULE, "comment": "a\nb"}, [".comment: must be one line without control characters"]),
        (
            {**RULE, "comment": "a\\"},
            [".comment: must not end in a backslash, because PostgreSQL would read the rule as a part of the comment"],
        ),
        # names
        ({**RULE, "databases": []}, [".databases: must be a list with at least one name, but is an empty list"]),
        ({**RULE, "databases": "x"}, [".databases: must be a list with at least one name, but is the text 'x'"]),
        ({**RULE, "users": None}, [".users: must be a list with at least one name, but is empty"]),
        ({**RULE, "users": ["a", True]}, [".users[1]: must be a text in quotes, but is true"]),
        ({**RULE, "databases": [16]}, [".databases[0]: must be a text in quotes, but is the number 16"]),
        (
            {**RULE, "users": ["", " a", "a\nb", "+", '""']},
            [
                f".users[{index}]: {name} is no name; write one without surrounding blanks and control characters"
                for index, name in enumerate(["''", "' a'", "'a\\nb'", "'+'", "'\"\"'"])
            ],
        ),
        ({**RULE, "databases": ["d" * 63]}, []),
        (
            {**RULE, "databases": ["ü" * 32]},
            [f".databases[0]: {'ü' * 32} is longer than 63 bytes, so no name would match it"],
        ),
        ({**RULE, "databases": ["/^" + "d" * 80]}, []),
        ({**RULE, "databases": ["postgres"]}, []),
        (
            {**RULE, "users": ["postgres", "+postgres", '"postgres"']},
            [
                f".users[{index}]: postgres is a superuser, who may not log in over the network; write another role, "
                "such as one of postgresql_administrators"
                for index in range(3)
            ],
        ),
        # addresses
        ({**RULE, "addresses": []}, [".addresses: must be a list with at least one network, but is an empty list"]),
        (
            {**RULE, "addresses": ["10.20.0.1/24"]},
            [
                ".addresses[0]: 10.20.0.1/24 is an address inside a network; write 10.20.0.0/24 for the network or "
                "10.20.0.1/32 for the one host"
            ],
        ),
        (
            {**RULE, "addresses": ["10.0.0.0/8"]},
            [
                ".addresses[0]: 10.0.0.0/8 is wider than 10.20.0.0/16 of postgresql_application_networks; "
                "write that or a part of it"
            ],
        ),
        (
            {**RULE, "addresses": ["10.9.0.0/16"]},
            [
                ".addresses[0]: 10.9.0.0/16 is wider than 10.9.0.0/24 of postgresql_management_networks; "
                "write that or a part of it"
            ],
        ),
        (
            {**RULE, "addresses": ["fd00::/64"]},
            [
                ".addresses[0]: fd00::/64 is wider than fd00::13/128 of the members of the cluster; "
                "write that or a part of it"
            ],
        ),
        (
            {**RULE, "addresses": ["10.20.1.0/24", "192.168.1.0/24"]},
            [
                ".addresses[1]: 192.168.1.0/24 is outside every network that the inventory names; add it to "
                "postgresql_application_networks or postgresql_management_networks"
            ],
        ),
        # methods
        ({**RULE, "method": "trust"}, [f".method: trust asks for no proof at all; {INSTEAD}"]),
        ({**RULE, "method": "md5"}, [f".method: md5 is broken; {INSTEAD}"]),
        ({**RULE, "method": "password"}, [f".method: password hands the password itself to the server; {INSTEAD}"]),
        ({**RULE, "method": "peer"}, [f".method: peer works over the local socket only; {INSTEAD}"]),
        ({**RULE, "method": "ident"}, [f".method: ident believes the client's own host; {INSTEAD}"]),
        ({**RULE, "method": "ldap"}, [f".method: ldap is not supported; {INSTEAD}"]),
        ({**RULE, "method": "scram-sha256"}, [".method: scram-sha256 is not supported; write scram-sha-256"]),
        ({**RULE, "method": None}, [f".method: None is not supported; {INSTEAD}"]),
        # options
        ({**RULE, "options": ["x"]}, [".options: must be a mapping, but is a list"]),
        (
            {**RULE, "options": {"clientcert": "1"}},
            [".options.clientcert: 1 is not a value of this option; write verify-ca or verify-full"],
        ),
        (
            {**RULE, "options": {"map": "x"}},
            [".options.map: the method scram-sha-256 has no such option; it has clientcert"],
        ),
        (
            {**RULE, "method": "cert", "options": {"map": "x"}},
            [".options.map: these rules have no map; the certificate's common name must be the name of the role"],
        ),
        (
            {**RULE, "method": "reject", "options": {"clientcert": "verify-ca"}},
            [".options.clientcert: the method reject has no such option; it has none"],
        ),
    ],
)
def test_mistakes_of_a_rule(rule: dict[str, Any] | str, mistakes: list[str]) -> None:
    assert _hba_check.check([RULE, rule], NETWORKS) == [f"{V}[1]{mistake}" for mistake in mistakes]


@pytest.mark.parametrize(
    ("rules", "mistake"),
    [
        (None, "must be a list of rules, but is empty"),
        ({"comment": "x"}, "must be a list of rules, but is a mapping"),
        ("x", "must be a list of rules, but is the text 'x'"),
        (3.5, "must be a list of rules, but is the number 3.5"),
    ],
)
def test_rules_that_are_no_list(rules: dict[str, str] | float | str | None, mistake: str) -> None:
    assert _hba_check.check(rules, NETWORKS) == [f"{V}: {mistake}"]


def test_all_mistakes_in_one_list() -> None:
    rules = [{**RULE, "method": "trust", "addresses": ["all"], "users": []}, RULE, {**RULE, "method": "md5"}]
    assert _hba_check.check(rules, NETWORKS) == [
        f"{V}[0].users: must be a list with at least one name, but is an empty list",
        f"{V}[0].addresses[0]: all does not say which network; write a network{ADDRESS}",
        f"{V}[0].method: trust asks for no proof at all; {INSTEAD}",
        f"{V}[2].method: md5 is broken; {INSTEAD}",
    ]


def test_a_mistake_in_the_networks_does_not_become_one_of_every_rule() -> None:
    networks = _hba.Networks(["10.20.0.0/16", "banana"])
    assert _hba_check.check([{**RULE, "addresses": ["192.168.1.0/24"]}], networks) == []


def test_without_networks_no_rule_is_inside_them() -> None:
    assert _hba_check.check([RULE], _hba.Networks()) == [
        f"{V}[0].addresses[0]: 10.20.1.0/24 is outside every network that the inventory names; add it to "
        "postgresql_application_networks or postgresql_management_networks"
    ]


def test_a_member_whose_address_is_a_name() -> None:
    networks = _hba.Networks(["10.20.0.0/16"], members={"db1": "db1.example.com", "db2": "10.0.0.12"})
    assert _hba_check.check([RULE], networks) == []
    assert "  db1.example.com  cert " in _hba.render(_hba.build(networks))


LOCAL = {"comment": "x", "type": "local", "databases": ["all"], "users": ["metrics"], "method": "peer"}


@pytest.mark.parametrize(
    ("rule", "mistakes"),
    [
        (LOCAL, []),
        ({**LOCAL, "users": ["postgres"], "options": {"map": "x"}}, []),
        ({**RULE, "type": "hostssl", "method": "cert", "options": {"map": "x", "clientname": "CN"}}, []),
        ({**RULE, "addresses": ["pool1.example.com", "192.0.2.7/32"]}, []),
        ({**LOCAL, "type": "host"}, [".type: host is not supported; write hostssl or local"]),
        (
            {**LOCAL, "method": "trust"},
            [".method: trust asks for no proof at all; write peer, scram-sha-256 or reject"],
        ),
        (
            {**LOCAL, "addresses": ["10.20.0.0/16"]},
            [".addresses: there is no such key; a rule has comment, databases, users, method, options and type"],
        ),
        (
            {**RULE, "users": ["postgres"]},
            [
                ".users[0]: postgres is a superuser, who may not log in over the network; write another role, "
                "such as one of postgresql_administrators"
            ],
        ),
    ],
)
def test_mistakes_of_rules_of_other_roles(rule: dict[str, Any], mistakes: list[str]) -> None:
    found = _hba_check.check([rule], NETWORKS, "__postgresql_pooler_hba_rules", contributed=True)
    assert found == [f"__postgresql_pooler_hba_rules[0]{mistake}" for mistake in mistakes]


@pytest.mark.parametrize(
    ("networks", "mistakes"),
    [
        ([], []),
        (["10.20.0.0/16", "10.20.1.0/24", "2001:DB8::/32", "10.0.0.1/32"], []),
        (None, [": must be a list of networks such as 10.20.0.0/16, but is empty"]),
        ("10.0.0.0/8", [": must be a list of networks such as 10.20.0.0/16, but is the text '10.0.0.0/8'"]),
        ([10], ["[0]: must be a text such as '10.20.0.0/16', but is the number 10"]),
        (["banana"], [f"[0]: 'banana' is no network; write an address with a prefix length{ADDRESS}"]),
        (["10.0.0.0/33"], [f"[0]: '10.0.0.0/33' is no network; write an address with a prefix length{ADDRESS}"]),
        (["010.0.0.0/8"], [f"[0]: '010.0.0.0/8' is no network; write an address with a prefix length{ADDRESS}"]),
        (
            ["db1.example.com/32"],
            [f"[0]: 'db1.example.com/32' is no network; write an address with a prefix length{ADDRESS}"],
        ),
        ([" 10.0.0.0/8"], [f"[0]: ' 10.0.0.0/8' is no network; write an address with a prefix length{ADDRESS}"]),
        (["samenet"], [f"[0]: samenet does not say which network; write a network{ADDRESS}"]),
        (["10.0.0.1"], ["[0]: 10.0.0.1 has no prefix length; write 10.0.0.1/32 for this one host"]),
        (["fd00::1"], ["[0]: fd00::1 has no prefix length; write fd00::1/128 for this one host"]),
        (["10.0.0.0/255.255.255.0"], ["[0]: 10.0.0.0/255.255.255.0 has a netmask; write 10.0.0.0/24"]),
        (
            ["10.0.0.1/24"],
            [
                "[0]: 10.0.0.1/24 is an address inside a network; write 10.0.0.0/24 for the network or "
                "10.0.0.1/32 for the one host"
            ],
        ),
        (
            ["fd00::1/64"],
            [
                "[0]: fd00::1/64 is an address inside a network; write fd00::/64 for the network or "
                "fd00::1/128 for the one host"
            ],
        ),
        (
            ["fe80::%eth0/64"],
            [
                "[0]: fe80::%eth0/64 names a network interface, which PostgreSQL does not read; "
                "write an address without it"
            ],
        ),
        (["0.0.0.0/0"], [f"[0]: 0.0.0.0/0 is every address there is; write the networks that need it{ADDRESS}"]),
        (["::/0"], [f"[0]: ::/0 is every address there is; write the networks that need it{ADDRESS}"]),
        (
            ["10.0.0.0/8", "x", "10.0.0.0/8"],
            [
                f"[1]: 'x' is no network; write an address with a prefix length{ADDRESS}",
                "[2]: 10.0.0.0/8 stands there already, as postgresql_application_networks[0]; remove one of the two",
            ],
        ),
    ],
)
def test_mistakes_of_networks(networks: list[Any] | str | None, mistakes: list[str]) -> None:
    variable = "postgresql_application_networks"
    assert _hba_check.check_networks(variable, networks) == [f"{variable}{mistake}" for mistake in mistakes]
