# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that poolers log in as, made and mended."""

from __future__ import annotations

from typing import Any

import pytest
import service_role
from ansible_collections.steadfast.postgresql.plugins.module_utils import _pooler_role
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_role import MAKE

ROLE = service_role.ATTRIBUTES
FUNCTION = service_role.FUNCTION
NEW_ROLE = "role pgbouncer: absent -> pooler"
MENDED = "function pgbouncer.verifier_of: another one -> for poolers"


@pytest.mark.parametrize(
    ("role", "function", "sql", "words"),
    [
        pytest.param(
            None,
            None,
            ["CREATE ROLE pgbouncer LOGIN", MAKE],
            [NEW_ROLE, "function pgbouncer.verifier_of: absent -> for poolers"],
            id="nothing is there",
        ),
        pytest.param(ROLE, FUNCTION, [], [], id="as it has to be"),
        pytest.param(
            ROLE | {"superuser": True},
            FUNCTION,
            ["ALTER ROLE pgbouncer NOSUPERUSER"],
            ["role pgbouncer: superuser -> pooler"],
            id="may do more than ask",
        ),
        pytest.param(ROLE, FUNCTION | {"as_wanted": False}, [MAKE], [MENDED], id="another body"),
        pytest.param(ROLE, FUNCTION | {"schema_users": []}, [MAKE], [MENDED], id="the schema is closed"),
        pytest.param(ROLE, FUNCTION | {"callers": ["pgbouncer", "PUBLIC"]}, [MAKE], [MENDED], id="everybody may ask"),
        pytest.param(
            ROLE,
            FUNCTION | {"callers": ["pgbouncer", "shop_app"]},
            [MAKE, "REVOKE ALL ON FUNCTION pgbouncer.verifier_of(text) FROM shop_app"],
            [MENDED],
            id="somebody else may ask",
        ),
    ],
)
def test_statements(role: Any, function: Any, sql: list[str], words: list[str]) -> None:
    statements, changes = _pooler_role.statements(role, function)
    assert statements == sql
    assert [f"{made['kind']} {made['name']}: {made['from']} -> {made['to']}" for made in changes] == words
