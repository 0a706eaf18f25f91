# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of PostgreSQL's parameters: is one allowed, how is it written, are two the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules as rules
from ansible_collections.steadfast.postgresql.plugins.module_utils import _units as units
from ansible_collections.steadfast.postgresql.plugins.module_utils._catalogue import Parameter, canonical, catalogue

_BARE = re.compile(r"-?[0-9]+[A-Za-z]*|-?[0-9]+\.[0-9]+|[A-Za-z_][A-Za-z0-9_-]*")
_PLAIN_ELEMENT = re.compile(r"[a-z_][a-z0-9_]*")
_ELEMENT = re.compile(r'\s*("(?:[^"]|"")*"|[^,]*?)\s*(?:,|$)')
_TIME_WORDS = {"d": "d", "h": "h", "m": "min", "s": "s", "ms": "ms", "us": "us"}


class ParameterError(ValueError):
    """A value that the server or this platform refuses: `what is wrong; write what instead`."""


def text(name: str, value: Any, version: str) -> str:
    """Return a value as text, unquoted, in one spelling: `on`, `64MB`, `replica`, `a, b`.

    Raises:
        ParameterError: The server would refuse the value.
    """
    parameter = catalogue(version).get(canonical(name, version))
    if isinstance(value, Mapping) or value is None:
        raise ParameterError("has no value; write one, or leave the parameter out")
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = _list_text(canonical(name, version), value)
    given = ("on" if value else "off") if isinstance(value, bool) else str(value)
    if any(ord(character) < 32 and character != "\t" for character in given):
        raise ParameterError("holds a line break or a control character; write it on one line")
    if parameter is None:
        return given
    return _CHECKS[parameter.vartype](parameter, value, given)


def quote(value: str) -> str:
    """Quote a text for postgresql.conf where it needs quotes."""
    if _BARE.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def render(name: str, value: Any, version: str) -> str:
    """Return a value as it stands in postgresql.conf.

    Raises:
        ParameterError: The server would refuse the value.
    """
    return quote(text(name, value, version))


def same_value(name: str, a: Any, b: Any, version: str) -> bool:
    """Whether two values of a parameter mean the same: `1GB` and `131072` of 8kB, `yes` and `on`.

    Either may be a value of the inventory, a line of postgresql.conf with its quotes, or what pg_settings shows.
    """
    known = canonical(name, version)
    left, right = (_comparable(known, _unquoted(value), version) for value in (a, b))
    automatic = rules.AUTOMATIC.get(known)
    return left == right or (automatic is not None and automatic in {left, right})


def one_of(values: Sequence[str]) -> str:
    """Advice to write one of some values."""
    shown = [value or '""' for value in values]
    return f"write {shown[0]}" if len(shown) == 1 else f"write one of {', '.join(shown)}"


def _boolean(word: str) -> bool | None:
    """Read a boolean as the server does: any unambiguous beginning of a word."""
    lowered = word.lower()
    if lowered in {"1", "0"}:
        return lowered == "1"
    for full, value in (("true", True), ("false", False), ("yes", True), ("no", False)):
        if lowered and full.startswith(lowered):
            return value
    return {"on": True, "of": False, "off": False}.get(lowered)


def _check_bool(_parameter: Parameter, value: Any, given: str) -> str:
    boolean = _boolean(given)
    if boolean is None:
        raise ParameterError(f"{_shown(value)} is neither on nor off; write on or off")
    return "on" if boolean else "off"


def _check_enum(parameter: Parameter, value: Any, given: str) -> str:
    lowered = given.lower()
    for known in parameter.values:
        if known.lower() == lowered:
            return known
    hidden = rules.ALIASES.get(parameter.name, {})
    word = "debug2" if lowered == "debug" else rules.BOOLEAN_WORDS.get(lowered, "")
    if lowered in hidden:
        return hidden[lowered]
    if word and word in parameter.values:
        return word
    raise ParameterError(f"{_shown(value)} is not one of its values; {one_of(parameter.values)}")


def _check_number(parameter: Parameter, value: Any, given: str) -> str:
    if isinstance(value, bool):
        raise ParameterError(f"{_shown(value)} is no number; {_range(parameter)}")
    try:
        number = _number(parameter, given)
    except units.UnitError as error:
        raise ParameterError(f"{_shown(value)} {_unit_problem(parameter, given, error)}") from error
    except units.NumberError as error:
        raise ParameterError(f"{_shown(value)} {error}; {_range(parameter)}") from error
    if not parameter.minimum <= number <= parameter.maximum:
        raise ParameterError(
            f"{_shown(value)} {_counted(parameter, given, number)}is out of range; {_range(parameter)}"
        )
    first, last, write = rules.HOLES.get(parameter.name, (1, 0, ""))
    if first <= number <= last:
        raise ParameterError(f"{_shown(value)} is too small; write {write}")
    step = rules.MULTIPLES.get(parameter.name, 1)
    if step > 1 and number % step:
        multiple = units.quantity(step, parameter.unit)
        raise ParameterError(f"{_shown(value)} is no multiple of {multiple}; write a multiple of {multiple}")
    return re.sub(r"\s", "", given)


