# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values against the argument specs of roles: converted, or refused by an exact message."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils import _arguments
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from preflight_members import ROLES, defaults

SECRET = "correct horse battery"


TEXT = {"type": "str"}


NESTED = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "limit": {"type": "int", "default": 5},
        "kind": {"type": "str", "choices": ["a", "b"], "default": "a"},
    },
}


@pytest.mark.parametrize(
    ("spec", "value", "clean", "expected"),
    [
        (TEXT, "x", "x", []),
        (TEXT, 16, "16", []),
        (TEXT, "", "", []),
        (TEXT, None, None, ["v: has no value; write a text, or remove the line"]),
        (TEXT, True, None, ["v: is true or false, not a text; write it in quotes"]),
        (TEXT, 1.5, None, ["v: is a number, not a text; write it in quotes"]),
        (TEXT, ["x"], None, ["v: is a list; write a text"]),
        (TEXT, {"x": 1}, None, ["v: is a dictionary; write a text"]),
        ({"type": "str", "choices": ["", "a"]}, "b", None, ['v: "b" is unknown; write one of "", a']),
        ({"type": "str", "choices": ["16", "17"]}, 17, "17", []),
        ({"type": "str", "choices": ["16", "17"]}, 18, None, ["v: 18 is unknown; write one of 16, 17"]),
        (
            {"type": "str", "no_log": True, "choices": ["a"]},
            SECRET,
            None,
            ["v: has a value that is unknown; write one of a"],
        ),
        ({"type": "int"}, "5433", 5433, []),
        ({"type": "int"}, 7, 7, []),
        ({"type": "int"}, "many", None, ['v: "many" is not a whole number; write a whole number']),
        ({"type": "int"}, True, None, ["v: is true or false; write a whole number"]),
        ({"type": "int"}, 1.5, None, ["v: 1.5 is not a whole number; write a whole number"]),
        ({"type": "int"}, [], None, ["v: is a list; write a whole number"]),
        (
            {"type": "int", "no_log": True},
            SECRET,
            None,
            ["v: has a value that is not a whole number; write a whole number"],
        ),
        ({"type": "bool"}, "yes", True, []),
        ({"type": "bool"}, "false", False, []),
        ({"type": "bool"}, "maybe", None, ['v: "maybe" is not true or false; write true or false']),
        ({"type": "bool"}, [], None, ["v: is a list; write true or false"]),
        ({"type": "list", "elements": "str"}, ["a", 1], ["a", "1"], []),
        ({"type": "list", "elements": "str"}, "a,b", None, ["v: is a text, not a list; write [a,b]"]),
        ({"type": "list", "elements": "str"}, {"a": 1}, None, ["v: is a dictionary; write a list"]),
        (
            {"type": "list", "elements": "str"},
            ["a", None],
            ["a", None],
            ["v[1]: has no value; write a text, or remove the line"],
        ),
        ({"type": "list", "elements": "str", "no_log": True}, SECRET, None, ["v: is a text; write a list"]),
        ({"type": "list"}, ["a", 1], ["a", 1], []),
        ({"type": "dict"}, {"a": [1]}, {"a": [1]}, []),
        ({"type": "dict"}, "a=1", None, ["v: is a text; write a dictionary"]),
        ({"type": "dict"}, [], None, ["v: is a list; write a dictionary"]),
        (NESTED, [], [], []),
        (
            NESTED,
            [{"name": "n", "password": "p"}],
            [{"name": "n", "password": "p", "limit": 5, "kind": "a"}],
            [],
        ),
        (NESTED, "n", None, ["v: is a text; write a list"]),
        (NESTED, ["n"], [None], ["v[0]: is a text; write a dictionary"]),
        (
            NESTED,
            [{"name": "n", "pasword": SECRET, "limit": "x", "colour": 1, "kind": "c"}],
            [{"name": "n", "limit": None, "kind": None}],
            [
                "v[0].colour: is no key here; the keys are name, password, limit, kind",
                "v[0].pasword: is no key here; write password",
                "v[0].password: is missing; write a text",
                'v[0].limit: "x" is not a whole number; write a whole number',
                'v[0].kind: "c" is unknown; write one of a, b',
            ],
        ),
        (
            NESTED,
            [{"name": "n", "password": [SECRET]}],
            [{"name": "n", "password": None, "limit": 5, "kind": "a"}],
            ["v[0].password: is a list; write a text"],
        ),
    ],
)
def test_arguments(spec: dict[str, Any], value: Any, clean: Any, expected: list[str]) -> None:
    found, mistakes = _arguments.check("v", spec, value)
    assert [f"{mistake.variable}: {mistake.text}" for mistake in mistakes] == expected
    assert found == clean
    assert SECRET not in str(mistakes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postgresql_prot", "write postgresql_port"),
        ("postgresql_regoin", "write postgresql_region"),
        ("postgresql_memory", "write postgresql_server_memory"),
        ("postgresql_server_port", "write postgresql_port"),
        ("postgresql_serverlocale", "write postgresql_server_locale"),
        ("postgresql_x", "remove it or give it another name"),
        ("postgresql_directory", "remove it or give it another name"),
        ("postgresql_pools", "remove it or give it another name"),
    ],
)
def test_unknown_names(name: str, expected: str) -> None:
    known = ["postgresql_port", "postgresql_hosts", *defaults()]
    found = _arguments.unknown(["postgresql_port", name], known, "postgresql_")
    assert found == [Mistake(name, f"is no variable of this collection; {expected}")]


@pytest.mark.parametrize(
    ("spec", "secret"),
    [(TEXT, False), ({"no_log": True}, True), (NESTED, True), ({"type": "dict", "options": {"a": TEXT}}, False)],
)
def test_secrets(spec: dict[str, Any], secret: bool) -> None:
    assert _arguments.is_secret(spec) is secret


def test_long_values_are_cut() -> None:
    assert _arguments.shown("x" * 100) == '"' + "x" * 56 + "..."
    assert len(_arguments.shown("x" * 58)) == 60


def test_an_unknown_version() -> None:
    path = ROLES / "cluster" / "meta" / "argument_specs.yml"
    spec = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]["postgresql_version"]
    mistake = Mistake("postgresql_version", '"15" is unknown; write one of 16, 17')
    assert _arguments.check("postgresql_version", spec, "15") == (None, [mistake])
