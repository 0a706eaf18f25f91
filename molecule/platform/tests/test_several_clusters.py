"""Two clusters in one inventory: the platform, and the spare host as a cluster of its own beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from lab import Lab

MAIN = {"db1": 0, "db2": 0, "db3": 0, "ops1": 0}
# A file that a run writes again, by the host and the cluster.
FILES = {"db2": "/etc/postgresql/16/main/start.conf", "solo1": "/etc/postgresql/16/billing/start.conf"}
AUTHORITY = "openssl x509 -noout -fingerprint -in /etc/ssl/postgresql/{}/ca.crt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the second cluster's inventory, CA and journal are kept."""
    return tmp_path_factory.mktemp("billing")


def declare(folder: Path, **variables: Any) -> list[str]:
    """Write the second cluster's inventory; returns the arguments that add it to the first."""
    billing = {
        "postgresql_cluster_name": "billing",
        # The group main holds the group postgresql, so what it says is said here anew.
        "postgresql_initial_primary": "solo1",
        "postgresql_backup_repositories": [],
        "postgresql_port": 5433,
        "postgresql_certificates_ca_directory": str(folder / "ca"),
        "postgresql_certificates_ca_passphrase": "another passphrase for billing",
        "postgresql_journal_directory": str(folder / "journal"),
    }
    path = folder / "billing.yml"
    path.write_text(yaml.safe_dump({"postgresql": {"hosts": {"solo1": billing | variables}}}))
    return ["-i", str(path)]


def is_there(lab: Lab, host: str) -> bool:
    return lab.shell(host, f"ls {FILES[host]}", check=False) != ""


def spoil(lab: Lab) -> None:
    for host, path in FILES.items():
        lab.shell(host, f"rm -f {path}")


@pytest.mark.usefixtures("fresh")
def test_both_converge_each_by_itself(lab: Lab, folder: Path) -> None:
    both = declare(folder)
    run = lab.playbook("site.yml", *both)
    changed = run.changed
    assert changed.pop("solo1") > 0
    assert changed == MAIN
    assert {change.split(":")[0] for change in run.changes} == {"solo1"}
    for name, durability in (("main", "required"), ("billing", "asynchronous")):
        assert f"PostgreSQL 16, cluster {name}, durability {durability}" in run.output
    assert run.output.count("Nothing was changed.") == 1
    assert "port=5433" in run.output

    select = "SELECT current_setting($$cluster_name$$), current_setting($$port$$)"
    shown = lab.shell("solo1", "cd / && runuser -u postgres -- psql -XAt -p 5433 -f -", stdin=select)
    assert shown == "billing|5433"
    assert lab.shell("solo1", "ls /var/lib/steadfast") == "billing"
    assert lab.shell("db1", "ls /var/lib/steadfast") == "main"
    assert lab.shell("solo1", AUTHORITY.format("billing")) != lab.shell("db1", AUTHORITY.format("main"))
    assert lab.playbook("site.yml", *both).changed == MAIN | {"solo1": 0}


def test_a_limit_to_one_leaves_the_other(lab: Lab, folder: Path) -> None:
    for limit, other, repaired, left in (
        ("solo1", "main", "solo1", "db2"),
        ("db1,db2,db3,ops1", "billing", "db2", "solo1"),
    ):
        spoil(lab)
        run = lab.playbook("site.yml", *declare(folder), "--limit", limit)
        assert f"cluster {other}" not in run.output
        assert "was not observed" not in run.output
        assert left not in run.changed
        assert is_there(lab, repaired)
        assert not is_there(lab, left)


def test_mistakes_of_one_do_not_stop_the_other(lab: Lab, folder: Path) -> None:
    spoil(lab)
    run = lab.playbook("site.yml", *declare(folder, postgresql_server_workloud="web"), expect=None)
    assert run.status != 0
    assert "solo1: postgresql_server_workloud: " in run.output
    assert "PostgreSQL 16, cluster main" in run.output
    assert "PostgreSQL 16, cluster billing" not in run.output
    assert is_there(lab, "db2")
    assert not is_there(lab, "solo1")


def test_a_danger_in_one_does_not_stop_the_other(lab: Lab, folder: Path) -> None:
    marker = "/var/lib/steadfast/main/instance.json"
    for host in ("db1", "db2", "db3"):
        lab.shell(host, f"cp {marker} {marker}.saved; sed -i s/[0-9]\\\\{{19\\\\}}/7000000000000000000/ {marker}")
    spoil(lab)
    run = lab.playbook("site.yml", *declare(folder), expect=None)
    for host in ("db1", "db2", "db3"):
        lab.shell(host, f"mv {marker}.saved {marker}")
    assert run.status != 0
    assert "Cluster main: refused, and nothing was changed." in run.output
    assert "whose marker names the cluster 7000000000000000000" in run.output
    assert "PostgreSQL 16, cluster billing" in run.output
    assert is_there(lab, "solo1")
    assert not is_there(lab, "db2")
    lab.playbook("site.yml", *declare(folder))
