"""Fixtures of the tests of all scenarios."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import INVENTORY, ROOT, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return the hosts; those that a test switched off are on again afterwards."""
    hosts = Lab()
    yield hosts
    for host in sorted(hosts.stopped):
        hosts.start(host)


@pytest.fixture(scope="module")
def restored() -> Iterator[None]:
    """Bring the platform back to its own settings when all tests of a module have ended."""
    yield
    lab = Lab()
    lab.playbook("site.yml", "-e", "postgresql_server_restart=true")
    lab.at_rest("site.yml")


@pytest.fixture
def fresh() -> None:
    """Make the spare host anew."""
    for playbook in ("destroy.yml", "create.yml"):
        command = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / "molecule/shared" / playbook)]
        subprocess.run([*command, "--limit", "solo1"], check=True, capture_output=True, cwd=ROOT)
