"""The spare host, made anew, with an inventory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from spare import Solo


@pytest.fixture
def solo(fresh: None, tmp_path: Path) -> Solo:
    """Return the spare host, fresh."""
    return Solo(tmp_path / "hosts.yml")
