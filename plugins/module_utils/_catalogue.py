# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a major version of PostgreSQL says about its parameters.

The data are `catalogue/<version>.json`, made by `tests/catalogue/generate.py` from `pg_settings`. They lie beside this
file, on the controller: nothing here is meant to run on a host.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSIONS = ("16", "17")


@dataclass(frozen=True)
class Parameter:
    """One parameter as `pg_settings` describes it; minimum and maximum count in its unit."""

    name: str
    vartype: str
    context: str
    unit: str | None = None
    minimum: float = 0
    maximum: float = 0
    values: tuple[str, ...] = ()
    default: str = ""

    @property
    def needs_restart(self) -> bool:
        """Whether a change waits for a restart of the server."""
        return self.context == "postmaster"


@functools.cache
def catalogue(version: str) -> Mapping[str, Parameter]:
    """All parameters of a major version, by the name that the server shows.

    Raises:
        ValueError: There is no catalogue of this version.
    """
    if version not in VERSIONS:
        raise ValueError(f"no catalogue of parameters for PostgreSQL {version}")
    path = Path(__file__).parent / "catalogue" / f"{version}.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: _parameter(name, entry) for name, entry in entries.items()}


def canonical(name: str, version: str) -> str:
    """The name as the server shows it (`timezone` is `TimeZone`); an unknown name comes back as it is."""
    return _lowered(version).get(name.lower(), name)


def _parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        vartype=entry["vartype"],
        context=entry["context"],
        unit=entry.get("unit"),
        minimum=float(entry.get("min_val", 0)),
        maximum=float(entry.get("max_val", 0)),
        values=tuple(entry.get("enumvals", ())),
        default=entry.get("boot_val", ""),
    )


@functools.cache
def _lowered(version: str) -> Mapping[str, str]:
    return {name.lower(): name for name in catalogue(version)}
