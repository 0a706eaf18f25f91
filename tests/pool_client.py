"""A client of an application with a pool."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

import yaml
from declared import addresses
from lab import STATE, Lab

ADDRESSES = addresses()
APPLICATION = {
    "database": "synergyflow",
    "user": "synergyflow_users_app",
    "password": "synergyflow_users_password",
}
READER = {"database": "creativeflow_ro", "user": "creativeflow_reader", "password": "creativeflow_reader_password"}


@dataclass
class Client:
    """A client on db3: as an account of an application, through the pooler of a host."""

    lab: Lab
    pooler: str = "db1"
    account: dict[str, str] = field(default_factory=lambda: APPLICATION)
    settings: dict[str, str] = field(default_factory=dict)

    def _script(self, command: str) -> str:
        secrets = yaml.safe_load((STATE / "secrets.yml").read_text())
        values = {
            "PGHOST": self.pooler,
            "PGHOSTADDR": ADDRESSES[self.pooler],
            "PGPORT": "6432",
            "PGDATABASE": self.account["database"],
            "PGUSER": self.account["user"],
            "PGPASSWORD": secrets[self.account["password"]],
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/etc/ssl/postgresql/main/ca.crt",
            "PGCONNECT_TIMEOUT": "5",
            **self.settings,
        }
        return "".join(f"export {name}='{value}'\n" for name, value in values.items()) + f"cd /\n{command}\n"

    @property
    def _words(self) -> list[str]:
        return ["ssh", "-F", str(STATE / "ssh_config"), "db3", "bash"]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the connection in its environment."""
        script = self._script(command)
        return subprocess.run(self._words, input=script, capture_output=True, text=True, check=False, timeout=180)

    def begin(self, command: str) -> subprocess.Popen[str]:
        """Begin a command, which goes on meanwhile."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(self._words, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        assert process.stdin is not None
        process.stdin.write(self._script(command))
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
