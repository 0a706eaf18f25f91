# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches share: hosts made anew, and commands that are watched while they write their log."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "tests" / "bench" / "inventory"
LOGS = ROOT / ".cache" / "bench-logs"
MEMBERS = "postgresql:pgbackrest:object_storage"
ALIVE_AFTER = 10.0  # seconds without a sign of life
TASK = re.compile(r"TASK \[(.*)\]")
RECAP = re.compile(r"^(\S+)\s+: (ok=\d+.*)$")


class BenchError(Exception):
    """A step failed, so there is nothing to compare."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201


@dataclass
class Command:
    """A command that runs, or has run, and writes its log."""

    label: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self.ended or time.monotonic()) - self.started

    def lines(self) -> Iterator[str]:
        """Yield the lines of the log as they come, until the command ends; now and then, say that it lives."""
        said, doing, line = time.monotonic(), "", ""
        with self.log.open(encoding="utf-8", errors="replace") as log:
            while True:
                over = self.process.poll() is not None
                while part := log.readline():
                    line += part
                    if not line.endswith("\n"):
                        break
                    if task := TASK.match(line):
                        doing = task[1]
                    yield line
                    line = ""
                if over:
                    self.ended = self.ended or time.monotonic()
                    return
                if time.monotonic() - said > ALIVE_AFTER:
                    said = time.monotonic()
                    say(f"  {self.label}: {self.seconds:.0f} s {doing}")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.02)
                    self.ended = time.monotonic()

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        for _ in self.lines():
            pass
        return self.process.returncode

    def must_succeed(self) -> Command:
        """Wait for the end; a failure shows the end of the log."""
        if status := self.wait():
            tail = "".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-40:])
            raise BenchError(f"{self.label} failed with exit status {status}, see {self.log}:\n{tail}")
        return self

    def recap(self) -> dict[str, dict[str, int]]:
        """Return what ansible-playbook counted for each host."""
        found = filter(None, map(RECAP.match, self.log.read_text(encoding="utf-8").splitlines()))
        return {hit[1]: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", hit[2])} for hit in found}

    def must_change_nothing(self) -> Command:
        """Refuse a run that changed a host, naming the tasks."""
        recap = self.recap()
        if not recap or any(counts["changed"] for counts in recap.values()):
            tasks = "\n".join(f"  {task} ({host})" for task, host in self.changes())
            raise BenchError(f"{self.label} changed something, see {self.log}:\n{tasks}")
        return self

    def changes(self) -> Iterator[tuple[str, str]]:
        """Yield each task that changed a host, with the host."""
        task = ""
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if hit := TASK.match(line):
                task = hit[1]
            elif hit := re.match(r"changed: \[([^]]*)\]", line):
                yield task, hit[1]


@contextlib.contextmanager
def command(label: str, *argv: str | Path, log: str, environment: dict[str, str] | None = None) -> Iterator[Command]:
    """Run a command from the checkout's root; nothing of it is left running afterwards."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    # The programs of the virtual environment that this script runs in.
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if not shutil.which(argv[0], path=search):
        raise BenchError(f"{argv[0]} is not on PATH: use make bench, or put .venv/bin first on PATH")
    # Whoever calls may want colours, and they would hide from us what Ansible says.
    outer = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    common = {"PATH": search, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    # Otherwise Ansible names a task not when it starts but when it turns out not to be skipped.
    common["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] = "true"
    with path.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=ROOT,
            env=outer | common | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Command(label, path, process, time.monotonic())
    finally:
        if process.poll() is None:
            kill_tree(process)


def site(
    label: str, inventory: Path, log: str, environment: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Command]:
    """Start site.yml."""
    return command(label, "ansible-playbook", "-i", inventory, "site.yml", log=log, environment=environment)


def converge(label: str, inventory: Path, log: str, environment: dict[str, str] | None = None) -> Command:
    """Run site.yml to its end, which must be a success."""
    with site(label, inventory, log, environment) as run:
        return run.must_succeed()


def fresh_hosts(inventory: Path) -> None:
    """Remove the members of the inventory and start them anew."""
    remove_hosts(inventory)
    say("starting fresh hosts")
    shared_playbook("create", inventory)


def remove_hosts(inventory: Path) -> None:
    """Remove the members of the inventory."""
    say("removing the hosts")
    shared_playbook("destroy", inventory)


def shared_playbook(name: str, inventory: Path) -> None:
    """Run one of the playbooks that make and remove hosts."""
    playbook = f"molecule/shared/{name}.yml"
    argv = ("ansible-playbook", "-i", inventory, "-e", f"steadfast_hosts={MEMBERS}", playbook)
    with command(f"{name} hosts", *argv, log=name) as run:
        run.must_succeed()


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it started, at once.

    Ansible's workers leave the process group, so the group alone would not do; and all are stopped before the first is
    killed, lest one starts another meanwhile. SSH's shared connections are daemons by then: they stay, as they do for
    anybody whose terminal closes.
    """
    stopped: set[int] = set()
    while found := tree(process.pid) - stopped:
        for pid in found:
            send(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        send(pid, signal.SIGKILL)
    process.wait()


def tree(root: int) -> set[int]:
    """Return a process and its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything.
            parents[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    found, more = set(), {root}
    while more:
        found |= more
        more = {pid for pid, parent in parents.items() if parent in more} - found
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process unless it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@contextlib.contextmanager
def bench(inventory: Path, keep: bool) -> Iterator[None]:
    """Turn failures into an exit status, and remove the hosts at the end, also of an interrupted bench."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            yield
        finally:
            if not keep:
                remove_hosts(inventory)
    except BenchError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
