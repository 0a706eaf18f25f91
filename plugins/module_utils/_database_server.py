# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and run SQL in many databases of a server with few processes, and say which statement fails and why."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Script
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    READ_OPTIONS,
    SECRET_OPTIONS,
    SESSION_OPTIONS,
    SOCKET_DIRECTORY,
    CommandError,
    Instance,
    identifier,
    run,
    run_as_owner,
)

READ_LIMIT, WRITE_LIMIT = 60.0, 600.0  # seconds of a whole script
MOST_AT_ONCE = 100
"""Statements of a transaction that go to the server in one message, which spares as many answers."""
PATIENCE = "-c statement_timeout=60s"
# The owner of a database may set another one for all sessions there, which would call functions of its own.
SEARCH_PATH = "-c search_path=pg_catalog"
# What somebody who is no superuser may set. It has to be able to use the rights of the roles that it makes: those of
# the owner make a database, and change what is in it.
PLAIN_OPTIONS = (
    f"-c synchronous_commit=local -c lock_timeout=5s -c createrole_self_grant=set,inherit {PATIENCE} {SEARCH_PATH}"
)
_END = "\x1e"  # between two answers; JSON holds none
# Whatever the server writes down; of somebody who may not set one, the provider decides.
_QUIET = """
SELECT set_config(name, value, false) FROM (VALUES ('log_statement', 'none'), ('log_min_error_statement', 'panic'),
  ('log_min_duration_statement', '-1'), ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'),
  ('pg_stat_statements.track', 'none')) AS setting (name, value)
WHERE has_parameter_privilege(name, 'SET') AND current_setting(name, true) IS NOT NULL \\g /dev/null
"""
# "psql:<stdin>:12: ERROR:  42501: permission denied"; the words may be in any language, the five characters are not.
_ERROR = re.compile(r"psql:<stdin>:(\d+): [^:\n]+:\s+([0-9A-Z]{5}): (.*)$", re.MULTILINE)

ADVICE = {
    "2BP01": "Something outside the application depends on it: look at it with \\dp and \\du+, and end that by hand.",
    "42501": "The role that connects lacks the right: as its provider, or run as a superuser.",
    "55006": "Somebody is connected: stop the application, and run again.",
    "55P03": "Another session holds a lock: SELECT * FROM pg_locks WHERE NOT granted shows who waits. Run again.",
    "57014": "It took too long: look at what the server does in pg_stat_activity, and run again.",
    "53300": "The server has no connection left: raise max_connections or end sessions, and run again.",
}
AGAIN = "Nothing of its transaction was applied. Correct that, and run again: the next run does what is left."


@dataclass(frozen=True)
class _Place:
    """Statements in a text for psql.

    Attributes:
        end: number of their last line, which psql names when one of them fails.
        shown: the first of them without its secret.
        count: how many they are.
        script: number of their script.
        database: where they run.
    """

    end: int
    shown: str
    count: int = 1
    script: int = 0
    database: str = ""


class SqlError(CommandError):
    """A statement failed; the text holds its SQL state, the server's words, the statement and what to do."""

    def __init__(self, state: str, words: str, place: _Place) -> None:
        """Word an error of the server."""
        where = f" in {place.database}" if place.database else ""
        super().__init__(f"SQL state {state}{where}: {words}. The statement: {place.shown}; {ADVICE.get(state, AGAIN)}")
        self.state, self.script, self.of = state, place.script, place.count


