# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins read of a play, and the line that shows a clone to live."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.action import instance as action
from ansible_collections.steadfast.postgresql.plugins.action import packages, plan_restart
from ansible_collections.steadfast.postgresql.plugins.action.instance import progress
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

MIB = 1 << 20
CLUSTER = {"name": "main", "members": [{"name": "db1"}, {"name": "db2"}, {"name": "db3"}]}


class Hostvars(dict[str, Any]):
    """Variables by host, of hosts that are not templated."""

    def raw_get(self, host: str) -> Any:
        return self.get(host, {})


def play(host: str = "db1", variables: Any = None, order: tuple[str, ...] = ("ops9", "db2", "db1", "db3")) -> Any:
    return _play.Play(
        {
            "inventory_hostname": host,
            "ansible_play_hosts_all": list(order),
            "hostvars": Hostvars(variables or {}),
            _play.PREFLIGHT: {"started": 100.0, "cluster": CLUSTER, "own": {"postgresql_port": 5432}},
        }
    )


def saw(number: int = 1, asked: float = 100.0) -> dict[str, Any]:
    return {_play.OBSERVATION: {"instance": {"number": number}, "asked": asked}}


UNREACHABLE = {_play.OBSERVATION: {"unreachable": True, "msg": "timed out"}}


def test_the_cluster_and_its_members() -> None:
    found = play()
    assert (found.cluster, found.own, found.members) == (CLUSTER, {"postgresql_port": 5432}, ["db1", "db2", "db3"])


@pytest.mark.parametrize(
    ("variables", "reached"),
    [
        pytest.param({}, [], id="nobody"),
        pytest.param({"db1": saw(), "db2": saw(), "db3": saw()}, ["db2", "db1", "db3"], id="in the play's order"),
        pytest.param({"db1": saw(), "db2": UNREACHABLE}, ["db1"], id="unreachable"),
        pytest.param({"db1": saw(), "ops9": saw()}, ["db1"], id="another cluster"),
        pytest.param({"db1": saw(), "db2": saw(asked=99.9)}, ["db1"], id="in an earlier play"),
        pytest.param({"db1": saw(), "db3": {_play.OBSERVATION: "text"}}, ["db1"], id="no result"),
        pytest.param({"db1": saw(), "db2": {_play.OUTCOME: {"instance": {}}}}, ["db1"], id="another result"),
    ],
)
def test_who_was_reached(variables: dict[str, Any], reached: list[str]) -> None:
    assert play(variables=variables).reached(_play.OBSERVATION) == reached
    for host in ("db1", "db2", "db3"):
        assert play(host, variables).speaks(_play.OBSERVATION) is (reached[:1] == [host])


def test_a_host_outside_the_limit_is_not_reached() -> None:
    variables = {"db1": saw(), "db2": saw()}
    assert play(variables=variables, order=("db1",)).reached(_play.OBSERVATION) == ["db1"]


def test_observations() -> None:
    variables = {"db1": saw(1), "db2": UNREACHABLE, "ops9": saw(9)}
    assert play(variables=variables).observations(_play.OBSERVATION) == {"db1": {"number": 1}, "db2": None, "db3": None}


@pytest.mark.parametrize(("value", "found"), [({"a": 1}, {"a": 1}), ("text", {}), (None, {})])
def test_registered(value: dict[str, int] | str | None, found: dict[str, int]) -> None:
    assert (
        play(variables={"db2": {"__postgresql_server_plan": value}}).registered("db2", "__postgresql_server_plan")
        == found
    )
    assert play().registered("db2", "__postgresql_server_plan") == {}


def test_changes() -> None:
    one, two, three, four = ({"name": str(number)} for number in range(1, 5))
    variables = {
        "db1": {
            "__postgresql_server_files": {"changes": [one, two]},
            "another_role": {"changes": [three]},
            "__postgresql_server_plan": {"phase": "none"},
            "__postgresql_server_text": "changes",
            "__postgresql_replication_slots": {"changes": [four, one]},
        }
    }
    assert play(variables=variables).changes("db1") == [one, two, four]
    assert play(variables=variables).changes("db2") == []


