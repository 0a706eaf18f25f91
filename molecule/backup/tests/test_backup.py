"""Two repositories hold every WAL segment and every backup, and what goes wrong there is said in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from archive import RIGHT, archived, findings, fulls, info

if TYPE_CHECKING:
    from lab import Lab

ERROR = 2


def test_the_platform_is_backed_up(lab: Lab) -> None:
    found = info(lab)
    assert {repository["key"]: repository["cipher"] for repository in found["repo"]} == {
        1: "aes-256-cbc",
        2: "aes-256-cbc",
    }
    assert all(fulls(lab, repository) for repository in (1, 2))
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


def test_the_check_writes_metrics(lab: Lab) -> None:
    folder = "/var/lib/prometheus/node-exporter"
    for host, duty, name in (("ops1", "repositories", "repository"), ("db1", "archive", "database")):
        lab.shell(host, f"systemctl start steadfast-check-{duty}.service")
        metrics = lab.shell(host, f"cat {folder}/steadfast_main_{name}.prom")
        assert f'steadfast_archive_checked_at{{cluster="main",duty="{name}"}} ' in metrics
        assert "archive_finding" not in metrics
    assert 'steadfast_wal_disk_used_ratio{cluster="main"} 0.' in metrics


def test_a_backup_that_the_operator_asks_for(lab: Lab) -> None:
    before = fulls(lab, 2)
    run = lab.playbook("playbooks/run_backup.yml", "-e", "type=full", "-e", "repository=offsite")
    assert "ops1: backup offsite: due -> full" in run.changes
    assert len(fulls(lab, 2)) == len(before) + 1


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
