"""What only a restart refutes: the configuration that worked last comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from settings import converge, files, started, values

if TYPE_CHECKING:
    from lab import Lab


# Each test begins where the one before it left it.
pytestmark = pytest.mark.usefixtures("restored")


def test_what_only_a_restart_refutes_is_survived(lab: Lab) -> None:
    """No huge pages are reserved on these hosts, and that shows when the server starts."""
    converge(lab, {}, "-e", "postgresql_server_restart=true")
    before, since = files(lab), started(lab)
    for _ in range(2):
        run = converge(lab, {"huge_pages": "on"}, expect=2)
        assert "16/main did not restart" in run.output
        assert "could not map anonymous shared memory" in run.output
        assert "The former 10-server.conf is back in place, and the server serves with that." in run.output
        assert "db3 did not restart, for the reason that stands there." in run.output
        assert files(lab) == before
        now = started(lab)
        assert (now["db1"], now["db2"]) == (since["db1"], since["db2"])
        assert now["db3"] > since["db3"]
        streams = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $$db3$$ AND state = $$streaming$$"
        lab.wait(lambda: lab.sql("db1", streams) == "1", 30)  # noqa: B023
    converge(lab, {"huge_pages": "off"})
    assert values(lab, "huge_pages") == {"db1": "try", "db2": "off", "db3": "off"}
    assert set(converge(lab, {"huge_pages": "off"}).changed.values()) == {0}


def test_the_configuration_that_worked_last_survives_several_runs(lab: Lab) -> None:
    """The primary never ran with what the runs before this one wrote; it comes back with what it runs with."""
    running = "grep -h ^huge_pages /etc/postgresql/16/main/conf.d/10-server.conf"
    kept = "/etc/postgresql/16/main/conf.d/10-server.conf.before-restart"
    since = started(lab)["db1"]
    assert lab.shell("db1", f"grep ^huge_pages {kept}").startswith("huge_pages = try")
    # As a run leaves it that was killed before the restart.
    converge(lab, {"huge_pages": "off", "work_mem": "3MB"})
    lab.shell("db1", "sed -i s/^huge_pages.*/huge_pages=on/ /etc/postgresql/16/main/conf.d/10-server.conf")
    lab.shell("db1", "systemctl restart postgresql@16-main", check=False)
    run = converge(lab, {"huge_pages": "on", "work_mem": "3MB"}, expect=2)
    assert "16/main did not start" in run.output
    assert "The former 10-server.conf is back in place, and the server serves with that." in run.output
    assert lab.shell("db1", running).startswith("huge_pages = try")
    assert started(lab)["db1"] > since
    converge(lab, {}, "-e", "postgresql_server_restart=true")
    assert lab.shell("db1", f"test ! -e {kept} && echo gone") == "gone"
    assert set(converge(lab, {}).changed.values()) == {0}