def _check_string(parameter: Parameter, value: Any, given: str) -> str:
    if isinstance(value, bool):
        raise ParameterError(f"{_shown(value)} is no text; write the text in quotes")
    allowed = rules.KEYWORDS.get(parameter.name)
    for element in _elements(given) if allowed else []:
        if element.lower() not in (allowed or ()):
            raise ParameterError(f"{_shown(element)} is not one of its values; {one_of(allowed or ())}")
    return given


_CHECKS = {
    "bool": _check_bool,
    "enum": _check_enum,
    "integer": _check_number,
    "real": _check_number,
    "string": _check_string,
}


def _list_text(name: str, value: Sequence[Any]) -> str:
    if name not in rules.LISTS:
        raise ParameterError("is a list where one value belongs; write one value")
    if any(not isinstance(element, str) or not element.isprintable() for element in value):
        raise ParameterError("holds something that is no text; write texts in quotes")
    if name in rules.KEYWORDS or name == "DateStyle":
        return ", ".join(value)
    return ", ".join(e if _PLAIN_ELEMENT.fullmatch(e) else '"' + e.replace('"', '""') + '"' for e in value)


def _number(parameter: Parameter, given: str) -> float:
    if parameter.vartype == "integer":
        return units.parse_integer(given, parameter.unit)
    return units.parse_real(given, parameter.unit)


def _range(parameter: Parameter) -> str:
    """Advice with the range in units that a person reads."""
    if parameter.unit is None:
        kind = "a whole number" if parameter.vartype == "integer" else "a number"
    else:
        kind = "a size" if units.is_size(parameter.unit) else "a time"
    low = units.quantity(parameter.minimum, parameter.unit)
    if parameter.maximum > 1e300:
        return f"write {kind} of {low} or more"
    return f"write {kind} from {low} to {units.human(parameter.maximum, parameter.unit)}"


def _counted(parameter: Parameter, given: str, number: float) -> str:
    """Remind that a bare number counts in the parameter's unit."""
    bare = parameter.unit is not None and not given.strip()[-1:].isalpha()
    return f"counts as {units.quantity(number, parameter.unit)} and " if bare and number > 0 else ""


def _unit_problem(parameter: Parameter, given: str, error: units.UnitError) -> str:
    """Say what is wrong with a unit, with the very text to write where it can be guessed."""
    match = re.fullmatch(r"\s*(.*?)\s*([A-Za-z]+)\s*", given)
    if parameter.unit is None or match is None:
        return f"{error}; {_range(parameter)}"
    wrong = match[2].lower()
    size = units.is_size(parameter.unit)
    if (wrong in _TIME_WORDS or wrong == "min") if size and match[2] not in {"m", "M"} else wrong.endswith("b"):
        kinds = ("time", "size") if size else ("size", "time")
        problem = f"has a unit of {kinds[0]}, and this is a {kinds[1]}"
    else:
        problem = f"has the unknown unit {match[2]}"
    guess = _guessed_size(wrong) if size else _guessed_time(wrong)
    if guess and problem.startswith("has the unknown"):
        return f"{problem}; write {match[1]}{guess}"
    return f"{problem}; write a {'size' if size else 'time'} with one of {', '.join(units.units_of(parameter.unit))}"


def _guessed_size(wrong: str) -> str:
    match = re.fullmatch(r"([kmgt])(i?b)?", wrong)
    return {"k": "kB", "m": "MB", "g": "GB", "t": "TB"}[match[1]] if match else ""


def _guessed_time(wrong: str) -> str:
    match = re.fullmatch(r"(d)(ays?)?|(h)(r|rs|ours?)?|(m)(ins?|inutes?)?|(s)(ecs?|econds?)?|(ms)(ecs?)?|(us)", wrong)
    return next((_TIME_WORDS[group] for group in match.groups() if group in _TIME_WORDS), "") if match else ""


def _unquoted(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 1 and value.startswith("'") and value.endswith("'"):
        return value[1:-1].replace("''", "'").replace("\\\\", "\\")
    return value


def _comparable(known: str, value: Any, version: str) -> object:
    parameter = catalogue(version).get(known)
    try:
        given = text(known, value, version)
    except ParameterError:
        given = str(value)
    if parameter is None:
        return given
    if parameter.vartype in {"integer", "real"}:
        try:
            return f"{_number(parameter, given):.6g}" if parameter.vartype == "real" else _number(parameter, given)
        except units.NumberError:
            return given
    if parameter.vartype == "enum":
        return rules.ALIASES.get(known, {}).get(given, given)
    folded = given.lower() if known in rules.CASELESS else given
    return _elements(folded) if known in rules.LISTS else folded


def _elements(given: str) -> list[str]:
    """Split a list as it stands in the configuration."""
    found = [match[1] for match in _ELEMENT.finditer(given)]
    return [e[1:-1].replace('""', '"') if e.startswith('"') else e for e in found if e]


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
