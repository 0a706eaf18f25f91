# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL for accounts, slots and the synchronous set, and the changes that are said of it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import service_role
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _instance_objects,
    _scram,
    _service_roles,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._instance_objects import SetPlan
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance, change
from ansible_collections.steadfast.postgresql.plugins.module_utils._service_roles import Services

INSTANCE = Instance("16", "main", Path("/data"), 5433)
PASSWORD = "correct horse"
VERIFIER = _scram.verifier(PASSWORD, b"salt of a test")
GROUPS = ["pg_monitor", "pg_signal_backend"]
ADA = {"superuser": False, "login": True, "verifier": VERIFIER, "comment": "", "groups": GROUPS}


@dataclass
class Server:
    """Answers by statement, and what was run."""

    answers: dict[str, Any]
    fails: bool = False
    ran: list[str] = field(default_factory=list)
    programs: list[list[str]] = field(default_factory=list)

    def query(self, instance: Instance, sql: str) -> str:
        assert instance == INSTANCE
        if self.fails:
            raise CommandError("no server")
        answer = self.answers.get(sql)
        if isinstance(answer, list) and answer and isinstance(answer[0], list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None and sql != "SELECT 1":
            self.ran.append(sql)
        return answer if isinstance(answer, str) else json.dumps(answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server({_service_roles.SEEN: service_role.seen()})
    monkeypatch.setattr(_instance_objects, "query", made.query)
    monkeypatch.setattr(_instance_objects, "query_secretly", made.query)
    monkeypatch.setattr(_instance_objects, "query_json", lambda instance, sql: json.loads(made.query(instance, sql)))
    monkeypatch.setattr(_instance_objects, "run", made.programs.append)
    monkeypatch.setattr(_scram, "verifier", lambda password, *more: VERIFIER if password == PASSWORD else "OTHER")
    return made


def account(**changes: Any) -> dict[str, Any]:
    return {"name": "ada", "password": PASSWORD, "comment": None, **changes}


NEW = f"CREATE ROLE \"ada\" LOGIN NOSUPERUSER PASSWORD '{VERIFIER}' IN ROLE pg_monitor, pg_signal_backend"
CREATED = change("role", "ada", "absent", "administrator")
COMMENTED = change("role", "ada", "another comment", "comment set")

ACCOUNTS = [
    pytest.param({}, [account()], False, [NEW], [CREATED], id="new"),
    pytest.param(
        {},
        [account(comment="Ada's")],
        False,
        [NEW, "COMMENT ON ROLE \"ada\" IS 'Ada''s'"],
        [CREATED],
        id="new with a comment",
    ),
    pytest.param({"ada": ADA}, [account()], False, [], [], id="as it should be"),
    pytest.param(
        {"ada": ADA},
        [account(password="another")],
        False,
        ["ALTER ROLE \"ada\" PASSWORD 'OTHER'"],
        [change("role", "ada", "another password", "password set")],
        id="changed password",
    ),
    pytest.param(
        {"ada": ADA | {"verifier": None}},
        [account()],
        False,
        [f"ALTER ROLE \"ada\" PASSWORD '{VERIFIER}'"],
        [change("role", "ada", "another password", "password set")],
        id="no password yet",
    ),
    pytest.param(
        {"ada": ADA | {"login": False}},
        [account()],
        False,
        ['ALTER ROLE "ada" LOGIN'],
        [change("role", "ada", "nologin", "login")],
        id="no login",
    ),
    pytest.param(
        {"ada": ADA | {"groups": ["pg_monitor", "staff"]}},
        [account()],
        False,
        ['GRANT pg_signal_backend TO "ada"'],
        [change("role", "ada", "no member of pg_signal_backend", "member of pg_signal_backend")],
        id="missing group",
    ),
    pytest.param(
        {"ada": ADA},
        [account(comment="on call")],
        False,
        ["COMMENT ON ROLE \"ada\" IS 'on call'"],
        [COMMENTED],
        id="comment",
    ),
    pytest.param(
        {"ada": ADA | {"comment": "on call"}},
        [account()],
        False,
        ["COMMENT ON ROLE \"ada\" IS ''"],
        [COMMENTED],
        id="comment removed",
    ),
    pytest.param(
        {},
        [],
        True,
        ["CREATE ROLE replicator LOGIN REPLICATION"],
        [change("role", "replicator", "absent", "replication")],
        id="replicator",
    ),
    pytest.param({}, [], False, [], [], id="nothing wanted"),
]


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
@pytest.mark.parametrize(("roles", "accounts", "replication", "statements", "changes"), ACCOUNTS)
def test_accounts(
    server: Server,
    *,
    roles: dict[str, dict[str, Any]],
    accounts: list[Any],
    replication: bool,
    statements: list[str],
    changes: list[dict[str, str]],
    check_mode: bool,
) -> None:
    server.answers |= {_instance_objects.ROLES: roles, _service_roles.SEEN: service_role.seen(replicator=None)}
    assert (
        _instance_objects.accounts(
            INSTANCE,
            accounts,
            Services(replication=replication, backups=False),
            check_mode=check_mode,
        )
        == changes
    )
    script = [f"BEGIN; {'; '.join(statements)}; COMMIT;"]
    assert server.ran == ([] if check_mode or not statements else script)
    assert PASSWORD not in str(changes)


def test_all_accounts_are_one_transaction(server: Server) -> None:
    server.answers |= {_instance_objects.ROLES: {}, _service_roles.SEEN: service_role.seen(replicator=None)}
    _instance_objects.accounts(
        INSTANCE,
        [account(), account(name="Bob O'B")],
        Services(replication=True, backups=False),
        check_mode=False,
    )
    assert len(server.ran) == 1
    assert 'CREATE ROLE "Bob O\'B" LOGIN' in server.ran[0]
    assert server.ran[0].endswith("CREATE ROLE replicator LOGIN REPLICATION; COMMIT;")


def test_a_superuser_is_refused(server: Server) -> None:
    server.answers[_instance_objects.ROLES] = {"ada": ADA | {"superuser": True}}
    text = (
        "role ada is a superuser, and no superuser logs in over the network; "
        'name another role in postgresql_administrators or ALTER ROLE "ada" NOSUPERUSER'
    )
    with pytest.raises(CommandError, match=f"^{re.escape(text)}$"):
        _instance_objects.accounts(INSTANCE, [account()], Services(replication=True, backups=False), check_mode=False)
    assert server.ran == []


def test_check_mode_does_not_know_what_a_stopped_server_holds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.fails = True
    monkeypatch.setattr(Instance, "holds_data", True)
    services = Services(replication=True)
    assert _instance_objects.accounts(INSTANCE, [account()], services, check_mode=True) == []


def test_check_mode_before_there_is_a_server(server: Server) -> None:
    server.fails = True
    assert _instance_objects.accounts(
        INSTANCE, [account()], Services(replication=True, backups=False), check_mode=True
    ) == [
        CREATED,
        change("role", "replicator", "absent", "replication"),
    ]
    assert _instance_objects.slots(INSTANCE, ["db2"], ["db1"], True) == [
        change("slot", "db1", "present", "absent"),
        change("slot", "db2", "absent", "present"),
    ]
    # A new cluster takes over the file that was left from an old one.
    plan = SetPlan([], ["db2"], 'ANY 1 ("db9")')
    assert _instance_objects.synchronous(INSTANCE, plan, True)[0] == [
        change("synchronous_standby_names", "16/main", 'ANY 1 ("db9")', 'ANY 1 ("db2")')
    ]
    assert _instance_objects.synchronous(INSTANCE, SetPlan([], ["db2"]), True)[0] == [
        change("synchronous_standby_names", "16/main", "empty", 'ANY 1 ("db2")')
    ]


def test_a_server_that_must_be_there(server: Server) -> None:
    server.fails = True
    with pytest.raises(CommandError, match="no server"):
        _instance_objects.accounts(INSTANCE, [account()], Services(replication=True, backups=False), check_mode=False)


CREATE = "SELECT pg_create_physical_replication_slot('{}', true)"
DROP = "SELECT pg_drop_replication_slot('{}')"
GONE = change("slot", "db2", "present", "absent")
COMES = change("slot", "db2", "absent", "present")


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
@pytest.mark.parametrize(
    ("present", "create", "drop", "statements", "changes"),
    [
        pytest.param([], ["db2"], [], [CREATE.format("db2")], [COMES], id="create"),
        pytest.param(["db2"], ["db2"], [], [], [], id="there already"),
        pytest.param(["db2", "db3"], [], ["db2"], [DROP.format("db2")], [GONE], id="drop"),
        pytest.param([], [], ["db2"], [], [], id="gone already"),
        pytest.param(["db2"], ["db2"], ["db2"], [DROP.format("db2"), CREATE.format("db2")], [GONE, COMES], id="again"),
        pytest.param(
            ["db1"],
            ["db3", "db2"],
            ["db1"],
            [DROP.format("db1"), CREATE.format("db2"), CREATE.format("db3")],
            [change("slot", "db1", "present", "absent"), COMES, change("slot", "db3", "absent", "present")],
            id="sorted, drops first",
        ),
    ],
)
def test_slots(
    server: Server,
    *,
    present: list[str],
    create: list[str],
    drop: list[str],
    statements: list[str],
    changes: list[dict[str, str]],
    check_mode: bool,
) -> None:
    server.answers[_instance_objects.SLOTS] = present
    assert _instance_objects.slots(INSTANCE, create, drop, check_mode) == changes
    assert server.ran == ([] if check_mode or not statements else ["; ".join(statements)])


def became(before: str, after: str) -> list[dict[str, str]]:
    return [change("synchronous_standby_names", "16/main", before, after)]


SETS = [
    pytest.param("", [], ["db2"], ["db2"], ["db2"], became("empty", 'ANY 1 ("db2")'), id="enters"),
    pytest.param(
        'ANY 1 ("db2")',
        ["db2"],
        ["db4"],
        ["db4"],
        ["db2", "db4"],
        became('ANY 1 ("db2")', 'ANY 1 ("db2", "db4")'),
        id="one stays, another enters",
    ),
    pytest.param('ANY 1 ("db2")', ["db2"], [], [], None, [], id="as it is"),
    pytest.param('ANY 1 ("db2")', [], [], [], [], became('ANY 1 ("db2")', "empty"), id="emptied"),
    pytest.param("", [], [], [], None, [], id="empty as it is"),
    pytest.param('ANY 1 ("db2")', ["db2", "db4"], ["db2"], ["db2"], None, [], id="in already"),
    pytest.param(
        'ANY 1 ("db2")',
        ["db2", "db4"],
        ["db4"],
        ["db4"],
        ["db2", "db4"],
        became('ANY 1 ("db2")', 'ANY 1 ("db2", "db4")'),
        id="who is in stays",
    ),
    # Who is in never leaves for somebody who does not come.
    pytest.param('ANY 1 ("db3")', [], ["db2"], ["db3"], None, [], id="nobody enters"),
    pytest.param('ANY 1 ("db2")', ["db2"], ["db4"], [], None, [], id="nobody enters, one stays"),
    pytest.param("", [], ["db4", "db2"], ["db2", "db9"], ["db2"], became("empty", 'ANY 1 ("db2")'), id="one of two"),
]


POSITION = {"lsn": "0/3000060", "timeline": 2}


def answers(live: str, streaming: Any) -> dict[str, Any]:
    return {
        "SHOW synchronous_standby_names": live,
        _instance_objects.STREAMING: streaming,
        _instance_objects.POSITION: POSITION,
    }


@pytest.mark.parametrize(("live", "keep", "enter", "streaming", "names", "changes"), SETS)
def test_synchronous(
    server: Server,
    *,
    live: str,
    keep: list[str],
    enter: list[str],
    streaming: list[str],
    names: list[str] | None,
    changes: list[dict[str, str]],
) -> None:
    server.answers |= answers(live, streaming)
    made, in_force = _instance_objects.synchronous(INSTANCE, SetPlan(keep, enter, wait=0), False)
    assert made == changes
    script = ["/usr/local/lib/steadfast/synchronous", "set", "16", "main", "5433", live]
    assert server.programs == ([] if names is None else [[*script, *names]])
    after = re.findall(r'"(\w+)"', live) if names is None else names
    assert in_force.pop("time").endswith("+00:00")
    assert in_force == {"to": after, **POSITION}


@pytest.mark.parametrize("check_mode", [False, True], ids=["", "check"])
@pytest.mark.parametrize(
    ("live", "expected", "refusal"),
    [
        ('ANY 1 ("db2")', "ANY 1 (db2)", None),
        ("", "", None),
        ("", 'ANY 1 ("db2")', 'the set is empty by now, and was ANY 1 ("db2")'),
        ('ANY 1 ("db2", "db4")', 'ANY 1 ("db2")', 'the set is ANY 1 ("db2", "db4") by now, and was ANY 1 ("db2")'),
        ('ANY 1 ("db2")', "", 'the set is ANY 1 ("db2") by now, and was empty'),
    ],
)
def test_synchronous_expects_the_set_that_was_decided_upon(
    server: Server, *, live: str, expected: str, refusal: str | None, check_mode: bool
) -> None:
    server.answers |= answers(live, ["db2"])
    plan = SetPlan(["db2"], [], expected, 0)
    if refusal is None:
        assert _instance_objects.synchronous(INSTANCE, plan, check_mode)[0] == []
        return
    with pytest.raises(CommandError) as error:
        _instance_objects.synchronous(INSTANCE, plan, check_mode)
    assert str(error.value) == f"{refusal} when this run looked: another run or the watch has changed it. Run again."
    assert server.programs == []


def test_synchronous_waits_for_those_that_come(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers |= answers("", [[], ["db2"], ["db2", "db4"]])
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    made, _ = _instance_objects.synchronous(INSTANCE, SetPlan([], ["db2", "db4"]), False)
    assert made == became("empty", 'ANY 1 ("db2", "db4")')


def test_check_mode_predicts_that_they_come(server: Server) -> None:
    server.answers |= {"SHOW synchronous_standby_names": 'ANY 1 ("db2")', _instance_objects.STREAMING: []}
    made, in_force = _instance_objects.synchronous(INSTANCE, SetPlan(["db2"], ["db4"]), True)
    assert made == became('ANY 1 ("db2")', 'ANY 1 ("db2", "db4")')
    assert in_force["to"] == ["db2", "db4"]
    assert server.programs == []


def test_the_roles_of_services(server: Server) -> None:
    server.answers[_instance_objects.ROLES] = {}
    services = Services(replication=True, backups=True, poolers=True)
    server.answers[_service_roles.SEEN] = service_role.seen(pgbouncer={"createrole": True})
    changes = _instance_objects.accounts(INSTANCE, [], services, check_mode=False)
    assert changes == [change("role", "pgbouncer", "createrole", "pooler")]
    assert server.ran == ["BEGIN; ALTER ROLE pgbouncer NOCREATEROLE; COMMIT;"]
    server.answers[_service_roles.SEEN] = service_role.seen()
    assert _instance_objects.accounts(INSTANCE, [], services, check_mode=False) == []
