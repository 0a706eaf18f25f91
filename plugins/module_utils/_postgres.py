# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run PostgreSQL's own programs on a host, as the operating-system user that owns the instance."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _journal
from ansible_collections.steadfast.postgresql.plugins.module_utils._journal import sync_directory

OWNER = "postgres"
SOCKET_DIRECTORY = "/var/run/postgresql"
STATE_DIRECTORY = _journal.FOLDER

# No timeout ends a wait for a synchronous standby, so our own statements never start one. Messages that are compared
# must not depend on the server's language.
READ_OPTIONS = "-c lock_timeout=5s -c statement_timeout=15s -c lc_messages=C"
SESSION_OPTIONS = f"-c synchronous_commit=local {READ_OPTIONS}"
# Whatever the server is set to write down, failed statements and the statistics of statements among it.
SECRET_OPTIONS = (
    f"{SESSION_OPTIONS} -c log_statement=none -c log_min_error_statement=panic -c log_min_duration_statement=-1 "
    "-c log_min_duration_sample=-1 -c log_transaction_sample_rate=0 -c pg_stat_statements.track=none"
)


INSTANCE_ARGUMENTS: dict[str, Any] = {
    "version": {"type": "str", "required": True},
    "cluster": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "data_directory": {"type": "path", "required": True},
    "wal_directory": {"type": "path"},
}


class CommandError(Exception):
    """A program that had to succeed did not; the text carries its own words."""


@dataclass(frozen=True)
class Instance:
    """Where one instance lives on its host, by the layout of Debian's postgresql-common."""

    version: str
    cluster: str
    data_directory: Path
    port: int = 5432
    wal_directory: Path | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Instance:
        """Return the instance that a module's INSTANCE_ARGUMENTS name."""
        wal = Path(given["wal_directory"]) if given["wal_directory"] else None
        return cls(given["version"], given["cluster"], Path(given["data_directory"]), given["port"], wal)

    @property
    def binaries(self) -> Path:
        """The folder of the server's programs."""
        return Path("/usr/lib/postgresql") / self.version / "bin"

    @property
    def configuration(self) -> Path:
        """The folder of the configuration files."""
        return Path("/etc/postgresql") / self.version / self.cluster

    @property
    def unit(self) -> str:
        """The systemd unit that runs the instance."""
        return f"postgresql@{self.version}-{self.cluster}.service"

    @property
    def holds_data(self) -> bool:
        """Whether its data directory was made."""
        return (self.data_directory / "PG_VERSION").exists()

    @property
    def drop_ins(self) -> Path:
        """The folder of what is added to that unit."""
        return Path("/etc/systemd/system") / f"{self.unit}.d"

    @property
    def label(self) -> str:
        """How messages and lists of changes call the instance."""
        return f"{self.version}/{self.cluster}"

    @property
    def state(self) -> Path:
        """The folder of the journal and of the marker that says that the collection made the instance."""
        return STATE_DIRECTORY / self.cluster

    @property
    def marker(self) -> Path:
        """The file that names the system identifier of the instance that the collection made or adopted."""
        return self.state / "instance.json"

    @property
    def journal(self) -> Path:
        """The file that tells what was done to the cluster."""
        return self.state / _journal.NAME

    @property
    def synchronous_file(self) -> Path:
        """The file of the synchronous set; the role replication's script writes it."""
        return self.configuration / "conf.d" / "30-synchronous.conf"


def owner_exists() -> bool:
    """Whether the operating-system user of the instance is there (the server's package makes it)."""
    return user_exists(OWNER)


