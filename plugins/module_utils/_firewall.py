# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach a host: the rules of its firewall, as one nftables table beside whatever else the host has.

Pure. Only what comes in is judged; what a host opens itself, and what it forwards for others, is not ours.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAMILY = "inet"
HEADER = (
    "# Ansible managed\n#\n"
    "# By the role host of steadfast.postgresql: who may reach this host. Written once it was proven not to lock out.\n"
)
MEMBER = re.compile(r"^# member (\S+) ?(.*)$", re.MULTILINE)

# Errors without which connections stall (RFC 4890), a ping, and what IPv6 needs to find neighbours and routers.
_ICMP = "destination-unreachable, echo-request, time-exceeded, parameter-problem"
_ICMPV6 = (
    "destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, mld-listener-query, "
    "nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert"
)
_ALWAYS = (
    "ct state established,related accept",
    'iif "lo" accept',
    f"icmp type {{ {_ICMP} }} accept",
    f"icmpv6 type {{ {_ICMPV6} }} accept",
    # Answers to a broadcast or a multicast belong to no connection that the kernel knows.
    'udp sport 67 udp dport 68 accept comment "DHCP"',
    'ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"',
)


@dataclass(frozen=True)
class Opening:
    """Ports and who may connect to them.

    Attributes:
        comment: what answers there, for whom.
        ports: numbers.
        networks: addresses and networks in CIDR notation; None is anywhere, an empty list nobody.
        protocol: tcp or udp.
    """

    comment: str
    ports: Sequence[int]
    networks: Sequence[str] | None
    protocol: str = "tcp"


@dataclass(frozen=True)
class Firewall:
    """All that the rules of a host are made of.

    Attributes:
        cluster: its name, which is the table's.
        members: addresses of each member by its name, as far as they are known.
        openings: in their order.
    """

    cluster: str
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    openings: Sequence[Opening] = ()

    @property
    def table(self) -> str:
        """Name of the table."""
        return table(self.cluster)


def table(cluster: str) -> str:
    """Name the table of a cluster."""
    return f"steadfast_{cluster}"


def addresses(members: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the addresses of all members."""
    return [address for found in members.values() for address in found]


def render(firewall: Firewall) -> str:
    """Return the file that nft loads: in one step it makes the table, or replaces it, and touches no other."""
    rules = [*_ALWAYS, *_open_before(firewall), "ct state invalid drop"]
    for opening in firewall.openings:
        rules += _rules(opening)
    lines = [
        *(f"# member {name} {' '.join(found)}".rstrip() for name, found in firewall.members.items()),
        "",
        f"table {FAMILY} {firewall.table}",
        f"delete table {FAMILY} {firewall.table}",
        f"table {FAMILY} {firewall.table} {{",
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy drop;",
        *(f"\t\t{rule}" for rule in rules),
        "\t}",
        "}",
    ]
    return HEADER + "\n".join(lines) + "\n"


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a text; of none, nothing."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def former_members(text: str) -> dict[str, list[str]]:
    """Return the members' addresses that a file names, by name: who cannot be asked now had that one."""
    return {name: found.split() for name, found in MEMBER.findall(text)}


def holds(networks: Iterable[str], address: str) -> bool:
    """Whether one of the networks holds an address."""
    found = ipaddress.ip_address(address)
    return any(found in _network(network) for network in networks)


def _network(text: str) -> Network:
    return ipaddress.ip_network(text, strict=False)


def _open_before(firewall: Firewall) -> Iterator[str]:
    """Let connections between members go on that were open before the kernel began to follow connections.

    Their next packet may come from the other side, as the first of a connection that nobody knows; only one that begins
    a connection has SYN.
    """
    for source in _sources(addresses(firewall.members)):
        yield f'{source} tcp flags ! syn ct state new accept comment "members: connections that were open before"'


def _rules(opening: Opening) -> Iterator[str]:
    ports = ", ".join(str(port) for port in sorted(set(opening.ports)))
    target = f'{opening.protocol} dport {{ {ports} }} accept comment "{opening.comment}"'
    if opening.networks is None:
        yield target
        return
    for source in _sources(opening.networks):
        yield f"{source} {target}"


def _sources(networks: Iterable[str]) -> Iterator[str]:
    """Yield an expression for each family; networks that overlap are one element, as nftables asks."""
    parsed = [_network(network) for network in networks]
    four = [network for network in parsed if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in parsed if isinstance(network, ipaddress.IPv6Network)]
    if four:
        yield f"ip saddr {{ {_listed(ipaddress.collapse_addresses(four))} }}"
    if six:
        yield f"ip6 saddr {{ {_listed(ipaddress.collapse_addresses(six))} }}"


def _listed(networks: Iterable[Network]) -> str:
    alone = (ipaddress.IPV4LENGTH, ipaddress.IPV6LENGTH)
    return ", ".join(
        str(network.network_address) if network.prefixlen == alone[network.version == 6] else str(network)
        for network in networks
    )
