# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder with a playbook and an inventory, and what ansible-playbook says about them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


SECRET = "correct horse battery"


RESULT = re.compile(r"^(?:fatal|ok|changed): \[(\S+)\](?:: FAILED!)? => (\{.*\})$", re.MULTILINE)


POINTER = "Cluster {}: refused before any host was touched; the list of mistakes is at {}."


PLAY = """
- name: Check the inventory
  hosts: "{{ postgresql_hosts | default('postgresql:pgbackrest:pgbouncer') }}"
  gather_facts: false
  tasks:
    - name: Check the inventory
      steadfast.postgresql.preflight:
      register: __postgresql_cluster_preflight
"""


THREE = """
postgresql:
  hosts:
    db1: {postgresql_region: eu-west, postgresql_zone: 1a}
    db2: {postgresql_region: eu-west, postgresql_zone: 1b}
    db3: {postgresql_region: us-west, postgresql_zone: 2a}
  vars: {postgresql_initial_primary: db1}
pgbackrest:
  hosts: {ops1: }
pgbouncer:
all:
  vars:
    postgresql_certificates_ca_passphrase: correct horse battery
"""


ALONE = "all: {hosts: {pg: }, vars: {postgresql_certificates_ca_passphrase: correct horse battery}}"


@dataclass(frozen=True)
class Run:
    """What a run of ansible-playbook said, by host."""

    results: dict[str, dict[str, Any]]
    output: str
    status: int = 0

    def mistakes(self, host: str) -> list[str]:
        """Return the list that a host failed with."""
        return [line[2:] for line in self.results[host]["msg"].splitlines()[1:]]

    def spoken(self) -> dict[str, list[str]]:
        """Return the lists by the hosts that said them."""
        return {host: found for host in self.refused() if (found := self.mistakes(host))}

    def refused(self) -> dict[str, str]:
        """Return the last line of what each refused host said."""
        return {host: found["msg"].splitlines()[-1] for host, found in self.results.items() if "refused" in found}


class Checkout:
    """A folder with a playbook and an inventory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_CONFIG": str(folder / "none.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        }

    def play(self, inventory: str | Path, *options: str, book: str = PLAY, **environment: str) -> Run:
        """Run the text of a playbook on an inventory, which is a path or the text of one."""
        playbook = self.folder / "play.yml"
        playbook.write_text(book)
        run = self.run(inventory, playbook, *options, **environment)
        assert run.results, run.output
        return run

    def run(self, inventory: str | Path, playbook: Path, *options: str, **environment: str) -> Run:
        """Run a playbook on an inventory, which is a path or the text of one."""
        if isinstance(inventory, str):
            self.folder.joinpath("hosts.yml").write_text(inventory)
            inventory = self.folder / "hosts.yml"
        command = [Path(sys.executable).with_name("ansible-playbook"), "-v", "-i", inventory, *options, playbook]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        found = {host: json.loads(text) for host, text in RESULT.findall(done.stdout)}
        return Run(found, done.stdout + done.stderr, done.returncode)
