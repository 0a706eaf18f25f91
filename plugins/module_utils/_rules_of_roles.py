# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other roles than the server's add to pg_hba.conf and pg_ident.conf. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _applications_hba, _backup_plan, _pooler_plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import Given


def rules(given: Given) -> list[dict[str, Any]]:
    """Return the rules of pg_hba.conf that other roles than the server's need."""
    backup: list[dict[str, Any]] = [_backup_plan.HBA_RULE] if given.cluster.get("repositories") else []
    applications = _applications_hba.rules(given.cluster, given.members)
    return [*backup, *applications, *_pooler_plan.hba_rules(given.cluster, given.members)]


def maps(given: Given) -> list[dict[str, str]]:
    """Return the lines of pg_ident.conf that other roles than the server's need."""
    backup = [_backup_plan.IDENT_MAP] if given.cluster.get("repositories") else []
    return [*backup, *_pooler_plan.ident_maps(given.cluster, given.members)]
