"""A client that writes all the time, and the connections that standbys have meanwhile."""

from __future__ import annotations

import subprocess

import yaml
from declared import addresses
from lab import STATE, Lab

AUTHORITY = STATE / "ca"
# Each line is a transaction on a connection of its own, which verifies the server; "C" is one that was acknowledged.
WRITER = """
exec > /tmp/client/words 2>&1
while [ ! -e /tmp/client/stop ]; do
  psql -XAtqc "INSERT INTO steps DEFAULT VALUES RETURNING 'C'" || sleep 0.1
done
"""


class Client:
    """A client on db3, whose program is there; it is let in as the administrator."""

    def __init__(self, lab: Lab) -> None:
        """Prepare it."""
        self._lab = lab
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write until it is told to stop."""
        self._lab.shell("db3", "rm -rf /tmp/client; mkdir -m 777 /tmp/client")
        self.gets_authority()
        password = yaml.safe_load((STATE / "secrets.yml").read_text())["dba_password"]
        environment = {
            "PGHOST": "db1,db2",
            "PGHOSTADDR": ",".join(addresses()[host] for host in ("db1", "db2")),
            "PGDATABASE": "postgres",
            "PGUSER": "dba",
            "PGPASSWORD": password,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/tmp/client/ca.crt",
            "PGTARGETSESSIONATTRS": "read-write",
            "PGCONNECT_TIMEOUT": "5",
        }
        script = "".join(f"export {name}='{value}'\n" for name, value in environment.items()) + WRITER
        self._process = subprocess.Popen(
            ["ssh", "-F", str(STATE / "ssh_config"), "db3", "bash"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._process.stdin.write(script.encode())
        self._process.stdin.close()
        self._lab.wait(lambda: self.rows() > 0, 20)

    def gets_authority(self) -> None:
        """Give it the CA file of the controller, as an operator gives it to clients."""
        content = (AUTHORITY / "ca.crt").read_text()
        place = "cat > /tmp/client/.new && chmod 644 /tmp/client/.new && mv /tmp/client/.new /tmp/client/ca.crt"
        self._lab.shell("db3", place, stdin=content)

    def rows(self) -> int:
        """Return how many rows are there."""
        return int(self._lab.sql("db1", "SELECT count(*) FROM steps"))

    def goes_on(self) -> None:
        """See that it writes now."""
        before = self.rows()
        self._lab.wait(lambda: self.rows() > before, 10)

    def stop(self) -> tuple[int, list[str]]:
        """End it; returns how many commits were acknowledged, and what else it was told."""
        self.end()
        words = self._lab.shell("db3", "cat /tmp/client/words").splitlines()
        return words.count("C"), [line for line in words if line != "C"]

    def end(self) -> None:
        """End it whatever happened."""
        if self._process is not None:
            self._lab.shell("db3", "touch /tmp/client/stop")
            self._process.wait(30)
            self._process = None


def connections(lab: Lab) -> dict[str, str]:
    """Return the process that streams to each standby: another one is another connection."""
    shown = lab.sql("db1", "SELECT application_name, pid FROM pg_stat_replication WHERE state = $$streaming$$")
    return dict(line.split("|") for line in shown.splitlines())
