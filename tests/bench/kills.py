# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill site.yml at random tasks of a fresh converge: the next run must converge, the one after must change nothing.

After the next run every host's journal must also say what the synchronous set of the primary is.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watched import INVENTORY, TASK, BenchError, bench, command, converge, fresh_hosts, kill_tree, say, site

DONE = re.compile(r"(ok|changed): \[")
# On each host the journal's last line, and on the primary the set that is in force.
LOOK = """
tail -n 1 /var/lib/steadfast/main/journal.jsonl
cd / && if [ -S /run/postgresql/.s.PGSQL.5432 ]; then runuser -u postgres -- psql -XAtq -c "
SELECT 'in force: ' || current_setting('synchronous_standby_names') WHERE NOT pg_is_in_recovery()"; fi
"""
ANSWER = re.compile(r"^(\S+) \| \w+ \| rc=0 \| \(stdout\) (.*)$", re.MULTILINE)
IN_FORCE = re.compile(r"in force: (.*)")


class TooLateError(BenchError):
    """The run was over before it could be killed."""


@dataclass
class Task:
    """A task of a fresh converge: its place in the play, and how long it takes."""

    number: int
    name: str
    started: float
    seconds: float = 0.0
    acts: bool = False


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the task with this number has started."""

    task: int
    after: float

    def __str__(self) -> str:
        return f"{self.task}+{self.after:.2f}"

    def earlier(self) -> Moment:
        """Return a moment that a faster run has not passed as soon."""
        return Moment(self.task, self.after / 4) if self.after > 0.1 else Moment(self.task - 1, 0.0)

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read what __str__ wrote."""
        task, _, after = text.partition("+")
        return cls(int(task), float(after or 0))


def learn(inventory: Path) -> list[Task]:
    """Converge fresh hosts and return the tasks that did something, in order."""
    fresh_hosts(inventory)
    tasks: list[Task] = []
    with site("learning the tasks", inventory, "learn") as run:
        for line in run.lines():
            if banner := TASK.match(line):
                tasks.append(Task(len(tasks) + 1, banner[1], run.seconds))
            elif tasks:
                tasks[-1].acts |= bool(DONE.match(line))
            if tasks:
                tasks[-1].seconds = run.seconds - tasks[-1].started
        run.must_succeed()
    acting = [task for task in tasks if task.acts]
    say(f"{len(tasks)} tasks in {run.seconds:.0f} s, {len(acting)} of them do something")
    return acting


def choose(tasks: list[Task], rounds: int, seed: int) -> list[Moment]:
    """Choose a moment within a task of each of as many equal parts of the play."""
    chance = random.Random(seed)
    moments = []
    for part in range(rounds):
        first, last = part * len(tasks) // rounds, (part + 1) * len(tasks) // rounds
        task = tasks[chance.randrange(first, max(first + 1, last))]
        moments.append(Moment(task.number, chance.random() * task.seconds))
    return moments


def kill_at(moment: Moment, inventory: Path, log: str) -> None:
    """Converge fresh hosts, and kill the run at a moment."""
    fresh_hosts(inventory)
    banners = 0
    with site("to be killed", inventory, log) as run:
        for line in run.lines():
            if not (banner := TASK.match(line)):
                continue
            banners += 1
            if banners == moment.task:
                time.sleep(moment.after)
                if run.process.poll() is None:
                    kill_tree(run.process)
                    say(f"killed at {run.seconds:.1f} s, {moment.after:.2f} s into task {banners} [{banner[1]}]")
                    return
        # A run that is faster than the one that the tasks were learnt from.
        run.must_succeed()
        raise TooLateError(f"the run was over before it could be killed at {moment}")


def kill(moment: Moment, inventory: Path, log: str, wanted: bool) -> None:
    """Kill a run at a moment; where that is not the very one that is wanted, at an earlier one if need be."""
    try:
        kill_at(moment, inventory, log)
    except TooLateError as late:
        if wanted or moment.task <= 1:
            raise
        say(f"{late}; again: --at {moment.earlier()}")
        kill(moment.earlier(), inventory, log, wanted)


def disagreements(answers: str) -> list[str]:
    """Return what is wrong with the journals, of the answers of all hosts to LOOK."""
    found = dict(ANSWER.findall(answers))
    sets = [re.findall(r'"(\w+)"', hit[1]) for said in found.values() if (hit := IN_FORCE.search(said))]
    if len(sets) != 1:
        return [f"{len(sets)} hosts of {', '.join(found) or 'none'} are a primary"]
    return [
        f"the journal of {host} says {said}, and in force is {', '.join(sets[0]) or 'nobody'}"
        for host, answer in found.items()
        if (said := last_entry(answer)) is None or said.get("to") != sets[0]
    ]


def last_entry(answer: str) -> dict[str, Any] | None:
    """Return the entry that an answer to LOOK begins with."""
    try:
        entry: dict[str, Any] = json.loads(answer.partition("\\n")[0])
    except ValueError:
        return None
    return entry


def journals_must_tell_the_set(inventory: Path, log: str) -> None:
    """Look at all journals from outside of the collection."""
    hosts = ("-i", inventory, "postgresql:pgbackrest")
    argv = ("ansible", *hosts, "--become", "--one-line", "--module-name", "shell", "--args", LOOK)
    with command("the journals", *argv, log=log) as look:
        look.must_succeed()
    if wrong := disagreements(look.log.read_text(encoding="utf-8")):
        raise BenchError("\n".join(wrong))
    say("every journal tells the set that is in force")


def survive(moment: Moment, inventory: Path, number: int, wanted: bool) -> None:
    """Kill a run; the next must converge and record what it made, and the one after must change nothing."""
    kill(moment, inventory, f"killed-{number}", wanted)
    mended = converge("the next run", inventory, f"mended-{number}")
    say(f"the next run converged in {mended.seconds:.1f} s")
    journals_must_tell_the_set(inventory, f"journals-{number}")
    converge("the run after", inventory, f"after-{number}").must_change_nothing()
    say("the run after changed nothing")


def survive_all(moments: list[Moment], inventory: Path, stop: bool, wanted: bool) -> list[Moment]:
    """Try all moments, the very ones where they are wanted; return those that left something that no run mended."""
    failed = []
    for number, moment in enumerate(moments, 1):
        say(f"\nround {number} of {len(moments)}: --at {moment}")
        try:
            survive(moment, inventory, number, wanted)
        except BenchError as error:
            say(str(error))
            failed.append(moment)
            if stop:
                break
    return failed


def main() -> int:
    """Kill and converge as often as asked for; return 1 if a round failed."""
    parser = argparse.ArgumentParser(prog="tests/bench/kill_converge", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often a run is killed (20)")
    parser.add_argument("--inventory", type=Path, default=INVENTORY, help="its members are made anew for each round")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the choice of moments (random)")
    parser.add_argument(
        "--at", type=Moment.parse, action="append", metavar="TASK+SECONDS", help="not at random but here"
    )
    parser.add_argument("--keep", action="store_true", help="end with the first failure, and leave the hosts")
    wanted = parser.parse_args()
    inventory = wanted.inventory.resolve()
    with bench(inventory, wanted.keep):
        moments = wanted.at
        if not moments:
            say(f"seed {wanted.seed}")
            moments = choose(learn(inventory), wanted.rounds, wanted.seed)
        failed = survive_all(moments, inventory, wanted.keep, wanted=bool(wanted.at))
    say(f"\n{len(moments)} rounds, failed: " + (", ".join(f"--at {moment}" for moment in failed) or "none"))
    return 1 if failed else 0
