"""A repository gets another passphrase: one more repository, and when the old one's days are over it goes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from archive import RIGHT, archived, findings, forget, fulls, info
from lab import INVENTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client import Client
    from lab import Lab

ERROR = 2
RENEWED = "/srv/pgbackrest/main/renewed"
REFUSED = "repository offsite is repo2 on ops1 and would become repo1"


class Repositories:
    """The repositories of the inventory, changed as an operator changes them."""

    def __init__(self, path: Path) -> None:
        given = yaml.safe_load((INVENTORY / "group_vars" / "main" / "backup.yml").read_text(encoding="utf-8"))
        self.local, self.offsite = given["postgresql_backup_repositories"]
        self.renewed = self.local | {"name": "renewed", "passphrase": secrets.token_hex(20)}
        self._path = path

    def given(self, *repositories: dict[str, Any]) -> tuple[str, str]:
        """Return the arguments that give these repositories to a playbook."""
        self._path.touch(mode=0o600)
        content = yaml.safe_dump({"postgresql_backup_repositories": list(repositories)})
        self._path.write_text(content, encoding="utf-8")
        return "-e", f"@{self._path}"


@pytest.fixture
def inventory(lab: Lab, tmp_path: Path) -> Iterator[Repositories]:
    """Return the repositories; those of the inventory are there alone afterwards."""
    yield Repositories(tmp_path / "repositories.yml")
    lab.playbook("site.yml")
    lab.shell("ops1", f"rm -rf {RENEWED}")
    forget(lab, 1)
    assert findings(lab, "ops1", "repository") == RIGHT


def test_a_passphrase_is_replaced_without_an_interruption(lab: Lab, client: Client, inventory: Repositories) -> None:
    client.start()
    three = inventory.given(inventory.local, inventory.offsite, inventory.renewed)
    lab.foretold("site.yml", *three)
    assert fulls(lab, 3) == 1
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT
    client.goes_on()

    run = lab.playbook("site.yml", *inventory.given(inventory.offsite, inventory.renewed), expect=ERROR)
    assert REFUSED in run.output
    assert "Write number: 2 for offsite in postgresql_backup_repositories" in run.output

    two = inventory.given(inventory.offsite | {"number": 2}, inventory.renewed | {"number": 3})
    run = lab.playbook("site.yml", *two)
    assert run.changed["db1"] > 0
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT
    assert [repository["key"] for repository in info(lab)["repo"]] == [2, 3]
    assert "repo1" not in lab.shell("db1", "cat /etc/pgbackrest/pgbackrest.conf")
    assert set(lab.playbook("site.yml", *two).changed.values()) == {0}
    client.goes_on()

    # The former one comes back with a hole: it owes a full backup.
    run = lab.playbook("site.yml")
    assert "ops1: backup local: due -> full" in run.changes
    words = findings(lab, "ops1", "repository")
    assert "no recovery in local crosses the missing WAL" in words
    assert "can be restored, and the gap leaves with the backups before it" in words

    acknowledged, told = client.stop()
    assert told == []
    assert client.rows() == acknowledged > 0
