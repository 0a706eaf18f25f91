# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogues of parameters, the script that makes them, and the rules beside them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules as rules
from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters as parameters

ROOT = Path(__file__).resolve().parents[2]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tests" / "catalogue" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", parameters.VERSIONS)
def test_rules_name_parameters_that_exist(version: str) -> None:
    known = set(parameters.catalogue(version)) | {
        "output_plugin_libraries",
        "synchronized_standby_slots",
        "pgaudit.log",
    }
    for table in (rules.OWNED, rules.REFUSED, rules.LISTS, rules.KEYWORDS, rules.CASELESS, rules.ALIASES, rules.HOLES):
        assert set(table) <= known
    assert not set(rules.REMOVED) & known
    assert set(rules.MULTIPLES) <= set(parameters.catalogue("17"))


@pytest.mark.parametrize("version", parameters.VERSIONS)
def test_defaults_of_the_catalogue_are_allowed(version: str) -> None:
    for parameter in parameters.catalogue(version).values():
        if parameter.context != "internal" and (parameter.default or parameter.vartype == "string"):
            assert parameters.text(parameter.name, parameter.default, version) == parameter.default


def test_a_version_without_a_catalogue() -> None:
    with pytest.raises(ValueError, match="no catalogue of parameters for PostgreSQL 15"):
        parameters.catalogue("15")


def test_restart_follows_from_the_context() -> None:
    catalogue = parameters.catalogue("16")
    assert catalogue["shared_buffers"].needs_restart
    assert not catalogue["work_mem"].needs_restart


@pytest.mark.parametrize("version", parameters.VERSIONS)
def test_catalogue_files_are_as_written_by_the_script(version: str) -> None:
    script = generator()
    content = (script.CATALOGUE / f"{version}.json").read_text(encoding="utf-8")
    entries = json.loads(content)
    assert script.written(entries) == content
    assert list(entries) == sorted(entries, key=lambda name: (name.lower(), name))


def rows(**changed: Any) -> list[dict[str, Any]]:
    row = {
        "name": "work_mem",
        "vartype": "integer",
        "unit": "kB",
        "min_val": "64",
        "max_val": "2147483647",
        "enumvals": None,
        "context": "user",
        "boot_val": "4096",
    }
    enum = row | {"name": "wal_compression", "vartype": "enum", "enumvals": ["pglz", "on", "off"], "unit": None}
    return [row | changed, enum]


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (rows(), []),
        (rows(max_val="5"), ["work_mem: max_val is '2147483647' in the catalogue, '5' on the server"]),
        (rows()[1:], ["work_mem: in the catalogue, not on the server"]),
        ([*rows(), rows()[0] | {"name": "new"}], ["new: on the server, not in the catalogue"]),
        ([*rows(), rows()[0] | {"name": "extension_destdir"}], []),
        ([*rows(), rows()[0] | {"name": "cron.host"}], []),
        ([*rows(), rows()[0] | {"name": "known.new"}], ["known.new: on the server, not in the catalogue"]),
    ],
)
def test_differences_between_catalogue_and_server(live: list[dict[str, Any]], expected: list[str]) -> None:
    script = generator()
    stored = script.catalogue(rows())
    if any(row["name"] == "known.new" for row in live):
        stored["known.old"] = {}
        live = [*live, rows()[0] | {"name": "known.old"}]
        found = [line for line in script.differences(stored, live) if not line.startswith("known.old")]
    else:
        found = script.differences(stored, live)
    assert found == expected
    assert stored["wal_compression"]["enumvals"] == ["pglz", "on", "off", "lz4", "zstd"]
