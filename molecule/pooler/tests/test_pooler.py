"""Pools lead to the live primary and to standbys, let in who belongs there, and keep their clients."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import STATE
from pool_client import ADDRESSES, READER, Client

if TYPE_CHECKING:
    from lab import Lab

FAILED = 2
NOT_THERE = "no authentication method is found"
POOLER = "/usr/local/lib/steadfast/pooler"
ACCOUNT = "synergyflow_users_app"
WRITES = """BEGIN;
INSERT INTO visits (note) VALUES (:client_id::text);
SELECT count(note) FROM visits WHERE id < 10;
END;
"""
# A thread for each client: pgbench prepares a statement while the other clients of a thread wait in their transactions.
BENCH = "pgbench --no-vacuum --client=250 --jobs=250 --protocol=prepared --file=/tmp/writes.sql"
# By the pooler of db1: the others keep theirs for a while.
OPENED = f"""
SELECT count(*) FROM pg_stat_activity WHERE usename = $${ACCOUNT}$$ AND client_addr = $${ADDRESSES["db1"]}$$
"""


def current(lab: Lab, host: str = "db1") -> int:
    """Return which process serves."""
    return int(lab.shell(host, "readlink /run/pgbouncer/current"))


def checked(lab: Lab, expect: int = 0) -> str:
    """Return what the check says."""
    return lab.playbook("playbooks/check_cluster.yml", expect=expect).output


def clients_of(lab: Lab) -> list[str]:
    """Return the clients of the account that the process has which serves."""
    return [line for line in lab.shell("db1", f"{POOLER} console show clients").splitlines() if f" {ACCOUNT} " in line]


def is_active(lab: Lab, process: int) -> bool:
    """Whether a process runs."""
    return lab.shell("db1", f"systemctl is-active pgbouncer@{process}", check=False) == "active"


def busy(lab: Lab) -> int:
    """Return how many server connections of the account work."""
    return int(lab.sql("db1", f"{OPENED} AND state <> $$idle$$"))


def test_a_run_changes_nothing_more(pooled: Lab) -> None:
    again = pooled.at_rest("site.yml")
    assert re.search(
        r"synergyflow +transaction +16 of 50 connections an account +16 of 50 together +333 of 1000", again.output
    )
    where = f"host=db1,db2 hostaddr={ADDRESSES['db1']},{ADDRESSES['db2']} port=6432"
    assert f"{where} dbname=synergyflow user=synergyflow" in again.output


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_client_verifies_the_pooler_and_writes(pooled: Lab, host: str) -> None:
    client = Client(pooled, host)
    assert (
        client.sql("SELECT session_user, pg_is_in_recovery(), inet_server_addr()") == f"{ACCOUNT}|f|{ADDRESSES['db1']}"
    )
    assert client.sql("INSERT INTO visits (note) VALUES ('x') RETURNING 'written'") == "written"


@pytest.mark.parametrize(("host", "reads"), [("db1", "db2"), ("db2", "db2"), ("db3", "db3")])
def test_readers_are_led_to_a_standby(pooled: Lab, host: str, reads: str) -> None:
    assert Client(pooled, host, READER).sql("SELECT pg_is_in_recovery(), inet_server_addr()") == f"t|{ADDRESSES[reads]}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"PGPASSWORD": "another"}, "authentication failed", id="another password"),
        pytest.param({"PGSSLMODE": "disable"}, "SSL required", id="without TLS"),
        pytest.param({"PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt"}, "verify failed", id="another CA"),
        pytest.param({"PGHOST": "pool1"}, "does not match host name", id="another name"),
        pytest.param({"PGUSER": "dba"}, "no such user", id="an administrator"),
        pytest.param({"PGUSER": "postgres"}, "no such user", id="a superuser"),
        pytest.param({"PGDATABASE": "cloudflow"}, NOT_THERE, id="the database of another application"),
        pytest.param({"PGDATABASE": "postgres"}, NOT_THERE, id="another database"),
        pytest.param({"PGDATABASE": "steadfast_login"}, NOT_THERE, id="the database of log-ins"),
        pytest.param({"PGDATABASE": "pgbouncer"}, "not allowed", id="the console"),
        pytest.param({"PGPORT": "5432"}, "requires a valid client certificate", id="past the pooler"),
    ],
)
def test_who_is_refused(pooled: Lab, settings: dict[str, str], words: str) -> None:
    assert words in Client(pooled, settings=settings).refused()


def test_what_poolers_may_ask(pooled: Lab) -> None:
    ask = "SET ROLE pgbouncer; SELECT name, verifier <> $$$$ FROM pgbouncer.verifier_of($${}$$)"
    assert pooled.sql("db1", ask.format(ACCOUNT)) == f"{ACCOUNT}|t"
    for role in ("postgres", "dba", "replicator", "pgbouncer"):
        assert pooled.sql("db1", ask.format(role)) == ""
    for forbidden in ("TABLE pg_authid", "CREATE TABLE x ()", "SELECT pg_read_file($$/etc/passwd$$)"):
        assert pooled.sql("db1", f"SET ROLE pgbouncer; {forbidden}; SELECT 1", check=False) == ""
    other = f"SET ROLE {ACCOUNT}; SELECT count(*) FROM pgbouncer.verifier_of($${ACCOUNT}$$)"
    assert pooled.sql("db1", other, check=False) == ""


DRIFT = """
ALTER ROLE pgbouncer CREATEROLE CREATEDB BYPASSRLS CONNECTION LIMIT 0;
ALTER ROLE pgbouncer SET work_mem = $$1MB$$;
GRANT SELECT ON pg_catalog.pg_authid TO pgbouncer
"""


def test_the_login_of_poolers_is_watched_and_mended(pooled: Lab) -> None:
    pooled.sql("db1", DRIFT)
    was = "createrole, createdb, bypassrls, connection limit 0, setting work_mem=1MB"
    looked = checked(pooled, expect=FAILED)
    assert f"error: The role pgbouncer on db1 is not as it has to be: {was}." in looked
    assert "warning: The role pgbouncer has rights beyond its function: on table pg_authid." in looked
    assert pooled.foretold("site.yml").changes == [f"db1: role pgbouncer: {was} -> pooler"]
    pooled.sql("db1", "REVOKE SELECT ON pg_catalog.pg_authid FROM pgbouncer")
    assert "The role pgbouncer" not in checked(pooled)
    assert Client(pooled).sql("SELECT 1") == "1"


def test_no_secret_lies_on_a_host(pooled: Lab) -> None:
    secret = yaml.safe_load((STATE / "secrets.yml").read_text())["synergyflow_users_password"]
    places = "/etc/pgbouncer /run/pgbouncer/*/loaded /etc/systemd/system"
    assert pooled.shell("db1", f"grep -rl -e SCRAM-SHA-256\\$ -e {secret} {places}", check=False) == ""
    assert pooled.shell("db1", "stat -c %a /run/pgbouncer/current/.s.PGSQL.6432") == "700"


def test_a_minute_of_250_clients_on_16_connections(client: Client) -> None:
    """A reload and a change of the process on the way cut none of them."""
    lab = client.lab
    lab.shell("db3", "cat > /tmp/writes.sql && chmod 644 /tmp/writes.sql", stdin=WRITES)
    former = current(lab)
    bench = client.begin(f"{BENCH} --time=60")
    lab.wait(lambda: len(clients_of(lab)) >= 250, 50)
    for _ in range(3):
        lab.shell("db1", f"touch /etc/pgbouncer/steadfast/primary.ini && systemctl reload pgbouncer@{former}")
    assert int(lab.sql("db1", OPENED)) <= 16
    lab.shell("db1", f"systemctl start pgbouncer@{3 - former}")
    assert current(lab) == 3 - former
    assert client.sql("SELECT 1") == "1"
    assert is_active(lab, former)
    output, _ = bench.communicate(timeout=120)
    assert bench.returncode == 0, output
    assert "number of failed transactions: 0 (0.000%)" in output
    assert "aborted" not in output
    assert int(re.findall(r"actually processed: (\d+)", output)[0]) > 1000
    lab.wait(lambda: not is_active(lab, former), 20)
    lab.foretold("site.yml")
    lab.at_rest("site.yml")


def test_a_former_process_keeps_its_clients(client: Client) -> None:
    lab = client.lab
    former = current(lab)
    staying = client.begin("psql -XAtqc 'SELECT 1' -c '\\! while [ ! -e /tmp/leave ]; do sleep 1; done' -c 'SELECT 2'")
    lab.wait(lambda: len(clients_of(lab)) == 1, 20)
    lab.shell("db1", "touch /etc/pgbouncer/steadfast/1.ini /etc/pgbouncer/steadfast/2.ini")
    run = lab.foretold("site.yml")
    assert f"db1: service pgbouncer@{3 - former}.service: stopped -> started" in run.changes
    assert "info: A former process of the pooler on db1 still has clients" in run.output
    lab.at_rest("site.yml")
    lab.shell("db3", "touch /tmp/leave")
    output, _ = staying.communicate(timeout=60)
    lab.shell("db3", "rm /tmp/leave")
    assert output.split() == ["1", "2"]
    lab.wait(lambda: not is_active(lab, former), 20)


def test_paused_pools_go_on_by_themselves(pooled: Lab) -> None:
    lab = pooled
    client = Client(lab, settings={"PGCONNECT_TIMEOUT": "60"})
    lab.shell("db1", f"{POOLER} pause")
    began = time.monotonic()
    waiting = client.begin("psql -XAtqc 'SELECT 7'")
    output, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, output.strip()) == (0, "7")
    assert time.monotonic() - began > 20
    assert client.sql("SELECT 1") == "1"


def test_paused_pools_are_said(client: Client) -> None:
    lab = client.lab
    lab.shell("db1", f"{POOLER} console pause synergyflow")
    try:
        assert "error: Pools on db1 are paused, so clients wait: synergyflow." in checked(lab, expect=FAILED)
    finally:
        lab.shell("db1", f"{POOLER} resume")
    assert client.sql("SELECT 1") == "1"


def test_a_pause_is_taken_back(client: Client) -> None:
    client.lab.shell("db1", f"{POOLER} pause && {POOLER} resume")
    assert client.sql("SELECT 1") == "1"
    assert client.lab.shell("db1", "systemctl is-active steadfast-pooler-resume.timer", check=False) == "inactive"


def test_pools_that_are_led_elsewhere(client: Client) -> None:
    lab = client.lab
    began = time.monotonic()
    lab.shell("db1", f"{POOLER} point primary {ADDRESSES['db2']}")
    assert client.sql("SELECT pg_is_in_recovery()") == "t"
    assert time.monotonic() - began < 3
    words = f"synergyflow, cloudflow to {ADDRESSES['db2']}, and db1 is the primary."
    assert words in checked(lab, expect=FAILED)
    lab.shell("db1", f"{POOLER} point primary {ADDRESSES['db1']}")
    assert client.sql("SELECT pg_is_in_recovery()") == "f"
    lab.at_rest("site.yml")


def test_a_pool_that_may_open_more_than_its_share(pooled: Lab) -> None:
    path = "/etc/pgbouncer/steadfast/primary.ini"
    more = "s/^\\(synergyflow .*\\)pool_size=16\\(.*\\)max_db_connections=16/\\1pool_size=60\\2max_db_connections=60/"
    pooled.shell("db1", f'sed -i "{more}" {path} && chmod 666 {path} && systemctl reload pgbouncer@{current(pooled)}')
    looked = checked(pooled, expect=FAILED)
    words = "The pool synergyflow on db1 has pool_size 60, max_db_connections 60, and its share is pool_size 16,"
    assert f"warning: {words} max_db_connections 16. Run site" in looked
    assert f"error: Others than root may write what the pooler on db1 reads: {path}." in looked
    pooled.foretold("site.yml")
    looked = checked(pooled)
    assert "its share is" not in looked
    assert "may write what" not in looked


def test_saturation_is_said(client: Client) -> None:
    lab = client.lab
    sleepers = client.begin("for i in $(seq 14); do psql -XAtqc 'SELECT pg_sleep(300)' & done; wait")
    try:
        lab.wait(lambda: busy(lab) >= 14, 30)
        output = checked(lab)
    finally:
        lab.sql("db1", f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = $${ACCOUNT}$$")
        sleepers.communicate(timeout=60)
    assert "warning: The pool synergyflow on db1 is saturated: 14 of 16 server connections work" in output


def test_one_that_is_killed_starts_again(pooled: Lab) -> None:
    pooled.shell("db2", f"systemctl kill --signal=KILL pgbouncer@{current(pooled, 'db2')}")
    pooled.wait(lambda: Client(pooled, "db2").run("psql -XAtqc 'SELECT 1'").returncode == 0, 20)
    pooled.at_rest("site.yml")
