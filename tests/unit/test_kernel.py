# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the kernel: which a host is given, which differ, and how they are set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _kernel, _kernel_apply
from ansible_collections.steadfast.postgresql.plugins.module_utils._kernel import HUGE_PAGES, Setting
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

MIB = 1 << 20
A, B = Setting("vm.a", "1", "why a"), Setting("vm.b", "2", "why b")
PAGES = Setting(HUGE_PAGES, "100", "why")


@pytest.mark.parametrize(
    ("seen", "settable", "differing", "fixed"),
    [
        ({"vm.a": ("1", True), "vm.b": ("2", True)}, [A, B], [], []),
        ({"vm.a": ("9", True), "vm.b": ("2", True)}, [A, B], [A], []),
        ({"vm.a": ("9", False), "vm.b": ("9", True)}, [B], [B], [A]),
        ({"vm.a": ("1", False), "vm.b": ("2", False)}, [], [], []),
        ({"vm.b": ("2", True)}, [B], [], [A]),
    ],
)
def test_plan(seen: Any, settable: Any, differing: Any, fixed: Any) -> None:
    shown = {name: {"value": value, "writable": writable} for name, (value, writable) in seen.items()}
    found = _kernel.plan([A, B], shown)
    assert (found.settable, found.differing, found.fixed) == (settable, differing, fixed)


@pytest.mark.parametrize(("live", "differing"), [("99", [PAGES]), ("100", []), ("4000", []), (None, [])])
def test_more_huge_pages_than_wanted_are_for_somebody_else(live: str | None, differing: list[Setting]) -> None:
    seen = {HUGE_PAGES: {"value": live, "writable": live is not None}}
    assert _kernel.plan([PAGES], seen).differing == differing


@pytest.mark.parametrize(
    ("buffers", "page", "expected"),
    [(128 * MIB, 2 * MIB, "96"), (4096 * MIB, 2 * MIB, "2151"), (4096 * MIB, 1024 * MIB, "5")],
)
def test_huge_pages(buffers: int, page: int, expected: str) -> None:
    found = _kernel.huge_pages(buffers, page)
    assert (found.name, found.value) == ("vm.nr_hugepages", expected)


def test_every_setting_has_its_reason_in_the_file() -> None:
    assert _kernel.render([A, B]) == "\n# why a\nvm.a = 1\n\n# why b\nvm.b = 2\n"
    assert all(setting.reason for setting in _kernel.FIXED)
    assert len({*_kernel.NAMES}) == len(_kernel.FIXED) + 1


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_kernel_apply, "ROOT", tmp_path)
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/a").write_text("4096\t87380\n")
    (tmp_path / "vm/b").write_text("2\n")
    return tmp_path


CHANGE = {"kind": "kernel", "name": "vm.a", "from": "4096 87380", "to": "1"}


@pytest.mark.parametrize(("check_mode", "left"), [(True, "4096\t87380\n"), (False, "1\n")])
def test_what_differs_is_set(proc: Path, check_mode: bool, left: str) -> None:
    assert _kernel_apply.converge({"vm.a": "1", "vm.b": "2"}, (), check_mode) == [CHANGE]
    assert (proc / "vm/a").read_text() == left


def test_a_part_of_the_pages(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: None)
    assert _kernel_apply.converge({"vm.a": "1"}, (), check_mode=False) == [CHANGE]
    with pytest.raises(CommandError) as error:
        _kernel_apply.converge({"vm.a": "1"}, ["vm.a"], check_mode=False)
    assert str(error.value) == "vm.a: the kernel took 4096 87380 of 1; its memory is in pieces: restart the host"


def test_what_the_kernel_says(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(CommandError, match=r"^vm\.a = 1: Invalid argument$"):
        _kernel_apply.converge({"vm.a": "1"}, (), check_mode=False)
