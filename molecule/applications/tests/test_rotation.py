"""Passwords change: of an account with two logins without one failed login."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Lab

    from .conftest import Database

APPLY = "playbooks/apply_databases.yml"
ROTATE = "playbooks/rotate_secrets.yml"


class Client:
    """A service that connects anew all the time, with whatever login it was given last."""

    def __init__(self, database: Database) -> None:
        """Begin."""
        self.database = database
        self.answers: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.is_set():
            done = self.database.run("SELECT current_user")
            self.answers.append(done.stdout.strip() or done.stderr)

    def end(self) -> set[str]:
        """Stop and return all answers, each once."""
        self._ended.set()
        self._thread.join()
        return set(self.answers)


def declare(path: Path, first: str, second: str) -> None:
    """Give the account of crm two logins with these passwords."""
    variables = yaml.safe_load(path.read_text())
    account: dict[str, Any] = variables["postgresql_applications"][-1]["accounts"][0]
    account |= {"rotation": "alternating", "password": first, "second_password": second}
    path.write_text(yaml.safe_dump(variables))


@contextmanager
def session(lab: Lab, database: Database) -> Iterator[None]:
    """Keep a session of a login as long as this lasts."""
    using = f"SELECT count(*) FROM pg_stat_activity WHERE usename = $${database.user}$$ AND state = $$active$$"
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(database.run, "SELECT pg_sleep(300)")
        try:
            lab.wait(lambda: lab.sql("db1", using) == "1", 20)
            yield
        finally:
            lab.sql("db1", using.replace("count(*)", "pg_cancel_backend(pid)"))
            ended.result()


def test_an_account_with_two_logins_changes_its_passwords_without_one_failed_login(
    lab: Lab, with_crm: Path, database: Callable[..., Database]
) -> None:
    arguments = ("-e", f"@{with_crm}")
    declare(with_crm, "the first of crm", "the second of crm")
    lab.playbook(APPLY, *arguments)
    first = database("crm", "crm_app_a", "the first of crm")
    with session(lab, first):
        declare(with_crm, "the fourth of crm", "the second of crm")
        run = lab.playbook(ROTATE, *arguments, expect=2)
        assert "crm: crm_app_a has 1 sessions and would get another password" in run.output

    client = Client(first)
    try:
        declare(with_crm, "the first of crm", "the third of crm")
        run = lab.foretold(ROTATE, *arguments)
        assert run.changes == ["db1: role crm_app_b: another password -> password set"]
        client.database = database("crm", "crm_app_b", "the third of crm")
        lab.wait(lambda: client.answers[-1] == "crm_app_b", 30)
        # The pool still holds sessions of the one that nobody uses any more.
        declare(with_crm, "the fourth of crm", "the third of crm")
        run = lab.playbook(ROTATE, *arguments)
        assert run.changes == ["db1: role crm_app_a: another password -> password set"]
        client.database = database("crm", "crm_app_a", "the fourth of crm")
        lab.wait(lambda: client.answers[-1] == "crm_app_a", 30)
    finally:
        answers = client.end()
    assert answers == {"crm_app_a", "crm_app_b"}
    lab.at_rest(ROTATE, *arguments)