@dataclass(frozen=True)
class Server:
    """How SQL reaches a server: by a local socket as the superuser, or over the network as somebody else.

    Attributes:
        program: psql.
        environment: how it connects.
        instance: the local instance; None for a server that is somebody else's.
    """

    program: str
    environment: Mapping[str, str]
    instance: Instance | None = None

    @classmethod
    def local(cls, instance: Instance) -> Server:
        """Return the server that runs on this host."""
        environment = {"PGHOST": SOCKET_DIRECTORY, "PGPORT": str(instance.port), "PGDATABASE": "postgres"}
        return cls(os.fspath(instance.binaries / "psql"), environment, instance)

    @classmethod
    def remote(cls, connection: Mapping[str, Any]) -> Server:
        """Return a server that a connection leads to."""
        environment = {
            "PGHOST": connection["host"],
            "PGPORT": str(connection["port"]),
            "PGUSER": connection["user"],
            "PGPASSWORD": connection["password"],
            "PGDATABASE": connection["database"],
            "PGSSLMODE": connection["sslmode"],
            "PGSSLROOTCERT": connection["ca"],
        }
        return cls("psql", environment)

    def read(self, queries: Sequence[tuple[str, str]]) -> list[Any]:
        """Return the JSON that each query returns, which runs in the database named before it; "" for any."""
        lines = ["\\set QUIET on"]
        for database, query in queries:
            lines += [*_connect(database), query.strip() + ";", f"\\echo '{_END}'"]
        options = f"{READ_OPTIONS} {SEARCH_PATH}" if self.instance else PLAIN_OPTIONS
        output = self._psql("\n".join(lines) + "\n", READ_LIMIT, options, [])
        return [json.loads(part) for part in output.split(f"{_END}\n")[: len(queries)]]

    def run(self, scripts: Sequence[Script], secret: bool = False) -> None:
        """Run scripts in their order; the first error ends it.

        Args:
            scripts: what to run.
            secret: whether a statement holds what no log and no statistics may show.

        Raises:
            SqlError: a statement failed.
        """
        try:
            self._run(scripts, secret, MOST_AT_ONCE)
        except SqlError as error:
            if error.of == 1:
                raise
            # One by one the statement is known that fails; what was applied was whole transactions, and those that are
            # left begin with the one that was rolled back.
            self._run(scripts[error.script :], secret, 1)

    def _run(self, scripts: Sequence[Script], secret: bool, at_once: int) -> None:
        text = _Text(["\\set VERBOSITY verbose", "\\set SHOW_CONTEXT never"])
        if secret and not self.instance:
            text.add(_QUIET.strip())
        for number, script in enumerate(scripts):
            for line in _connect(script.database):
                text.add(line)
            text.add_script(number, script, at_once if script.together else 1)
        own = f"{SECRET_OPTIONS if secret else SESSION_OPTIONS} {PATIENCE} {SEARCH_PATH}"
        options = own if self.instance else PLAIN_OPTIONS
        self._psql("\n".join(text.lines) + "\n", WRITE_LIMIT, options, text.places)

    def attempt(
        self, database: str, attempts: Sequence[tuple[str, Sequence[str]]], passwords: Mapping[str, str]
    ) -> list[list[str]]:
        """Return the SQL states of statements that may fail, each tried in a transaction that is rolled back.

        Args:
            database: where.
            attempts: who tries what.
            passwords: of those who try; the superuser of the local server becomes anybody without one.
        """
        if not self.instance:
            return [self._attempt_as(database, role, tried, passwords[role]) for role, tried in attempts]
        lines = [*_TRYING, *_connect(database)]
        for role, tried in attempts:
            lines += [f"SET SESSION AUTHORIZATION {identifier(role)};", *_tries(tried), "RESET SESSION AUTHORIZATION;"]
        options = f"{SESSION_OPTIONS} {SEARCH_PATH}"
        states = iter(self._psql("\n".join(lines) + "\n", WRITE_LIMIT, options, []).split())
        return [[next(states) for _ in tried] for _, tried in attempts]

    def _attempt_as(self, database: str, role: str, tried: Sequence[str], password: str) -> list[str]:
        environment = {**self.environment, "PGUSER": role, "PGPASSWORD": password, "PGDATABASE": database}
        login = replace(self, environment=environment)
        options = "-c lock_timeout=5s"
        return login._psql("\n".join([*_TRYING, *_tries(tried)]) + "\n", WRITE_LIMIT, options, []).split()

    def logs_in(self, user: str, password: str, database: str) -> bool:
        """Whether a password is a login's: how it is recognised where verifiers cannot be read."""
        environment = {**self.environment, "PGUSER": user, "PGPASSWORD": password, "PGDATABASE": database}
        try:
            run([self.program, "-XAtqc", "SELECT 1"], 10, env={**environment, "PGCONNECT_TIMEOUT": "5"})
        except CommandError as error:
            if "password authentication failed" in str(error):
                return False
            # The server says these only to who has proved the password.
            if any(words in str(error) for words in _PROVED):
                return True
            raise
        return True

    def _psql(self, text: str, limit: float, options: str, places: Sequence[_Place]) -> str:
        environment = {
            **self.environment,
            "PGAPPNAME": "steadfast",
            "PGCONNECT_TIMEOUT": "5",
            "PGOPTIONS": options,
        }
        start = run_as_owner if self.instance else run
        command = [self.program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        try:
            return start(command, limit, input=text, env=environment)
        except CommandError as error:
            raise _worded(str(error), places) from None


_PROVED = ("permission denied for database", "is not permitted to log in", "too many connections for")
_TRYING = ("\\set ON_ERROR_STOP off", "\\o /dev/null")


def _tries(statements: Sequence[str]) -> list[str]:
    return [line for sql in statements for line in ("BEGIN;", f"{sql};", "\\echo :SQLSTATE", "ROLLBACK;")]


class _Text:
    """A text for psql, and where its statements are."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.places: list[_Place] = []

    def add(self, text: str) -> None:
        self.lines += text.split("\n")

    def add_script(self, number: int, script: Script, at_once: int) -> None:
        if script.together:
            self.add("BEGIN;")
        for start in range(0, len(script.statements), at_once):
            some = script.statements[start : start + at_once]
            self.add("\\;\n".join(statement.sql for statement in some) + ";")
            self.places.append(_Place(len(self.lines), some[0].text, len(some), number, script.database))
        if script.together:
            self.add("COMMIT;")


def _worded(text: str, places: Sequence[_Place]) -> CommandError:
    """Return an error with the statement that failed; what psql repeats of it may hold a secret, and is left out."""
    # Warnings look the same, and the error is what psql ended with.
    found = next(iter([*_ERROR.finditer(text)][-1:]), None)
    if not found:
        return CommandError("\n".join(line for line in text.splitlines() if not line.startswith("LINE ")))
    line, state, words = int(found[1]), found[2], found[3]
    last = _Place(line, "COMMIT" if places else "a query of the catalogues")
    return SqlError(state, words, next((place for place in places if line <= place.end), last))


def _connect(database: str) -> list[str]:
    return [f'\\connect "{database}"'] if database else []
