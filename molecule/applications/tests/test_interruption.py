"""A run that is ended on the way is completed by the next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

APPLY = "playbooks/apply_databases.yml"
IN_DATABASE = "\\connect cloudflow\n"
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
        lab.wait(lambda: lab.sql("db1", WAITING) == "1", 120)
        lab.shell("db1", KILL)
        lab.sql("db1", END)
        holder.result()
        assert run.wait() != 0
    assert lab.sql("db1", IN_DATABASE + RIGHTS) == "f|f"
    lab.playbook(APPLY)
    assert lab.sql("db1", IN_DATABASE + RIGHTS) == "t|t"
    lab.at_rest(APPLY)
