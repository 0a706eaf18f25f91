"""What the tests of this scenario share: a client that writes all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab


@pytest.fixture
def client(lab: Lab) -> Iterator[Client]:
    """Return a client that may write; its table is gone afterwards."""
    lab.sql("db1", "CREATE TABLE steps (id bigserial); GRANT INSERT, SELECT ON steps TO dba")
    lab.sql("db1", "GRANT USAGE ON SEQUENCE steps_id_seq TO dba")
    writer = Client(lab)
    yield writer
    writer.end()
    lab.sql("db1", "DROP TABLE steps")
