# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server runs with, compared with what it is to run with: which settings a reload leaves to a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters

Json = Mapping[str, Any]
Pending = dict[str, dict[str, str]]

# Debian's layout sets them, and the role server's postgresql.conf sets them again.
OF_THE_LAYOUT = frozenset({"external_pid_file", "unix_socket_directories"})


def running(server: Json, name: str, version: str) -> Json | None:
    """Return what a server runs with, as pg_settings shows it; None for what nobody knows.

    An observation leaves out what no file sets. The parameters of a library that is not loaded are in no server, so
    nothing is said of them.
    """
    found: Json | None = server["settings"].get(name)
    known = None if "." in name else _parameters.catalogue(version).get(name)
    if found is not None or known is None:
        return found
    unsaid = {"source": "default", "sourcefile": None, "pending_restart": False}
    return {"value": known.default, "unit": known.unit, "context": known.context, **unsaid}


def with_unit(found: Json) -> str:
    """Write a value of pg_settings, which counts in its unit (8kB, ms), as a setting with that unit."""
    value, unit = str(found["value"]), found["unit"]
    if not unit or float(value) <= 0:
        return value
    factor = unit.rstrip("kMGTBmsinhd")
    return f"{int(value) * int(factor)}{unit[len(factor) :]}" if factor else f"{value}{unit}"


def pending_after_reload(wanted: Mapping[str, str], server: Json, files: Collection[str], version: str) -> Pending:
    """Return what will wait for a restart once the server has read its files, as the reload itself says it afterwards.

    Args:
        wanted: the settings that the files are to have, by name.
        server: what the server said before.
        files: paths of the files that are written whole.
        version: major version.
    """
    others = {
        name: dict(item)
        for name, item in server["pending"].items()
        if name not in wanted and not _set_by(server["settings"].get(name), files)
    }
    return {**others, **dict(_changed(wanted, server, version)), **dict(_left_out(wanted, server, files, version))}


def _changed(wanted: Mapping[str, str], server: Json, version: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in wanted.items():
        found = running(server, name, version)
        if found and _needs_restart(name, found, version):
            now = with_unit(found)
            if not _parameters.same_value(name, value, now, version):
                yield name, {"running": now, "configured": value}


def _left_out(
    wanted: Mapping[str, str], server: Json, files: Collection[str], version: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the settings that the files have no more, which go back to their defaults."""
    for name, found in server["settings"].items():
        known = _parameters.catalogue(version).get(name)
        gone = name not in wanted and name not in OF_THE_LAYOUT and _set_by(found, files)
        if gone and known and _needs_restart(name, found, version):
            now = with_unit(found)
            if not _parameters.same_value(name, known.default, now, version):
                yield name, {"running": now, "configured": known.default}


def _set_by(found: Json | None, files: Collection[str]) -> bool:
    return found is not None and found.get("sourcefile") in files


def _needs_restart(name: str, found: Json, version: str) -> bool:
    known = _parameters.catalogue(version).get(name)
    return bool(found.get("context", known.context if known else "") == "postmaster")
