# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench of databases counts, and when it says that a limit is missed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from types import ModuleType

import pytest
from benches import imported


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with imported("applied", monkeypatch) as module:
        yield module


def test_fifty_objects(applied: ModuleType) -> None:
    made = applied.objects(applied.big(name="shop", **applied.FIFTY))
    assert applied.count(made) == 50
    assert made["memberships"][0] == ("shop_account_0", "shop_0_rw")


def test_the_thousand_and_ten_times_as_many(applied: ModuleType) -> None:
    for accounts, roles, memberships in ((applied.THOUSAND, 1002, 10_120), (applied.TEN_THOUSAND, 10_000, 109_098)):
        made = applied.objects(applied.big(accounts))
        assert (1 + len(made["groups"]) + len(made["logins"]), len(made["memberships"])) == (roles, memberships)


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        ((3.0, 1.0, 1.0), []),
        ((2.9, 1.0, 1.0), ["--apply 3.00 > 2.9"]),
        ((3.0, 0.9, 1.0), ["--again 1.00 > 0.9"]),
        ((3.0, 1.0, 0.9), ["--growth 1.00 > 0.9"]),
        ((None, None, None), []),
    ],
)
def test_limits(
    applied: ModuleType, monkeypatch: pytest.MonkeyPatch, limits: tuple[float | None, ...], missed: list[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr(applied, "say", said.append)
    thousand, myriad = (applied.Figures("x", (60.0, seconds), (50.0, 1.0)) for seconds in (3.0, 30.0))
    found = [thousand, thousand, thousand, myriad]
    given = Namespace(**dict(zip(("apply", "again", "growth"), limits, strict=True)))
    assert applied.report(found, given) is not bool(missed)
    assert said[-1] == (f"missed: {', '.join(missed)}" if missed else "nothing missed")
