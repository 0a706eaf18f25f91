# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and render pg_hba.conf and pg_ident.conf from the data of the cluster.

The mistakes that a user can make in the rules are found by _hba_check, before anything is rendered.

Syntax: https://www.postgresql.org/docs/16/auth-pg-hba-conf.html and auth-username-maps.html. Three of its traps shape
this file: quoting a name takes away the meaning of a keyword, of a leading + and of a leading @, but not that of a
leading /, which starts a regular expression even in quotes; a line that ends in a backslash goes on in the next line,
even a comment; and the database "all" does not cover physical replication.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import REPLICATOR

REPLICATION_MAP = "replication"
SUPERUSERS = ("postgres",)

_DATABASE_KEYWORDS = frozenset({"all", "sameuser", "samerole", "replication"})
_USER_KEYWORDS = frozenset({"all"})
# PostgreSQL still reads samegroup as samerole, so a database of that name needs its quotes.
_RESERVED = _DATABASE_KEYWORDS | {"samegroup"}
# What stands before a member's rule, by which its address is found again.
_OF_REPLICA = "Replication by "
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_PLAIN_EXPRESSION = re.compile(r'[^\s,"#]+')


@dataclass(frozen=True)
class Networks:
    """The networks and hosts that the inventory names.

    Attributes:
        application: networks in CIDR notation from which applications come.
        management: networks in CIDR notation from which administrators come.
        members: address of each database member by its inventory name; "" for one that is not known, which then has no
            rule.
    """

    application: Sequence[str] = ()
    management: Sequence[str] = ()
    members: Mapping[str, str] = field(default_factory=dict)

    @property
    def member_networks(self) -> list[str]:
        """Each member's address as a network of one host, sorted by the members' names."""
        return [host_network(address) for _, address in sorted(self.members.items()) if address]


@dataclass(frozen=True)
class Rule:
    """One rule of pg_hba.conf; it is written once for each of its addresses.

    Attributes:
        comment: what the rule is for, one line.
        databases: names as in pg_hba.conf: all, sameuser, samerole, replication and /expression have their meaning
            there, and double quotes around a name make it a plain name.
        users: likewise, with all, +role and /expression.
        method: how the client proves who it is.
        type: local or hostssl; there is no rule for plaintext connections.
        addresses: networks in CIDR notation, or all; empty for the type local.
        options: options of the method.
    """

    comment: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    method: str
    type: str = "hostssl"
    addresses: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class IdentMap:
    """One line of pg_ident.conf: who the system says it is, and the role that it may log in as."""

    comment: str
    map: str
    system_user: str
    role: str


def host_network(address: str) -> str:
    """Return an address as the network of that one host; the name of a host stays as it is."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return address


def literal(name: str) -> str:
    """Return how a rule spells exactly this name, whatever it means in pg_hba.conf.

    A leading slash cannot be quoted away, so such a name becomes an expression that only it matches.
    """
    if name.startswith("/"):
        return "/^" + re.sub(r"([^A-Za-z0-9_])", r"\\\1", name) + "$"
    if name in _RESERVED or name[:1] in ("+", "@", '"'):
        return f'"{name}"'
    return name


def build(
    networks: Networks,
    administrators: Sequence[Mapping[str, object]] = (),
    contributed: Sequence[Mapping[str, object]] = (),
    rules: Sequence[Mapping[str, object]] = (),
    superusers: Sequence[str] = SUPERUSERS,
) -> list[Rule]:
    """Return the rules in the order in which PostgreSQL tries them; the first that matches decides.

    The refusal of superusers is a rule of its own before every rule that lets a person or an application in: the
    absence of a rule would hold only until somebody writes one for the user "all". It names the superusers that are
    known; PostgreSQL has no way to say "every superuser" here. The user's own rules come next, because a refusal among
    them would be dead behind a rule that lets in.

    Args:
        networks: the networks and members of the inventory.
        administrators: mappings with name and, if wanted, comment.
        contributed: rules of other roles, as mappings that _hba_check accepts.
        rules: rules of the user, likewise.
        superusers: names of the roles that may log in over the local socket only.
    """
    refused = tuple(literal(name) for name in superusers)
    return [
        Rule(
            "Local administration: the system user postgres, over the socket", ("all",), ("postgres",), "peer", "local"
        ),
        *_replication(networks),
        Rule("No superuser over the network", ("all", "replication"), refused, "reject", addresses=("all",)),
        *(rule_from(rule) for rule in rules),
        *_administration(administrators, networks.management),
        *(rule_from(rule) for rule in contributed),
    ]


def build_ident(networks: Networks, contributed: Sequence[Mapping[str, object]] = ()) -> list[IdentMap]:
    """Return the maps: the certificate of each member may replicate, then those of other roles.

    Args:
        networks: the networks and members of the inventory.
        contributed: mappings with comment, map, system_user and role.
    """
    own = [IdentMap(f"The certificate of {name}", REPLICATION_MAP, name, REPLICATOR) for name in _replicas(networks)]
    others = [
        IdentMap(str(line["comment"]), str(line["map"]), str(line["system_user"]), str(line["role"]))
        for line in contributed
    ]
    return own + others


def rule_from(data: Mapping[str, object]) -> Rule:
    """Return the rule that a mapping describes which _hba_check found no mistake in."""
    options = data.get("options") or {}
    assert isinstance(options, Mapping)
    return Rule(
        comment=str(data["comment"]).strip(),
        databases=_texts(data["databases"]),
        users=_texts(data["users"]),
        method=str(data["method"]),
        type=str(data.get("type", "hostssl")),
        addresses=tuple(host_network(address) for address in _texts(data.get("addresses", ()))),
        options=tuple(sorted((str(name), str(value)) for name, value in options.items())),
    )


def render(rules: Iterable[Rule]) -> str:
    """Return the rules as text, one comment before the lines of each rule and the columns aligned."""
    blocks = [(rule.comment, _lines(rule)) for rule in rules]
    titles = ["# TYPE", "DATABASE", "USER", "ADDRESS", "METHOD", "OPTIONS"]
    end = "# Everything else is refused, and so is every connection without TLS."
    return _table(titles, blocks, end)


def replicas(text: str) -> dict[str, str]:
    """Return the address of each member that a text which render returned lets replicate, by the member's name."""
    lines = text.splitlines()
    found = {}
    for comment, rule in itertools.pairwise(lines):
        cells = rule.split()
        if comment.startswith(f"# {_OF_REPLICA}") and cells[:3] == ["hostssl", "replication", REPLICATOR]:
            found[comment.removeprefix(f"# {_OF_REPLICA}")] = _of_one_host(cells[3])
    return found


