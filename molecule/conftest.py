"""Fixtures of the tests of all scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return the hosts; those that a test switched off are on again afterwards."""
    hosts = Lab()
    yield hosts
    for host in sorted(hosts.stopped):
        hosts.start(host)
