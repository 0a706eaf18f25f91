# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply databases of several sizes, and 50 of the same objects by the modules of community.postgresql."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from big_application import big
from watched import INVENTORY, LOGS, Command, bench, command, converge, fresh_hosts, say

HERE = Path(__file__).resolve().parent
APPLY = "playbooks/apply_databases.yml"
SECONDS = re.compile(r'"seconds": ([0-9.]+)')
THOUSAND, TEN_THOUSAND = 920, 9918
"""Accounts, which with group roles, owner and migrator are 1,002 and 10,000 roles."""
FIFTY: dict[str, int] = {"accounts": 13, "schemas": 7, "each": 1}


@dataclass(frozen=True)
class Figures:
    """How long it takes to make objects, and to find that they are there.

    Attributes:
        what: the objects, and who made them.
        applied: seconds of the playbook, and of its module on the host where it is one.
        again: likewise.
    """

    what: str
    applied: tuple[float, float | None]
    again: tuple[float, float | None]

    def line(self) -> str:
        """Return them as a line of the table."""
        cells = [f"{value:>8.2f}" if value is not None else " " * 8 for value in (*self.applied, *self.again)]
        return f"{self.what:<58}{''.join(cells)}"


def collection(application: dict[str, Any], what: str) -> Figures:
    """Apply an application by this collection, and once more."""
    path = variables(application["name"], {"postgresql_applications": [application]})
    label = f"apply {application['name']}"
    first = ran(label, APPLY, "-v", "-e", f"@{path}")
    again = ran(f"{label} again", APPLY, "-v", "-e", f"@{path}").must_change_nothing()
    return Figures(what, (first.seconds, module_seconds(first)), (again.seconds, module_seconds(again)))


def community(application: dict[str, Any], what: str) -> Figures:
    """Make the same objects by the modules of community.postgresql, and once more."""
    playbook = str(HERE / "community.yml")
    path = variables("community", {"objects": objects(application)})
    ran("prepare", playbook, "--tags", "prepare")
    first = ran("community", playbook, "--tags", "objects", "-e", f"@{path}")
    again = ran("community again", playbook, "--tags", "objects", "-e", f"@{path}").must_change_nothing()
    return Figures(what, (first.seconds, None), (again.seconds, None))


def objects(application: dict[str, Any]) -> dict[str, Any]:
    """Return what an application is made of."""
    name = application["name"]
    schemas = [schema["name"] for schema in application["schemas"]]
    accounts = application["accounts"]
    return {
        "database": name,
        "owner": f"{name}_owner",
        "groups": [f"{schema}_{access}" for schema in schemas for access in ("rw", "ro")],
        "logins": [{"name": f"{name}_migrator", **application["migrator"]}, *accounts],
        "memberships": [(account["name"], group) for account in accounts for group in account["member_of"]],
        "schemas": schemas,
    }


def count(made: dict[str, Any]) -> int:
    """Return how many objects there are: the database, its owner, and what is listed."""
    return 2 + sum(len(value) for value in made.values() if isinstance(value, list))


def variables(name: str, content: dict[str, Any]) -> Path:
    """Write variables for a playbook; the passwords among them are no secrets."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"variables-{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def ran(label: str, playbook: str, *arguments: str) -> Command:
    """Run a playbook to its end, which must be a success."""
    log = label.replace(" ", "-")
    with command(label, "ansible-playbook", "-i", INVENTORY, playbook, *arguments, log=log) as run:
        return run.must_succeed()


def module_seconds(run: Command) -> float:
    """Return how long the module says that it took; it ran once."""
    (found,) = SECONDS.findall(run.log.read_text(encoding="utf-8"))
    return float(found)


def measure() -> list[Figures]:
    """Measure all sizes on fresh hosts; each application takes the place of the one before it, which stays as drift."""
    fresh_hosts(INVENTORY)
    converge("fresh", INVENTORY, "databases-fresh")
    number = count(objects(big(name="shop", **FIFTY)))
    found = []
    for make, application, what in (
        (community, big(name="other", **FIFTY), f"{number} objects by community.postgresql"),
        (collection, big(name="shop", **FIFTY), f"{number} objects and their rights"),
        (collection, big(THOUSAND, "thousand"), "1,002 roles with 10,120 memberships"),
        (collection, big(TEN_THOUSAND, "myriad"), "10,000 roles with 109,098 memberships"),
    ):
        found.append(make(application, what))
        say(found[-1].line())
    return found


def report(found: list[Figures], limits: argparse.Namespace) -> bool:
    """Print all figures and return whether those of the thousand are within their limits, and growth is linear."""
    say(f"\n{'seconds of the playbook, and of the module on the host':<58}{'applied':>16}{'again':>16}")
    for figures in found:
        say(figures.line())
    _, _, thousand, myriad = found
    measured = {
        "--apply": (thousand.applied[1], limits.apply),
        "--again": (thousand.again[1], limits.again),
        "--growth": ((myriad.applied[1] or 0.0) / (thousand.applied[1] or 1.0) / 10, limits.growth),
    }
    missed = [f"{name} {value:.2f} > {limit}" for name, (value, limit) in measured.items() if limit and value > limit]
    say(f"missed: {', '.join(missed)}" if missed else "nothing missed")
    return not missed


def main() -> int:
    """Measure, report, and return 1 when a limit is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="tests/bench/databases", description=__doc__)
    parser.add_argument("--apply", type=float, metavar="SECONDS", help="limit for applying a thousand roles")
    parser.add_argument("--again", type=float, metavar="SECONDS", help="limit for finding that nothing lacks")
    parser.add_argument("--growth", type=float, metavar="RATIO", help="limit for ten times as many")
    parser.add_argument("--keep", action="store_true", help="leave the hosts at the end")
    limits = parser.parse_args()
    with bench(INVENTORY, limits.keep):
        found = measure()
    return 0 if report(found, limits) else 1
