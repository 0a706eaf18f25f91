# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distributions are refused, in exact words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_host, _platform
from whole import DB1, OPS1, PLATFORMS, PROJECT_FINGERPRINT, cluster

FILES = Path(__file__).resolve().parents[2] / "roles" / "cluster" / "vars"


def seen(version: str = "13", distribution: str = "Debian") -> dict[str, dict[str, str]]:
    return {"host": {"distribution": distribution, "distribution_version": version}}


ALLOWED = {"allow_untested_platform": True}
DISTRIBUTION = {"package_source": "distribution"}
UNKNOWN = "db1: runs {}, which the collection does not know; it knows debian_12, debian_13"
UNTESTED = (
    "db1: runs debian_12, for which there is data but no test; to go on, write postgresql_allow_untested_platform: true"
)


@pytest.mark.parametrize(
    ("member", "observed", "version", "refusals"),
    [
        pytest.param(DB1, seen(), "16", [], id="tested"),
        pytest.param(DB1, None, "16", [], id="not observed"),
        pytest.param(DB1, seen("11"), "16", [UNKNOWN.format("debian_11")], id="unknown version"),
        pytest.param(DB1, seen("9.4", "Rocky"), "16", [UNKNOWN.format("rocky_9.4")], id="unknown distribution"),
        pytest.param(DB1 | ALLOWED, seen("11"), "16", [UNKNOWN.format("debian_11")], id="unknown and allowed"),
        pytest.param(DB1, seen("12"), "16", [UNTESTED], id="untested"),
        pytest.param(DB1 | ALLOWED, seen("12"), "16", [], id="untested and allowed"),
        pytest.param(DB1 | DISTRIBUTION, seen(), "17", [], id="the distribution's version"),
        pytest.param(
            DB1 | DISTRIBUTION,
            seen(),
            "16",
            [
                "db1: postgresql_server_package_source is distribution, and debian_13 has PostgreSQL 17, not 16; "
                'write postgresql_version: "17" or another source'
            ],
            id="another version than the distribution's",
        ),
        pytest.param(OPS1 | DISTRIBUTION | {"name": "db1"}, seen(), "16", [], id="no database host"),
        pytest.param(
            DB1 | DISTRIBUTION,
            seen("12"),
            "17",
            [
                UNTESTED,
                "db1: postgresql_server_package_source is distribution, and debian_12 has PostgreSQL 15, not 17; "
                'write postgresql_version: "15" or another source',
            ],
            id="both",
        ),
    ],
)
def test_refusals(
    member: dict[str, Any], observed: dict[str, dict[str, str]] | None, version: str, refusals: list[str]
) -> None:
    facts = cluster(member, OPS1, version=version)
    assert _platform.refusals(facts, PLATFORMS, {"db1": observed, "ops1": seen()}) == refusals


KEY_FILE = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc"
OF_KEY = (
    f"db1: {KEY_FILE} holds {{}}, where the PostgreSQL project's key {PROJECT_FINGERPRINT} has to be: find out who "
)
OF_KEY += "replaced it before you go on"
TWO = {"error": "2 keys, of which every one would be trusted"}


@pytest.mark.parametrize(
    ("member", "key", "refusals", "lacks"),
    [
        pytest.param(DB1, {"fingerprint": PROJECT_FINGERPRINT}, [], False, id="the key"),
        pytest.param(DB1, None, [], True, id="no key yet"),
        pytest.param(DB1, {"fingerprint": "AB"}, [OF_KEY.format("the key AB")], False, id="another key"),
        pytest.param(DB1, TWO, [OF_KEY.format(f"no single key ({TWO['error']})")], False, id="a second key"),
        pytest.param(DB1 | {"package_source": "deb x y"}, {"fingerprint": "AB"}, [], False, id="another source"),
        pytest.param(OPS1 | {"name": "db1"}, {"fingerprint": "AB"}, [], False, id="no database host"),
        pytest.param(OPS1 | {"name": "db1"}, None, [], False, id="no database host and no key"),
    ],
)
def test_the_key_of_the_project(
    member: dict[str, Any], key: dict[str, str] | None, refusals: list[str], lacks: bool
) -> None:
    observed = seen() | {"project_key": key}
    assert _platform.refusals(cluster(member), PLATFORMS, {"db1": observed}) == refusals
    assert _platform.lacks_project_key(cluster(member), member, observed) is lacks


def test_refusals_of_all_members() -> None:
    found = _platform.refusals(cluster(DB1, OPS1), PLATFORMS, {"db1": seen("12"), "ops1": seen("11")})
    assert [text.split(":")[0] for text in found] == ["db1", "ops1"]


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yml")), ids=lambda path: path.stem)
def test_data_files(path: Path) -> None:
    """Only what molecule runs on counts as tested, and each file says all that roles read."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(data) == {
        "tested",
        "release",
        "distribution_postgresql",
        "packages",
        "pgdg_key_package",
        "pgdg_key",
        "pgdg_fingerprint",
    }
    # The observation reads it before anybody knows the distribution.
    assert data["pgdg_key"] == str(_observe_host.PROJECT_KEY)
    assert data["pgdg_fingerprint"] == PROJECT_FINGERPRINT
    assert data["tested"] is (path.stem == "debian_13")
    assert isinstance(data["distribution_postgresql"], str)
    assert data["packages"] == ["postgresql-{version}", "postgresql-client-{version}"]
