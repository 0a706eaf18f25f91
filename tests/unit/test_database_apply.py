# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading, comparing and applying, with a server that only listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _database_apply,
    _database_findings,
    _database_proof,
    _scram,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import passwords
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_apply import Wanted
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import (
    RefusalError,
    Script,
    condensed,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_server import Server
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import Instance, change
from applications import PASSWORD, application, declared

CRM = application("crm", accounts=[{"name": "crm_app", "password": PASSWORD, "member_of": ["crm_rw"]}])
VERIFIER = _scram.verifier(PASSWORD, b"salt", 1)
COLUMNS = (False, False, False, False, True)  # CREATEROLE, CREATEDB, REPLICATION, BYPASSRLS, INHERIT
ACL = ["crm_owner=CTc/crm_owner", "crm_rw=c/crm_owner", "crm_ro=c/crm_owner"]
CONTENTS: dict[str, Any] = {
    "schemas": {
        "public": {
            "owner": "pg_database_owner",
            "comment": "",
            "acl": ["pg_database_owner=UC/x", "crm_rw=U/x", "crm_ro=U/x"],
        }
    },
    "relations": [["public", "t", "r", "crm_owner", ["crm_rw=arwd/crm_owner", "crm_ro=r/crm_owner"]]],
    "functions": [],
    "defaults": [
        ["public", "r", ["crm_rw=arwd/crm_owner", "crm_ro=r/crm_owner"]],
        ["public", "S", ["crm_rw=rU/crm_owner", "crm_ro=r/crm_owner"]],
    ],
    "extensions": {"plpgsql": ["pg_catalog", "1.0"]},
    "columns": [],
    "others_defaults": [],
    "definers": [],
    "catalogue": [],
}


def cluster(verifier: str | None = VERIFIER) -> dict[str, Any]:
    """Return what the query of the cluster returns where CRM is as declared."""
    one = declared(CRM)
    return {
        "user": "postgres",
        "superuser": True,
        "in_recovery": False,
        "version_num": 160014,
        "roles": [
            [role.name, False, role.logs_in, *COLUMNS, -1, verifier if role.logs_in else None, role.comment, ""]
            for role in one.roles
        ],
        "memberships": [["crm_owner", "crm_migrator", True, False], ["crm_rw", "crm_app", True, False]],
        "handed": [],
        "server_rights": [],
        "databases": {
            "crm": {
                "owner": "crm_owner",
                "connects": True,
                "template": False,
                "connection_limit": -1,
                "encoding": "UTF8",
                "locale": "C.UTF-8",
                "comment": "",
                "acl": ACL,
            }
        },
        "sessions": [],
        "settings": [["crm_migrator", "crm", ["role=crm_owner"]]],
        "extensions": {},
    }


class Listener(Server):
    """A server that answers what it is told and keeps what it is given."""

    def __init__(self, answers: list[Any], states: list[list[str]] | None = None, local: bool = True) -> None:
        super().__init__("psql", {}, Instance("16", "main", Path("/data")) if local else None)
        object.__setattr__(self, "told", answers)
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "given", [])

    told: list[Any]
    states: list[list[str]] | None
    given: list[Any]

    def read(self, queries: Any) -> list[Any]:
        return [self.told.pop(0) for _ in queries]

    def run(self, scripts: Any, secret: bool = False) -> None:
        self.given.append(([statement.sql for script in scripts for statement in script.statements], secret))

    def attempt(self, database: str, attempts: Any, passwords: Any) -> list[list[str]]:
        self.given.append((database, attempts))
        return self.states or [["42501" for _ in statements] for _, statements in attempts]

    def logs_in(self, user: str, password: str, database: str) -> bool:
        self.given.append((user, database))
        return user != "crm_app"


def reconcile(server: Listener | None, check_mode: bool = False) -> Any:
    return _database_apply.reconcile(server, Wanted([declared(CRM)], passwords=passwords(CRM)), check_mode)


def test_an_unchanged_server_is_left_alone() -> None:
    server = Listener([cluster(), CONTENTS])
    result = reconcile(server)
    assert (server.given, result.changes, result.drift) == ([], [], [])


