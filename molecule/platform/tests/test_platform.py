"""A converged platform: what was predicted was done, and what was promised is in force."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import CHANGE, ROOT, STATE

if TYPE_CHECKING:
    from lab import Lab

DATABASES = ["db1", "db2", "db3"]
STANDBYS = DATABASES[1:]


def changes(text: str) -> list[str]:
    return [f"{host}: {what}" for host, what in CHANGE.findall(text)]


def test_check_mode_predicts_what_is_done() -> None:
    predicted = changes((STATE / "prediction.txt").read_text())
    log = (STATE / "platform.log").read_text()
    done = changes(log.split("changes were made:")[1].split("PostgreSQL 16, cluster")[0])
    assert len(done) > 60
    assert sorted(predicted) == sorted(done)


def test_check_mode_on_a_converged_platform_predicts_nothing(lab: Lab) -> None:
    run = lab.playbook("site.yml", "--check", "--diff")
    assert "Nothing to change." in run.output
    assert set(run.changed.values()) == {0}


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_check_cluster_finds_nothing_wrong(lab: Lab, depth: str) -> None:
    run = lab.playbook("playbooks/check_cluster.yml", "-e", f"depth={depth}")
    assert set(run.changed.values()) == {0}
    assert "error" not in run.output.split("PLAY RECAP")[0].split("Verified")[1]


def test_standbys_stream_over_tls_with_slots(lab: Lab) -> None:
    rows = lab.sql(
        "db1",
        "SELECT application_name, state, sync_state, version, active FROM pg_stat_replication "
        "JOIN pg_stat_ssl USING (pid) JOIN pg_replication_slots ON slot_name = application_name ORDER BY 1",
    )
    assert rows.splitlines() == ["db2|streaming|quorum|TLSv1.3|t", "db3|streaming|async|TLSv1.3|t"]
    assert lab.sql("db1", "SHOW synchronous_standby_names") == 'ANY 1 ("db2")'


@pytest.mark.parametrize("host", STANDBYS)
def test_standbys_have_no_slots_and_an_empty_set(lab: Lab, host: str) -> None:
    state = "SELECT count(*), current_setting($$synchronous_standby_names$$) FROM pg_replication_slots"
    assert lab.sql(host, state) == "0|"


@pytest.mark.parametrize("host", DATABASES)
def test_cluster_is_as_declared(lab: Lab, host: str) -> None:
    assert lab.sql(host, "SHOW data_checksums") == "on"
    template = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = $$template1$$"
    assert lab.sql(host, template) == "UTF8|C.UTF-8"
    shown = lab.shell(host, "pg_lsclusters --no-header")
    assert shown.split()[:3] == ["16", "main", "5432"]
    assert shown.split()[3] == ("online" if host == "db1" else "online,recovery")


@pytest.mark.parametrize("host", DATABASES)
def test_service_comes_back_after_a_crash(lab: Lab, host: str) -> None:
    before = lab.sql(host, "SELECT pg_postmaster_start_time()")
    lab.shell(host, "kill -9 $(head -1 /var/lib/postgresql/16/main/postmaster.pid)")
    lab.wait(lambda: lab.sql(host, "SELECT pg_postmaster_start_time()", check=False) not in {"", before}, 60)
    assert lab.shell(host, "systemctl is-enabled postgresql@16-main") == "enabled"
    lab.wait(lambda: lab.sql("db1", "SELECT count(*) FROM pg_stat_replication WHERE state = $$streaming$$") == "2", 60)


def as_dba(lab: Lab, options: str, sql: str = "SELECT 1", user: str = "dba") -> tuple[str, str]:
    """Connect from the repository host, which has PostgreSQL's client for this, over the network."""
    password = yaml.safe_load((STATE / "secrets.yml").read_text())["dba_password"]
    names = ["db1=10.89.20.11", "db2=10.89.20.12", "db3=10.89.20.13"]
    hosts, addresses = zip(*(name.split("=") for name in names), strict=True)
    conninfo = (
        f"host={','.join(hosts)} hostaddr={','.join(addresses)} user={user} dbname=postgres connect_timeout=5 "
        f"sslrootcert=/etc/ssl/postgresql/main/ca.crt {options}"
    )
    # psql runs on db3, so that the connection comes over the network from another member.
    script = f'read -r PGPASSWORD; export PGPASSWORD; psql -XAtq -d "{conninfo}" -c "{sql}" 2>&1'
    done = lab.shell("db3", script, check=False, stdin=password + "\n")
    return ("ok" if done == "1" else "refused"), done


def test_an_administrator_logs_in_over_verified_tls(lab: Lab) -> None:
    outcome, words = as_dba(lab, "sslmode=verify-full target_session_attrs=read-write")
    assert outcome == "ok", words


def test_plaintext_is_refused_by_the_server(lab: Lab) -> None:
    outcome, words = as_dba(lab, "sslmode=disable")
    assert outcome == "refused"
    assert "no pg_hba.conf entry" in words
    assert "no encryption" in words


def test_a_superuser_is_refused_over_the_network(lab: Lab) -> None:
    outcome, words = as_dba(lab, "sslmode=verify-full", user="postgres")
    assert outcome == "refused"
    assert "pg_hba.conf rejects connection" in words


@pytest.mark.parametrize("host", DATABASES)
def test_rules_are_no_wider_than_the_networks(lab: Lab, host: str) -> None:
    rows = lab.sql(host, "SELECT type, auth_method, coalesce(address, $$-$$) FROM pg_hba_file_rules")
    rules = {tuple(row.split("|")) for row in rows.splitlines()}
    assert {kind for kind, _, _ in rules} == {"local", "hostssl"}
    assert {method for _, method, _ in rules} == {"peer", "cert", "scram-sha-256", "reject"}
    # Clients from their network; applications from the poolers, their migrators from where migrations run.
    members = {f"10.89.20.{number}" for number in (11, 12, 13, 14)}
    assert {address for _, method, address in rules if method == "scram-sha-256"} == {"10.89.20.0", *members}


def test_catalogue_of_parameters_is_that_of_the_server(lab: Lab) -> None:
    tool = [sys.executable, str(ROOT / "tests" / "catalogue" / "generate.py")]
    query = subprocess.run([*tool, "query"], check=True, capture_output=True, text=True).stdout
    shown = lab.sql("db1", query)
    done = subprocess.run([*tool, "compare", "16"], check=False, capture_output=True, text=True, input=shown)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_journal_tells_of_the_set(lab: Lab) -> None:
    for host in [*DATABASES, "ops1"]:
        lines = lab.shell(host, "cat /var/lib/steadfast/main/journal.jsonl").splitlines()
        assert json.loads(lines[0])["to"] == ["db2"]


def test_secrets_are_not_readable_by_others(lab: Lab) -> None:
    for host in [*DATABASES, "ops1"]:
        assert lab.shell(host, "stat -c %a:%U:%G /etc/ssl/postgresql/main/server.key") == "640:root:ssl-cert"
