"""Poolers that are stopped, that read something else than what is declared, or that have to go."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml
from declared import declared
from pool_client import ADDRESSES, Client
from spare import Solo

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab

FAILED = 2
POOLER = "/usr/local/lib/steadfast/pooler"


def checked(lab: Lab) -> str:
    """Return what the check says, which fails."""
    return lab.playbook("playbooks/check_cluster.yml", expect=FAILED).output


def test_a_run_that_was_killed_before_the_reload(lab: Lab) -> None:
    lab.shell("db2", "sed -i s/server_login_retry.*/server_login_retry=7/ /etc/pgbouncer/steadfast/pgbouncer.ini")
    words = "error: The pooler on db2 has not read what changed: /etc/pgbouncer/steadfast/pgbouncer.ini."
    assert words in checked(lab)
    lab.foretold("site.yml")
    shown = lab.shell("db2", f"{POOLER} console show config")
    assert re.search(r"^server_login_retry +1 ", shown, re.MULTILINE)


def test_one_that_is_down_is_started(lab: Lab) -> None:
    lab.shell("db2", "systemctl stop pgbouncer@1 pgbouncer@2")
    assert "error: No pooler serves on db2: none of its processes runs." in checked(lab)
    lab.foretold("site.yml")
    assert Client(lab, "db2").sql("SELECT 1") == "1"
    lab.at_rest("site.yml")


def test_it_starts_with_the_host(lab: Lab) -> None:
    lab.stop("db2")
    lab.start("db2")
    lab.wait(lambda: Client(lab, "db2").run("psql -XAtqc 'SELECT 1'").returncode == 0, 20)
    lab.at_rest("site.yml")


def test_without_a_pool_the_poolers_go(lab: Lab) -> None:
    alone = {key: value for key, value in declared()[-1].items() if key != "pool"}
    run = lab.foretold("site.yml", "-e", json.dumps({"postgresql_applications": [alone]}))
    assert "db3: file /etc/pgbouncer/steadfast/primary.ini: file -> absent" in run.changes
    for host in ADDRESSES:
        assert "6432" not in lab.shell(host, "ss -Hltn")
    lab.foretold("site.yml")
    lab.at_rest("site.yml")


# The spare host is a member of the cluster, which only pools.
ELSEWHERE = {"main": {"children": {"pgbouncer": {"hosts": {"solo1": None}}}}}


def test_poolers_move_to_hosts_of_their_own(fresh: None, lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yml"
    path.write_text(yaml.safe_dump(ELSEWHERE))
    run = lab.foretold("site.yml", "-i", str(path))
    assert "host=solo1 " in run.output
    client = Client(lab, settings={"PGHOST": "solo1", "PGHOSTADDR": Solo.reached()["ansible_host"]})
    assert client.sql("SELECT pg_is_in_recovery(), inet_server_addr()") == f"f|{ADDRESSES['db1']}"
    for host in ADDRESSES:
        assert "6432" not in lab.shell(host, "ss -Hltn")
        assert lab.shell(host, "ls /etc/pgbouncer/steadfast/primary.ini", check=False) == ""
    lab.at_rest("site.yml", "-i", str(path))
    lab.foretold("site.yml")
    assert Client(lab).sql("SELECT 1") == "1"
    lab.at_rest("site.yml")
