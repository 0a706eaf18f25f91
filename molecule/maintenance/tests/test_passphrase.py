"""A repository gets another passphrase: one more repository, and when the old one's days are over it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from archive import RIGHT, archived, declared, findings, forget, fulls, info, one_more, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from client import Client
    from lab import Lab

ERROR = 2
RENEWED = "/srv/pgbackrest/main/renewed"
REFUSED = "repository offsite is repo2 on ops1 and would become repo1"


@pytest.fixture
def given(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., tuple[str, str]]]:
    """Return the arguments that give repositories to a playbook; those of the inventory are there alone afterwards."""
    yield lambda *repositories: variables(tmp_path / "repositories.yml", list(repositories))
    lab.playbook("site.yml")
    lab.shell("ops1", f"rm -rf {RENEWED}")
    forget(lab, 1)
    assert findings(lab, "ops1", "repository") == RIGHT


def test_a_passphrase_is_replaced_without_an_interruption(
    lab: Lab, client: Client, given: Callable[..., tuple[str, str]]
) -> None:
    (local, offsite), renewed = declared(), one_more(name="renewed")
    client.start()
    lab.foretold("site.yml", *given(local, offsite, renewed))
    assert len(fulls(lab, 3)) == 1
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT
    client.goes_on()

    run = lab.playbook("site.yml", *given(offsite, renewed), expect=ERROR)
    assert REFUSED in run.output
    assert "Write number: 2 for offsite in postgresql_backup_repositories" in run.output

    two = given(offsite | {"number": 2}, renewed | {"number": 3})
    run = lab.playbook("site.yml", *two)
    assert run.changed["db1"] > 0
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT
    assert [repository["key"] for repository in info(lab)["repo"]] == [2, 3]
    assert "repo1" not in lab.shell("db1", "cat /etc/pgbackrest/pgbackrest.conf")
    lab.at_rest("site.yml", *two)
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
