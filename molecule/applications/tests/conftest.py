"""What the tests of applications use: logins as an application has them, and variables of their own."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml
from declared import addresses, declared
from lab import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Lab

SECRETS = STATE / "secrets.yml"
CLIENT = "db3"
# Accounts of an application with a pool log in through it.
SERVER, POOLER = 5432, 6432
THERE = "SELECT count(*) FROM pg_roles WHERE rolname ~ '^crm'"
ACCOUNT = re.compile(r"_app(_[ab])?$")


@dataclass
class Database:
    """A database as an account reaches it: over TLS, from a network that the inventory names."""

    lab: Lab
    name: str
    user: str
    password: str
    port: int

    def run(self, sql: str) -> subprocess.CompletedProcess[str]:
        """Run SQL and return what came of it."""
        connection = (
            f"host=db1 hostaddr={addresses()['db1']} port={self.port} dbname={self.name} user={self.user} "
            "sslmode=verify-full sslrootcert=/etc/ssl/postgresql/main/ca.crt connect_timeout=5"
        )
        script = f'export PGPASSWORD="{self.password}"; cd /; exec psql "{connection}" -XAtq -v ON_ERROR_STOP=1 -f -'
        return self.lab.ssh(CLIENT, script, sql)

    def ask(self, sql: str) -> str:
        """Run SQL that has to succeed."""
        done = self.run(sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, sql: str) -> str:
        """Run SQL that has to fail, and return the words."""
        done = self.run(sql)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()


@pytest.fixture
def database(lab: Lab) -> Callable[..., Database]:
    """Return how an account reaches a database."""
    secrets = yaml.safe_load(SECRETS.read_text())

    def of(name: str, user: str, secret: str = "", port: int | None = None) -> Database:
        secret = secret or secrets[f"{user.removesuffix('_app') if 'synergy' in user else user}_password"]
        return Database(lab, name, user, secret, port or (POOLER if ACCOUNT.search(user) else SERVER))

    return of


@pytest.fixture
def with_crm(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Variables that declare one more application, which is removed afterwards if the test has made it."""
    entry = {
        "name": "crm",
        "migrator": {"password": "the migrator of crm"},
        "pool": {"size": 9},
        "accounts": [
            {"name": "crm_app", "password": "the account of crm", "member_of": ["crm_rw"], "connection_limit": 10}
        ],
    }
    path = tmp_path / "variables.yml"
    path.write_text(yaml.safe_dump({"postgresql_applications": [*declared(), entry]}))
    yield path
    if lab.sql("db1", THERE) == "0":
        return
    *others, last = yaml.safe_load(path.read_text())["postgresql_applications"]
    leaving = {
        "postgresql_applications": [*others, last | {"state": "absent"}],
        "postgresql_databases_destroy": ["crm"],
    }
    path.write_text(yaml.safe_dump(leaving))
    lab.playbook("playbooks/apply_databases.yml", "-e", f"@{path}")
    assert lab.sql("db1", THERE) == "0"
