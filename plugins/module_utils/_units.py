# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers with units, read and written the way PostgreSQL reads them.

The rules are those of PostgreSQL's configuration parser (documentation, "Parameter Names and Values"): units are
case sensitive, 1kB is 1024 bytes, a fraction is rounded to the next smaller unit, and a bare number counts in
the parameter's own unit.
"""

from __future__ import annotations

import math
import re

KB = 1024
MB = 1024 * KB
GB = 1024 * MB
TB = 1024 * GB

# Largest first: rounding a fraction looks at the next smaller one.
_SIZES: dict[str, float] = {"TB": TB, "GB": GB, "MB": MB, "kB": KB, "B": 1}
_TIMES: dict[str, float] = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1, "us": 1 / 1000}
_INT_MAX = 2**31 - 1
_SMALLEST_NORMAL = 2.2250738585072014e-308

_SPACE = " \t\n\v\f\r"
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_REAL = re.compile(
    r"[+-]?(?:0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?"
    r"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)",
    re.IGNORECASE,
)


class NumberError(ValueError):
    """A text that PostgreSQL would not take as a number; its only argument says why."""


class UnitError(NumberError):
    """The number is fine, its unit is not."""


class RangeError(NumberError):
    """The number does not fit what PostgreSQL stores."""


def is_size(unit: str | None) -> bool:
    """Whether a parameter's unit is one of memory (B, kB, 8kB, MB, ...)."""
    return unit is not None and unit.endswith("B")


def is_time(unit: str | None) -> bool:
    """Whether a parameter's unit is one of time (ms, s, min)."""
    return unit in _TIMES


def units_of(unit: str | None) -> list[str]:
    """The units that a parameter with this unit takes, smallest first."""
    return list(reversed(_table(unit)[0])) if unit else []


def parse_real(text: str, unit: str | None = None) -> float:
    """Return a number in a parameter's unit.

    Args:
        text: What stands in the configuration, such as `64MB` or `0.2`.
        unit: The unit of the parameter in `pg_settings`; None when it has none.

    Raises:
        NumberError: PostgreSQL would not accept the text.
    """
    number, rest = _real(text)
    return _converted(number, rest, unit)


def parse_integer(text: str, unit: str | None = None) -> int:
    """Return a whole number in a parameter's unit, rounded half to even as PostgreSQL does.

    Raises:
        NumberError: PostgreSQL would not accept the text.
    """
    stripped = text.lstrip(_SPACE)
    match = _INTEGER.match(stripped)
    rest = stripped[match.end() :] if match else stripped
    if match and abs(_c_integer(match[0])) < 2**63 and rest[:1] not in {".", "e", "E"}:
        number = float(_c_integer(match[0]))
    elif match or rest[:1] in {".", "e", "E"}:
        number, rest = _real(text)
    else:
        raise NumberError("is no number")
    value = _converted(number, rest, unit)
    if math.isinf(value) or not -_INT_MAX - 1 <= round(value) <= _INT_MAX:
        raise RangeError("is out of range")
    return round(value)


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as `2GB`; here a unit is required.

    Raises:
        NumberError: It is no size.
    """
    number, rest = _real(text)
    if not rest.strip(_SPACE):
        raise UnitError("has no unit")
    return round(_converted(number, rest, "B"))


def quantity(value: float, unit: str | None) -> str:
    """Write a value of a parameter's unit in the largest unit that divides it, such as `4GB` for 524288 of 8kB."""
    if unit is None or value < 0 or value == 0:
        return _plain(value)
    table, base = _table(unit)
    for name, factor in table.items():
        count = value * base / factor
        if count >= 1 and count == int(count):
            return f"{int(count)}{name}"
    return _plain(value) + (unit if unit in table else "")


def human(value: float, unit: str | None) -> str:
    """Like `quantity`, with a readable figure beside it when the exact one is long."""
    exact = quantity(value, unit)
    if unit is None or len(exact) < 9:
        return exact
    table, base = _table(unit)
    name, factor = next((n, f) for n, f in table.items() if value * base / f >= 0.999)
    return f"{exact} (about {_plain(round(value * base / factor, 1))}{name})"


def size(amount: int) -> str:
    """Write a number of bytes in the largest unit that divides it."""
    return quantity(amount, "B")


def _table(unit: str | None) -> tuple[dict[str, float], float]:
    """The table of units that go with one, and how much of the table's base one of it is."""
    if is_time(unit):
        return _TIMES, _TIMES[str(unit)]
    match = re.fullmatch(r"([0-9]*)(B|kB|MB|GB|TB)", unit or "")
    if not match:
        raise UnitError(f"has the unknown unit {unit}")
    return _SIZES, int(match[1] or 1) * _SIZES[match[2]]


def _converted(number: float, rest: str, unit: str | None) -> float:
    """Apply the unit that follows a number."""
    given = rest.strip(_SPACE)
    if not given:
        return number
    if unit is None:
        raise (
            UnitError("has a unit where none belongs")
            if re.fullmatch(r"[A-Za-z]+", given)
            else NumberError("is no number")
        )
    table, base = _table(unit)
    if given not in table:
        raise UnitError("has a wrong unit") if re.fullmatch(r"[A-Za-z]+", given) else NumberError("is no number")
    value = number * (table[given] / base)
    smaller = list(table.values())[list(table).index(given) + 1 :]
    if smaller and math.isfinite(value):
        step = smaller[0] / base
        value = round(value / step) * step
    return value


def _real(text: str) -> tuple[float, str]:
    """Split a text into the number it begins with and what follows."""
    stripped = text.lstrip(_SPACE)
    match = _REAL.match(stripped)
    if not match:
        raise NumberError("is no number")
    digits = match[0]
    value = _c_real(digits)
    overflow = math.isinf(value) and "inf" not in digits.lower()
    underflow = abs(value) < _SMALLEST_NORMAL and re.search(r"[1-9a-f]", re.split("[eEpP]", digits)[0]) is not None
    if overflow or (underflow and "x" not in digits.lower()):
        raise RangeError("is out of range")
    return value, stripped[match.end() :]


def _c_real(digits: str) -> float:
    if "x" not in digits.lower():
        return float(digits)
    try:
        return float.fromhex(digits)
    except OverflowError:
        return math.inf


def _c_integer(digits: str) -> int:
    """Read an integer as C does: 0x is hexadecimal, a leading 0 octal."""
    sign = -1 if digits.startswith("-") else 1
    bare = digits.lstrip("+-")
    if bare[:2].lower() == "0x":
        return sign * int(bare, 16)
    return sign * int(bare, 8 if bare.startswith("0") else 10)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
