# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that services log in as, as they are seen."""

from __future__ import annotations

from typing import Any

ATTRIBUTES: dict[str, Any] = {
    **dict.fromkeys(("superuser", "replication", "createrole", "createdb", "bypassrls", "password"), False),
    "login": True,
    "inherit": True,
    "connection_limit": -1,
    "valid_until": None,
    "groups": [],
    "members": [],
    "settings": [],
}
BACKUP_GROUPS = [["pg_checkpoint", "postgres"], ["pg_read_all_settings", "postgres"]]
FUNCTION = {"as_wanted": True, "callers": ["pgbouncer"], "schema_users": ["pgbouncer"]}


def seen(**changes: Any) -> dict[str, Any]:
    """All of them as they have to be; changes of a role by its name, None for one that is not there."""
    at_rest: dict[str, dict[str, Any]] = {
        "replicator": {"replication": True},
        "pgbackrest": {"groups": BACKUP_GROUPS},
        "pgbouncer": {},
    }
    roles = {
        name: ATTRIBUTES | own | (changes.get(name) or {})
        for name, own in at_rest.items()
        if name not in changes or changes[name] is not None
    }
    others = {name: value for name, value in changes.items() if name not in at_rest}
    return {"roles": roles, "function": FUNCTION, "rights": [], "lacking": []} | others
