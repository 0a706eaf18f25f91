"""Two repositories hold every WAL segment and every backup, and what goes wrong there is said in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from archive import LOCAL, RIGHT, WAITING, archived, findings, fulls, info

if TYPE_CHECKING:
    from lab import Lab

ERROR = 2
UNREACHABLE = 4
SEGMENTS = 100
WRITE = f"""
CREATE TABLE IF NOT EXISTS segments (number int);
DO $$ BEGIN FOR number IN 1..{SEGMENTS} LOOP
  INSERT INTO segments VALUES (number);
  PERFORM pg_switch_wal();
  COMMIT;
END LOOP; END $$;
"""


@pytest.fixture
def mended(lab: Lab) -> Iterator[Lab]:
    """Make a new full backup afterwards, and expire those before it, so that the next test finds nothing wrong."""
    yield lab
    old = [item["label"] for item in info(lab)["backup"] if item["database"]["repo-key"] == 1]
    lab.playbook("playbooks/run_backup.yml", "-e", "type=full", "-e", "repository=local", expect=None)
    expire = "cd / && runuser -u pgbackrest -- pgbackrest --stanza=main --repo=1 --set={} expire"
    for label in (label for label in old if label.endswith("F")):
        lab.shell("ops1", expire.format(label))
    lab.shell("ops1", "systemctl start steadfast-verify-repositories.service")
    assert findings(lab, "ops1", "repository") == RIGHT


def test_the_platform_is_backed_up(lab: Lab) -> None:
    found = info(lab)
    assert {repository["key"]: repository["cipher"] for repository in found["repo"]} == {
        1: "aes-256-cbc",
        2: "aes-256-cbc",
    }
    assert (fulls(lab, 1), fulls(lab, 2)) >= (1, 1)
    assert findings(lab, "db1", "database") == RIGHT
    assert findings(lab, "ops1", "repository") == RIGHT
    checked = lab.playbook("playbooks/check_cluster.yml")
    assert "no moment of the past" not in checked.output


def test_backups_need_no_superuser(lab: Lab) -> None:
    assert lab.sql("db1", "SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = $$pgbackrest$$") == "f|f"
    assert lab.shell("ops1", "systemctl show --property=User --value pgbackrest.service") == "pgbackrest"


def test_timers_make_backups_without_a_controller(lab: Lab) -> None:
    timers = lab.shell("ops1", "systemctl list-timers --no-legend steadfast-*")
    for name in ("local-full", "local-differential", "local-incremental", "offsite-full", "offsite-incremental"):
        assert f"steadfast-backup-{name}.timer" in timers
    before = len(info(lab)["backup"])
    lab.shell("ops1", "systemctl start steadfast-backup@local-incremental.service")
    assert len(info(lab)["backup"]) == before + 1


def test_a_backup_that_the_operator_asks_for(lab: Lab) -> None:
    before = fulls(lab, 2)
    run = lab.playbook("playbooks/run_backup.yml", "-e", "type=full", "-e", "repository=offsite")
    assert "ops1: backup offsite: none asked for -> full" in run.changes
    assert fulls(lab, 2) == before + 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-e", "type=whole"], "type: whole is no kind of backup; write full, differential or incremental"),
        (["-e", "repository=nowhere"], "nowhere is no repository that takes backups; write one of local, offsite"),
    ],
)
def test_a_backup_that_cannot_be_made(lab: Lab, arguments: list[str], words: str) -> None:
    run = lab.playbook("playbooks/run_backup.yml", *arguments, expect=ERROR)
    assert words in run.output.replace("\n", " ")


def test_another_passphrase_is_refused_before_anything_is_touched(lab: Lab) -> None:
    secret = "another passphrase of forty characters!!"
    given = {"postgresql_backup_repositories": [{"name": "local", "passphrase": secret, "retention_days": 14}]}
    given["postgresql_backup_repositories"][0] |= {"schedule": {"full": "Sun 02:00"}}
    before = lab.shell("ops1", "sha256sum /etc/pgbackrest/*.conf /etc/pgbackrest/conf.d/*")
    run = lab.playbook("site.yml", "-e", json.dumps(given), expect=ERROR)
    assert "the passphrase of the repository local is another one than its backups are encrypted with" in run.output
    assert "refused, and nothing was changed" in run.output
    assert lab.shell("ops1", "sha256sum /etc/pgbackrest/*.conf /etc/pgbackrest/conf.d/*") == before


def test_a_passphrase_that_was_changed_on_the_host_is_said_in_words(lab: Lab) -> None:
    secrets = "/etc/pgbackrest/conf.d/secrets.conf"
    lab.shell("ops1", f"cp -a {secrets} /root/kept && sed -i s/repo1-cipher-pass=./repo1-cipher-pass=@/ {secrets}")
    try:
        words = findings(lab, "ops1", "repository")
        assert "repository local does not answer: [" in words
        assert "it was written with another passphrase, or is damaged" in words
        run = lab.playbook("playbooks/check_cluster.yml", expect=ERROR)
        assert "it was written with another passphrase, or is damaged" in run.output
    finally:
        lab.shell("ops1", f"mv /root/kept {secrets}")
    assert findings(lab, "ops1", "repository") == RIGHT


def test_without_the_repository_host_wal_waits(lab: Lab) -> None:
    lab.stop("ops1")
    lab.sql("db1", WRITE)
    lab.playbook("site.yml", expect=UNREACHABLE)
    lab.wait(lambda: "archiving fails: " in findings(lab, "db1", "database"), 120)
    run = lab.playbook("playbooks/check_cluster.yml", expect=UNREACHABLE)
    assert "archiving fails: " in run.output
    assert int(lab.sql("db1", WAITING)) >= SEGMENTS
    lab.start("ops1")
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT
    assert findings(lab, "db1", "database") == RIGHT


def test_without_the_object_storage_wal_waits(lab: Lab) -> None:
    # It keeps everything in memory, so it is frozen, not stopped: nobody answers.
    lab.shell("store1", "systemctl kill --signal=STOP object-storage")
    try:
        lab.sql("db1", "SELECT pg_switch_wal()")
        run = lab.playbook("playbooks/check_cluster.yml", expect=ERROR)
        assert "repository offsite does not answer" in run.output
        assert "repository local" not in run.output
    finally:
        lab.shell("store1", "systemctl kill --signal=CONT object-storage")
    archived(lab)
    assert findings(lab, "ops1", "repository") == RIGHT


def test_a_byte_that_changed_in_a_backup(mended: Lab) -> None:
    flip = (
        'path=$(find /srv/pgbackrest/main/local/backup/main/*F -path "*/bundle/*" | tail -n 1) && '
        'python3 -c "import sys; f = open(sys.argv[1], mode=chr(114) + chr(43) + chr(98)); f.seek(200); '
        'b = f.read(1); f.seek(200); f.write(bytes([b[0] ^ 255]))" $path'
    )
    mended.shell("ops1", flip)
    mended.shell("ops1", "systemctl start steadfast-verify-repositories.service", check=False)
    words = mended.shell("ops1", "journalctl -u steadfast-verify-repositories.service -o cat --no-pager")
    assert "verify finds damage in local" in words
    assert mended.shell("ops1", "systemctl is-failed steadfast-verify-repositories.service") == "failed"


def test_wal_that_is_missing(mended: Lab) -> None:
    archived(mended)
    segment = mended.sql("db1", "SELECT last_archived_wal FROM pg_stat_archiver")
    archived(mended)
    mended.shell("ops1", f"rm {LOCAL}/archive/main/*/*/{segment}-*")
    words = findings(mended, "ops1", "repository")
    assert f"no recovery in local crosses the missing WAL {segment}: run a full backup now" in words
    run = mended.playbook("playbooks/check_cluster.yml", expect=ERROR)
    assert segment in run.output


def test_an_archive_command_that_somebody_changed(lab: Lab) -> None:
    lab.sql("db1", "ALTER SYSTEM SET archive_command = $$/bin/false$$")
    lab.sql("db1", "SELECT pg_reload_conf()")
    try:
        run = lab.playbook("playbooks/check_cluster.yml", expect=ERROR)
        assert "archive_command is" in run.output
    finally:
        lab.sql("db1", "ALTER SYSTEM RESET archive_command")
        lab.sql("db1", "SELECT pg_reload_conf()")
    archived(lab)


def test_no_second_cluster_is_born(lab: Lab) -> None:
    lab.shell("db1", "systemctl stop postgresql@16-main && mv /var/lib/postgresql/16/main /var/lib/postgresql/16/kept")
    try:
        lab.stop("db2")
        lab.stop("db3")
        run = lab.playbook("site.yml", expect=None)
        assert run.status != 0
        assert lab.shell("db1", "ls /var/lib/postgresql/16") == "kept\nmain.emergency"
    finally:
        lab.shell("db1", "mv /var/lib/postgresql/16/kept /var/lib/postgresql/16/main")
        lab.start("db2")
        lab.start("db3")
    lab.playbook("site.yml")
