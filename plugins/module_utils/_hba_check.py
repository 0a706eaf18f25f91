# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the mistakes in the networks of the inventory and in rules for pg_hba.conf, all of them and before any is used.

Each mistake is one line that begins with the variable and the path inside it, and says what to write instead.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._hba import SUPERUSERS, Networks

RULES = "postgresql_server_hba_rules"
APPLICATION_NETWORKS = "postgresql_application_networks"
MANAGEMENT_NETWORKS = "postgresql_management_networks"

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METHODS = {"hostssl": ("scram-sha-256", "cert", "reject"), "local": ("peer", "scram-sha-256", "reject")}
_REFUSED_METHODS = {
    "trust": "trust asks for no proof at all",
    "md5": "md5 is broken",
    "password": "password hands the password itself to the server",
    "peer": "peer works over the local socket only",
    "ident": "ident believes the client's own host",
}
_OPTIONS: dict[tuple[str, str], Mapping[str, tuple[str, ...]]] = {
    ("hostssl", "scram-sha-256"): {"clientcert": ("verify-ca", "verify-full")},
    ("hostssl", "cert"): {"clientname": ("CN", "DN")},
}
_KEYS = ("comment", "databases", "users", "addresses", "method")
_EVERY_ADDRESS = ("all", "samehost", "samenet")
_NAME_BYTES = 63  # NAMEDATALEN - 1


@dataclass(frozen=True)
class _Context:
    """What a rule is checked against."""

    networks: Networks
    contributed: bool
    superusers: Sequence[str]
    allowed: Sequence[tuple[str, _Network]] | None


def check(
    rules: object,
    networks: Networks,
    variable: str = RULES,
    contributed: bool = False,
    superusers: Sequence[str] = SUPERUSERS,
) -> list[str]:
    """Return the mistakes in a list of rules.

    Args:
        rules: what the variable holds.
        networks: the networks that the inventory names; while they hold a mistake themselves, whether a rule lies
            inside them is not looked at.
        variable: the variable's name.
        contributed: whether the rules come from another role of the collection: those may be of the type local, and
            may name a map.
        superusers: names of the roles that may log in over the local socket only.
    """
    if not isinstance(rules, list | tuple):
        return [f"{variable}: must be a list of rules, but is {_kind(rules)}"]
    context = _Context(networks, contributed, superusers, _allowed(networks))
    return [
        f"{variable}[{index}]{mistake}" for index, rule in enumerate(rules) for mistake in _rule_mistakes(rule, context)
    ]


def check_networks(variable: str, networks: object) -> list[str]:
    """Return the mistakes in a list of networks that the inventory names."""
    if not isinstance(networks, list | tuple):
        return [f"{variable}: must be a list of networks such as 10.20.0.0/16, but is {_kind(networks)}"]
    mistakes = []
    seen: dict[_Network, int] = {}
    for index, text in enumerate(networks):
        network, mistake = parse_network(text)
        if network is not None and network in seen:
            mistake = f"{text} stands there already, as {variable}[{seen[network]}]; remove one of the two"
        if mistake:
            mistakes.append(f"{variable}[{index}]: {mistake}")
        elif network is not None:
            seen[network] = index
    return mistakes


def parse_network(text: object) -> tuple[_Network | None, str]:
    """Return the network that a text in CIDR notation names, or else what is wrong with the text."""
    if not isinstance(text, str):
        return None, f"must be a text such as '10.20.0.0/16', but is {_kind(text)}"
    try:
        host = ipaddress.ip_interface(text)
    except ValueError:
        mistake = f"{text!r} is no network; write an address with a prefix length, such as 10.20.0.0/16"
        if text in _EVERY_ADDRESS:
            mistake = f"{text} does not say which network; write a network, such as 10.20.0.0/16"
        return None, mistake
    mistake = _notation_mistake(text, host)
    return (None, mistake) if mistake else (host.network, "")


