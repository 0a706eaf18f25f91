# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of a major version: which there are, how they are installed, and that servers are left alone meanwhile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _minor_packages
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

LISTING = """\
ii \tpostgresql-16
ii \tpostgresql-client-16
iU \tpostgresql-plperl-16
rc \tpostgresql-doc-16
un \tpostgresql-16-bdr
ii \tpostgresql-16-cron
ii \tpostgresql-17
ii \tpostgresql-common
"""
POLICY = """\
postgresql-16:
  Installed: 16.14-1
  Candidate: 16.15-1
  Version table:
     16.15-1 500
        500 file:/srv/apt/next ./ Packages
 *** 16.14-1 500
postgresql-client-16:
  Installed: 16.14-1
  Candidate: 16.14-1
  Version table:
postgresql-plperl-16:
  Installed: 16.14-1
  Candidate: (none)
  Version table:
"""


def test_names() -> None:
    names = ["postgresql-16", "postgresql-client-16", "postgresql-plperl-16"]
    assert _minor_packages.names_of(LISTING, "16") == names
    assert _minor_packages.names_of(LISTING, "17") == ["postgresql-17"]
    assert _minor_packages.names_of("", "16") == []


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What programs were run; they answer as on a host with a newer server package, which is held."""
    commands: list[list[str]] = []

    def run(command: list[str], timeout: float = 60, **options: Any) -> str:
        commands.append([str(word) for word in command])
        if command[0] == "sh":
            return (
                subprocess.run(["dpkg", "--compare-versions", command[-2], "gt", command[-1]], check=False).returncode
                == 0
                and "newer\n"
            ) or ""
        return {"dpkg-query": LISTING, "apt-mark": "postgresql-16\nvim\n", "apt-cache": POLICY}.get(command[0], "")

    monkeypatch.setattr(_minor_packages, "run", run)
    return commands


@pytest.mark.parametrize("own", [False, True])
def test_look(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: bool) -> None:
    monkeypatch.setattr(_minor_packages, "SOURCE", tmp_path if own else tmp_path / "none")
    found = _minor_packages.look("16")
    assert found["packages"] == {
        "postgresql-16": {"installed": "16.14-1", "candidate": "16.15-1", "newer": True, "held": True},
        "postgresql-client-16": {"installed": "16.14-1", "candidate": "16.14-1", "newer": False, "held": False},
        "postgresql-plperl-16": {"installed": "16.14-1", "candidate": "(none)", "newer": False, "held": False},
    }
    assert found["interrupted"] is False
    assert "APT::Update::Error-Mode=any" in ran[0]
    assert ("APT::Get::List-Cleanup=0" in ran[0]) is own


WANTED, PRESENT = {"postgresql-16": "16.15-1"}, {"postgresql-16": "16.14-1", "postgresql-client-16": "16.14-1"}
CHANGES = [{"kind": "package", "name": "postgresql-16", "from": "16.14-1", "to": "16.15-1"}]


def test_check_mode_only_says_it(ran: list[list[str]]) -> None:
    assert _minor_packages.install(WANTED, PRESENT, check_mode=True) == CHANGES
    assert ran == []


def test_install(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guard = tmp_path / "policy-rc.d"
    left_alone = _minor_packages.servers_left_alone
    monkeypatch.setattr(_minor_packages, "servers_left_alone", lambda: left_alone(guard))
    assert _minor_packages.install(WANTED, PRESENT, check_mode=False) == CHANGES
    assert ran[0][-2:] == ["--configure", "--pending"]
    assert {"--only-upgrade", "--no-remove", "postgresql-16=16.15-1"} <= set(ran[1])
    assert not guard.exists()


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


def ask(guard: Path, *words: str) -> int:
    return subprocess.run([guard, *words], check=False).returncode


def administrators(guard: Path) -> None:
    guard.write_text("#!/bin/sh\nexit 104\n")
    guard.chmod(0o755)


def test_servers_are_left_alone_and_nothing_else(guard: Path) -> None:
    with _minor_packages.servers_left_alone(guard):
        assert ask(guard, "postgresql@16-*", "stop") == 101
        assert ask(guard, "--quiet", "postgresql", "(start)") == 101
        assert ask(guard, "cron", "restart") == 0
    assert list(guard.parent.iterdir()) == []


def test_the_administrators_own_policy_goes_on_and_comes_back(guard: Path) -> None:
    administrators(guard)
    with _minor_packages.servers_left_alone(guard):
        assert ask(guard, "postgresql@16-*", "stop") == 101
        assert ask(guard, "cron", "restart") == 104
    assert ask(guard, "postgresql@16-*", "stop") == 104
    assert list(guard.parent.iterdir()) == [guard]


def test_it_comes_back_after_a_failure(guard: Path) -> None:
    administrators(guard)
    with pytest.raises(CommandError), _minor_packages.servers_left_alone(guard):
        raise CommandError
    assert ask(guard, "postgresql", "start") == 104


@pytest.mark.parametrize("own", [False, True])
def test_what_a_kill_leaves_does_no_harm_and_is_cleared_up(guard: Path, own: bool) -> None:
    if own:
        administrators(guard)
    context = _minor_packages.servers_left_alone(guard)
    context.__enter__()
    # As after the death of the writer: no process of that number, or a later one.
    guard.write_text(guard.read_text().replace(f'!= "{_minor_packages.started(os.getpid())}"', '!= "1"'))
    assert ask(guard, "postgresql@16-*", "stop") == (104 if own else 0)
    with _minor_packages.servers_left_alone(guard):
        assert ask(guard, "postgresql@16-*", "stop") == 101
    assert [path.name for path in guard.parent.iterdir()] == (["policy-rc.d"] if own else [])
    assert not own or ask(guard, "cron", "start") == 104