def test_a_check_does_not_miss_what_comes_with_packages() -> None:
    given = declared(CRM | {"extensions": [{"name": "pg_cron"}]})
    for check_mode, packages_come in ((True, False), (False, True)):
        wanted = Wanted([given], passwords=passwords(CRM), packages_come=packages_come)
        with pytest.raises(RefusalError, match="has no extension pg_cron"):
            _database_apply.reconcile(Listener([cluster(), CONTENTS]), wanted, check_mode)
    wanted = Wanted([given], passwords=passwords(CRM), packages_come=True)
    found = _database_apply.reconcile(Listener([cluster(), CONTENTS]), wanted, True)
    assert found.changes == [change("extension", "crm.pg_cron", "absent", "present")]


def test_another_password_becomes_a_verifier() -> None:
    server = Listener([cluster(_scram.verifier("another password", b"salt", 1)), CONTENTS])
    result = reconcile(server)
    ((statements, secret),) = server.given
    assert secret
    assert len(statements) == 2
    assert all(text.startswith("ALTER ROLE") and _scram.matches(PASSWORD, text.split("'")[1]) for text in statements)
    assert result.changes == [
        change("role", "crm_migrator", "another password", "password set"),
        change("role", "crm_app", "another password", "password set"),
    ]


def test_check_mode_says_the_same_and_runs_nothing() -> None:
    before = cluster() | {"memberships": [], "roles": cluster()["roles"][:-1]}
    server, other = Listener([before, CONTENTS]), Listener([before, CONTENTS])
    predicted, done = reconcile(server, check_mode=True), reconcile(other)
    assert server.given == []
    assert len(other.given) == 1
    assert (predicted.changes, predicted.sql) == (done.changes, done.sql)
    assert predicted.changes


def test_roles_come_before_what_needs_them_and_apart() -> None:
    server = Listener([cluster() | {"databases": {}, "roles": [], "memberships": [], "settings": []}])
    reconcile(server)
    assert [secret for _, secret in server.given] == [True, False]
    assert server.given[1][0][0].startswith('CREATE DATABASE "crm"')


def test_a_server_that_is_not_there_holds_nothing() -> None:
    assert reconcile(None, check_mode=True).changes[0] == change("role", "crm_owner", "absent", "owner")


def test_elsewhere_a_password_is_tried() -> None:
    server = Listener([cluster(None), CONTENTS], local=False)
    result = reconcile(server)
    assert sorted(server.given[:2]) == [("crm_app", "crm"), ("crm_migrator", "crm")]
    assert result.changes == [change("role", "crm_app", "another password", "password set")]


TWO = application(
    "crm",
    accounts=[
        {
            "name": "crm_app",
            "password": PASSWORD,
            "second_password": "the other password",
            "rotation": "alternating",
            "member_of": ["crm_rw"],
        }
    ],
)


def rotated(sessions: dict[str, int], check_mode: bool = False) -> tuple[Listener, Any]:
    rows = [[login, "10.1.0.7", number] for login, number in sessions.items()]
    state = cluster(_scram.verifier(PASSWORD, b"salt", 1)) | {"sessions": rows}
    role = [False, True, *COLUMNS, 7, _scram.verifier(PASSWORD, b"salt", 1), "?", ""]
    state["roles"] = [*state["roles"][:-1], ["crm_app_a", *role], ["crm_app_b", *role]]
    server = Listener([state])
    return server, _database_apply.rotate(server, Wanted([declared(TWO)], passwords=passwords(TWO)), check_mode)


def test_a_rotation_changes_passwords_alone_and_says_whose_turn_it_is() -> None:
    server, result = rotated({"crm_app_a": 2})
    ((statements, secret),) = server.given
    assert secret
    assert [text.split("'")[0] for text in statements] == ['ALTER ROLE "crm_app_b" PASSWORD ']
    assert result.changes == [change("role", "crm_app_b", "another password", "password set")]
    assert [(one.text, one.advice) for one in result.turns] == [
        ("Sessions of crm: crm_app_a 2 and crm_app_b 0.", "Whose password may change: crm_app_b.")
    ]
    predicted_server, predicted = rotated({"crm_app_a": 2}, check_mode=True)
    assert (predicted_server.given, predicted.changes) == ([], result.changes)


def test_a_rotation_of_a_login_in_use_is_refused() -> None:
    with pytest.raises(RefusalError, match="crm_app_b has 1 sessions and would get another password"):
        rotated({"crm_app_b": 1})


