# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control lists as PostgreSQL writes them, and statements that hold many rights."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _grants


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], {}),
        (["crm_rw=arwd/crm_owner"], {"crm_rw": {"INSERT", "SELECT", "UPDATE", "DELETE"}}),
        (["=Tc/postgres"], {"": {"TEMPORARY", "CONNECT"}}),
        (["o=a*r*/o", "o=w/postgres"], {"o": {"INSERT", "SELECT", "UPDATE"}}),
        (['"a=b""c"=U/"x y"'], {'a=b"c': {"USAGE"}}),
        (["x=/o"], {"x": set()}),
        (["x=rm/o"], {"x": {"SELECT", "MAINTAIN"}}),
    ],
)
def test_a_list_is_read(items: list[str], expected: dict[str, set[str]]) -> None:
    assert _grants.parse(items) == expected


def test_rights_on_many_objects_are_one_statement() -> None:
    batch = _grants.Batch()
    for name in ("a", "b"):
        batch.add("TABLE", name, {"rw": frozenset({"SELECT", "INSERT"}), "ro": frozenset({"SELECT"})})
    batch.add("TABLE", "c", {"rw": frozenset({"INSERT", "SELECT"})})
    batch.add("SEQUENCE", "c", {"": frozenset({"USAGE"})})
    assert list(batch.statements()) == [
        'GRANT SELECT, INSERT ON TABLE a, b, c TO "rw"',
        'GRANT SELECT ON TABLE a, b TO "ro"',
        "GRANT USAGE ON SEQUENCE c TO PUBLIC",
    ]
    assert next(batch.statements("REVOKE")) == 'REVOKE SELECT, INSERT ON TABLE a, b, c FROM "rw"'
    assert len(batch) == 6


def test_a_statement_has_a_limit() -> None:
    batch = _grants.Batch()
    for number in range(1001):
        batch.add("TABLE", f"t{number}", {"rw": frozenset({"SELECT"})})
    assert [text.count("t") for text in batch.statements()] == [500, 500, 1]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], []),
        ([("g", "a"), ("g", "b")], ['GRANT "g" TO "a", "b"']),
        ([("g", "a"), ("h", "a")], ['GRANT "g", "h" TO "a"']),
        (
            [("g", "a"), ("h", "a"), ("g", "b"), ("h", "b"), ("g", "c")],
            ['GRANT "g", "h" TO "a", "b"', 'GRANT "g" TO "c"'],
        ),
        ([("g", "a"), ("g", "b"), ("h", "a")], ['GRANT "g", "h" TO "a"', 'GRANT "g" TO "b"']),
    ],
)
def test_memberships(pairs: list[tuple[str, str]], expected: list[str]) -> None:
    assert _grants.memberships(pairs) == [f"{text} WITH INHERIT TRUE, SET TRUE" for text in expected]


def test_who_may_hand_on() -> None:
    items = ["crm_rw=ar*w/crm_owner", "crm_ro=r/crm_owner", '"a*b"=r/crm_owner', "=c*/crm_owner"]
    assert _grants.grantors(items) == {"crm_rw", ""}


def test_names_are_quoted() -> None:
    assert _grants.memberships([('g"x', "a")], "REVOKE") == ['REVOKE "g""x" FROM "a"']