def user_exists(name: str) -> bool:
    """Whether the operating system has this user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def run(command: Sequence[str | os.PathLike[str]], timeout: float | None = 60, **options: Any) -> str:
    """Run a program and return what it printed.

    Args:
        command: the program and its arguments.
        timeout: seconds until the program is ended.
        options: passed on to subprocess.run.

    Raises:
        CommandError: it is not there, took too long, or ended with a status other than 0.
    """
    name = os.fspath(command[0])
    try:
        # LC_ALL: what is parsed must not depend on the host's language.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **options.pop("env", {})}
        # What a program repeats of a file need not be text: pgBackRest does so where it cannot decrypt one.
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=environment,
            **options,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{name} is not there") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{name} did not end within {timeout} s") from error
    if done.returncode != 0:
        raise CommandError(f"{name} ended with status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return str(done.stdout)


def run_as_owner(command: Sequence[str | os.PathLike[str]], timeout: float | None = 60, **options: Any) -> str:
    """Run a program as the instance's owner; arguments and errors are those of run."""
    owner = pwd.getpwnam(OWNER)
    groups = [group.gr_gid for group in grp.getgrall() if OWNER in group.gr_mem]
    return run(
        command, timeout, user=owner.pw_uid, group=owner.pw_gid, extra_groups=groups, cwd=owner.pw_dir, **options
    )


def query(
    instance: Instance, sql: str, database: str = "postgres", timeout: float = 20, options: str = SESSION_OPTIONS
) -> str:
    """Run SQL as the superuser over the local socket and return the unaligned output.

    The text goes by standard input, never on a command line, so it may hold a password's verifier.

    Raises:
        CommandError: no connection, an error of a statement, or no answer in time.
    """
    program = instance.binaries / "psql"
    environment = {
        "PGHOST": SOCKET_DIRECTORY,
        "PGPORT": str(instance.port),
        "PGDATABASE": database,
        "PGAPPNAME": "steadfast",
        "PGCONNECT_TIMEOUT": "5",
        "PGOPTIONS": options,
    }
    return run_as_owner([program, "-XAtq", "-v", "ON_ERROR_STOP=1"], timeout, input=sql, env=environment)


def query_secretly(instance: Instance, sql: str) -> None:
    """Run SQL that holds a secret: neither the server's log nor its statistics nor an error's text repeats it."""
    query(instance, f"\\set VERBOSITY terse\n{sql}", options=SECRET_OPTIONS)


def query_json(instance: Instance, sql: str, database: str = "postgres") -> Any:
    """Run one statement that returns one JSON value, and return that value."""
    return json.loads(query(instance, sql, database))


def observe_json(instance: Instance, sql: str) -> Any:
    """Run one statement that only reads, with nothing set that it looks at: what pg_settings shows is the server's."""
    return json.loads(query(instance, sql, options=READ_OPTIONS))


def wait_until(condition: Callable[[], bool], limit: float, what: str, interval: float = 0.05) -> None:
    """Return as soon as a condition holds.

    Args:
        condition: what is waited for; a CommandError in it counts as not yet.
        limit: seconds to wait at most.
        what: names the condition in the error.
        interval: seconds between two looks.

    Raises:
        CommandError: the condition did not hold in time.
    """
    deadline = time.monotonic() + limit
    seen = ""
    while True:
        try:
            if condition():
                return
        except CommandError as error:
            seen = f" ({error})"
        if time.monotonic() > deadline:
            raise CommandError(f"{what} did not happen within {limit:g} s{seen}")
        time.sleep(interval)


def quoted(text: str) -> str:
    """Write a text as an SQL literal."""
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{escaped}'"


def identifier(name: str) -> str:
    """Write a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, or None where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, on disk before it returns; a reader sees the old or the new text."""
    candidate = path.with_name(f".{path.name}.steadfast")
    with candidate.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    candidate.replace(path)
    sync_directory(path.parent)


def write_marker(instance: Instance, system_identifier: str) -> None:
    """Record that the instance with this system identifier is the collection's."""
    instance.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    content: Mapping[str, str] = {"system_identifier": system_identifier, "version": instance.version}
    write_atomically(instance.marker, json.dumps(content, sort_keys=True) + "\n")


def change(kind: str, name: str, before: str, after: str) -> dict[str, str]:
    """One entry of the list of changes that every acting module returns."""
    return {"kind": kind, "name": name, "from": before, "to": after}
