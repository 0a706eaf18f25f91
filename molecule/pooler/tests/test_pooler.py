"""Pools lead to the live primary and to standbys, let in who belongs there, and keep their clients."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from conftest import ADDRESSES, DECLARED, PASSWORD, Shop

if TYPE_CHECKING:
    from lab import Lab

POOLER = "/usr/local/lib/steadfast/pooler"
WRITES = """BEGIN;
INSERT INTO visits (note) VALUES (:client_id::text);
SELECT count(note) FROM visits WHERE id < 10;
END;
"""
BENCH = "pgbench --no-vacuum --client=250 --jobs=2 --protocol=prepared --file=/tmp/shop/writes.sql"


def current(lab: Lab, host: str = "db1") -> int:
    """Return which process serves."""
    return int(lab.shell(host, "readlink /run/pgbouncer/current"))


def checked(lab: Lab, expect: int = 0) -> str:
    """Return what the check says."""
    return lab.playbook("playbooks/check_cluster.yml", *DECLARED, expect=expect).output


def busy(lab: Lab) -> int:
    """Return how many server connections of the application work."""
    counted = "SELECT count(*) FROM pg_stat_activity WHERE usename = $$shop_app$$ AND state <> $$idle$$"
    return int(lab.sql("db1", counted))


def test_a_run_changes_nothing_more(pooled: Lab) -> None:
    again = pooled.playbook("site.yml", *DECLARED)
    assert set(again.changed.values()) == {0}
    assert "16 of 48 connections an account" in again.output
    assert "host=db1,db2 hostaddr=10.89.20.11,10.89.20.12 port=6432 dbname=shop user=shop_app" in again.output
    assert "Verified" in again.output


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_client_verifies_the_pooler_and_writes(pooled: Lab, host: str) -> None:
    shop = Shop(pooled, host)
    assert shop.sql("SELECT session_user, pg_is_in_recovery(), inet_server_addr()") == "shop_app|f|10.89.20.11"
    assert shop.sql("INSERT INTO visits (note) VALUES ('x') RETURNING 'written'") == "written"


@pytest.mark.parametrize(("host", "reads"), [("db1", "db2"), ("db2", "db2"), ("db3", "db3")])
def test_readers_are_led_to_a_standby(pooled: Lab, host: str, reads: str) -> None:
    shop = Shop(pooled, host, {"PGDATABASE": "shop_ro"})
    assert shop.sql("SELECT pg_is_in_recovery(), inet_server_addr()") == f"t|{ADDRESSES[reads]}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"PGPASSWORD": "another"}, "authentication failed", id="another password"),
        pytest.param({"PGSSLMODE": "disable"}, "SSL required", id="without TLS"),
        pytest.param(
            {"PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt"}, "certificate verify failed", id="another CA"
        ),
        pytest.param({"PGHOST": "pool1"}, "does not match host name", id="another name"),
        pytest.param({"PGUSER": "dba"}, "", id="an administrator"),
        pytest.param({"PGUSER": "postgres"}, "", id="a superuser"),
        pytest.param({"PGDATABASE": "postgres"}, "no such database", id="another database"),
        pytest.param({"PGDATABASE": "steadfast_login"}, "", id="the database of log-ins"),
        pytest.param({"PGDATABASE": "pgbouncer"}, "", id="the console"),
    ],
)
def test_who_is_refused(pooled: Lab, settings: dict[str, str], words: str) -> None:
    assert words in Shop(pooled, settings=settings).refused()


def test_the_server_lets_accounts_in_from_poolers_alone(pooled: Lab) -> None:
    # From a pooler's address, but without the certificate of a member.
    direct = Shop(pooled, settings={"PGPORT": "5432"})
    assert "certificate" in direct.refused()


def test_what_poolers_may_ask(pooled: Lab) -> None:
    ask = "SET ROLE pgbouncer; SELECT name, verifier <> $$$$ FROM pgbouncer.verifier_of($${}$$)"
    assert pooled.sql("db1", ask.format("shop_app")) == "shop_app|t"
    for role in ("postgres", "dba", "replicator", "pgbouncer"):
        assert pooled.sql("db1", ask.format(role)) == ""
    for forbidden in ("TABLE pg_authid", "CREATE TABLE x ()", "SELECT pg_read_file($$/etc/passwd$$)"):
        assert pooled.sql("db1", f"SET ROLE pgbouncer; {forbidden}", check=False) == ""
    assert pooled.sql("db1", "SET ROLE shop_app; SELECT * FROM pgbouncer.verifier_of($$shop_app$$)", check=False) == ""


def test_no_secret_lies_on_a_host(pooled: Lab) -> None:
    found = pooled.shell("db1", f'grep -rl -e SCRAM-SHA-256 -e "{PASSWORD}" /etc/pgbouncer /run/pgbouncer', check=False)
    assert found == ""
    assert pooled.shell("db1", "stat -c %a /run/pgbouncer/1/.s.PGSQL.6432") == "700"


def test_a_minute_of_250_clients_on_16_connections(shop: Shop) -> None:
    """A reload and a change of the process on the way cut none of them."""
    lab = shop.lab
    lab.shell("db3", "cat > /tmp/shop/writes.sql && chmod 644 /tmp/shop/writes.sql", stdin=WRITES)
    former = current(lab)
    bench = shop.begin(f"{BENCH} --time=60")
    lab.wait(lambda: busy(lab) > 0, 30)
    lab.shell("db1", "touch /etc/pgbouncer/primary.ini")
    run = lab.playbook("site.yml", *DECLARED)
    assert run.changes == [f"db1: service pgbouncer@{former}.service: running -> reloaded"]
    counted = "SELECT count(*) FROM pg_stat_activity WHERE usename = $$shop_app$$"
    assert int(lab.sql("db1", counted)) <= 16
    lab.shell("db1", "touch /etc/pgbouncer/1.ini /etc/pgbouncer/2.ini")
    foretold = lab.foretold("site.yml", *DECLARED)
    assert f"db1: service pgbouncer@{3 - former}.service: stopped -> started" in foretold.changes
    assert current(lab) == 3 - former
    assert shop.sql("SELECT 1") == "1"
    assert "A former process of the pooler on db1 still serves 250 clients." in checked(lab)
    output, _ = bench.communicate(timeout=120)
    assert bench.returncode == 0, output
    assert "number of failed transactions: 0 (0.000%)" in output
    assert "aborted" not in output
    assert int(re.findall(r"actually processed: (\d+)", output)[0]) > 1000
    lab.wait(lambda: lab.shell("db1", f"systemctl is-active pgbouncer@{former}", check=False) == "inactive", 20)
    assert set(lab.playbook("site.yml", *DECLARED).changed.values()) == {0}


def test_a_run_that_was_killed_before_the_reload(pooled: Lab) -> None:
    line = "sed -i s/server_login_retry.*/server_login_retry=7/ /etc/pgbouncer/pgbouncer.ini"
    pooled.shell("db2", line)
    assert "error: The pooler on db2 has not read what changed: /etc/pgbouncer/pgbouncer.ini." in checked(
        pooled, expect=2
    )
    pooled.playbook("site.yml", *DECLARED)
    shown = pooled.shell("db2", f"{POOLER} console show config")
    assert re.search(r"^server_login_retry +1 ", shown, re.MULTILINE)


def test_paused_pools_go_on_by_themselves(shop: Shop) -> None:
    lab = shop.lab
    lab.shell("db1", f"{POOLER} pause")
    began = time.monotonic()
    waiting = shop.begin("psql -XAtqc 'SELECT 7'")
    assert "error: Pools on db1 are paused, so clients wait: " in checked(lab, expect=2)
    output, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, output.strip()) == (0, "7")
    assert time.monotonic() - began > 10
    assert shop.sql("SELECT 1") == "1"


def test_a_pause_is_taken_back(shop: Shop) -> None:
    shop.lab.shell("db1", f"{POOLER} pause && {POOLER} resume")
    assert shop.sql("SELECT 1") == "1"
    assert shop.lab.shell("db1", "systemctl is-active steadfast-pooler-resume.timer", check=False) == "inactive"


def test_pools_that_are_led_elsewhere(shop: Shop) -> None:
    lab = shop.lab
    began = time.monotonic()
    lab.shell("db1", f"{POOLER} point primary {ADDRESSES['db2']}")
    assert shop.sql("SELECT pg_is_in_recovery()") == "t"
    assert time.monotonic() - began < 3
    assert f"error: The pooler on db1 leads shop to {ADDRESSES['db2']}, and db1 is the primary." in checked(
        lab, expect=2
    )
    lab.shell("db1", f"{POOLER} point primary {ADDRESSES['db1']}")
    assert shop.sql("SELECT pg_is_in_recovery()") == "f"
    assert set(lab.playbook("site.yml", *DECLARED).changed.values()) == {0}


def test_saturation_is_said(shop: Shop) -> None:
    sleepers = [shop.begin("psql -XAtqc 'SELECT pg_sleep(15)'") for _ in range(14)]
    shop.lab.wait(lambda: busy(shop.lab) >= 14, 20)
    output = checked(shop.lab)
    for sleeper in sleepers:
        sleeper.communicate(timeout=60)
    assert "warning: The pool shop on db1 is saturated: 14 of 16 server connections work" in output


def test_one_that_is_down_is_started(pooled: Lab) -> None:
    pooled.shell("db2", "systemctl kill --signal=KILL pgbouncer@1; systemctl stop pgbouncer@1 pgbouncer@2")
    assert "error: No pooler serves on db2: none of its processes runs." in checked(pooled, expect=2)
    pooled.playbook("site.yml", *DECLARED)
    assert Shop(pooled, "db2").sql("SELECT 1") == "1"
    assert set(pooled.playbook("site.yml", *DECLARED).changed.values()) == {0}


def test_it_starts_with_the_host(pooled: Lab) -> None:
    pooled.stop("db2")
    pooled.start("db2")
    pooled.wait(lambda: Shop(pooled, "db2").run("psql -XAtqc 'SELECT 1'").returncode == 0, 20)
    assert set(pooled.playbook("site.yml", *DECLARED).changed.values()) == {0}
