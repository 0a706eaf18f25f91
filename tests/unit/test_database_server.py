# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL goes through psql: what it is given, and what is said when a statement fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _database_server
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Script
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_server import Server, SqlError
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance

INSTANCE = Instance("16", "main", Path("/data"))
CONNECTION = {
    "host": "db.example.com",
    "port": 5432,
    "user": "admin",
    "password": "secret of the admin",
    "database": "postgres",
    "sslmode": "verify-full",
    "ca": "system",
}


class Psql:
    """Stands for psql: keeps what it was given, and answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: str | CommandError = "") -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []
        monkeypatch.setattr(_database_server, "run", self)
        monkeypatch.setattr(_database_server, "run_as_owner", self)

    def __call__(self, command: list[str], timeout: float, **options: Any) -> str:
        self.calls.append({"command": command, **options})
        if isinstance(self.answer, CommandError):
            raise self.answer
        return self.answer

    @property
    def text(self) -> str:
        return str(self.calls[-1]["input"])


def scripts() -> list[Script]:
    roles, databases, inside = Script(), Script(together=False), Script("crm")
    roles.add("CREATE ROLE a PASSWORD 'SCRAM-SHA-256$x'", shown="CREATE ROLE a PASSWORD '********'")
    roles.add("COMMENT ON ROLE a IS 'two\nlines'")
    databases.add("CREATE DATABASE crm")
    inside.add("CREATE SCHEMA s")
    return [roles, databases, inside]


def test_many_databases_are_read_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    psql = Psql(monkeypatch, '{"a": 1}\n\x1e\n[2]\n\x1e\n')
    assert Server.local(INSTANCE).read([("", "SELECT 1"), ("crm", "SELECT 2\n")]) == [{"a": 1}, [2]]
    assert psql.text == "\\set QUIET on\nSELECT 1;\n\\echo '\x1e'\n\\connect \"crm\"\nSELECT 2;\n\\echo '\x1e'\n"
    assert psql.calls[0]["command"][0] == "/usr/lib/postgresql/16/bin/psql"


def test_what_belongs_together_is_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    psql = Psql(monkeypatch)
    Server.local(INSTANCE).run(scripts())
    assert psql.text.splitlines()[2:] == [
        "BEGIN;",
        "CREATE ROLE a PASSWORD 'SCRAM-SHA-256$x'\\;",
        "COMMENT ON ROLE a IS 'two",
        "lines';",
        "COMMIT;",
        "CREATE DATABASE crm;",
        '\\connect "crm"',
        "BEGIN;",
        "CREATE SCHEMA s;",
        "COMMIT;",
    ]


def test_secrets_are_written_down_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    psql = Psql(monkeypatch)
    Server.local(INSTANCE).run(scripts(), secret=True)
    options = psql.calls[-1]["env"]["PGOPTIONS"]
    assert "-c log_statement=none -c log_min_error_statement=panic" in options
    assert "-c pg_stat_statements.track=none" in options
    Server.remote(CONNECTION).run(scripts(), secret=True)
    # Somebody who may not set these would not even be let in.
    assert "log_statement" not in psql.calls[-1]["env"]["PGOPTIONS"]
    assert "('log_statement', 'none')" in psql.text
    assert "secret of the admin" not in str(psql.calls[-1]["command"]) + psql.text


def test_of_statements_sent_together_the_one_that_fails_is_found_by_running_them_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts: list[str] = []

    def psql(command: list[str], timeout: float, **options: Any) -> str:
        texts.append(options["input"])
        lines = options["input"].splitlines()
        line = next(number for number, text in enumerate(lines, 1) if text.startswith("lines'"))
        raise CommandError(f"psql ended with status 3: psql:<stdin>:{line}: ERROR:  42601: wrong")

    monkeypatch.setattr(_database_server, "run_as_owner", psql)
    first, *others = scripts()
    with pytest.raises(SqlError, match="The statement: COMMENT ON ROLE a IS"):
        Server.local(INSTANCE).run([*others, first, others[0]])
    assert len(texts) == 2
    # What was applied before is not run again.
    assert "CREATE SCHEMA s;" in texts[0]
    assert "CREATE SCHEMA s;" not in texts[1]
    assert texts[1].count("CREATE DATABASE crm;") == 1


def failing(monkeypatch: pytest.MonkeyPatch, words: str) -> CommandError:
    Psql(monkeypatch, CommandError(f"psql ended with status 3: {words}"))
    with pytest.raises(CommandError) as error:
        Server.local(INSTANCE).run(scripts())
    return error.value


@pytest.mark.parametrize(
    ("line", "statement"),
    [
        (8, "CREATE DATABASE crm"),
        (11, "CREATE SCHEMA s"),
        (12, "COMMIT"),
    ],
)
def test_an_error_names_its_statement(line: int, statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"\npsql:<stdin>:{line}: ERROR:  42601: it is wrong\nLINE 1: CREATE ROLE a PASSWORD 'SCRAM-SHA-256$x'\n   ^"
    error = failing(monkeypatch, words)
    where = " in crm" if line == 11 else ""
    assert str(error) == (
        f"SQL state 42601{where}: it is wrong. The statement: {statement}; Nothing of its transaction was applied. "
        "Correct that, and run again: the next run does what is left."
    )


def test_a_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "psql:<stdin>:4: ERROR:  42601: it is wrong\nLINE 1: CREATE ROLE a PASSWORD 'SCRAM-SHA-256$x'\n   ^"
    error = failing(monkeypatch, words)
    assert "The statement: CREATE ROLE a PASSWORD '********'; " in str(error)
    assert "SCRAM" not in str(error)


def test_an_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing(monkeypatch, "psql:<stdin>:8: FEHLER:  55006: auf Datenbank wird zugegriffen")
    assert isinstance(error, SqlError)
    assert error.state == "55006"
    assert str(error).endswith("; Somebody is connected: stop the application, and run again.")


def test_another_error_is_repeated_without_the_lines_of_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing(monkeypatch, "psql: error: connection refused\nLINE 1: SCRAM-SHA-256$x")
    assert str(error) == "psql ended with status 3: psql: error: connection refused"


def test_what_may_fail_is_tried_as_somebody_and_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    psql = Psql(monkeypatch, "00000\n42501\n00000\n")
    answers = Server.local(INSTANCE).attempt("crm", [("a", ["SELECT 1", "SELECT 2"]), ("b", ["SELECT 3"])], {})
    assert answers == [["00000", "42501"], ["00000"]]
    lines = psql.text.splitlines()
    assert lines[3:9] == [
        'SET SESSION AUTHORIZATION "a";',
        "BEGIN;",
        "SELECT 1;",
        "\\echo :SQLSTATE",
        "ROLLBACK;",
        "BEGIN;",
    ]
    assert lines[-1] == "RESET SESSION AUTHORIZATION;"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("1\n", True),
        (CommandError('FATAL:  password authentication failed for user "a"'), False),
        # Said after the password was proved: what is wrong is what the run repairs, or not its affair.
        (CommandError('FATAL:  permission denied for database "crm"'), True),
        (CommandError('FATAL:  role "a" is not permitted to log in'), True),
        (CommandError('FATAL:  too many connections for role "a"'), True),
    ],
)
def test_a_password_is_recognised_by_logging_in(
    answer: str | CommandError, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    psql = Psql(monkeypatch, answer)
    assert Server.remote(CONNECTION).logs_in("a", "password of a", "crm") is expected
    assert psql.calls[-1]["env"]["PGPASSWORD"] == "password of a"
    assert "password of a" not in str(psql.calls[-1]["command"])


def test_a_login_that_fails_for_another_reason_says_nothing_about_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    Psql(monkeypatch, CommandError("FATAL:  the database system is starting up"))
    with pytest.raises(CommandError, match="starting up"):
        Server.remote(CONNECTION).logs_in("a", "password of a", "crm")


def test_elsewhere_everybody_logs_in_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    psql = Psql(monkeypatch, "42501\n")
    tried = [("a", ["SELECT 1"]), ("b", ["SELECT 2"])]
    assert Server.remote(CONNECTION).attempt("crm", tried, {"a": "of a", "b": "of b"}) == [["42501"], ["42501"]]
    logins = [[call["env"][name] for name in ("PGUSER", "PGPASSWORD", "PGDATABASE")] for call in psql.calls]
    assert logins == [["a", "of a", "crm"], ["b", "of b", "crm"]]
    assert "SET SESSION AUTHORIZATION" not in psql.text


@pytest.mark.parametrize("server", [Server.local(INSTANCE), Server.remote(CONNECTION)])
def test_no_database_brings_functions_of_its_own_before_the_catalogues(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    psql = Psql(monkeypatch, "{}\n\x1e\n")
    server.read([("crm", "SELECT 1")])
    server.run(scripts())
    server.run(scripts(), secret=True)
    if server.instance:
        server.attempt("crm", [("a", [])], {})
    assert all("-c search_path=pg_catalog" in call["env"]["PGOPTIONS"] for call in psql.calls)