def _of_one_host(network: str) -> str:
    """Return the address of a network of one host; the name of a host stays as it is."""
    try:
        return str(ipaddress.ip_network(network).network_address)
    except ValueError:
        return network


def render_ident(maps: Iterable[IdentMap]) -> str:
    """Return the maps as text, likewise."""
    blocks = [(line.comment, [[_quoted(line.map), _quoted(line.system_user), _exact(line.role)]]) for line in maps]
    return _table(["# MAP", "SYSTEM-USER", "ROLE"], blocks, "")


def _replicas(networks: Networks) -> list[str]:
    """Return the names of the members that replicate; a single server has no standby."""
    return sorted(networks.members) if len(networks.members) > 1 else []


def _replication(networks: Networks) -> list[Rule]:
    """Let each member's certificate replicate; every member, because any of them may be the primary one day."""
    return [
        Rule(
            f"{_OF_REPLICA}{name}",
            ("replication",),
            (REPLICATOR,),
            "cert",
            addresses=(host_network(networks.members[name]),),
            options=(("map", REPLICATION_MAP),),
        )
        for name in _replicas(networks)
        if networks.members[name]
    ]


def _administration(administrators: Sequence[Mapping[str, object]], management: Sequence[str]) -> list[Rule]:
    """Let each administrator in from the management networks."""
    addresses = tuple(host_network(address) for address in management)
    return [
        Rule(
            str(person.get("comment") or "").strip() or f"Administrator {person['name']}",
            ("all",),
            (literal(str(person["name"])),),
            "scram-sha-256",
            addresses=addresses,
        )
        for person in administrators
        if addresses
    ]


def _texts(values: object) -> tuple[str, ...]:
    assert isinstance(values, Sequence)
    return tuple(str(value) for value in values)


def _lines(rule: Rule) -> list[list[str]]:
    """Return the cells of each line of a rule."""
    databases = ",".join(_token(name, _DATABASE_KEYWORDS) for name in rule.databases)
    users = ",".join(_token(name, _USER_KEYWORDS) for name in rule.users)
    options = " ".join(_quoted(f"{name}={value}", re.compile(r"[\w=.-]+")) for name, value in rule.options)
    addresses = rule.addresses if rule.type != "local" else ("",)
    return [[rule.type, databases, users, address, rule.method, options] for address in addresses]


def _token(name: str, keywords: frozenset[str]) -> str:
    """Write a database or a user of a rule."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        return _escaped(name[1:-1])
    if name in keywords:
        return name
    if name.startswith("/"):
        return _quoted(name, _PLAIN_EXPRESSION)
    if name.startswith("+"):
        # The sign stays outside the quotes: inside it would be a part of the name.
        return "+" + _quoted(name[1:])
    return _exact(name)


def _exact(name: str) -> str:
    """Write a name that must not be read as a keyword."""
    return _escaped(name) if name in _RESERVED else _quoted(name)


def _quoted(text: str, plain: re.Pattern[str] = _PLAIN) -> str:
    """Write a text with quotes where it needs them."""
    return text if plain.fullmatch(text) else _escaped(text)


def _escaped(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _table(titles: list[str], blocks: list[tuple[str, list[list[str]]]], end: str) -> str:
    """Write the titles and the blocks of lines with aligned columns."""
    rows = [titles, *(line for _, lines in blocks for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    text = [_aligned(titles, widths)]
    for comment, lines in blocks:
        text += ["", f"# {_one_line(comment)}", *(_aligned(line, widths) for line in lines)]
    if end:
        text += ["", end]
    return "\n".join(text) + "\n"


def _one_line(comment: str) -> str:
    """Keep a comment from becoming a rule, and from swallowing the rule behind it."""
    return " ".join(comment.split()).rstrip("\\ ")


def _aligned(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
