"""Secrets are in no output of a run, however verbose, and in no log of a host."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import ROOT, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab

DATABASES = ["db1", "db2", "db3"]
MEMBERS = [*DATABASES, "ops1"]
SECRETS: dict[str, str] = yaml.safe_load((STATE / "secrets.yml").read_text())
PASSWORD = "a newcomer's password 6c1f"
LOGS = 'cat /var/log/postgresql/*; journalctl --no-pager --output=verbose; find /var/log -name "*.log" -exec cat {} +'


@pytest.fixture
def newcomer(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Variables with one more administrator, where the server logs every statement; both are gone afterwards."""
    dba = {"name": "dba", "password": SECRETS["dba_password"]}
    administrators = [dba, {"name": "newcomer", "password": PASSWORD, "comment": "Comes and goes"}]
    parameters = {"log_statement": "all"}
    path = tmp_path / "variables.yml"
    path.write_text(
        yaml.safe_dump({"postgresql_administrators": administrators, "postgresql_server_parameters": parameters})
    )
    yield path
    lab.sql("db1", "DROP ROLE IF EXISTS newcomer")
    lab.playbook("site.yml")
    lab.at_rest("site.yml")


def lines_of(key: str) -> set[str]:
    """The lines that make up a private key."""
    return {line for line in key.splitlines() if line and not line.startswith("-----")}


@contextlib.contextmanager
def watched(lab: Lab, words: list[str]) -> Iterator[dict[str, list[str]]]:
    """Look at the processes of all hosts and of the controller meanwhile; what was seen is there afterwards."""
    script = (ROOT / "tests" / "watcher.py").read_text(encoding="utf-8")
    seen: dict[str, list[str]] = {}
    watchers = {}
    for host in MEMBERS:
        lab.shell(host, "rm -f /run/watched && cat > /run/watcher.py", stdin=script)
        watchers[host] = ["ssh", "-F", str(STATE / "ssh_config"), host, "sudo python3 /run/watcher.py /run/watched"]
    ended = STATE / "watched"
    ended.unlink(missing_ok=True)
    watchers["the controller"] = [sys.executable, str(ROOT / "tests" / "watcher.py"), str(ended)]
    running = {
        name: subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) for name, command in watchers.items()
    }
    for process in running.values():
        assert process.stdin is not None
        process.stdin.write("\n".join(words))
        process.stdin.close()
        process.stdin = None
    try:
        yield seen
    finally:
        ended.touch()
        for host in MEMBERS:
            lab.shell(host, "touch /run/watched")
        for name, process in running.items():
            seen[name] = process.communicate(timeout=30)[0].splitlines()
        ended.unlink()


def test_no_process_shows_a_secret(lab: Lab) -> None:
    canary = "canary-of-the-processes"
    with watched(lab, [canary, *SECRETS.values()]) as seen:
        lab.shell("db1", f"KEPT={canary} sleep 2")
        lab.shell("db3", "rm /etc/ssl/postgresql/main/server.key")
        lab.playbook("site.yml", "-vvv")
        lab.playbook("playbooks/run_backup.yml")
    assert "word 1: environ of sleep" in seen["db1"]
    told = [(name, hit) for name, hits in seen.items() for hit in hits[:-1] if not hit.startswith("word 1: ")]
    assert told == []
    assert all(int(hits[-1].removesuffix(" looks")) > 50 for hits in seen.values())


def test_a_verbose_run_tells_no_secret(lab: Lab, newcomer: Path) -> None:
    lab.playbook("site.yml", "-e", '{"postgresql_server_parameters": {"log_statement": "all"}}')
    # A role that could not be made: the statement that failed held its verifier.
    lab.sql("db1", "ALTER ROLE postgres SET default_transaction_read_only = on")
    failed = lab.playbook("site.yml", "-e", f"@{newcomer}", expect=2)
    assert "cannot execute CREATE ROLE in a read-only transaction" in failed.output
    lab.sql("db1", "BEGIN READ WRITE; ALTER ROLE postgres RESET default_transaction_read_only; COMMIT")
    # So a key and a certificate are made, and a role with its verifier.
    lab.shell("db3", "rm /etc/ssl/postgresql/main/server.key")
    run = lab.playbook("site.yml", "-vvv", "--diff", "-e", f"@{newcomer}")
    assert "db1: role newcomer: absent -> administrator" in run.changes
    assert any("certificate" in change for change in run.changes if change.startswith("db3: ")), run.changes

    secrets = {PASSWORD, *SECRETS.values()}
    verifiers = lab.sql("db1", "SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL").splitlines()
    assert len(verifiers) > 15  # of people, and of the applications
    secrets |= set(verifiers) | {verifier.rpartition(":")[2] for verifier in verifiers}
    for host in MEMBERS:
        secrets |= lines_of(lab.shell(host, "cat /etc/ssl/postgresql/main/server.key"))
    secrets |= lines_of((STATE / "ca" / "ca.key").read_text())
    assert len(secrets) > 50

    statistics = "CREATE EXTENSION pg_stat_statements; SELECT query FROM pg_stat_statements; " + (
        "DROP EXTENSION pg_stat_statements"
    )
    places = {f"the log of {host}": lab.shell(host, LOGS) for host in MEMBERS} | {
        "the output": run.output,
        "the output of the run that failed": failed.output,
        "the statistics of statements": lab.sql("db1", statistics),
    }
    assert "newcomer" in run.output
    assert "statement: " in places["the log of db1"]
    told = [(place, secret) for place, text in places.items() for secret in sorted(secrets) if secret in text]
    assert told == []
    for place, text in places.items():
        assert "PRIVATE KEY" not in text, place
        # With its iterations: what poolers ask looks for the word alone.
        assert not re.search(r"SCRAM-SHA-256\$[0-9]", text), place


@pytest.mark.parametrize("host", MEMBERS)
def test_modules_leave_no_files_behind(lab: Lab, host: str) -> None:
    left = lab.shell(host, "ls -A /root/.ansible/tmp /home/ops/.ansible/tmp 2> /dev/null || true")
    assert [line for line in left.splitlines() if line and not line.endswith(":")] == []
