# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables over `_units`; the expectations are what PostgreSQL 16.14 made of the same texts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _units as units
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("64MB", "kB", 65536),
        ("64 MB", "kB", 65536),
        (" 64MB ", "kB", 65536),
        ("\t64\nMB\f", "kB", 65536),
        ("0.3GB", "kB", 314368),
        (".5MB", "kB", 512),
        ("1e3", "kB", 1000),
        ("0x40MB", "kB", 65536),
        ("0x1.8", "kB", 2),
        ("010", None, 8),
        ("0700", None, 448),
        ("+5", None, 5),
        ("-1", "kB", -1),
        ("5433.5", None, 5434),
        ("5432.5", None, 5432),
        ("1GB", "8kB", 131072),
        ("131072", "8kB", 131072),
        ("1TB", "MB", 1048576),
        ("2kB", "B", 2048),
        ("90s", "min", 2),
        ("29999ms", "s", 30),
        ("29499ms", "s", 29),
        ("0.5min", "s", 30),
        ("1d", "min", 1440),
        ("2147483647", None, 2147483647),
    ],
)
def test_integer(text: str, unit: str | None, expected: int) -> None:
    assert units.parse_integer(text, unit) == expected


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("2us", "ms", 0.002),
        ("3", "ms", 3),
        ("1s", "ms", 1000),
        ("1e-3", None, 0.001),
        ("0x1p3", None, 8),
        (".5", None, 0.5),
    ],
)
def test_real(text: str, unit: str | None, expected: float) -> None:
    assert units.parse_real(text, unit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "unit", "error", "reason"),
    [
        ("", None, units.NumberError, "is no number"),
        ("ten", None, units.NumberError, "is no number"),
        ("nan", None, units.NumberError, "is no number"),
        ("e5", None, units.NumberError, "is no number"),
        (".", None, units.NumberError, "is no number"),
        ("08", None, units.NumberError, "is no number"),
        ("5,5", None, units.NumberError, "is no number"),
        ("64MB x", "kB", units.NumberError, "is no number"),
        ("64mb", "kB", units.UnitError, "has a wrong unit"),
        ("64s", "kB", units.UnitError, "has a wrong unit"),
        ("5m", "s", units.UnitError, "has a wrong unit"),
        ("10B", None, units.UnitError, "has a unit where none belongs"),
        ("2147483648", None, units.RangeError, "is out of range"),
        ("-2147483649", None, units.RangeError, "is out of range"),
        ("99999999999999999999", None, units.RangeError, "is out of range"),
        ("3TB", "kB", units.RangeError, "is out of range"),
        ("1e999", None, units.RangeError, "is out of range"),
        ("1e-999", None, units.RangeError, "is out of range"),
        ("0x1p99999.", None, units.NumberError, "is no number"),
    ],
)
def test_refused_integer(text: str, unit: str | None, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as raised:
        units.parse_integer(text, unit)
    assert str(raised.value) == reason


def test_infinity_is_a_number_and_no_integer() -> None:
    assert units.parse_real("inf") == float("inf")
    assert units.parse_real("-Infinity") == float("-inf")
    with pytest.raises(units.RangeError):
        units.parse_integer("1.5e400")
    with pytest.raises(units.RangeError):
        units.parse_real("0x1p99999")


@pytest.mark.parametrize(("text", "expected"), [("2GB", 2**31), ("512 MB", 2**29), ("1.5GB", 3 * 2**29), ("100B", 100)])
def test_bytes(text: str, expected: int) -> None:
    assert units.parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2", "has no unit"),
        ("2g", "has a wrong unit"),
        ("2gb", "has a wrong unit"),
        ("2s", "has a wrong unit"),
        ("much", "is no number"),
        ("", "is no number"),
        ("2GB 3", "is no number"),
    ],
)
def test_refused_bytes(text: str, reason: str) -> None:
    with pytest.raises(units.NumberError) as raised:
        units.parse_bytes(text)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("value", "unit", "exact", "human"),
    [
        (524288, "8kB", "4GB", "4GB"),
        (16, "8kB", "128kB", "128kB"),
        (1, "8kB", "8kB", "8kB"),
        (1073741823, "8kB", "8589934584kB", "8589934584kB (about 8TB)"),
        (2147483647, "kB", "2147483647kB", "2147483647kB (about 2TB)"),
        (1536, "kB", "1536kB", "1536kB"),
        (100, "B", "100B", "100B"),
        (86400, "s", "1d", "1d"),
        (30, "s", "30s", "30s"),
        (0.5, "ms", "500us", "500us"),
        (2147483647, "ms", "2147483647ms", "2147483647ms (about 24.9d)"),
        (-1, "kB", "-1", "-1"),
        (0, "s", "0", "0"),
        (262143, None, "262143", "262143"),
        (0.9, None, "0.9", "0.9"),
    ],
)
def test_quantity(value: float, unit: str | None, exact: str, human: str) -> None:
    assert units.quantity(value, unit) == exact
    assert units.human(value, unit) == human


@pytest.mark.parametrize(
    ("unit", "size", "time", "names"),
    [
        ("8kB", True, False, ["B", "kB", "MB", "GB", "TB"]),
        ("B", True, False, ["B", "kB", "MB", "GB", "TB"]),
        ("min", False, True, ["us", "ms", "s", "min", "h", "d"]),
        (None, False, False, []),
    ],
)
def test_kinds_of_units(unit: str | None, size: bool, time: bool, names: list[str]) -> None:
    assert units.is_size(unit) is size
    assert units.is_time(unit) is time
    assert units.units_of(unit) == names


def test_unknown_unit_of_a_parameter() -> None:
    with pytest.raises(units.UnitError, match="has the unknown unit furlong"):
        units.parse_integer("5s", "furlong")


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=2**31 - 1), st.sampled_from(["B", "kB", "8kB", "MB", "ms", "s", "min"]))
def test_a_quantity_reads_back(value: int, unit: str) -> None:
    assert units.parse_integer(units.quantity(value, unit), unit) == value


@settings(deadline=None)
@given(
    st.text(max_size=12), st.sampled_from([None, "kB", "ms"]), st.sampled_from([units.parse_integer, units.parse_real])
)
def test_any_text_is_a_number_or_refused(text: str, unit: str | None, parse: Callable[..., Any]) -> None:
    with contextlib.suppress(units.NumberError):
        parse(text, unit)
