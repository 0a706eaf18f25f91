"""A cluster that somebody else made and configured is taken over, and loses nothing that is not said beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spare import Solo

LOCAL_PACKAGES = "deb [trusted=yes] file:/srv/apt ./"
CONFIGURATION = "/etc/postgresql/16/main"
MAKE = f"""
set -e
mkdir -p /etc/postgresql-common/createcluster.d
echo create_main_cluster = false > /etc/postgresql-common/createcluster.d/theirs.conf
echo "{LOCAL_PACKAGES}" > /etc/apt/sources.list.d/theirs.list
apt-get -q update
apt-get -q -y install --no-install-recommends postgresql-16
pg_createcluster 16 main
cat >> {CONFIGURATION}/postgresql.conf <<END
work_mem = 100MB
max_connections = 321
deadlock_timeout = 3s
listen_addresses = '*'
END
echo "host all shop 10.89.20.0/24 scram-sha-256" >> {CONFIGURATION}/pg_hba.conf
echo "host replication repl 10.89.20.0/24 scram-sha-256" >> {CONFIGURATION}/pg_hba.conf
systemctl start postgresql@16-main
"""
DATA = """
CREATE ROLE shop LOGIN PASSWORD 'a password of the shop';
CREATE ROLE repl LOGIN REPLICATION PASSWORD 'a password of repl';
CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id;
"""
# It receives WAL as a standby does that logs in with a password, without TLS.
OLD_STANDBY = (
    'mkdir -p /tmp/wal; systemd-run --quiet --unit=old-standby --setenv=PGPASSWORD="a password of repl" '
    "--setenv=PGSSLMODE=disable /usr/lib/postgresql/16/bin/pg_receivewal -h 10.89.20.15 -U repl -D /tmp/wal"
)
THE_SHOP = {
    "comment": "The shop",
    "databases": ["all"],
    "users": ["shop"],
    "addresses": ["10.89.20.0/24"],
    "method": "scram-sha-256",
}


def declare(solo: Solo, **variables: object) -> None:
    solo.declare(
        postgresql_server_package_source=LOCAL_PACKAGES,
        postgresql_application_networks=["10.89.20.0/24"],
        postgresql_server_hba_rules=[THE_SHOP],
        postgresql_server_parameters={"work_mem": "64MB"},
        **variables,
    )


def refusal(solo: Solo) -> str:
    run = solo.playbook("site.yml", expect=None)
    assert run.status != 0
    assert run.changed == {"solo1": 0}
    return run.output


def test_a_cluster_of_others_is_taken_over(solo: Solo) -> None:
    solo.shell("solo1", "bash -s", stdin=MAKE)
    solo.sql("solo1", DATA)
    former = solo.shell("solo1", f"cat {CONFIGURATION}/postgresql.conf {CONFIGURATION}/pg_hba.conf")
    identifier = solo.sql("solo1", "SELECT system_identifier FROM pg_control_system()")

    declare(solo)
    assert f'To take it over write postgresql_adopt: "{identifier}"' in refusal(solo)

    declare(solo, postgresql_adopt=identifier)
    solo.shell("solo1", OLD_STANDBY)
    solo.wait(lambda: solo.sql("solo1", "SELECT count(*) FROM pg_stat_replication") == "1", 30)
    refused = refusal(solo)
    assert 'would cut off "pg_receivewal" of 10.89.20.15, which replicates as the role repl without TLS' in refused
    solo.shell("solo1", "systemctl stop old-standby")
    solo.wait(lambda: solo.sql("solo1", "SELECT count(*) FROM pg_stat_replication") == "0", 30)

    predicted = solo.playbook("site.yml", "--check", "--diff")
    assert {
        f"solo1: instance 16/main: not ours -> adopted {identifier}",
        f"solo1: copy {CONFIGURATION}: absent -> /var/lib/steadfast/main/adopted-{identifier}",
        "solo1: parameter work_mem: 102400kB -> 64MB",
        "solo1: parameter max_connections: 321 -> 200",
        "solo1: parameter deadlock_timeout: 3000ms -> not set",
        "solo1: rule host all shop 10.89.20.0/24 scram-sha-256: in pg_hba.conf -> dropped",
        "solo1: rule host replication repl 10.89.20.0/24 scram-sha-256: in pg_hba.conf -> dropped",
    } <= set(predicted.changes)
    assert "-work_mem = 100MB" in predicted.output
    assert solo.shell("solo1", f"cat {CONFIGURATION}/postgresql.conf {CONFIGURATION}/pg_hba.conf") == former
    assert solo.shell("solo1", "ls /var/lib/steadfast", check=False) == ""

    done = solo.playbook("site.yml")
    copy = f"/var/lib/steadfast/main/adopted-{identifier}"
    assert sorted(done.changes) == sorted(predicted.changes)
    assert f"The configuration that was replaced is kept in {copy}." in done.output
    assert solo.sql("solo1", "SELECT count(*) FROM orders") == "1000"
    assert solo.sql("solo1", "SHOW work_mem") == "64MB"
    assert solo.sql("solo1", "SELECT system_identifier FROM pg_control_system()") == identifier
    kept = f"cat {copy}/configuration/postgresql.conf {copy}/configuration/pg_hba.conf"
    assert solo.shell("solo1", kept) == former
    assert solo.playbook("site.yml").changed == {"solo1": 0}

    # As after a run that was killed before it wrote a file: the next one completes it, and leaves the copy alone.
    restore = f"cp -a {copy}/configuration/. {CONFIGURATION} && rm -r {CONFIGURATION}/conf.d/10-server.conf"
    solo.shell("solo1", f"{restore} && pg_ctlcluster 16 main reload")
    assert solo.sql("solo1", "SHOW work_mem") == "100MB"
    declare(solo)
    solo.playbook("site.yml", "-e", "postgresql_server_restart=true")
    assert solo.sql("solo1", "SHOW max_connections") == "200"
    assert solo.sql("solo1", "SELECT count(*) FROM orders") == "1000"
    assert solo.shell("solo1", kept) == former
    assert solo.playbook("site.yml").changed == {"solo1": 0}
