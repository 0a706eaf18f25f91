# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package source as the role server writes it, on each distribution that the collection knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.steadfast.postgresql.plugins.action import preflight

ROLES = Path(__file__).resolve().parents[2] / "roles"
LOADER = DataLoader()


def load(path: str) -> Any:
    return preflight._trusted(LOADER.load_from_file(str(ROLES / path)))


def rendered(platform: str, source: str) -> tuple[str, str]:
    """Return the state of the file and its text."""
    variables = load("server/vars/main.yml") | {
        "__postgresql_cluster_decision": {"platform": load(f"cluster/vars/{platform}.yml")},
        "postgresql_server_package_source": source,
        "ansible_managed": "Ansible managed",
    }
    templar = Templar(loader=LOADER, variables=variables)
    files = variables["__postgresql_server_source_files"]
    [file] = [file for file in files if file["path"] == "/etc/apt/sources.list.d/steadfast-postgresql.list"]
    text = (ROLES / "server/templates/package_source.list.j2").read_text(encoding="utf-8")
    return templar.template(file["state"]), templar.template(preflight._trusted(text))


KEY = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc"


@pytest.mark.parametrize(
    ("platform", "suite"),
    [
        ("debian_12", "bookworm-pgdg"),
        ("debian_13", "trixie-pgdg"),
        ("ubuntu_22.04", "jammy-pgdg"),
        ("ubuntu_24.04", "noble-pgdg"),
    ],
)
def test_the_source_of_the_postgresql_project(platform: str, suite: str) -> None:
    state, text = rendered(platform, "pgdg")
    assert state == "present"
    assert text.splitlines() == [
        "#",
        "# Ansible managed",
        "#",
        "# By the role server of steadfast.postgresql: where PostgreSQL comes from.",
        f"deb [signed-by={KEY}] https://apt.postgresql.org/pub/repos/apt {suite} main",
    ]


def test_a_source_of_the_user() -> None:
    state, text = rendered("debian_13", "deb https://mirror.example.com/pgdg trixie-pgdg main")
    assert (state, text.splitlines()[-1]) == ("present", "deb https://mirror.example.com/pgdg trixie-pgdg main")


def test_the_distribution_needs_no_source() -> None:
    assert rendered("debian_13", "distribution")[0] == "absent"
