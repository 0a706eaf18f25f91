#!/usr/bin/python3
# Ansible managed
# By the role backup of steadfast.postgresql.
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one backup: what the timers start, and the playbook run_backup.

Usage:
  backup REPOSITORY-KIND

KIND is full, differential or incremental. A repository that is suspended, or that another backup is being made into, is
left alone, and that is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONFIG = Path("/etc/pgbackrest/steadfast.json")
TYPES = {"full": "full", "differential": "diff", "incremental": "incr"}
LOCKED = 50  # pgBackRest's exit status when the same runs already


def main(arguments: list[str]) -> int:
    """Make the backup; return pgBackRest's exit status."""
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    repositories = {repository["name"]: repository for repository in config["repositories"]}
    name, _, kind = "".join(arguments).rpartition("-")
    if len(arguments) != 1 or kind not in TYPES:
        sys.exit(__doc__)
    if name not in repositories:
        sys.exit(f"{name} is no repository of {config['cluster']}: {', '.join(repositories)}")
    repository = repositories[name]
    if repository["suspended"]:
        say(f"repository {name} is suspended: no backup is made")
        return 0
    command = ["pgbackrest", f"--stanza={config['stanza']}", f"--repo={repository['number']}", f"--type={TYPES[kind]}"]
    status = subprocess.run([*command, "--log-level-console=info", "backup"], check=False).returncode
    if status == LOCKED:
        say(f"another backup into {name} is being made: this one is left out")
        return 0
    return status


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
