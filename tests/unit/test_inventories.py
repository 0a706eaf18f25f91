# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories of the collection pass the preflight, end to end by ansible-playbook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkout import ROOT, SECRET, Checkout

ENVIRONMENTS = ("development", "staging", "production")


VARIABLES = ("POSTGRESQL_CA_PASSPHRASE", "POSTGRESQL_DEVELOPER_PASSWORD", "POSTGRESQL_DBA_PASSWORD")


SECRETS = dict.fromkeys((*VARIABLES, "POSTGRESQL_ADA_PASSWORD", "POSTGRESQL_GRACE_PASSWORD"), SECRET)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def copied(name: str, folder: Path) -> Path:
    """Copy an inventory without what a run of the collection left beside it."""
    return shutil.copytree(ROOT / "inventories" / name, folder / name, ignore=shutil.ignore_patterns("ca", "journal"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_inventory_of_the_collection_passes(name: str, checkout: Checkout) -> None:
    run = checkout.play(copied(name, checkout.folder), **SECRETS)
    assert run.refused() == {}
    assert "WARNING" not in run.output
    cluster = next(iter(run.results.values()))["cluster"]
    assert {member["name"] for member in cluster["members"]} == set(run.results)
    assert SECRET not in run.output


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_inventory_without_its_secrets_is_refused(name: str, checkout: Checkout) -> None:
    run = checkout.play(copied(name, checkout.folder), **dict.fromkeys(SECRETS, ""))
    variables = {line.split(": ")[1].partition("[")[0] for found in run.spoken().values() for line in found}
    assert variables == {"postgresql_administrators", "postgresql_certificates_ca_passphrase"}


def test_the_inventories_describe_what_they_say(checkout: Checkout) -> None:
    found = {name: checkout.play(copied(name, checkout.folder), **SECRETS).results for name in ENVIRONMENTS}
    clusters = {name: next(iter(results.values()))["cluster"] for name, results in found.items()}
    assert {name: cluster["durability"] for name, cluster in clusters.items()} == {
        "development": "asynchronous",
        "staging": "required",
        "production": "required",
    }
    assert {name: cluster["initial_primary"] for name, cluster in clusters.items()} == {
        "development": "dev-db",
        "staging": "stg-db1",
        "production": "db1",
    }
    assert [(member["name"], member["region"], member["duties"]) for member in clusters["production"]["members"]] == [
        ("db1", "eu-west", ["database", "pooler"]),
        ("db2", "eu-west", ["database", "pooler"]),
        ("db3", "us-west", ["database", "pooler"]),
        ("ops1", "", ["repository", "migrations", "drill"]),
    ]
