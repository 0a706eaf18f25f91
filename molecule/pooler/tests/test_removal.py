"""An application that clients use through the poolers is not removed under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from declared import declared
from lab import Lab
from pool_client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = 2
APPLY = "playbooks/apply_databases.yml"
CRM = {
    "name": "crm",
    "migrator": {"password": "the migrator of crm"},
    "pool": {"size": 9},
    "accounts": [
        {"name": "crm_app", "password": "the account of crm", "member_of": ["crm_rw"], "connection_limit": 10}
    ],
}
LEFT = "SELECT count(*) FROM pg_database FULL JOIN pg_roles ON false WHERE coalesce(datname, rolname) ~ $$^crm$$"
STAYS = "psql -XAtqc 'SELECT 1' -c '\\! while [ ! -e /tmp/leave ]; do sleep 1; done' -c 'SELECT 2'"


def variables(path: Path, **given: object) -> str:
    """Write the variables of a run, and return them as an argument."""
    path.write_text(yaml.safe_dump(given))
    return f"@{path}"


@pytest.fixture
def leaving(lab: Lab, tmp_path: Path) -> Iterator[str]:
    """Make one more application, and return the variables of a run that removes it."""
    lab.shell("db3", "rm -f /tmp/leave")
    here = variables(tmp_path / "here.yml", postgresql_applications=[*declared(), CRM])
    gone = variables(
        tmp_path / "gone.yml",
        postgresql_applications=[*declared(), CRM | {"state": "absent"}],
        postgresql_databases_destroy=["crm"],
    )
    lab.playbook(APPLY, "-e", here)
    yield gone
    lab.shell("db3", "touch /tmp/leave")
    lab.playbook(APPLY, "-e", gone)
    lab.shell("db3", "rm -f /tmp/leave")


def test_clients_hold_the_database(lab: Lab, leaving: str) -> None:
    account = {"database": "crm", "user": "crm_app", "password": "synergyflow_users_password"}
    crm = Client(lab, account=account, settings={"PGPASSWORD": "the account of crm"})
    staying = crm.begin(STAYS)
    lab.wait(lambda: " crm_app " in lab.shell("db1", "/usr/local/lib/steadfast/pooler console show clients"), 20)
    run = lab.playbook(APPLY, "-e", leaving, expect=REFUSED)
    assert "crm is to be removed, and clients are connected to it through the poolers: crm_app 1 on db1;" in run.output
    assert set(run.changed.values()) == {0}
    lab.shell("db3", "touch /tmp/leave")
    output, _ = staying.communicate(timeout=60)
    assert output.split() == ["1", "2"]
    # A run that is killed when the pools have gone is completed by the next one.
    lab.killed("Manage the databases", APPLY, "-e", leaving)
    lab.playbook(APPLY, "-e", leaving)
    assert lab.sql("db1", LEFT) == "0"
