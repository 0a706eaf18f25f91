# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a host's firewall, as text."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _firewall
from ansible_collections.steadfast.postgresql.plugins.module_utils._firewall import Firewall, Opening

MEMBERS = {"db1": ["10.0.0.1"], "db2": ["10.0.0.2", "2001:db8::2"], "db3": []}
BEFORE = 'tcp flags ! syn ct state new accept comment "members: connections that were open before"'
WHOLE = f"""\
# Ansible managed
#
# By the role host of steadfast.postgresql: who may reach this host. Written once it was proven not to lock out.
# member db1 10.0.0.1
# member db2 10.0.0.2 2001:db8::2
# member db3

table inet steadfast_main
delete table inet steadfast_main
table inet steadfast_main {{
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif "lo" accept
		icmp type {{ destination-unreachable, echo-request, time-exceeded, parameter-problem }} accept
		icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, \
mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept
		udp sport 67 udp dport 68 accept comment "DHCP"
		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"
		ip saddr {{ 10.0.0.1, 10.0.0.2 }} {BEFORE}
		ip6 saddr {{ 2001:db8::2 }} {BEFORE}
		ct state invalid drop
		tcp dport {{ 22, 2222 }} accept comment "SSH"
		ip saddr {{ 10.1.0.0/16 }} tcp dport {{ 5432 }} accept comment "PostgreSQL: applications"
	}}
}}
"""


def rules(*openings: Opening) -> list[str]:
    """The rules that openings lead to."""
    text = _firewall.render(Firewall("main", {}, openings))
    lines = [line.strip() for line in text.splitlines()]
    return lines[lines.index("ct state invalid drop") + 1 : -2]


def test_the_whole_file() -> None:
    openings = (Opening("SSH", [2222, 22], None), Opening("PostgreSQL: applications", [5432], ["10.1.0.0/16"]))
    assert _firewall.render(Firewall("main", MEMBERS, openings)) == WHOLE


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (Opening("x", [22], None), ['tcp dport { 22 } accept comment "x"']),
        (Opening("x", [22], []), []),
        (Opening("x", [53], None, "udp"), ['udp dport { 53 } accept comment "x"']),
        (Opening("x", [22, 22, 9], None), ['tcp dport { 9, 22 } accept comment "x"']),
        (Opening("x", [1], ["0.0.0.0/0"]), ['ip saddr { 0.0.0.0/0 } tcp dport { 1 } accept comment "x"']),
        (
            # Networks that overlap, or that are neighbours, would be a mistake to nftables.
            Opening("x", [1], ["10.0.0.0/8", "10.0.0.1", "192.0.2.0/25", "192.0.2.128/25"]),
            ['ip saddr { 10.0.0.0/8, 192.0.2.0/24 } tcp dport { 1 } accept comment "x"'],
        ),
        (
            Opening("x", [1], ["2001:db8::/32", "10.0.0.1", "2001:db9::1"]),
            [
                'ip saddr { 10.0.0.1 } tcp dport { 1 } accept comment "x"',
                'ip6 saddr { 2001:db8::/32, 2001:db9::1 } tcp dport { 1 } accept comment "x"',
            ],
        ),
    ],
)
def test_openings(opening: Opening, expected: list[str]) -> None:
    assert rules(opening) == expected


def test_only_the_table_of_the_cluster_is_touched() -> None:
    text = _firewall.render(Firewall("other_one"))
    named = [line for line in text.splitlines() if "table" in line]
    assert named == [
        "table inet steadfast_other_one",
        "delete table inet steadfast_other_one",
        "table inet steadfast_other_one {",
    ]
    assert "flush" not in text


def test_members_are_read_back() -> None:
    assert _firewall.former_members(WHOLE) == MEMBERS
    assert _firewall.former_members("") == {}


def test_fingerprints() -> None:
    assert _firewall.fingerprint("") == ""
    assert _firewall.fingerprint("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        (["10.0.0.0/24"], "10.0.0.7", True),
        (["10.0.0.0/24", "2001:db8::/32"], "2001:db8::7", True),
        (["10.0.0.0/24"], "10.0.1.7", False),
        (["10.0.0.0/24"], "2001:db8::7", False),
        ([], "10.0.0.7", False),
    ],
)
def test_holds(networks: list[str], address: str, expected: bool) -> None:
    assert _firewall.holds(networks, address) is expected
