# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that a server or its sessions load at their start: one that is missing keeps them from starting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE

Json = Mapping[str, Any]

PRELOADED = "postgresql_server_preload_libraries"
PACKAGES = "postgresql_server_extension_packages"
PARAMETERS = "postgresql_server_parameters"
OF_SESSIONS = "session_preload_libraries"
SEARCH_PATH = "dynamic_library_path"
FOLDER = "$libdir/"


def refusals(members: Iterable[Json], observed: Mapping[str, Json | None], version: str) -> list[str]:
    """Refuse libraries that a host does not have, where PostgreSQL is installed already.

    A library with a path of its own is left to the server, and so is everything where the user says where to search, or
    where this run installs packages of extensions.
    """
    lacking: dict[tuple[str, str], list[str]] = {}
    for member in members:
        seen = observed.get(member["name"]) or {}
        there, coming = seen.get("libraries"), set(member["extension_packages"]) - set(seen.get("packages", ()))
        if there and not coming and DATABASE in member["duties"] and SEARCH_PATH not in member["parameters"]:
            for variable, library in _wanted(member):
                if library not in there["names"]:
                    lacking.setdefault((variable, f"{there['directory']}/{library}.so"), []).append(member["name"])
    return [
        f"{variable}: {path} is not there on {', '.join(hosts)}, and nothing starts without it; write the "
        f"package that brings it for PostgreSQL {version} into {PACKAGES}, or leave {PurePath(path).stem} out"
        for (variable, path), hosts in lacking.items()
    ]


def _wanted(member: Json) -> Iterable[tuple[str, str]]:
    """Yield the libraries that are looked for in the server's own folder, with the variable that names them."""
    of_sessions = member["parameters"].get(OF_SESSIONS, [])
    listed = of_sessions.split(",") if isinstance(of_sessions, str) else of_sessions
    given = [(PRELOADED, name) for name in member["preload_libraries"]]
    given += [(f"{PARAMETERS}.{OF_SESSIONS}", name.strip().strip('"')) for name in listed]
    for variable, name in given:
        library = name.removeprefix(FOLDER).removesuffix(".so")
        if library and "/" not in library:
            yield variable, library
