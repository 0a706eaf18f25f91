# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requirements/install`: one Python environment for all checkouts that need the same, made anew where they differ."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
case $1$2 in
  -c*base_prefix*) echo {folder} ;;
  -c*) echo "$VERSION" ;;
  -mvenv) mkdir -p $3/bin; cp {folder}/pip $3/bin/pip; echo "venv $3" >>{folder}/log ;;
esac
"""
PIP = """#!/bin/sh
echo "pip $*" >>{folder}/log
exit ${{PIP_STATUS:-0}}
"""


@dataclass
class Machine:
    """A machine with a Python of its own that notes what it is asked for."""

    folder: Path

    def checkout(self, name: str) -> Path:
        """Return another checkout."""
        place = self.folder / name
        shutil.copytree(ROOT / "requirements", place / "requirements")
        return place

    def install(
        self, checkout: Path, what: str = "run", version: str = "3.11", status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "XDG_CACHE_HOME": str(self.folder / "cache")}
        environment |= {"VERSION": version, "PIP_STATUS": str(status)}
        command = [str(checkout / "requirements" / "install"), what]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)

    @property
    def made(self) -> int:
        """How many environments were made."""
        log = self.folder / "log"
        return log.read_text().count("venv ") if log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    for path, text in ((tmp_path / "bin" / "python3", PYTHON), (tmp_path / "pip", PIP)):
        path.write_text(text.format(folder=tmp_path))
        path.chmod(0o755)
    return Machine(tmp_path)


def test_a_second_checkout_links_what_the_first_installed(machine: Machine) -> None:
    first, second = machine.checkout("first"), machine.checkout("second")
    assert machine.install(first).returncode == 0
    assert (first / ".venv" / "bin" / "pip").exists()
    assert f"--requirement {first}/requirements/run.txt" in (machine.folder / "log").read_text()
    for _ in range(2):
        assert machine.install(second).returncode == 0
    assert machine.made == 1
    assert (first / ".venv").resolve() == (second / ".venv").resolve()
    assert (first / ".venv").resolve().is_relative_to(machine.folder / "cache" / "steadfast")


def test_other_requirements_and_another_python_need_another(machine: Machine) -> None:
    checkout = machine.checkout("one")
    links = []
    for version, line in (("3.11", ""), ("3.12", ""), ("3.12", "more\n")):
        with (checkout / "requirements" / "run.txt").open("a") as requirements:
            requirements.write(line)
        machine.install(checkout, version=version)
        links.append((checkout / ".venv").resolve())
    assert len(set(links)) == machine.made == 3


def test_what_the_tests_need_serves_the_playbooks_as_well(machine: Machine) -> None:
    checkout = machine.checkout("one")
    machine.install(checkout)
    without = (checkout / ".venv").resolve()
    machine.install(checkout, "test")
    with_tests = (checkout / ".venv").resolve()
    machine.install(checkout)
    assert (checkout / ".venv").resolve() == with_tests != without
    assert machine.made == 2


def test_an_interrupted_installation_is_made_again(machine: Machine) -> None:
    checkout = machine.checkout("one")
    assert machine.install(checkout, status=1).returncode != 0
    assert not (checkout / ".venv").exists()
    assert machine.install(checkout).returncode == 0
    assert machine.made == 2


def test_somebody_elses_environment_is_left_alone(machine: Machine) -> None:
    checkout = machine.checkout("one")
    (checkout / ".venv").mkdir()
    done = machine.install(checkout)
    assert done.returncode == 1
    assert done.stderr == f"python: {checkout}/.venv is a folder that this did not make; remove it\n"
    assert machine.made == 0
