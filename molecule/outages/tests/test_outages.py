"""The platform with a host that is dead, or a primary that somebody moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import Lab

# Exit status of ansible-playbook; an unreachable host outweighs one that failed.
UNREACHABLE = 4
FILE = "/etc/postgresql/16/main/conf.d/20-replication.conf"


def insert(lab: Lab, host: str, seconds: int) -> int:
    """Commit a row with a limit in seconds; status 124 says that it still waited."""
    sql = "CREATE TABLE IF NOT EXISTS proof (id int); INSERT INTO proof VALUES (1)"
    return lab.ssh(host, f'cd / && timeout {seconds} runuser -u postgres -- psql -Xq -d postgres -c "{sql}"').returncode


def streaming(lab: Lab, primary: str) -> set[str]:
    query = "SELECT application_name FROM pg_stat_replication WHERE state = $$streaming$$"
    return set(lab.sql(primary, query).split())


def test_commits_wait_for_a_dead_synchronous_standby_until_they_are_freed(lab: Lab) -> None:
    # What the collection refuses keeps nobody from seeing why commits wait, or from freeing them.
    lab.sql("db3", "ALTER SYSTEM SET work_mem = $$8MB$$")
    lab.stop("db2")
    assert insert(lab, "db1", 3) == 124
    assert "refused, and nothing was changed" in lab.playbook("site.yml", expect=UNREACHABLE).output

    check = lab.playbook("playbooks/check_cluster.yml", expect=UNREACHABLE)
    assert "Commits wait on db1: too few of its synchronous set (db2) stream." in check.output
    assert "postgresql.auto.conf sets work_mem" in check.output

    refused = lab.playbook("playbooks/relax_synchronous.yml", expect=UNREACHABLE)
    assert "write -e confirm=main" in refused.output
    assert insert(lab, "db1", 3) == 124

    relaxed = lab.playbook("playbooks/relax_synchronous.yml", "-e", "confirm=main", expect=UNREACHABLE)
    assert lab.sql("db1", "SHOW synchronous_standby_names") == "", relaxed.output
    assert insert(lab, "db1", 10) == 0
    for host in ("db1", "db3", "ops1"):
        assert '"operation": "relax_synchronous"' in lab.shell(host, "tail -1 /var/lib/steadfast/main/journal.jsonl")

    lab.sql("db3", "ALTER SYSTEM RESET work_mem")
    degraded = lab.playbook("site.yml", expect=UNREACHABLE)
    assert "runs degraded" in degraded.output
    # Its readers are led to the standby that is left.
    assert all("pgbouncer" in change for change in degraded.changes if change.startswith("db1"))

    lab.start("db2")
    lab.wait(lambda: "db2" in streaming(lab, "db1"), 60)
    lab.playbook("site.yml")
    assert lab.sql("db1", "SHOW synchronous_standby_names") == 'ANY 1 ("db2")'
    lab.at_rest("site.yml")


def test_preferred_durability_lets_commits_go_on_after_a_while_and_restores_the_set(lab: Lab) -> None:
    preferred = ["-e", "postgresql_replication_durability=preferred", "-e", "postgresql_replication_preferred_after=3"]
    lab.playbook("site.yml", *preferred)
    lab.stop("db2")
    assert insert(lab, "db1", 25) == 0
    assert lab.sql("db1", "SHOW synchronous_standby_names") == ""
    lab.start("db2")
    lab.wait(lambda: lab.sql("db1", "SHOW synchronous_standby_names") == 'ANY 1 ("db2")', 60)
    assert '"operation": "watch"' in lab.shell("db1", "tail -1 /var/lib/steadfast/main/journal.jsonl")
    lab.playbook("site.yml")
    assert lab.shell("db1", "systemctl is-active steadfast-watch-16-main.timer", check=False) == "inactive"
    lab.at_rest("site.yml")


def test_without_the_primary_the_others_converge_and_the_run_fails(lab: Lab) -> None:
    lab.shell("db3", "rm /etc/postgresql/16/main/start.conf")
    lab.stop("db1")
    run = lab.playbook("site.yml", expect=UNREACHABLE)
    assert "The primary is not known" in run.output
    assert "db1 was not observed: it is unreachable, or outside --limit." in run.output
    assert lab.shell("db3", "ls /etc/postgresql/16/main/start.conf")
    assert lab.sql("db2", "SELECT pg_is_in_recovery()") == "t"
    lab.start("db1")
    lab.wait(lambda: streaming(lab, "db1") == {"db2", "db3"}, 60)
    lab.at_rest("site.yml")


def test_a_host_outside_the_limit_counts_as_unknown(lab: Lab) -> None:
    lab.shell("db2", "rm /etc/postgresql/16/main/start.conf")
    run = lab.playbook("site.yml", "--limit", "db2,ops1")
    assert run.changed["db2"] > 0
    assert "db1 was not observed: it is unreachable, or outside --limit." in run.output
    assert "db3 was not observed: it is unreachable, or outside --limit." in run.output
    lab.at_rest("site.yml")


def move_primary(lab: Lab, old: str, new: str) -> None:
    """Do by hand what an operator does who knows PostgreSQL: stop, promote, re-point."""
    data = "/var/lib/postgresql/16/main"
    lab.shell(old, "systemctl stop postgresql@16-main")
    lab.sql(new, "SELECT pg_promote()")
    lab.sql(new, "CHECKPOINT")
    followed = lab.shell("db3", f"cat {FILE}")
    followed = followed.replace(f"host={old} ", f"host={new} ").replace(ADDRESS[old], ADDRESS[new])
    for host in {"db1", "db2", "db3"} - {new}:
        text = followed.replace("application_name=db3", f"application_name={host}").replace("'db3'", f"'{host}'")
        if host != "db3":
            # Within one region the timeouts are the shorter ones.
            text = text.replace("wal_sender_timeout=30s", "wal_sender_timeout=6s")
            text = text.replace("wal_receiver_timeout = 30s", "wal_receiver_timeout = 6s")
        lab.shell(host, f"cat > {FILE} && chown postgres: {FILE}", stdin=f"{text}\n")
    lab.shell(old, f"runuser -u postgres -- touch {data}/standby.signal && systemctl start postgresql@16-main")
    lab.sql("db3", "SELECT pg_reload_conf()")


PRIMARY_POOLS = "/etc/pgbouncer/steadfast/primary.ini"
ADDRESS = {"db1": "10.89.20.11", "db2": "10.89.20.12"}


def test_a_primary_that_was_moved_by_hand_stays_where_it_is(lab: Lab) -> None:
    move_primary(lab, "db1", "db2")
    run = lab.playbook("site.yml")
    assert "db2 is the primary, not the initial primary db1." in run.output
    assert lab.sql("db2", "SELECT pg_is_in_recovery()") == "f"
    pools = [change for change in run.changes if "pgbouncer" in change]
    assert {f"{host}: file {PRIMARY_POOLS}" for host in ("db1", "db2", "db3")} <= {
        change.partition(": sha256")[0] for change in pools
    }
    assert {change for change in run.changes if change not in pools and "newer than its last load" not in change} == {
        'db1: synchronous_standby_names 16/main: ANY 1 ("db2") -> empty',
        "db1: slot db2: present -> absent",
        "db1: slot db3: present -> absent",
        "db2: slot db1: absent -> present",
        "db2: slot db3: absent -> present",
        'db2: synchronous_standby_names 16/main: empty -> ANY 1 ("db1")',
        *(f"{host}: journal synchronous set: db2 -> db1" for host in ("db1", "db2", "db3", "ops1")),
    }
    lab.wait(lambda: streaming(lab, "db2") == {"db1", "db3"}, 60)
    lab.at_rest("site.yml")


def test_after_a_planned_move_the_run_points_the_others_at_the_new_primary(lab: Lab) -> None:
    """The steps of docs/runbooks/move_primary.md, back to db1."""
    signal = "/var/lib/postgresql/16/main/standby.signal"
    lab.shell("db2", f"systemctl stop postgresql@16-main && runuser -u postgres -- touch {signal}")
    lab.sql("db1", "SELECT pg_promote()")
    lab.sql("db1", "CHECKPOINT")
    predicted = lab.playbook("site.yml", "--check", expect=None).changes
    run = lab.playbook("site.yml")
    assert sorted(predicted) == sorted(run.changes)
    assert {"db2: slot db1: present -> absent", "db2: slot db3: present -> absent"} <= set(run.changes)
    assert streaming(lab, "db1") == {"db2", "db3"}
    assert lab.sql("db1", "SHOW synchronous_standby_names") == 'ANY 1 ("db2")'
    lab.at_rest("site.yml")
