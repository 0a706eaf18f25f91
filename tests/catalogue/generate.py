#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the catalogue of parameters from a live server, or compare the two.

The catalogue is `plugins/module_utils/catalogue/<version>.json`: what `pg_settings` says of each parameter, one
parameter a line. Make it as a superuser of a server of that version that preloads the extensions whose parameters
shall be checked too (pg_stat_statements, auto_explain, pg_prewarm, auth_delay; on 17 also pg_cron and pgaudit):

    export PGOPTIONS='-c session_preload_libraries=plpgsql,pg_trgm,postgres_fdw'
    psql -XAtq -c "$(tests/catalogue/generate.py query)" |
        tests/catalogue/generate.py write > plugins/module_utils/catalogue/16.json

Compare a server with the catalogue of its version; differences are printed, exit status 1 when there is any:

    psql -XAtq -c "$(tests/catalogue/generate.py query)" | tests/catalogue/generate.py compare 16
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils" / "catalogue"

QUERY = (
    "select json_agg(row_to_json(s)) from (select name, vartype, unit, min_val, max_val, enumvals, context, boot_val"
    " from pg_settings) s"
)

# Offered only by servers that were built with the compression library; the packages that users install are.
OPTIONAL_VALUES = {"wal_compression": ("lz4", "zstd"), "default_toast_compression": ("lz4",)}
# Added to the server by one distribution's patch.
DISTRIBUTION_ONLY = frozenset({"extension_destdir"})
# Chosen at build time, or named after the build.
BUILT_DEFAULTS = frozenset({"krb_server_keyfile", "unix_socket_directories", "ssl_ciphers", "ssl_library"})

Rows = Iterable[Mapping[str, Any]]
Catalogue = dict[str, dict[str, Any]]


def catalogue(rows: Rows) -> Catalogue:
    """The entries of a catalogue from the rows of `pg_settings`, sorted by name."""
    entries: Catalogue = {}
    for row in sorted(rows, key=lambda row: (row["name"].lower(), row["name"])):
        name = row["name"]
        if name in DISTRIBUTION_ONLY:
            continue
        entry = {key: value for key, value in row.items() if key != "name" and value is not None}
        if entry["context"] == "internal":
            entry = {key: entry[key] for key in ("vartype", "context")}
        for value in OPTIONAL_VALUES.get(name, ()):
            if value not in entry["enumvals"]:
                entry["enumvals"] = [*entry["enumvals"], value]
        if name in BUILT_DEFAULTS:
            entry.pop("boot_val", None)
        entries[name] = entry
    return entries


def differences(stored: Mapping[str, Mapping[str, Any]], rows: Rows) -> list[str]:
    """What differs between a catalogue and a server, one sentence each; an extension that one of them lacks is none."""
    live = catalogue(rows)
    prefixes = {name.partition(".")[0] for name in live if "." in name}
    known = {name.partition(".")[0] for name in stored if "." in name}
    found = []
    for name in sorted(set(stored) | set(live), key=str.lower):
        prefix = name.partition(".")[0] if "." in name else ""
        if prefix and (prefix not in prefixes or prefix not in known):
            continue
        if name not in live:
            found.append(f"{name}: in the catalogue, not on the server")
        elif name not in stored:
            found.append(f"{name}: on the server, not in the catalogue")
        else:
            found += [
                f"{name}: {key} is {stored[name].get(key)!r} in the catalogue, {live[name].get(key)!r} on the server"
                for key in sorted(set(stored[name]) | set(live[name]))
                if _plain(stored[name].get(key)) != _plain(live[name].get(key))
            ]
    return found


def written(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """A catalogue as JSON, one parameter a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in entries.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Run one of query, write and compare VERSION."""
    match arguments:
        case ["query"]:
            sys.stdout.write(QUERY + "\n")
        case ["write"]:
            sys.stdout.write(written(catalogue(json.load(sys.stdin))))
        case ["compare", version]:
            stored = json.loads((CATALOGUE / f"{version}.json").read_text(encoding="utf-8"))
            found = differences(stored, json.load(sys.stdin))
            sys.stdout.writelines(line + "\n" for line in found)
            return 1 if found else 0
        case _:
            sys.stderr.write(f"{__doc__}\nusage: generate.py query | write | compare VERSION\n")
            return 2
    return 0


def _plain(value: Any) -> Any:
    """The order of a list of values means nothing."""
    return sorted(value) if isinstance(value, list) else value


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
