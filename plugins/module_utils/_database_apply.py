# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a server holds, compute the difference from what applications declare, and apply it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _database_passwords,
    _database_roles,
    _database_state,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_plan import Plan, plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import Script
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_server import Server
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import ClusterState, Contents
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import run

Json = Mapping[str, Any]

UNKNOWN = ClusterState()
"""A server that this run would make: it holds nothing."""


@dataclass(frozen=True)
class Wanted:
    """What a run is about.

    Attributes:
        every: all applications.
        only: name of the one that is reconciled; "" for all.
        passwords: of their logins.
        logged_in: who is logged in elsewhere than on the primary (_logged_in).
        packages_come: whether the run installs packages before, as a check of it does not; extensions come with them.
    """

    every: Sequence[Application]
    only: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    logged_in: Json = field(default_factory=dict)
    packages_come: bool = False

    @property
    def selected(self) -> list[Application]:
        """The applications that are reconciled."""
        return [application for application in self.every if self.only in {"", application.name}]


def reconcile(server: Server | None, wanted: Wanted, check_mode: bool) -> Plan:
    """Bring a server to what applications declare.

    Args:
        server: where; None for one that is not there yet, in check mode.
        wanted: what is to be there.
        check_mode: only say what would be done.

    Raises:
        Refusal: something is in the way, and nothing was changed.
        CommandError: the server does not answer, or a statement failed.
    """
    selected = wanted.selected
    state = cluster_state(server, wanted.logged_in) if server else UNKNOWN
    if (server is None or server.instance) and any(application.locale for application in selected):
        state = replace(state, locales=_locales())
    if check_mode and wanted.packages_come:
        state = replace(state, extensions=None)
    inside = contents(server, selected, state) if server else {}
    concerned = _passwords(selected, wanted.passwords)
    stale = _stale(server, selected, state, concerned)
    # In check mode the slow hashing is spared: nobody sees a verifier.
    verifiers = dict.fromkeys(stale, "-") if check_mode else _database_passwords.verifiers(concerned, stale)
    result = plan(selected, wanted.every, state, inside, verifiers)
    if server and not check_mode:
        if result.roles:
            server.run([result.roles], secret=True)
        others = [script for script in result.others if script]
        if others:
            server.run(others)
    return result


def rotate(server: Server | None, wanted: Wanted, check_mode: bool) -> Plan:
    """Change the passwords that differ, and nothing else; arguments and errors are those of reconcile."""
    if server is None:
        return Plan(Script())
    selected = [application for application in wanted.selected if not application.absent]
    state = cluster_state(server, wanted.logged_in)
    concerned = {name: word for name, word in _passwords(selected, wanted.passwords).items() if name in state.roles}
    stale = _stale(server, selected, state, concerned)
    verifiers = dict.fromkeys(stale, "-") if check_mode else _database_passwords.verifiers(concerned, stale)
    script = _database_roles.passwords(selected, state, verifiers)
    if script and not check_mode:
        server.run([script], secret=True)
    return Plan(script, turns=list(_database_roles.turns(selected, state)))


def cluster_state(server: Server, logged_in: Json) -> ClusterState:
    """Return what all databases of a server share."""
    query = _database_state.cluster_query(superuser=server.instance is not None)
    return ClusterState.of(server.read([("", query)])[0], logged_in)


def _locales() -> frozenset[str]:
    """Return the locales of this host."""
    return frozenset(run(["locale", "-a"]).split())


def contents(server: Server, selected: Sequence[Application], state: ClusterState) -> dict[str, Contents]:
    """Return what the databases hold that are there and take connections, in one go."""
    names = [
        application
        for application in selected
        if not application.absent
        and application.database in state.databases
        and state.databases[application.database].connects
        and state.databases[application.database].connection_limit != _database_state.INVALID
    ]
    if not names:
        return {}
    answers = server.read([(application.database, _query(application)) for application in names])
    return {application.database: Contents.of(answer) for application, answer in zip(names, answers, strict=True)}


def _query(application: Application) -> str:
    functions = {name for grant in application.grants if grant.kind == "function" for name in grant.names}
    schemas = [schema.name for schema in application.schemas]
    return _database_state.contents_query(application.owner.name, schemas, functions)


def _passwords(selected: Sequence[Application], passwords: Mapping[str, str]) -> dict[str, str]:
    names = {name for application in selected if not application.absent for name in application.logins}
    return {name: password for name, password in passwords.items() if name in names}


def _stale(
    server: Server | None, selected: Sequence[Application], state: ClusterState, passwords: Mapping[str, str]
) -> list[str]:
    """Return the logins whose password is to be set."""
    if server is None or server.instance:
        return _database_passwords.stale(passwords, state.roles)
    where = {name: application.database for application in selected for name in application.logins}

    def logs_in(name: str, password: str) -> bool:
        return where[name] in state.databases and server.logs_in(name, password, where[name])

    return _database_passwords.refused(passwords, state.roles, logs_in)
