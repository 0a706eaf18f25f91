"""A new cluster is made only where every database host was seen to be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import Lab

# On hosts that hold a cluster already, a second one is new.
SECOND = ("-e", "postgresql_cluster_name=second", "-e", "postgresql_port=5433")
TRACES = (
    "ls -d /etc/postgresql/*/second /var/lib/postgresql/*/second* /var/lib/steadfast/second /etc/ssl/postgresql/second"
)
REFUSED = (
    "Cluster second: refused, and nothing was changed.\n"
    "- db1: no cluster is made, because db2 could not be observed (unreachable, or outside --limit) and may hold it. "
    "Run site.yml with every database host; one that is gone for good is taken out of the group postgresql.\n"
)


def test_no_cluster_is_made_while_a_database_host_is_unreachable(lab: Lab) -> None:
    lab.stop("db2")
    run = lab.playbook("site.yml", *SECOND, expect=None)
    assert run.status != 0
    assert REFUSED in run.output
    assert set(run.changed.values()) == {0}
    for host in ("db1", "db3", "ops1"):
        assert lab.shell(host, TRACES, check=False) == ""


def test_no_cluster_is_made_outside_the_limit(lab: Lab) -> None:
    run = lab.playbook("site.yml", *SECOND, "--limit", "db1,db2", expect=None)
    assert run.status != 0
    assert "because db3 could not be observed (unreachable, or outside --limit) and may hold it." in run.output
    assert set(run.changed.values()) == {0}
