"""The disk of the WAL fills while nothing is archived: it is said in time, and the server comes back without a loss."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from archive import CHECK
from spare import Solo

if TYPE_CHECKING:
    from pathlib import Path

ERROR = 2
HOST = "solo1"
EMERGENCY = "/srv/small/wal.emergency"
ARCHIVE = "/srv/pgbackrest/main/local/archive"
SERVICE = "postgresql@16-main"
# Rows of 8 kB that do not shrink, each in a commit of its own until the count or the disk is reached.
FILL = """
DO $$ BEGIN FOR step IN 1..{} LOOP
  INSERT INTO filler SELECT (SELECT string_agg(sha512((random()::text)::bytea)::text, '') FROM generate_series(1, 64))
    FROM generate_series(1, 100);
  COMMIT;
END LOOP; END $$;
"""
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE $$%.ready$$"


@pytest.fixture
def solo(fresh: None, tmp_path: Path) -> Solo:
    """A cluster on the spare host, its WAL on a small disk, its backups beside it."""
    host = Solo(tmp_path / "hosts.yml")
    host.declare(
        "pgbackrest",
        postgresql_server_package_source="deb [trusted=yes] file:/srv/apt ./",
        postgresql_server_wal_directory="/srv/small/wal",
        postgresql_server_parameters={"max_wal_size": "64MB", "min_wal_size": "32MB", "wal_keep_size": "32MB"},
        postgresql_backup_emergency_file="32MB",
        postgresql_backup_repositories=[
            {
                "name": "local",
                "passphrase": secrets.token_hex(20),
                "retention_days": 7,
                "schedule": {"full": "*-*-* 02:00"},
            }
        ],
    )
    host.playbook("site.yml")
    return host


def words(solo: Solo) -> str:
    return solo.shell(HOST, f"cd / && runuser -u postgres -- {CHECK.format('database')}", check=False)


def rows(solo: Solo) -> int:
    return int(solo.sql(HOST, "SELECT count(*) FROM filler"))


def test_the_disk_of_the_wal_fills(solo: Solo) -> None:
    solo.sql(HOST, "CREATE TABLE filler (words text STORAGE EXTERNAL)")
    solo.shell(HOST, f"mv {ARCHIVE} {ARCHIVE}.away && touch {ARCHIVE}")
    while "of pg_wal's file system is used" not in (said := words(solo)):
        solo.sql(HOST, FILL.format(5))
    assert f"In need, delete {EMERGENCY}." in said
    run = solo.playbook("playbooks/check_cluster.yml", expect=ERROR)
    assert "of pg_wal's file system is used; a full one stops the server." in run.output
    before = rows(solo)

    solo.sql(HOST, FILL.format(1000), check=False)
    # It starts again five times, and finds no room for the WAL that ends its recovery.
    solo.wait(lambda: solo.shell(HOST, f"systemctl is-active {SERVICE}", check=False) == "failed", 120)
    run = solo.playbook("playbooks/check_cluster.yml", expect=ERROR)
    assert "of pg_wal's file system is used" in run.output

    solo.shell(HOST, f"rm {EMERGENCY} && systemctl reset-failed {SERVICE}; systemctl start {SERVICE}")
    kept = rows(solo)
    assert kept > before
    assert "the emergency file" in words(solo)
    solo.shell(HOST, f"rm {ARCHIVE} && mv {ARCHIVE}.away {ARCHIVE}")
    solo.wait(lambda: solo.sql(HOST, WAITING) == "0", 120)
    solo.sql(HOST, "CHECKPOINT")
    run = solo.playbook("site.yml")
    assert any("emergency" in change for change in run.changes)
    assert words(solo) == "nothing is wrong"
    assert rows(solo) == kept
    solo.at_rest("site.yml")
