"""The record of the synchronous set: runs that were killed, hosts that cannot write, several clusters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab

RECORDERS = ("db1", "db2", "db3", "ops1")
JOURNAL = "/var/lib/steadfast/main/journal.jsonl"
ANY_DB2 = 'ANY 1 ("db2")'
RELAX = ("playbooks/relax_synchronous.yml", "-e", "confirm=main")
ANOTHER = """
postgresql:
  hosts:
    other1:
      ansible_host: 192.0.2.1
      postgresql_cluster_name: other
"""


def last(lab: Lab, host: str) -> dict[str, Any]:
    """Return the last line of a host's journal."""
    entry: dict[str, Any] = json.loads(lab.shell(host, f"tail -1 {JOURNAL}"))
    return entry


def live(lab: Lab) -> str:
    return lab.sql("db1", "SHOW synchronous_standby_names")


def at_rest(lab: Lab) -> None:
    """See that a run changes nothing."""
    run = lab.playbook("site.yml")
    assert set(run.changed.values()) == {0}, run.output


def recorded(before: str, after: str, *hosts: str) -> set[str]:
    """Return the changes of a run that only writes journals."""
    return {f"{host}: journal synchronous set: {before} -> {after}" for host in hosts or RECORDERS}


@pytest.fixture
def unwritable(lab: Lab) -> Iterator[list[str]]:
    """Put a directory in the place of the journal on hosts that are added, and take it away in the end."""
    hosts: list[str] = []
    yield hosts
    for host in hosts:
        lab.shell(host, f"rmdir {JOURNAL}; mv {JOURNAL}.away {JOURNAL}", check=False)
    lab.playbook("site.yml")


def block(lab: Lab, unwritable: list[str], host: str) -> None:
    unwritable.append(host)
    lab.shell(host, f"mv {JOURNAL} {JOURNAL}.away && mkdir {JOURNAL}")


def test_a_strengthening_that_was_not_recorded_is_recorded_by_the_next_run(lab: Lab) -> None:
    assert lab.playbook(*RELAX).status == 0
    assert [last(lab, host)["to"] for host in RECORDERS] == [[], [], [], []]
    # What a run does that is killed before it records: the set is in force, the journals do not say so.
    lab.shell("db1", '/usr/local/lib/steadfast/synchronous set 16 main 5432 "" db2')
    assert live(lab) == ANY_DB2
    check = lab.playbook("playbooks/check_cluster.yml")
    assert "The journal of ops1 does not say what the synchronous set of db1 is." in check.output
    predicted = lab.playbook("site.yml", "--check")
    mended = lab.playbook("site.yml")
    assert set(predicted.changes) == set(mended.changes) == recorded("empty", "db2")
    for host in RECORDERS:
        entry = last(lab, host)
        assert (entry["to"], entry["from"], entry["durability"], entry["primary"]) == (["db2"], [], "required", "db1")
        assert (entry["operation"], entry["timeline"]) == ("site", int(lab.sql("db1", TIMELINE)))
        assert "@" in entry["operator"]
        assert entry["lsn"]
        assert entry["time"].endswith("+00:00")
    at_rest(lab)


TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"


def test_a_journal_that_was_lost_or_was_away_is_brought_up_to_date(lab: Lab) -> None:
    lab.shell("db3", f"rm {JOURNAL}")
    lab.shell("ops1", f'sed -i "\\$d" {JOURNAL}; printf "{{\\"event\\": \\"synchro" >> {JOURNAL}')
    mended = lab.playbook("site.yml")
    assert set(mended.changes) >= recorded("nothing", "db2", "db3")
    assert [last(lab, host)["to"] for host in RECORDERS] == [["db2"]] * 4
    at_rest(lab)


def test_without_a_majority_of_written_records_the_set_stays(lab: Lab, unwritable: list[str]) -> None:
    block(lab, unwritable, "db3")
    block(lab, unwritable, "ops1")
    refused = lab.playbook(*RELAX, expect=2)
    assert f"{JOURNAL} does not take the entry" in refused.output
    assert "Only db1, db2 of db1, db2, db3, ops1 could record" in refused.output
    assert live(lab) == ANY_DB2
    found = lab.playbook("playbooks/check_cluster.yml", expect=2)
    assert "The journal of db3 cannot be read" in found.output
    # What was written is less than what is so; the next run says what is.
    assert [last(lab, host)["to"] for host in ("db1", "db2")] == [[], []]
    lab.playbook("site.yml", expect=2)
    assert [last(lab, host)["to"] for host in ("db1", "db2")] == [["db2"], ["db2"]]


def test_a_majority_of_written_records_is_enough(lab: Lab, unwritable: list[str]) -> None:
    block(lab, unwritable, "ops1")
    relaxed = lab.playbook(*RELAX, expect=2)
    assert f"{JOURNAL} does not take the entry" in relaxed.output
    assert live(lab) == ""
    assert [last(lab, host)["to"] for host in RECORDERS[:3]] == [[], [], []]
    lab.playbook("site.yml", expect=2)
    assert live(lab) == ANY_DB2


def test_another_cluster_of_the_inventory_is_not_even_looked_at(lab: Lab, tmp_path: Path) -> None:
    inventory = tmp_path / "other.yml"
    inventory.write_text(ANOTHER)
    relaxed = lab.playbook(*RELAX, "-i", str(inventory))
    assert "The cluster other is left as it is, because confirm names main." in relaxed.output
    assert live(lab) == ""
    lab.playbook("site.yml")
    assert live(lab) == ANY_DB2


def test_a_confirmation_that_names_no_cluster_is_refused(lab: Lab) -> None:
    refused = lab.playbook("playbooks/relax_synchronous.yml", "-e", "confirm=mian", expect=2)
    assert "write -e confirm=main" in refused.output
    assert live(lab) == ANY_DB2
    at_rest(lab)


def test_a_stopped_standby_loses_an_old_set_in_the_first_run(lab: Lab) -> None:
    file = "/etc/postgresql/16/main/conf.d/30-synchronous.conf"
    old = f"synchronous_standby_names = '{ANY_DB2}'\n"
    lab.shell("db3", f"systemctl stop postgresql@16-main; cat > {file}", stdin=old)
    run = lab.playbook("site.yml")
    assert f"db3: synchronous_standby_names 16/main: {ANY_DB2} -> empty" in run.changes
    assert lab.sql("db3", "SHOW synchronous_standby_names") == ""
    at_rest(lab)
