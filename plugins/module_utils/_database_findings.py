# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator should know about the applications' databases. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, INFO, WARNING, Finding

MOST = 10
"""Things that one finding names."""


def findings(host: str, result: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what the module databases found on a host, by its result.

    Args:
        host: where it ran.
        result: what it returned: drift; of a look what is not as declared, or why it cannot be; of a rotation whose
            turn it is.
    """
    for text in result.get("refused", ()):
        yield Finding(ERROR, host, f"The databases cannot be applied: {text}.", "")
    for one in result.get("pending", ()):
        if one["kind"] == "database" and one["from"] == "absent":
            text = f"The database {one['name']} is not there, though an application declares it."
            yield Finding(ERROR, host, text, "If it is lost, restore it before anything makes an empty one.")
    pending = [f"{one['kind']} {one['name']}: {one['from']} -> {one['to']}" for one in result.get("pending", ())]
    if pending:
        more = f"; and {len(pending) - MOST} more" if len(pending) > MOST else ""
        text = f"The databases are not as declared: {'; '.join(pending[:MOST])}{more}."
        yield Finding(WARNING, host, text, "Run site or apply_databases, with --check --diff to see the SQL first.")
    for severity, key in ((WARNING, "drift"), (INFO, "turns")):
        for found in result.get(key, ()):
            yield Finding(severity, host, found["text"], found["advice"])
