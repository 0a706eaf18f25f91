# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that backups log in as: no superuser, only what pgBackRest asks of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _role_attributes
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_config import DATABASE_ROLE
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change

GROUPS = ("pg_checkpoint", "pg_read_all_settings")
FUNCTIONS = (
    "pg_backup_start(text, boolean)",
    "pg_backup_stop(boolean)",
    "pg_create_restore_point(text)",
    "pg_switch_wal()",
)
"""In the database postgres; rights on functions belong to one database."""

# What the role lacks; all of it where the role itself is missing.
LACKING = """
SELECT coalesce(json_agg(name), '[]') FROM unnest(ARRAY['@FUNCTIONS@']) AS name
WHERE NOT EXISTS (SELECT FROM pg_proc, aclexplode(proacl) AS acl
  WHERE pg_proc.oid = name::regprocedure AND acl.grantee = to_regrole('@ROLE@') AND privilege_type = 'EXECUTE')
"""
LACKING = LACKING.replace("@FUNCTIONS@", "', '".join(FUNCTIONS)).replace("@ROLE@", DATABASE_ROLE)


def statements(found: Mapping[str, Any] | None, lacking: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Return the SQL that makes or repairs the role, and what it changes.

    Args:
        found: the role as it is, None when there is none.
        lacking: functions that it may not execute.
    """
    wanted = _role_attributes.Wanted(DATABASE_ROLE, groups=GROUPS)
    sql, words = (_role_attributes.create(wanted), []) if found is None else _role_attributes.mend(wanted, found)
    if lacking:
        sql.append(f"GRANT EXECUTE ON FUNCTION {', '.join(lacking)} TO {DATABASE_ROLE}")
        words += [f"may not execute {name}" for name in lacking]
    before = "absent" if found is None else ", ".join(words)
    return sql, [change("role", DATABASE_ROLE, before, "backup")] if sql else []