def _notation_mistake(text: str, host: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> str:
    """Return how the spelling of a network differs from what pg_hba.conf should hold."""
    address, slash, length = text.partition("/")
    mistake = ""
    if "%" in text:
        mistake = f"{text} names a network interface, which PostgreSQL does not read; write an address without it"
    elif not slash:
        mistake = f"{text} has no prefix length; write {host.network} for this one host"
    elif not length.isdecimal():
        mistake = f"{text} has a netmask; write {host.network}"
    elif host.network.prefixlen == 0:
        mistake = f"{text} is every address there is; write the networks that need it, such as 10.20.0.0/16"
    elif host.ip != host.network.network_address:
        one = ipaddress.ip_network(address)
        mistake = (
            f"{text} is an address inside a network; write {host.network} for the network or {one} for the one host"
        )
    return mistake


def _allowed(networks: Networks) -> list[tuple[str, _Network]] | None:
    """Return the networks that rules may use with the names of their variables; None when one of them is a mistake."""
    named = [(APPLICATION_NETWORKS, text) for text in networks.application]
    named += [(MANAGEMENT_NETWORKS, text) for text in networks.management]
    parsed = [(variable, parse_network(text)[0]) for variable, text in named]
    if any(network is None for _, network in parsed):
        return None
    # A member whose address is a name has no network.
    parsed += [("the members of the cluster", parse_network(text)[0]) for text in networks.member_networks]
    return [(variable, network) for variable, network in parsed if network is not None]


def _rule_mistakes(rule: object, context: _Context) -> Iterator[str]:
    """Yield what is wrong with one rule; each text continues the name of the list's element."""
    if not isinstance(rule, Mapping):
        yield f": must be a mapping with {_listed(_KEYS)}, but is {_kind(rule)}"
        return
    kind = str(rule.get("type", "hostssl")) if context.contributed else "hostssl"
    if kind not in _METHODS:
        yield f".type: {kind} is not supported; write hostssl or local"
        return
    keys = [key for key in _KEYS if kind != "local" or key != "addresses"]
    yield from _key_mistakes(rule, keys, context.contributed)
    if "comment" in rule:
        yield from _comment_mistakes(rule["comment"])
    if "databases" in rule:
        yield from _name_mistakes("databases", rule["databases"], ())
    if "users" in rule:
        yield from _name_mistakes("users", rule["users"], context.superusers if kind == "hostssl" else ())
    # Roles name members, of which some are known by names, and networks that were checked where they are declared.
    if "addresses" in keys and "addresses" in rule and not context.contributed:
        yield from _address_mistakes(rule["addresses"], context.allowed)
    if "method" in rule:
        yield from _method_mistakes(kind, rule["method"])
        yield from _option_mistakes(kind, rule["method"], rule.get("options") or {}, context)


def _key_mistakes(rule: Mapping[Any, Any], keys: Sequence[str], contributed: bool) -> Iterator[str]:
    known = [*keys, "options", *(["type"] if contributed else [])]
    for key in rule:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            instead = f"did you mean {close[0]}?" if close else f"a rule has {_listed(known)}"
            if key == "type":
                instead = "every rule is of the type hostssl; leave it out"
            yield f".{key}: there is no such key; {instead}"
    for key in keys:
        if key not in rule:
            yield f".{key}: is missing; a rule needs {_listed(keys)}"


def _comment_mistakes(comment: object) -> Iterator[str]:
    if not isinstance(comment, str) or not comment.strip():
        yield ".comment: must say in one line what the rule is for"
    elif _unprintable(comment.strip()):
        yield ".comment: must be one line without control characters"
    elif comment.strip().endswith("\\"):
        yield ".comment: must not end in a backslash, because PostgreSQL would read the rule as a part of the comment"


def _name_mistakes(key: str, names: object, superusers: Sequence[str]) -> Iterator[str]:
    if not isinstance(names, list | tuple) or not names:
        yield f".{key}: must be a list with at least one name, but is {_kind(names)}"
        return
    for index, name in enumerate(names):
        mistake = _name_mistake(name, superusers)
        if mistake:
            yield f".{key}[{index}]: {mistake}"


def _name_mistake(name: object, superusers: Sequence[str]) -> str:
    if not isinstance(name, str):
        return f"must be a text in quotes, but is {_kind(name)}"
    bare = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name.removeprefix("+")
    if not bare or bare != bare.strip() or _unprintable(bare):
        return f"{name!r} is no name; write one without surrounding blanks and control characters"
    if not bare.startswith("/") and len(bare.encode()) > _NAME_BYTES:
        return f"{name} is longer than {_NAME_BYTES} bytes, so no name would match it"
    if bare in superusers:
        return (
            f"{bare} is a superuser, who may not log in over the network; write another role, "
            "such as one of postgresql_administrators"
        )
    return ""


def _address_mistakes(addresses: object, allowed: Sequence[tuple[str, _Network]] | None) -> Iterator[str]:
    if not isinstance(addresses, list | tuple) or not addresses:
        yield f".addresses: must be a list with at least one network, but is {_kind(addresses)}"
        return
    for index, text in enumerate(addresses):
        network, mistake = parse_network(text)
        if network is not None and allowed is not None:
            mistake = _outside(network, allowed)
        if mistake:
            yield f".addresses[{index}]: {mistake}"


def _outside(network: _Network, allowed: Sequence[tuple[str, _Network]]) -> str:
    """Return why a rule may not use a network, or nothing when it lies inside one that the inventory names."""
    if any(inside(network, other) for _, other in allowed):
        return ""
    for variable, other in allowed:
        if inside(other, network):
            return f"{network} is wider than {other} of {variable}; write that or a part of it"
    return (
        f"{network} is outside every network that the inventory names; "
        f"add it to {APPLICATION_NETWORKS} or {MANAGEMENT_NETWORKS}"
    )


def inside(inner: _Network, outer: _Network) -> bool:
    """Whether a network is a part of another."""
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _method_mistakes(kind: str, method: object) -> Iterator[str]:
    methods = _METHODS[kind]
    if method in methods:
        return
    why = _REFUSED_METHODS.get(str(method), f"{method} is not supported")
    close = difflib.get_close_matches(str(method), methods, 1, cutoff=0.8)
    yield f".method: {why}; write {close[0] if close else _listed(methods, 'or')}"


def _option_mistakes(kind: str, method: object, options: object, context: _Context) -> Iterator[str]:
    if not isinstance(options, Mapping):
        yield f".options: must be a mapping, but is {_kind(options)}"
        return
    known = dict(_OPTIONS.get((kind, str(method)), {}))
    maps = context.contributed and method in ("cert", "peer")
    for name, value in options.items():
        if name == "map" and maps:
            continue
        if name == "map" and method == "cert":
            yield ".options.map: these rules have no map; the certificate's common name must be the name of the role"
        elif name not in known:
            instead = f"it has {_listed(tuple(known))}" if known else "it has none"
            yield f".options.{name}: the method {method} has no such option; {instead}"
        elif value not in known[name]:
            yield f".options.{name}: {value} is not a value of this option; write {_listed(known[name], 'or')}"


def _unprintable(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)


def _listed(words: Sequence[str], last: str = "and") -> str:
    """Write words as a list in a sentence."""
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]


def _kind(value: object) -> str:
    """Say what a value is, for a person who writes YAML."""
    if isinstance(value, str):
        return f"the text {value!r}"
    if value is None:
        return "empty"
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else f"the number {value}"
    if isinstance(value, Mapping):
        return "a mapping"
    return "an empty list" if not value else "a list"
