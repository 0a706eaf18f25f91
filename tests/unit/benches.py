"""The modules of the benches, which are on Python's path only while a bench runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@contextmanager
def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import a module of the benches; nothing of it stays imported."""
    monkeypatch.syspath_prepend(str(BENCH))
    try:
        yield importlib.import_module(name)
    finally:
        for module in (name, "watched"):
            sys.modules.pop(module, None)
