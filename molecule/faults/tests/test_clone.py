"""A standby is made anew while another member is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import Lab

ANNOUNCED = "db2 held the cluster"
RULES = "/etc/postgresql/16/main/pg_hba.conf"
PROGRAMS = "/etc/pgbackrest/steadfast.json"
STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $$db2$$ AND state = $$streaming$$"


def wipe(lab: Lab, host: str, *others: str) -> None:
    """Give a standby up, with its configuration."""
    lab.shell(host, f"pg_dropcluster --stop 16 main; rm -rf /etc/postgresql/16/main {' '.join(others)}")


def test_a_standby_is_cloned_while_another_is_away(lab: Lab) -> None:
    rules = lab.shell("db1", f"cat {RULES}")
    wipe(lab, "db2")
    # The marker of what the host held is still there: it is said before anything is done.
    predicted = lab.playbook("site.yml", "--check")
    assert ANNOUNCED in predicted.output
    lab.stop("db3")
    run = lab.playbook("site.yml", expect=None)
    assert run.output.index(ANNOUNCED) < run.output.index("Clone the newest backup, or the primary")
    assert "db2: instance 16/main: absent -> cloned" in run.changes
    assert lab.sql("db2", "SELECT pg_is_in_recovery()") == "t"
    assert lab.sql("db1", STREAMING) == "1"
    # The others had written down where db3 was: its rule stands on the new standby and on the primary.
    assert lab.shell("db2", f"cat {RULES}") == rules
    assert lab.shell("db1", f"cat {RULES}") == rules
    lab.start("db3")
    lab.playbook("site.yml")
    lab.at_rest("site.yml")


def test_a_member_that_nobody_knows_has_no_rule_until_it_is_seen(lab: Lab) -> None:
    rules = lab.shell("db1", f"cat {RULES}")
    # As a new machine in its place comes.
    wipe(lab, "db2", "/var/lib/steadfast/main")
    # As if db3 had never been seen: nobody wrote its address down.
    lab.shell("db1", f"sed -i /db3/,+1d {RULES}")
    for host in ("db1", "db2", "ops1"):
        lab.shell(host, f"sed -i /db3/d {PROGRAMS}")
    lab.stop("db3")
    run = lab.playbook("site.yml", expect=None)
    assert "pg_hba.conf: has no rule for the replication of db3, whose address is not known" in run.output
    assert lab.sql("db1", STREAMING) == "1"
    assert "# Replication by db3" not in lab.shell("db2", f"cat {RULES}")
    lab.start("db3")
    lab.playbook("site.yml")
    assert lab.shell("db2", f"cat {RULES}") == rules
    lab.at_rest("site.yml")