def test_a_refusal_is_worded_once() -> None:
    variables = {"db1": saw(), "db2": saw()}
    assert play("db2", variables).refusal(["a: b", "c"]) == (
        "Cluster main: refused, and nothing was changed.\n- a: b\n- c"
    )
    assert play("db1", variables).refusal(["a: b"]) == "Cluster main: refused; the reasons are at db2."


@pytest.mark.parametrize(
    ("done", "expected", "seconds", "text"),
    [
        (50 * MIB, 200 * MIB, 5.0, "db2: clone: 25 % of 200 MiB, 50 MiB, 10 MiB/s"),
        (50 * MIB, 0, 5.0, "db2: clone: 50 MiB, 10 MiB/s"),
        (0, 200 * MIB, 0.0, "db2: clone: 0 % of 200 MiB, 0 MiB, 0 MiB/s"),
        # WAL comes on top of what the databases have.
        (300 * MIB, 200 * MIB, 10.0, "db2: clone: 99 % of 200 MiB, 300 MiB, 30 MiB/s"),
        (10 * MIB, 0, 0.0, "db2: clone: 10 MiB, 100 MiB/s"),
    ],
)
def test_progress(done: int, expected: int, seconds: float, text: str) -> None:
    assert progress("db2", done, expected, seconds) == text


DECIDED = {"version": "16", "cluster": "main", "port": 5432}


