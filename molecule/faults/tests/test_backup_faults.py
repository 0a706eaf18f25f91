"""Repositories away, damaged or full, backups that are killed, a copy that would push, bytes that nobody may read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive import LOCAL, RIGHT, WAITING, archived, declared, findings, forget, info, one_more, variables

if TYPE_CHECKING:
    from lab import Lab

ERROR = 2
UNREACHABLE = 4
FULL = "steadfast-backup@local-full.service"
VERIFY = "steadfast-verify-repositories.service"
DATA = "/var/lib/postgresql/16/main"
SMALL = "/srv/small"
SEGMENTS = 100
WRITE = f"""
CREATE TABLE IF NOT EXISTS segments (number int);
DO $$ BEGIN FOR number IN 1..{SEGMENTS} LOOP
  INSERT INTO segments VALUES (number);
  PERFORM pg_switch_wal();
  COMMIT;
END LOOP; END $$;
"""
BULK = "CREATE TABLE bulk AS SELECT number, sha512(number::text::bytea) FROM generate_series(1, 3000000) AS number"


@pytest.fixture
def mended(lab: Lab) -> Iterator[Lab]:
    """Make a new full backup afterwards, and expire those before it, so that the next test finds nothing wrong."""
    yield lab
    lab.playbook("playbooks/run_backup.yml", "-e", "type=full", "-e", "repository=local", expect=None)
    forget(lab, 1)
    lab.shell("ops1", "systemctl start steadfast-verify-repositories.service")
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


def test_a_dead_repository_host_is_taken_out(mended: Lab) -> None:
    suspended = ("-e", json.dumps({"postgresql_backup_suspended_repositories": ["local"]}))
    said = "repository local: is suspended, and gets no WAL and no backups until it is back"
    mended.stop("ops1")
    refused = mended.playbook("site.yml", *suspended, expect=None)
    assert "takes out local: from then on no WAL and no backup goes there" in refused.output
    assert "To go on, write -e confirm=main" in refused.output
    assert set(refused.changed.values()) == {0}

    stated = mended.playbook("site.yml", *suspended, "-e", "confirm=main", expect=UNREACHABLE)
    assert said in stated.output
    archived(mended)
    assert said in mended.playbook("site.yml", *suspended, expect=UNREACHABLE).output
    assert said in mended.playbook("playbooks/check_cluster.yml", *suspended, expect=UNREACHABLE).output

    mended.start("ops1")
    run = mended.playbook("site.yml")
    assert "ops1: backup local: due -> full" in run.changes
    assert "all since backup" in findings(mended, "ops1", "repository")
    mended.at_rest("site.yml")


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


@pytest.fixture
def bulk(lab: Lab) -> Iterator[None]:
    """Hold so much that a backup takes some seconds."""
    lab.sql("db1", BULK)
    yield
    lab.sql("db1", "DROP TABLE bulk")
    archived(lab)


def test_a_backup_that_is_killed_twice(lab: Lab, bulk: None) -> None:
    before = len(info(lab)["backup"])
    for _ in range(2):
        lab.shell("ops1", f"systemctl start --no-block {FULL}")
        lab.wait(lambda: lab.shell("ops1", f"ls {LOCAL}/backup/main/*/backup.manifest.copy", check=False) != "", 60)
        assert lab.shell("ops1", f"systemctl show --property=ActiveState --value {FULL}") == "activating"
        lab.shell("ops1", f"systemctl kill --signal=KILL {FULL}")
        lab.wait(lambda: lab.shell("ops1", f"systemctl is-failed {FULL}", check=False) == "failed", 20)
        assert f"the last run of {FULL} failed: journalctl -u {FULL} says why" in findings(lab, "ops1", "repository")
    run = lab.playbook("playbooks/check_cluster.yml", expect=ERROR)
    assert f"the last run of {FULL} failed" in run.output

    lab.shell("ops1", f"systemctl start {FULL}")
    assert len(info(lab)["backup"]) == before + 1
    assert findings(lab, "ops1", "repository") == RIGHT
    lab.shell("ops1", f"systemctl start {VERIFY}")
    assert RIGHT in lab.shell("ops1", f"journalctl -u {VERIFY} -o cat --no-pager -n 5")
    lab.at_rest("site.yml")


@pytest.fixture
def three(tmp_path: Path) -> tuple[str, str]:
    """Give one more repository, on a small disk, to a playbook."""
    small = one_more(name="small", path=f"{SMALL}/repository")
    return variables(tmp_path / "three.yml", [*declared(), small])


@pytest.fixture
def full(lab: Lab, three: tuple[str, str]) -> Iterator[None]:
    """Fill the disk of that repository; afterwards it is in no configuration any more."""
    lab.playbook("site.yml", *three)
    lab.shell("ops1", f"dd if=/dev/zero of={SMALL}/fill bs=1M 2> /dev/null; df {SMALL} | grep 100%")
    yield
    lab.shell("ops1", f"rm -f {SMALL}/fill")
    lab.playbook("site.yml", expect=None)
    assert "repo3" not in lab.shell("db1", "cat /etc/pgbackrest/pgbackrest.conf")
    archived(lab)
    lab.at_rest("site.yml")


def test_a_repository_whose_disk_is_full(lab: Lab, three: tuple[str, str], full: None) -> None:
    lab.sql("db1", WRITE)
    lab.wait(lambda: "No space left on device" in findings(lab, "db1", "database"), 60)
    run = lab.playbook("playbooks/check_cluster.yml", expect=ERROR)
    assert "archiving fails: " in run.output
    assert "No space left on device" in run.output
    asked = ("-e", "type=full", "-e", "repository=small", *three)
    refused = lab.playbook("playbooks/run_backup.yml", *asked, expect=ERROR)
    assert "steadfast-backup@small-full.service failed: " in refused.output
    assert int(lab.sql("db1", WAITING)) > 0

    lab.shell("ops1", f"rm {SMALL}/fill")
    archived(lab)
    lab.playbook("playbooks/run_backup.yml", *asked)
    assert findings(lab, "ops1", "repository") == RIGHT
    assert findings(lab, "db1", "database") == RIGHT


COPY = "/var/lib/postgresql/copy"
COPIED = f"""\
set -e
cd /var/lib/postgresql
mkdir -m 700 {COPY}
pgbackrest --stanza=main --repo=2 --pg1-path={COPY} --type=immediate --target-action=promote restore
cat > {COPY}/postgresql.conf <<.
port = 5999
unix_socket_directories = '{COPY}'
listen_addresses = ''
archive_mode = on
hot_standby = off
archive_command = '@'
.
echo local all all peer > {COPY}/pg_hba.conf
touch {COPY}/pg_ident.conf
/usr/lib/postgresql/16/bin/pg_ctl -D {COPY} -w -l {COPY}/log start
"""


def test_a_copy_that_takes_writes_pushes_nothing(lab: Lab) -> None:
    archived(lab)
    held = listed(lab)
    as_owner = "cd /var/lib/postgresql && runuser -u postgres --"
    psql = f"{as_owner} psql -h {COPY} -p 5999 -XAtq -d postgres -f -"
    try:
        lab.shell("db3", f"{as_owner} bash", stdin=COPIED.replace("@", lab.sql("db1", "SHOW archive_command")))
        lab.wait(lambda: lab.shell("db3", psql, check=False, stdin="SELECT pg_is_in_recovery()") == "f", 60)
        lab.shell("db3", psql, stdin="SELECT pg_switch_wal()")
        failed = "SELECT failed_count FROM pg_stat_archiver"
        lab.wait(lambda: int(lab.shell("db3", psql, stdin=failed)) > 0, 60)
        assert "archive-push" in lab.shell("db3", f"cat {COPY}/log")
        assert listed(lab) == held
    finally:
        lab.shell("db3", f"{as_owner} /usr/lib/postgresql/16/bin/pg_ctl -D {COPY} -m immediate stop", check=False)
        lab.shell("db3", f"rm -rf {COPY}")
    assert findings(lab, "ops1", "repository") == RIGHT


def listed(lab: Lab) -> list[str]:
    """Return what the repository off site holds of WAL."""
    command = "pgbackrest --repo=2 --recurse repo-ls archive/main"
    return lab.shell("ops1", f"cd / && runuser -u pgbackrest -- {command}").splitlines()


@pytest.fixture
def canary(lab: Lab) -> Iterator[str]:
    """A row with words that stand nowhere else."""
    words = f"canary-{secrets.token_hex(16)}"
    lab.sql("db1", f"CREATE TABLE canary AS SELECT $${words}$$ AS words; CHECKPOINT")
    yield words
    lab.sql("db1", "DROP TABLE canary")


def hits(lab: Lab, host: str, words: str, directory: str) -> list[str]:
    """Return the files below a directory that hold these bytes."""
    return lab.shell(host, f"grep -rlaF {words} {directory}", check=False).splitlines()


def test_nobody_reads_a_row_in_the_repositories(lab: Lab, canary: str) -> None:
    configuration = "/etc/pgbackrest/pgbackrest.conf"
    for host in ("db1", "ops1"):
        lab.shell(host, f"sed -i s/^compress-type=.*/compress-type=none/ {configuration}")
    try:
        segment = lab.sql("db1", "SELECT pg_walfile_name(pg_current_wal_lsn())")
        lab.sql("db1", "UPDATE canary SET words = words")
        archived(lab)
        lab.shell("ops1", f"systemctl start {FULL}")
        stored = lab.shell("ops1", f"ls {LOCAL}/archive/main/*/*/{segment}-*")
        assert stored.endswith(tuple("0123456789abcdef"))  # no suffix: it is not compressed
        assert hits(lab, "ops1", canary, LOCAL) == []
    finally:
        lab.playbook("site.yml")


CANARY = "/var/lib/postgresql/canary"
THROW_AWAY = f"""\
[global]
repo1-path={CANARY}/repository
compress-type=none
lock-path={CANARY}/lock
log-path={CANARY}
spool-path={CANARY}
archive-check=n
start-fast=y
@
[canary]
pg1-path={DATA}
"""
STORE = f"""\
set -e
cd {DATA}
pgbackrest() {{
  command pgbackrest --config={CANARY}/pgbackrest.conf --config-include-path={CANARY}/none --stanza=canary "$@"
}}
pgbackrest stanza-create
pgbackrest --type=full backup
pgbackrest archive-push pg_wal/SEGMENT
"""
PLAIN = "repo1-cipher-type=none"
ENCRYPTED = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=of a stanza to throw away"


@pytest.mark.parametrize(("cipher", "found"), [(PLAIN, {"archive", "backup"}), (ENCRYPTED, set())])
def test_the_search_finds_what_is_not_encrypted(lab: Lab, canary: str, cipher: str, found: set[str]) -> None:
    segment = lab.sql("db1", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    lab.sql("db1", "UPDATE canary SET words = words")
    archived(lab)
    try:
        lab.shell(
            "db1",
            f"install -d -o postgres {CANARY} {CANARY}/none && cat > {CANARY}/pgbackrest.conf",
            stdin=THROW_AWAY.replace("@", cipher),
        )
        lab.shell("db1", "runuser -u postgres -- bash", stdin=STORE.replace("SEGMENT", segment))
        paths = hits(lab, "db1", canary, f"{CANARY}/repository")
        assert {path.removeprefix(f"{CANARY}/repository/").split("/")[0] for path in paths} == found
    finally:
        lab.shell("db1", f"rm -rf {CANARY}")
