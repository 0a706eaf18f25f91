# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a cluster for the tests of the preflight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils._preflight import Member

ROLES = Path(__file__).parents[2] / "roles"


PLACES = {"db1": ("eu-west", "1a"), "db2": ("eu-west", "1b"), "db3": ("us-west", "2a"), "ops1": ("", "")}


DATABASE = ("database", "pooler")


REPOSITORY = ("repository", "migrations", "drill")


def defaults() -> dict[str, Any]:
    """Return the defaults of the roles that this file is about, as the preflight reads them."""
    found: dict[str, Any] = {}
    for role in ("cluster", "host", "server", "replication", "backup", "databases", "pooler"):
        spec = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
        found |= {name: option["default"] for name, option in spec["options"].items()}
    return found | {"postgresql_server_data_directory": "/var/lib/postgresql/16/main"}


def member(host: str, given: dict[str, Any] | None = None, *, missing: tuple[str, ...] = ()) -> Member:
    region, zone = PLACES.get(host, ("eu-west", "1a"))
    values = defaults() | {"postgresql_region": region, "postgresql_zone": zone} | (given or {})
    values = {name: value for name, value in values.items() if name not in missing}
    duties = REPOSITORY if host.startswith("ops") else DATABASE
    return Member(host, duties, values, frozenset(given or ()))


def platform(*, everywhere: dict[str, Any] | None = None, **hosts: dict[str, Any]) -> list[Member]:
    """Return db1, db2, db3 and ops1 as they should be, changed by what a test gives."""
    common = {"postgresql_initial_primary": "db1"} | (everywhere or {})
    return [member(host, common | hosts.get(host, {})) for host in PLACES]
