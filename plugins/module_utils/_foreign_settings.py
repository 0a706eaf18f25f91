# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that a server runs with and that the inventory knows nothing of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _in_force, _parameters
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import AUTO_CONF
from ansible_collections.steadfast.postgresql.plugins.module_utils._parameter_rules import REFUSED

Json = Mapping[str, Any]

OWN = re.compile(r"/etc/postgresql/[^/]+/[^/]+/(postgresql|conf\.d/(10-server|20-replication|30-synchronous))\.conf")


def findings(host: str, server: Json) -> Iterator[Finding]:
    """Yield values that break a promise, wherever they come from, and files that are none of the collection's."""
    version = server["version"].split(".")[0]
    yield from _refused(host, server, version)
    files: dict[str, list[str]] = {}
    for name, found in server["settings"].items():
        place = found["sourcefile"]
        # What ALTER SYSTEM writes is refused as a whole.
        if place and not OWN.fullmatch(place) and not place.endswith(AUTO_CONF):
            files.setdefault(place, []).append(name)
    for place, names in files.items():
        text = f"{host} runs with {', '.join(sorted(names))} by {place}, which is no file of the collection."
        advice = "Write what is wanted in postgresql_server_parameters, remove it there, then run site."
        yield Finding(ERROR, host, text, advice)


def _refused(host: str, server: Json, version: str) -> Iterator[Finding]:
    for name, (values, why, _) in REFUSED.items():
        found = server["settings"].get(name)
        if found is None:
            continue
        value = _in_force.with_unit(found)
        if any(_parameters.same_value(name, value, refused, version) for refused in values):
            place = found["sourcefile"] or found["source"]
            yield Finding(ERROR, host, f"{host} runs with {name} {value}, which {why}.", f"Remove it from {place}.")
