"""The built collection in an empty folder: the whole platform on one host, and one role in a five-line playbook."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import ROOT, STATE

if TYPE_CHECKING:
    from lab import Lab

SECRETS = yaml.safe_load((STATE / "secrets.yml").read_text())
HOST = {
    "ansible_host": "10.89.20.15",
    "ansible_user": "ops",
    "ansible_python_interpreter": "/usr/bin/python3",
    "ansible_ssh_args": f"-F {STATE / 'ssh_config'}",
    "postgresql_server_memory": "1GB",
    "postgresql_certificates_ca_passphrase": SECRETS["ca_passphrase"],
}
FIVE_LINES = """- hosts: all
  become: true
  gather_facts: false
  roles:
    - steadfast.postgresql.server
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder in which the built collection is installed."""
    place = tmp_path_factory.mktemp("alone")
    galaxy = ["ansible-galaxy", "collection"]
    build = [*galaxy, "build", str(ROOT), "--output-path", str(place)]
    subprocess.run(build, check=True, capture_output=True, cwd=place, env=environment(place))
    archive = str(next(place.glob("*.tar.gz")))
    install = [*galaxy, "install", "--offline", archive, "--collections-path", str(place / "collections")]
    subprocess.run(install, check=True, capture_output=True, cwd=place, env=environment(place))
    return place


def environment(folder: Path) -> dict[str, str]:
    """Return an environment with nothing of the checkout in it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    return own | {"ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "HOME": str(folder)}


def play(folder: Path, playbook: str, inventory: Mapping[str, object]) -> str:
    """Run a playbook in the folder."""
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    done = subprocess.run(
        ["ansible-playbook", "-i", "hosts.yml", playbook],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What runs jobs in a database comes with a package of its own.
WITH_CRON = {
    "postgresql_version": "17",
    "postgresql_server_package_source": "distribution",
    "postgresql_server_extension_packages": ["postgresql-17-cron"],
    "postgresql_server_preload_libraries": ["pg_stat_statements", "pg_cron"],
    "postgresql_server_parameters": {"cron.database_name": "crm"},
    "postgresql_application_networks": ["10.89.20.0/24"],
    "postgresql_applications": [
        {
            "name": "crm",
            "migrator": {"password": "the migrator of crm"},
            "accounts": [
                {"name": "crm_app", "password": "the account of crm", "member_of": ["crm_rw"], "connection_limit": 10}
            ],
            "extensions": [{"name": "pg_cron", "schema": "pg_catalog"}, {"name": "pg_stat_statements"}],
        }
    ],
}
JOB = """\\connect crm
SELECT cron.schedule('each second', '1 second', 'SELECT 17');
"""
RAN = "\\connect crm\nSELECT count(*) > 0 FROM cron.job_run_details WHERE status = 'succeeded'"


@pytest.mark.usefixtures("fresh")
def test_site_with_version_17_and_its_cron_from_the_distribution(folder: Path, lab: Lab) -> None:
    inventory = {"postgresql": {"hosts": {"solo1": HOST | WITH_CRON}}}
    first = play(folder, "steadfast.postgresql.site", inventory)
    assert "PostgreSQL 17, cluster main, durability asynchronous" in first
    assert lab.sql("solo1", "SHOW server_version_num").startswith("17")
    lab.sql("solo1", JOB)
    lab.wait(lambda: lab.sql("solo1", RAN) == "t", 30)
    second = play(folder, "steadfast.postgresql.site", inventory)
    assert "Nothing was changed." in second
    assert "changed=0" in second


@pytest.mark.usefixtures("fresh")
def test_the_role_server_alone(folder: Path, lab: Lab) -> None:
    (folder / "five_lines.yml").write_text(FIVE_LINES)
    variables = HOST | {"postgresql_server_package_source": "deb [trusted=yes] file:/srv/apt ./"}
    inventory = {"all": {"hosts": {"solo1": variables}}}
    play(folder, "five_lines.yml", inventory)
    assert lab.sql("solo1", "SHOW server_version_num").startswith("16")
    assert lab.sql("solo1", "SHOW ssl") == "on"
    assert "changed=0" in play(folder, "five_lines.yml", inventory)


TWO_PLAYS = f"""{FIVE_LINES}
  post_tasks:
    - ansible.builtin.command: systemctl stop postgresql@16-main
{FIVE_LINES}"""


def test_a_second_play_of_a_run_looks_again(folder: Path, lab: Lab) -> None:
    (folder / "two_plays.yml").write_text(TWO_PLAYS)
    variables = HOST | {"postgresql_server_package_source": "deb [trusted=yes] file:/srv/apt ./"}
    play(folder, "two_plays.yml", {"all": {"hosts": {"solo1": variables}}})
    assert lab.sql("solo1", "SHOW server_version_num").startswith("16")
