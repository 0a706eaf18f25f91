"""Size and interruption: a thousand roles in seconds, and a run that is ended on the way is completed by the next."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from big_application import big
from declared import declared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, Run

APPLY = "playbooks/apply_databases.yml"
SECONDS = re.compile(r'"seconds": ([0-9.]+)')
IN_DATABASE = "\\connect cloudflow\n"


def gone() -> dict[str, Any]:
    return big(920) | {"state": "absent"}


@pytest.fixture
def variables(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Variables that declare the big application, which is removed afterwards."""
    path = tmp_path / "variables.yml"
    path.write_text(yaml.safe_dump({"postgresql_applications": [*declared(), big(920)]}))
    yield path
    leaving = {"postgresql_applications": [*declared(), gone()], "postgresql_databases_destroy": ["big"]}
    path.write_text(yaml.safe_dump(leaving))
    lab.playbook(APPLY, "-e", f"@{path}")
    assert lab.sql("db1", "SELECT count(*) FROM pg_roles WHERE rolname ~ '^big_'") == "0"


def seconds(run: Run) -> float:
    """Return how long the module took on the host."""
    return max(float(found) for found in SECONDS.findall(run.output))


def test_a_thousand_roles_with_ten_thousand_grants(lab: Lab, variables: Path) -> None:
    arguments = ("-v", "-e", f"@{variables}", "-e", "application=big")
    applied = lab.playbook(APPLY, *arguments)
    roles = int(lab.sql("db1", "SELECT count(*) FROM pg_roles WHERE rolname ~ '^big_'"))
    grants = int(lab.sql("db1", "SELECT count(*) FROM pg_auth_members WHERE member::regrole::text ~ '^big_'"))
    again = lab.playbook(APPLY, *arguments)
    assert roles == 1002
    assert grants >= 10_000
    assert set(again.changed.values()) == {0}
    assert (seconds(applied) <= 5, seconds(again) <= 2) == (True, True), (
        f"{seconds(applied)} s, then {seconds(again)} s"
    )


HOLD = "BEGIN; GRANT SELECT ON held TO cloudflow_ro; SELECT pg_sleep(60)"
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'steadfast' AND wait_event_type = 'Lock'
"""
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'"
RIGHTS = """
SELECT has_table_privilege('cloudflow_rw', 'free', 'INSERT'),
  has_database_privilege('cloudflow_ro', 'cloudflow', 'CONNECT')
"""
# The module comes over standard input, so it has no name: it is what started psql.
KILL = "psql=$(pgrep -u postgres -f [O]N_ERROR_STOP=1.-f) && kill -9 $(ps -o ppid= -p $psql) $psql"


@pytest.fixture
def tables(lab: Lab) -> Iterator[None]:
    """Two tables and the database itself lack rights that are declared."""
    lab.sql("db1", IN_DATABASE + "SET ROLE cloudflow_owner; CREATE TABLE held (); CREATE TABLE free ()")
    lab.sql("db1", IN_DATABASE + "REVOKE ALL ON held, free FROM cloudflow_rw, cloudflow_ro")
    lab.sql("db1", "REVOKE CONNECT ON DATABASE cloudflow FROM cloudflow_ro")
    yield
    lab.sql("db1", f"{END}; {IN_DATABASE}DROP TABLE held, free")


def test_a_run_that_is_killed_in_the_middle_of_grants_is_completed_by_the_next(lab: Lab, tables: None) -> None:
    # Whoever changes the rights on the table waits for this session.
    psql = "cd / && exec runuser -u postgres -- env PGAPPNAME=holder psql -XAtq -d cloudflow -f -"
    with ThreadPoolExecutor() as pool:
        holder = pool.submit(lab.ssh, "db1", psql, HOLD)
        run = lab.begun(APPLY)
        lab.wait(lambda: lab.sql("db1", WAITING) == "1", 30)
        lab.shell("db1", KILL)
        lab.sql("db1", END)
        holder.result()
        assert run.wait() != 0
    assert lab.sql("db1", IN_DATABASE + RIGHTS) == "f|f"
    lab.playbook(APPLY)
    assert lab.sql("db1", IN_DATABASE + RIGHTS) == "t|t"
    assert set(lab.playbook(APPLY).changed.values()) == {0}
