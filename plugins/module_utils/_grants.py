# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights as PostgreSQL keeps them, and the fewest statements that change them. Pure.

A statement that names many roles and many objects costs little more than one that names one of each; thousands of
statements cost seconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier

EVERYBODY = ""
"""The grantee PUBLIC."""

MOST_NAMES = 500
"""Names that one statement holds at most, on each of its two sides."""

# PostgreSQL's documentation, "Privileges", table "ACL Privilege Abbreviations".
LETTERS = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
}
ORDER = {name: position for position, name in enumerate(LETTERS.values())}
_ITEM = re.compile(r'(?:"((?:[^"]|"")*)"|([^="]*))=([A-Za-z*]*)/(?:"((?:[^"]|"")*)"|([^"]*))')

Rights = Mapping[str, frozenset[str]]
"""What each role may do with an object, by the role's name."""


def parse(items: Iterable[str]) -> dict[str, frozenset[str]]:
    """Read an access control list: items such as `crm_rw=arwd/crm_owner`."""
    return joined({role: rights} for role, rights, _, _ in _read(items))


def handed(items: Iterable[str], owner: str) -> tuple[dict[str, frozenset[str]], dict[str, Rights]]:
    """Read an access control list apart: what the owner of the object gave, and by grantor what others handed on."""
    given: list[Rights] = []
    others: dict[str, list[Rights]] = {}
    for role, rights, _, grantor in _read(items):
        (given if grantor == owner else others.setdefault(grantor, [])).append({role: rights})
    return joined(given), {grantor: joined(found) for grantor, found in others.items()}


def grantors(items: Iterable[str]) -> frozenset[str]:
    """Return who may hand on a right of an access control list."""
    return frozenset(role for role, _, hands_on, _ in _read(items) if hands_on)


def joined(every: Iterable[Rights]) -> dict[str, frozenset[str]]:
    """Return the rights of several lists together."""
    found: dict[str, frozenset[str]] = {}
    for one in every:
        for role, rights in one.items():
            found[role] = found.get(role, frozenset()) | rights
    return found


def _read(items: Iterable[str]) -> Iterator[tuple[str, frozenset[str], bool, str]]:
    """Yield of each item the role, its rights, whether it may hand one on (an asterisk follows it), and the grantor."""
    for item in items:
        match = _ITEM.match(item)
        assert match, item
        role, grantor = (
            quoted.replace('""', '"') if quoted is not None else plain
            for quoted, plain in ((match[1], match[2]), (match[4], match[5]))
        )
        yield role, frozenset(LETTERS[letter] for letter in match[3] if letter in LETTERS), "*" in match[3], grantor


def less(rights: Rights, others: Rights) -> dict[str, frozenset[str]]:
    """Return the rights that others lack, without the roles that lack none."""
    left = {role: allowed - others.get(role, frozenset()) for role, allowed in rights.items()}
    return {role: allowed for role, allowed in left.items() if allowed}


def only(rights: Rights, roles: Collection[str]) -> dict[str, frozenset[str]]:
    """Return the rights of some roles."""
    return {role: allowed for role, allowed in rights.items() if role in roles}


def privileges(rights: Iterable[str]) -> str:
    """Write rights as a statement names them."""
    return ", ".join(sorted(rights, key=lambda right: ORDER[right]))


def role(name: str) -> str:
    """Write a grantee."""
    return "PUBLIC" if name == EVERYBODY else identifier(name)


@dataclass
class Batch:
    """Rights to grant or to revoke, gathered until they are written as statements."""

    _found: dict[tuple[str, str, tuple[str, ...]], list[str]] = field(default_factory=dict)

    def add(self, kind: str, what: str, rights: Rights) -> None:
        """Add rights on one object.

        Args:
            kind: of the object, as the statement spells it.
            what: the object, quoted.
            rights: of the roles.
        """
        alike: dict[str, list[str]] = {}
        for name, allowed in rights.items():
            alike.setdefault(privileges(allowed), []).append(name)
        for words, names in alike.items():
            self._found.setdefault((kind, words, tuple(sorted(names))), []).append(what)

    def __len__(self) -> int:
        """Return how many rights there are, each once for each object and role."""
        return sum(len(objects) * len(names) for (_, _, names), objects in self._found.items())

    def statements(self, verb: str = "GRANT") -> Iterator[str]:
        """Yield the statements, with verb GRANT or REVOKE."""
        preposition = "TO" if verb == "GRANT" else "FROM"
        for (kind, words, names), objects in self._found.items():
            for some in _parts(objects):
                for roles in _parts(names):
                    listed = ", ".join(map(role, roles))
                    yield f"{verb} {words} ON {kind} {', '.join(some)} {preposition} {listed}"


def memberships(pairs: Iterable[tuple[str, str]], verb: str = "GRANT") -> list[str]:
    """Return statements that make members of group roles, or end that.

    Args:
        pairs: group role and member.
        verb: GRANT, REVOKE or REVOKE ADMIN OPTION FOR.
    """
    by_group: dict[str, list[str]] = {}
    by_member: dict[str, list[str]] = {}
    for group, member in pairs:
        by_group.setdefault(group, []).append(member)
        by_member.setdefault(member, []).append(group)
    one = {tuple(groups): [] for groups in by_member.values()}  # type: dict[tuple[str, ...], list[str]]
    other = {tuple(members): [] for members in by_group.values()}  # type: dict[tuple[str, ...], list[str]]
    for member, groups in by_member.items():
        one[tuple(groups)].append(member)
    for group, members in by_group.items():
        other[tuple(members)].append(group)
    sides = list(one.items()) if len(one) <= len(other) else [(tuple(g), list(m)) for m, g in other.items()]
    preposition = "TO" if verb == "GRANT" else "FROM"
    # Without the options a membership that is there already stays as it is, also one that gives no rights.
    options = " WITH INHERIT TRUE, SET TRUE" if verb == "GRANT" else ""
    return [
        f"{verb} {', '.join(map(identifier, some))} {preposition} {', '.join(map(identifier, members))}{options}"
        for groups, every in sides
        for some in _parts(groups)
        for members in _parts(every)
    ]


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), MOST_NAMES):
        yield names[start : start + MOST_NAMES]
