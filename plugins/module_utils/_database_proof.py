# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try on the live databases what accounts must and must not be able to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _database_apply, _isolation
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_server import Server

ISOLATION = "isolation"
MOST = 50
"""Accounts of an application that are all tried; of more, one of each set of group roles."""


def prove(
    server: Server, every: Sequence[Application], only: str, passwords: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return one probe an application, with every surprise.

    Args:
        server: where.
        every: all applications.
        only: name of the one that is proved; "" for all.
        passwords: of their logins.
    """
    state = _database_apply.cluster_state(server, {})
    present = [one for one in every if not one.absent and one.database in state.databases]
    selected = [one for one in present if only in {"", one.name}]
    contents = _database_apply.contents(server, selected, state)
    found = []
    for application in selected:
        if application.database not in contents:
            found.append(_answer(application, [f"the database {application.database} takes no connections"], ""))
            continue
        others = [one.database for one in present if one.database != application.database]
        inside = contents[application.database]
        ground = _isolation.Ground(
            application,
            _isolation.samples(application, inside.relations),
            others,
            _isolation.exceptional(application, inside.relations),
        )
        found.append(_probe(server, ground, passwords, state.roles))
    return found


def _probe(
    server: Server, ground: _isolation.Ground, passwords: Mapping[str, str], there: Collection[str]
) -> dict[str, Any]:
    application = ground.application
    logins = [role for role in application.roles if role.logs_in]
    # Nobody becomes a role that is not there, and would try as whom he was before.
    roles = [role for role in logins if role.name in there]
    if len(roles) > MOST:
        roles = list({(role.kind, frozenset(role.member_of)): role for role in roles}.values())
    tries = [_isolation.tries(role, ground) for role in roles]
    attempts = [(role.name, [one.sql for one in some]) for role, some in zip(roles, tries, strict=True)]
    answers = server.attempt(application.database, attempts, passwords)
    surprises = [f"{role.name} is not there" for role in logins if role.name not in there]
    surprises += [
        text
        for role, some, states in zip(roles, tries, answers, strict=True)
        for text in _isolation.surprises(role, some, states)
    ]
    return _answer(application, surprises, f"{sum(map(len, tries))} tries of {len(roles)} accounts")


def _answer(application: Application, surprises: Sequence[str], tried: str) -> dict[str, Any]:
    return {
        "target": application.name,
        "probe": ISOLATION,
        "passed": not surprises,
        "words": "; ".join(surprises) or tried,
    }
