"""What the tests of poolers use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import Lab
from pool_client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = """
\\c synergyflow
SET ROLE synergyflow_owner;
CREATE TABLE IF NOT EXISTS synergyflow_users.visits (id bigserial PRIMARY KEY, note text);
"""


@pytest.fixture(scope="module")
def pooled() -> Iterator[Lab]:
    """Give the application a table for as long as its tests run."""
    lab = Lab()
    lab.sql("db1", TABLE)
    yield lab
    lab.sql("db1", "\\c synergyflow\nDROP TABLE synergyflow_users.visits")


@pytest.fixture
def client(pooled: Lab) -> Client:
    """Return the client."""
    return Client(pooled)
