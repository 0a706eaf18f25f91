# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories of the collection pass the preflight, end to end by ansible-playbook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import ROOT, SECRET, Checkout

ENVIRONMENTS = ("demo", "development", "staging", "production")
VARIABLES = ("POSTGRESQL_CA_PASSPHRASE", "POSTGRESQL_DEVELOPER_PASSWORD", "POSTGRESQL_DBA_PASSWORD")
SECRETS = dict.fromkeys((*VARIABLES, "POSTGRESQL_ADA_PASSWORD", "POSTGRESQL_GRACE_PASSWORD"), SECRET)
# Each repository has a passphrase of its own.
SECRETS |= {f"BACKUP_{name}": f"{SECRET} of {name}" for name in ("DAILY_PASSPHRASE", "WEEKLY_PASSPHRASE")}
SECRETS |= {f"BACKUP_{name}": f"{SECRET} of {name}" for name in ("MONTHLY_PASSPHRASE", "KEY", "KEY_SECRET")}
MODULES = ("USERS", "INCIDENTS", "CHANGES", "KNOWLEDGE", "TASKS", "AUDIT", "WORKFLOWS")
ACCOUNTS = {
    "CREATIVEFLOW": ("MIGRATOR", "APP", "READER"),
    "QROSITY": ("MIGRATOR", "APP"),
    "SYNERGYFLOW": ("MIGRATOR", *MODULES),
    "CLOUDFLOW": ("MIGRATOR", "APP"),
}
SECRETS |= {f"{name}_{account}_PASSWORD": SECRET for name, accounts in ACCOUNTS.items() for account in accounts}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def copied(name: str, checkout: Checkout) -> Path:
    """Copy an inventory without what a run of the collection left beside it."""
    target = checkout.folder / "inventories" / name
    return shutil.copytree(ROOT / "inventories" / name, target, ignore=shutil.ignore_patterns(".steadfast"))


def make_secrets(checkout: Checkout) -> set[str]:
    """Make the demo's secrets in the checkout as create.yml does, and return them."""
    target = checkout.folder / ".demo" / "secrets.yml"
    target.parent.mkdir()
    authority = checkout.folder / ".demo" / "object_storage" / "ca.crt"
    authority.parent.mkdir()
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    template = ROOT / "molecule" / "shared" / "templates" / "secrets.yml.j2"
    book = f"""
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.template: {{src: {template}, dest: {target}, mode: "0600"}}
"""
    checkout.play("localhost:", "-c", "local", book=book)
    return {line.partition(": ")[2] for line in target.read_text().splitlines()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_inventory_of_the_collection_passes(name: str, checkout: Checkout) -> None:
    secrets = make_secrets(checkout) if name == "demo" else {SECRET}
    run = checkout.play(copied(name, checkout), **SECRETS)
    assert run.refused() == {}
    assert "WARNING" not in run.output
    cluster = next(iter(run.results.values()))["cluster"]
    assert {member["name"] for member in cluster["members"]} == set(run.results)
    assert [secret for secret in secrets if secret in run.output] == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_inventory_without_its_secrets_is_refused(name: str, checkout: Checkout) -> None:
    run = checkout.play(copied(name, checkout), **dict.fromkeys(SECRETS, ""))
    variables = {line.split(": ")[1].partition("[")[0] for found in run.spoken().values() for line in found}
    backed_up = {"postgresql_backup_repositories"} if name in {"demo", "production"} else set()
    needed = {"postgresql_administrators", "postgresql_applications", "postgresql_certificates_ca_passphrase"}
    assert variables == {*needed, *backed_up}


def test_the_inventories_describe_what_they_say(checkout: Checkout) -> None:
    make_secrets(checkout)
    found = {name: checkout.play(copied(name, checkout), **SECRETS).results for name in ENVIRONMENTS}
    clusters = {name: next(iter(results.values()))["cluster"] for name, results in found.items()}
    assert {name: cluster["durability"] for name, cluster in clusters.items()} == {
        "demo": "required",
        "development": "asynchronous",
        "staging": "required",
        "production": "required",
    }
    assert {name: cluster["initial_primary"] for name, cluster in clusters.items()} == {
        "demo": "db1",
        "development": "dev-db",
        "staging": "stg-db1",
        "production": "db1",
    }
    assert {name: [one["name"] for one in cluster["applications"]] for name, cluster in clusters.items()} == {
        "demo": ["creativeflow", "qrosity", "synergyflow", "cloudflow"],
        "development": ["cloudflow"],
        "staging": ["cloudflow"],
        "production": ["creativeflow", "qrosity", "synergyflow", "cloudflow"],
    }
    members = {
        name: [(member["name"], member["region"], member["duties"]) for member in clusters[name]["members"]]
        for name in ("demo", "production")
    }
    databases = [
        ("db1", "eu-west", ["database", "pooler"]),
        ("db2", "eu-west", ["database", "pooler"]),
        ("db3", "us-west", ["database", "pooler"]),
    ]
    repository = ["repository", "migrations", "drill"]
    assert members == {
        "demo": [*databases, ("ops1", "eu-west", repository)],
        "production": [*databases, ("ops1", "", repository)],
    }
