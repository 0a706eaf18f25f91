# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of postgresql_applications for tests."""

from __future__ import annotations

from typing import Any

PASSWORD = "correct horse battery"


def application(name: str, **given: Any) -> dict[str, Any]:
    """Return an entry with what it needs, changed by what a test gives."""
    return {"name": name, "migrator": {"password": PASSWORD}} | given
