"""A newer minor version for every host, one after the other, while a client writes."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from client import connections
from lab import INVENTORY, ROOT, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client import Client

DATABASES = ["db1", "db2", "db3"]
PLAYBOOK = "playbooks/upgrade_minor.yml"
ALLOWED = ("-e", "postgresql_server_restart=true")
SOURCE = "/etc/apt/sources.list.d/steadfast-postgresql.list"
NAMES = ("postgresql-16", "postgresql-client-16")
OLD, NEW = "16.14-1", "16.15-1"
BACK = (
    f'sed -i "/next/d" {SOURCE}; apt-get -qq install -y --allow-downgrades '
    + " ".join(f"{name}={OLD}" for name in NAMES)
    + " > /dev/null"
)


def install(version: str, host: str) -> None:
    """Let the playbook's module install packages, and nothing else."""
    packages = json.dumps({"packages": dict.fromkeys(NAMES, version)})
    command = [
        "ansible",
        "-i",
        str(INVENTORY),
        host,
        "--become",
        "-m",
        "steadfast.postgresql.minor_update",
        "-a",
        packages,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)


def on_all(lab: Lab, command: str) -> None:
    with ThreadPoolExecutor(len(DATABASES)) as pool:
        list(pool.map(lambda host: lab.shell(host, command), DATABASES))


@pytest.fixture(autouse=True, scope="module")
def newer() -> Iterator[None]:
    """Offer the newer version to all hosts; they have the former one again afterwards."""
    lab = Lab()
    on_all(lab, f'echo "deb [trusted=yes] file:/srv/apt/next ./" >> {SOURCE}')
    yield
    on_all(lab, BACK)
    lab.wait(lambda: len(connections(lab)) == 2, 60)


def running(lab: Lab) -> dict[str, str]:
    return {host: lab.sql(host, "SHOW server_version") for host in DATABASES}


def installed(lab: Lab) -> dict[str, str]:
    return {host: lab.shell(host, "dpkg-query -Wf \\${Version} postgresql-16") for host in DATABASES}


def started(lab: Lab) -> dict[str, float]:
    query = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    return {host: float(lab.sql(host, query)) for host in DATABASES}


def recorded(lab: Lab, host: str) -> list[tuple[str, list[str]]]:
    lines = lab.shell(host, "grep upgrade_minor /var/lib/steadfast/main/journal.jsonl").splitlines()
    return [(entry["state"], entry["to"]) for entry in map(json.loads, lines)]


def test_a_cluster_that_is_not_well_is_left_alone(lab: Lab) -> None:
    before = started(lab)
    lab.shell("db3", "systemctl stop postgresql@16-main")
    run = lab.playbook(PLAYBOOK, expect=2)
    assert "refused, and nothing was changed." in run.output
    assert "The cluster is not well, so none of its hosts restarts: error: No server answers on db3" in run.output
    assert set(installed(lab).values()) == {OLD}
    lab.shell("db3", "systemctl start postgresql@16-main")
    lab.wait(lambda: len(connections(lab)) == 2, 60)
    assert started(lab) | {"db3": 0.0} == before | {"db3": 0.0}


def test_standbys_first_and_the_primary_when_it_may(lab: Lab, client: Client) -> None:
    before = started(lab)
    client.start()

    # As a run leaves it that is killed before the first restart: the server goes on with the former program.
    install(NEW, "db3")
    assert installed(lab) == {"db1": OLD, "db2": OLD, "db3": NEW}
    assert running(lab) == dict.fromkeys(DATABASES, "16.14")
    assert started(lab) == before

    run = lab.foretold(PLAYBOOK)
    assert "One after the other, each proven before the next: db3, then db2." in run.output
    assert (
        "Commits wait for the seconds in which db2 restarts: nobody else of the synchronous set streams." in run.output
    )
    assert "db1, the primary, stays as it is" in run.output
    assert running(lab) == {"db1": "16.14", "db2": "16.15", "db3": "16.15"}
    since = started(lab)
    assert before["db1"] == since["db1"] < since["db3"] < since["db2"]
    acknowledged, words = client.stop()
    assert words == []
    assert client.rows() == acknowledged > 0

    lab.playbook(PLAYBOOK, *ALLOWED)
    assert running(lab) == dict.fromkeys(DATABASES, "16.15")
    assert started(lab)["db1"] > since["db2"]
    assert len(connections(lab)) == 2
    assert lab.sql("db1", "SHOW synchronous_standby_names") == 'ANY 1 ("db2")'
    run = lab.playbook(PLAYBOOK, *ALLOWED)
    assert set(run.changed.values()) == {0}
    assert f"Nothing is newer than what runs: db1 {NEW}, db2 {NEW}, db3 {NEW}." in run.output
    standbys, primary = [f"db2 {NEW}", f"db3 {NEW}"], [f"db1 {NEW}"]
    for host in ("db1", "ops1"):
        assert recorded(lab, host)[-4:] == [
            ("begun", standbys),
            ("done", standbys),
            ("begun", primary),
            ("done", primary),
        ]
    for host in DATABASES:
        assert lab.shell(host, "ls /usr/sbin/policy-rc.d", check=False) == ""
