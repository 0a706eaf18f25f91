"""An application with a pool, and a client of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from lab import STATE, Lab

ADDRESSES = {"db1": "10.89.20.11", "db2": "10.89.20.12", "db3": "10.89.20.13"}
PASSWORD = "the password of a shop"
APPLICATION = {
    "name": "shop",
    "migrator": {"password": "the password of its migrator"},
    "accounts": [{"name": "shop_app", "password": PASSWORD, "member_of": ["shop_rw"], "connection_limit": 60}],
    "pool": {"size": 48, "max_client_connections": 1000, "read_only": {"size": 12}},
}
DECLARED = ("-e", json.dumps({"postgresql_applications": [APPLICATION]}))
REMOVED = (
    "-e",
    json.dumps(
        {"postgresql_applications": [APPLICATION | {"state": "absent"}], "postgresql_databases_destroy": ["shop"]}
    ),
)
TABLE = """
\\c shop
SET ROLE shop_owner;
CREATE TABLE IF NOT EXISTS visits (id bigserial PRIMARY KEY, note text);
"""


@dataclass
class Shop:
    """The client, on db3: as the account of the application, through the pooler of a host."""

    lab: Lab
    pooler: str = "db1"
    settings: dict[str, str] = field(default_factory=dict)

    def _environment(self) -> str:
        values = {
            "PGHOST": self.pooler,
            "PGHOSTADDR": ADDRESSES[self.pooler],
            "PGPORT": "6432",
            "PGDATABASE": "shop",
            "PGUSER": "shop_app",
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/tmp/shop/ca.crt",
            "PGCONNECT_TIMEOUT": "5",
            **self.settings,
        }
        return "".join(f"export {name}='{value}'\n" for name, value in values.items())

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the connection in its environment."""
        words = ["ssh", "-F", str(STATE / "ssh_config"), "db3", "bash"]
        script = f"{self._environment()}{command}\n"
        return subprocess.run(words, input=script, capture_output=True, text=True, check=False, timeout=180)

    def begin(self, command: str) -> subprocess.Popen[str]:
        """Begin a command, which goes on meanwhile."""
        words = ["ssh", "-F", str(STATE / "ssh_config"), "db3", "bash"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        assert process.stdin is not None
        process.stdin.write(f"{self._environment()}{command}\n")
        process.stdin.close()
        process.stdin = None
        return process

    def sql(self, statement: str) -> str:
        """Return what a statement returns."""
        done = self.run(f'psql -XAtqc "{statement}"')
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, statement: str = "SELECT 1") -> str:
        """Return why a statement is refused."""
        done = self.run(f'psql -XAtqc "{statement}"')
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def pooled() -> Iterator[Lab]:
    """Converge with the application, as check mode says beforehand; afterwards without it."""
    lab = Lab()
    lab.foretold("site.yml", *DECLARED)
    lab.sql("db1", TABLE)
    place = "cat > /tmp/shop/ca.crt && chmod 644 /tmp/shop/ca.crt"
    lab.shell("db3", f"mkdir -p /tmp/shop && {place}", stdin=(STATE / "ca" / "ca.crt").read_text())
    yield lab
    retired = lab.playbook("site.yml", *REMOVED)
    assert "db1: service pgbouncer@" in "\n".join(retired.changes)
    assert set(lab.playbook("site.yml").changed.values()) == {0}


@pytest.fixture
def shop(pooled: Lab) -> Shop:
    """Return the client."""
    return Shop(pooled)
