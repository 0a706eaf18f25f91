# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole difference between what applications declare and what a server holds, in the order in which it is applied.

Pure. First what all databases share: roles and memberships in one transaction, then new databases, which no transaction
can hold and which a later run finds and completes. Then one transaction a database. What is to be absent goes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils import _database_contents, _database_roles
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import (
    Changes,
    Drift,
    Script,
    condensed,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import FRESH, ClusterState, Contents

PARTS = ("schema", "extension")
"""What is listed of a database that is new; its rights and settings go without saying."""


@dataclass
class Plan:
    """What is to be done, and what is only said.

    Attributes:
        roles: holds verifiers of passwords, so it runs where nothing writes them down.
        others: everything else, in this order.
        drift: what exists and is not declared.
        turns: of accounts with two logins, which one is in use.
    """

    roles: Script
    others: list[Script] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    turns: list[Drift] = field(default_factory=list)

    @property
    def scripts(self) -> list[Script]:
        """All that has something to run."""
        return [script for script in (self.roles, *self.others) if script]

    @property
    def changes(self) -> Changes:
        """What it changes, as a person reads it."""
        return [entry for script in self.scripts for entry in condensed(script.changes)]

    @property
    def sql(self) -> str:
        """All statements without their secrets."""
        lines: list[str] = []
        for script in self.scripts:
            where = f"in the database {script.database}" if script.database else "for all databases"
            lines.append(f"-- {where}, {'one transaction' if script.together else 'one by one'}")
            lines += [f"{statement.text};" for statement in script.statements]
        return "".join(f"{line}\n" for line in lines)


def plan(
    selected: Sequence[Application],
    every: Sequence[Application],
    state: ClusterState,
    contents: Mapping[str, Contents],
    verifiers: Mapping[str, str],
) -> Plan:
    """Return what makes the declared of what there is.

    Args:
        selected: the applications that this run is about.
        every: all that are declared; what belongs to none of them is drift.
        state: what all databases share.
        contents: what each database holds that is there, by its name.
        verifiers: what the password becomes of each login whose password is new or another one.

    Raises:
        RefusalError: something is in the way; nothing may be changed.
    """
    _database_roles.refuse(selected, state, verifiers)
    present = [application for application in selected if not application.absent]
    result = Plan(_database_roles.roles(present, state, verifiers))
    result.drift += _database_roles.drift(every, state)
    result.others.append(_database_roles.databases(present, state))
    for application in present:
        found = state.databases.get(application.database) or _database_contents.of_new(application)
        inside = contents.get(application.database, FRESH)
        script, drift = _database_contents.reconcile(application, state, found, inside)
        if application.database not in state.databases:
            script.changes = [entry for entry in script.changes if entry["kind"] in PARTS]
        result.others.append(script)
        result.drift += drift
    result.others += _database_roles.removals([one for one in selected if one.absent], state)
    return result