def test_the_proof_names_every_surprise() -> None:
    shop = declared(application("shop"))
    with_shop = cluster()
    with_shop["databases"] = {**with_shop["databases"], "shop": with_shop["databases"]["crm"]}
    server = Listener([with_shop, CONTENTS])
    (probe,) = _database_proof.prove(server, [declared(CRM), shop], "crm", {})
    assert probe == {
        "target": "crm",
        "probe": "isolation",
        "passed": False,
        "words": "crm_migrator cannot act as crm_owner; crm_migrator cannot create a table in the schema public; "
        "crm_app cannot look into the schema public; crm_app cannot read public.t; crm_app cannot insert into "
        "public.t; crm_app cannot delete from public.t",
    }
    tried = [statement for _, statements in server.given[0][1] for statement in statements]
    assert "SELECT 1 / pg_catalog.has_database_privilege('shop', 'CONNECT')::int" in tried


def test_the_proof_says_what_it_could_not_try() -> None:
    without = cluster()
    without["roles"] = [row for row in without["roles"] if row[0] != "crm_app"]
    server = Listener([without, CONTENTS])
    (probe,) = _database_proof.prove(server, [declared(CRM)], "", {})
    assert probe["words"].startswith("crm_app is not there; ")
    assert [role for role, _ in server.given[0][1]] == ["crm_migrator"]

    closed = cluster()
    closed["databases"]["crm"]["connects"] = False
    (probe,) = _database_proof.prove(Listener([closed]), [declared(CRM)], "", {})
    assert (probe["passed"], probe["words"]) == (False, "the database crm takes no connections")


def test_the_proof_of_what_is_in_order() -> None:
    every = [declared(CRM)]
    server = Listener([cluster(), CONTENTS])
    _database_proof.prove(server, every, "", {})
    allowed = ("SET ROLE", 'SELECT FROM "public"', "SELECT 1 / (pg_catalog.has_schema_privilege")
    states = [
        [
            "42501" if not text.startswith(allowed) or (role == "crm_app" and text.startswith("SET ROLE")) else "00000"
            for text in statements
        ]
        for role, statements in server.given[0][1]
    ]
    (probe,) = _database_proof.prove(Listener([cluster(), CONTENTS], states), every, "", {})
    assert probe == {"target": "crm", "probe": "isolation", "passed": True, "words": "20 tries of 2 accounts"}


def test_of_many_accounts_one_of_a_kind_is_tried() -> None:
    accounts = [{"name": f"a{number}", "password": PASSWORD, "member_of": ["crm_rw"]} for number in range(60)]
    state = cluster()
    state["roles"] += [[f"a{number}", *state["roles"][-1][1:]] for number in range(60)]
    server = Listener([state, CONTENTS])
    _database_proof.prove(server, [declared(CRM | {"accounts": accounts})], "", {})
    assert [role for role, _ in server.given[0][1]] == ["crm_migrator", "a59"]


def test_findings() -> None:
    pending = [change("role", f"r{number}", "absent", "account") for number in range(11)]
    result = {
        "pending": pending,
        "drift": [{"text": "The database x belongs to no application.", "advice": "Drop it."}],
    }
    first, second = _database_findings.findings("db1", result)
    assert first.text.startswith("The databases are not as declared: role r0: absent -> account; role r1: absent")
    assert first.text.endswith("role r9: absent -> account; and 1 more.")
    assert (second.text, second.advice) == ("The database x belongs to no application.", "Drop it.")
    assert list(_database_findings.findings("db1", {"changes": [], "drift": []})) == []
    (refused,) = _database_findings.findings("db1", {"refused": ["crm: the role crm_app is a superuser"]})
    words = "The databases cannot be applied: crm: the role crm_app is a superuser."
    assert (refused.severity, refused.text) == ("error", words)


@pytest.mark.parametrize(("count", "lines"), [(20, 20), (21, 1)])
def test_many_changes_of_a_kind_are_one_line(count: int, lines: int) -> None:
    script = Script()
    for number in range(count):
        script.add("SELECT 1", change("role", f"r{number}", "absent", "account"))
    found = condensed([*script.changes, change("database", "crm", "absent", "present")])
    assert len(found) == lines + 1
    if lines == 1:
        assert found[0] == change("role", "r0 ... r20 (21)", "absent", "account")
