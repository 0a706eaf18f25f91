# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check values against the argument specs of roles, and word what is wrong for the person who wrote the inventory.

The conversions are Ansible's own, with one difference: where a role would misread a value that Ansible converts (a
text for a list is split at its commas, but a role that loops over it sees letters), the value is refused.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

Spec = Mapping[str, Any]

_WANTED = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a dictionary",
}
_EXACT: dict[str, type] = {"str": str, "int": int, "bool": bool}
_SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True, order=True)
class Mistake:
    """Something that is wrong in a variable.

    Attributes:
        variable: the variable, with the path to the part that is wrong.
        text: what is wrong and what to write instead.
    """

    variable: str
    text: str


def check(name: str, spec: Spec, value: Any) -> tuple[Any, list[Mistake]]:
    """Return the converted value and what is wrong with it.

    Args:
        name: the variable, or the path to a part of it.
        spec: its entry in an argument spec.
        value: its value, without templates.
    """
    wanted = str(spec.get("type", "str"))
    refusal = _refusal(spec, wanted, value)
    if refusal:
        return None, [Mistake(name, refusal)]
    if wanted == "list":
        return _check_list(name, spec, value)
    if wanted == "dict":
        return _check_dict(name, spec.get("options"), value)
    return _check_scalar(name, spec, wanted, value)


def is_secret(spec: Spec) -> bool:
    """Whether a variable holds something that is never shown, itself or in a part of it."""
    return bool(spec.get("no_log")) or any(is_secret(option) for option in (spec.get("options") or {}).values())


def unknown(names: Collection[str], known: Collection[str], prefix: str = "") -> list[Mistake]:
    """Return the names that are no variables, each with the variable that may be meant.

    Args:
        names: names that somebody gave.
        known: names of variables.
        prefix: what all of them begin with; it says nothing about how alike two names are.
    """
    found = []
    for name in sorted(set(names) - set(known)):
        near = _near(name.removeprefix(prefix), sorted(other.removeprefix(prefix) for other in known))
        advice = f"write {prefix}{near}" if near else "remove it or give it another name"
        found.append(Mistake(name, f"is no variable of this collection; {advice}"))
    return found


def _near(name: str, known: Sequence[str]) -> str:
    """Return the name that may be meant: what this ends like, one spelt alike, or the only one that ends like this."""
    shorter = [other for other in known if name.endswith(f"_{other}")]
    alike = difflib.get_close_matches(name, known, 1, 0.75)
    longer = [other for other in known if other.endswith(f"_{name}")]
    near = shorter or alike or (longer if len(longer) == 1 else [])
    return near[0] if near else ""


def listed(words: Iterable[object]) -> str:
    """Return words as a message lists them."""
    return ", ".join(str(word) or '""' for word in words)


def shown(value: object) -> str:
    """Return a value as a message repeats it, cut when it is long."""
    text = whole(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def whole(value: object) -> str:
    """Return a value as one line of text; different values have different texts."""
    return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)


def _refusal(spec: Spec, wanted: str, value: Any) -> str:
    """Return why a value cannot be converted whatever it says, or nothing."""
    if value is None:
        return f"has no value; write {_WANTED[wanted]}, or remove the line"
    fits = {
        "list": isinstance(value, Sequence) and not isinstance(value, str | bytes),
        "dict": isinstance(value, Mapping),
        "str": isinstance(value, str | int) and not isinstance(value, bool),
        "bool": isinstance(value, str | bool | int),
    }.get(wanted, isinstance(value, str | int | float) and not isinstance(value, bool))
    if fits:
        return ""
    plain = isinstance(value, str | int | float) and not spec.get("no_log")
    if wanted == "list" and plain and spec.get("elements", "str") != "dict":
        return f"is {_kind(value)}, not a list; write [{str(value)[:_SHOWN]}]"
    if wanted == "str" and isinstance(value, bool | float):
        return f"is {_kind(value)}, not a text; write it in quotes"
    return f"is {_kind(value)}; write {_WANTED[wanted]}"


def _kind(value: object) -> str:
    kinds = [
        (bool, "true or false"),
        (str, "a text"),
        (int, "a whole number"),
        (float, "a number"),
        (Mapping, "a dictionary"),
    ]
    return next((words for kind, words in kinds if isinstance(value, kind)), "a list")


def _check_scalar(name: str, spec: Spec, wanted: str, value: Any) -> tuple[Any, list[Mistake]]:
    # Nothing to convert, as of most values; building a validator for each of thousands takes seconds.
    if (
        isinstance(value, _EXACT.get(wanted, ()))
        and "choices" not in spec
        and isinstance(value, bool) == (wanted == "bool")
    ):
        return value, []
    flat = {key: spec[key] for key in ("type", "choices") if key in spec}
    result = ArgumentSpecValidator({name: flat}).validate({name: value})
    if not result.error_messages:
        return result.validated_parameters[name], []
    is_what = "has a value that" if spec.get("no_log") else shown(value)
    if "choices" in spec:
        return None, [Mistake(name, f"{is_what} is unknown; write one of {listed(spec['choices'])}")]
    return None, [Mistake(name, f"{is_what} is not {_WANTED[wanted]}; write {_WANTED[wanted]}")]


def _check_list(name: str, spec: Spec, value: Sequence[Any]) -> tuple[Any, list[Mistake]]:
    if "elements" not in spec:
        return list(value), []
    element = {key: spec[key] for key in ("options", "choices", "no_log") if key in spec} | {"type": spec["elements"]}
    checked = [check(f"{name}[{index}]", element, item) for index, item in enumerate(value)]
    return [clean for clean, _ in checked], [mistake for _, found in checked for mistake in found]


def _check_dict(name: str, options: Mapping[str, Spec] | None, value: Mapping[Any, Any]) -> tuple[Any, list[Mistake]]:
    """Check the keys and values of a dictionary; without options every key is allowed."""
    if options is None:
        return dict(value), []
    found = []
    for key in sorted(str(key) for key in value if key not in options):
        near = difflib.get_close_matches(key, sorted(options), 1, 0.7)
        advice = f"write {near[0]}" if near else f"the keys are {listed(options)}"
        found.append(Mistake(f"{name}.{key}", f"is no key here; {advice}"))
    clean = {}
    for key, spec in options.items():
        if key in value:
            clean[key], more = check(f"{name}.{key}", spec, value[key])
            found += more
        elif spec.get("required"):
            found.append(Mistake(f"{name}.{key}", f"is missing; write {_WANTED[str(spec.get('type', 'str'))]}"))
        else:
            clean[key] = spec.get("default")
    return clean, found
