# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would rules of pg_hba.conf let a client in that is connected now?

The answer is about the rules alone: who is a member of a role is not known here. Where that decides, a rule that lets
in counts as matching and one that refuses does not, so that only what is certain is reported.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._hba import Rule


@dataclass(frozen=True)
class Client:
    """A connection over the network.

    Attributes:
        user: role that it logged in as.
        address: where it comes from.
        database: that it is connected to; "" for physical replication.
        name: its application_name.
        replication: whether it receives WAL or logical changes.
        tls: whether it is encrypted.
        certificate: whether it showed a certificate.
        scram: whether its role has a password that scram-sha-256 can verify.
    """

    user: str
    address: str
    database: str = ""
    name: str = ""
    replication: bool = False
    tls: bool = False
    certificate: bool = False
    scram: bool = True


def admits(rules: Iterable[Rule], client: Client) -> bool:
    """Return whether the first rule that matches lets the client in."""
    rule = next((rule for rule in rules if _matches(rule, client)), None)
    if rule is None or rule.method == "reject":
        return False
    proves = {"cert": client.certificate, "scram-sha-256": client.scram}
    return proves.get(rule.method, True)


def _matches(rule: Rule, client: Client) -> bool:
    if rule.type != "hostssl" or not client.tls:
        return False
    doubt = rule.method != "reject"
    return (
        any(_is_from(client, address) for address in rule.addresses)
        and any(_is_database(name, client, doubt) for name in rule.databases)
        and any(_is_user(name, client, doubt) for name in rule.users)
    )


def _is_from(client: Client, address: str) -> bool:
    try:
        return ipaddress.ip_address(client.address) in ipaddress.ip_network(address)
    except ValueError:
        return address == "all"


def _is_database(name: str, client: Client, doubt: bool) -> bool:
    if not client.database:
        return name == "replication"
    known: dict[str, Callable[[], bool]] = {
        "all": lambda: True,
        "sameuser": lambda: client.database == client.user,
        "samerole": lambda: doubt,
        "replication": lambda: False,
    }
    return known[name]() if name in known else _is_named(name, client.database)


def _is_user(name: str, client: Client, doubt: bool) -> bool:
    if name.startswith("+"):
        return doubt
    return name == "all" or _is_named(name, client.user)


def _is_named(pattern: str, name: str) -> bool:
    if pattern.startswith("/"):
        return re.search(pattern[1:], name) is not None
    return pattern.strip('"') == name