def run_module(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], *answers: dict[str, Any], **variables: Any
) -> Any:
    """Run the action over a module that answers this; returns its result, the arguments it got, and what was shown."""
    given: list[Any] = []
    shown: list[str] = []
    left = list(answers)
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = SimpleNamespace(args=arguments)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {"from": "Ansible"})
    monkeypatch.setattr(action.DISPLAY, "display", shown.append)

    def execute(module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        given.append(module_args)
        return left.pop(0)

    plugin._execute_module = execute
    result = plugin.run(task_vars={"inventory_hostname": "db2"} | variables)
    assert left == []
    return result, given, shown


def test_the_module_gets_the_instance_that_was_decided_about(monkeypatch: pytest.MonkeyPatch) -> None:
    decision = {_play.DECISION: {"instance": DECIDED}}
    result, given, shown = run_module(monkeypatch, {"operation": "reload", "port": 5433}, {"changes": []}, **decision)
    assert result == {"from": "Ansible", "changes": []}
    assert (given, shown) == ([DECIDED | {"operation": "reload", "port": 5433}], [])


def test_the_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    result, given, _ = run_module(monkeypatch, DECIDED | {"operation": "start"}, {"failed": True, "msg": "no"})
    assert result == {"from": "Ansible", "failed": True, "msg": "no"}
    assert given == [DECIDED | {"operation": "start"}]


@pytest.mark.parametrize(("expected", "share"), [(str(100 * MIB), "50 % of 100 MiB, "), ("", ""), (None, "")])
def test_a_clone_is_polled_and_shown(monkeypatch: pytest.MonkeyPatch, expected: str | None, share: str) -> None:
    arguments = {"operation": "clone"} if expected is None else {"operation": "clone", "expected_bytes": expected}
    going, done = {"finished": False, "bytes": 50 * MIB}, {"finished": True, "bytes": 0}
    result, given, shown = run_module(monkeypatch, arguments, going, going, done)
    assert result == {"from": "Ansible", "finished": True, "bytes": 0}
    assert given == 3 * [{"operation": "clone"}]
    assert [line.rpartition(", ")[0] for line in shown] == 2 * [f"db2: clone: {share}50 MiB"]


WAITS = {"port": {"running": "5432", "configured": "5433"}}
AFTER = {"jit": {"running": "on", "configured": "off"}}
MINIMA = dict.fromkeys(STANDBY_MINIMA, 100)
HOSTS = {"db1": {"role": "primary"}, "db2": {"role": "synchronous"}, "db3": {"role": "asynchronous"}}


def database(pending: Any = None, **registered: Any) -> dict[str, Any]:
    """The variables of a database host whose server runs."""
    own = {"running": True, "minima": MINIMA, "pending": pending or {}, "pending_after_reload": AFTER}
    decision = {"self": own, "hosts": HOSTS, "primary": "db1", "addresses": dict.fromkeys(HOSTS, "")}
    return {_play.DECISION: decision} | registered


RELOADED: dict[str, Any] = {plan_restart.RELOAD: {"pending": WAITS}}
PREDICTED: dict[str, Any] = {plan_restart.RELOAD: {"pending": {}}}
WRITTEN = {plan_restart.FILES: {"written_paths": ["/unit.conf", "/pg_hba.conf"]}}


@pytest.mark.parametrize(
    ("check_mode", "variables", "waiting"),
    [
        pytest.param(False, database(), [], id="nothing was reloaded"),
        pytest.param(False, database(WAITS), ["port"], id="it waited before"),
        pytest.param(False, database(**RELOADED), ["port"], id="the reload says it"),
        pytest.param(False, database(WAITS, **{plan_restart.RELOAD: {"pending": {}}}), [], id="it waits no more"),
        pytest.param(False, database(WAITS, **{plan_restart.RELOAD: {"skipped": True}}), ["port"], id="not reloaded"),
        pytest.param(True, database(WAITS), ["port"], id="check: nothing would be reloaded"),
        pytest.param(True, database(WAITS, **PREDICTED), ["jit"], id="check: predicted"),
        pytest.param(True, database(**PREDICTED, **WRITTEN), ["/unit.conf", "jit"], id="check: a file of the service"),
        pytest.param(False, {}, None, id="not in the play"),
        pytest.param(False, {_play.DECISION: {"self": {"running": False}}}, None, id="no server"),
    ],
)
def test_what_waits_on_a_host(check_mode: bool, variables: dict[str, Any], waiting: list[str] | None) -> None:
    found = plan_restart._running(play(variables={"db2": variables}), "db2", check_mode, ["/unit.conf"])
    assert (None if found is None else sorted(found.waiting)) == waiting


def run_action(
    monkeypatch: pytest.MonkeyPatch,
    plugin_class: type[ActionBase],
    host: str,
    variables: dict[str, Any],
    check_mode: bool = False,
    **arguments: Any,
) -> tuple[Any, ...]:
    plugin: Any = object.__new__(plugin_class)
    plugin._task = SimpleNamespace(args=arguments, check_mode=check_mode)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(ActionBase, "validate_argument_spec", lambda self, spec: (None, arguments))
    return plugin, plugin.run(task_vars=play(host, variables)._task_vars)


@pytest.mark.parametrize("host", ["db1", "db2", "db3"])
def test_the_host_that_nobody_waits_for_restarts_first(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    variables = dict.fromkeys(("db1", "db2", "db3"), database(WAITS))
    options: dict[str, Any] = {"allowed": True, "start_files": []}
    _, result = run_action(monkeypatch, plan_restart.ActionModule, host, variables, **options)
    assert result["order"] == ["db3", "db2", "db1"]
    assert result["phase"] == ("primary" if host == "db1" else "standby")


def package(name: str) -> dict[str, str]:
    return {"kind": "package", "name": name, "from": "absent", "to": "installed"}


@pytest.mark.parametrize(
    ("check_mode", "answer", "changes"),
    [
        pytest.param(True, None, ["b"], id="check"),
        pytest.param(False, {"changed": True}, ["b"], id="installed"),
        pytest.param(False, {"changed": False}, [], id="somebody else was faster"),
        pytest.param(False, {"changed": True, "failed": True, "msg": "no"}, [], id="failed"),
    ],
)
def test_packages(
    monkeypatch: pytest.MonkeyPatch, check_mode: bool, answer: dict[str, Any] | None, changes: list[str]
) -> None:
    ran = []

    def execute(self: ActionBase, **given: Any) -> dict[str, Any] | None:
        ran.append((given["module_name"], given["module_args"]))
        return answer

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    variables = {"db1": {_play.OBSERVATION: {"instance": {"packages": {"a": "1.0"}}, "asked": 100.0}}}
    _, result = run_action(monkeypatch, packages.ActionModule, "db1", variables, check_mode, names=["a", "b"])
    assert result["changes"] == [package(name) for name in changes]
    assert result["changed"] is (True if answer is None else answer["changed"])
    options = {"name": ["a", "b"], "install_recommends": False, "update_cache": True}
    assert ran == ([] if check_mode else [("ansible.builtin.apt", options)])
