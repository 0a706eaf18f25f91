"""What the tests of all scenarios use: playbooks as an operator runs them, SQL on the hosts, hosts that die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "molecule" / "shared" / "inventory"
STATE = ROOT / ".cache" / "test"
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
SSH_FAILED = 255  # the connection, not the command
CHANGE = re.compile(r"^  (\S+?): (\S+ .+?: .+ -> .+)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A playbook that has ended."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: int(changed) for host, changed, _, _ in RECAP.findall(self.output)}

    @property
    def changes(self) -> list[str]:
        """The list of changes that the run printed."""
        return [f"{host}: {what}" for host, what in CHANGE.findall(self.output)]


@dataclass
class Lab:
    """The hosts of the scenarios."""

    inventory: Path = INVENTORY
    stopped: set[str] = field(default_factory=set)

    def playbook(self, name: str, *arguments: str, expect: int | None = 0) -> Run:
        """Run a playbook of the collection; by default it has to succeed."""
        # As a terminal shows it: warnings between the tasks.
        done = subprocess.run(
            self._command(name, arguments),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self._environment(),
            timeout=900,
        )
        run = Run(done.returncode, done.stdout)
        if expect is not None:
            assert run.status == expect, run.output
        return run

    def foretold(self, name: str, *arguments: str) -> Run:
        """Run a playbook, and compare what check mode predicted with what was then done."""
        predicted = self.playbook(name, "--check", *arguments).changes
        run = self.playbook(name, *arguments)
        assert predicted
        assert sorted(predicted) == sorted(run.changes), sorted(set(predicted) ^ set(run.changes))
        return run

    def at_rest(self, name: str, *arguments: str) -> Run:
        """Run a playbook, which has to change nothing."""
        run = self.playbook(name, *arguments)
        assert set(run.changed.values()) == {0}, run.changes or run.output
        return run

    def killed(self, task: str, name: str, *arguments: str) -> None:
        """Run a playbook and kill it, with all its processes, as soon as a task begins."""
        with subprocess.Popen(
            self._command(name, arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self._environment() | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("TASK") and f"{task}]" in line:
                    os.killpg(process.pid, signal.SIGKILL)
                    return
            raise AssertionError("".join(lines))

    def begun(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a playbook and go on."""
        return subprocess.Popen(
            self._command(name, arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=self._environment(),
        )

    def _command(self, name: str, arguments: Sequence[str]) -> list[str]:
        return ["ansible-playbook", "-i", str(self.inventory), str(ROOT / name), *arguments]

    @staticmethod
    def _environment() -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return own | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def shell(self, host: str, command: str, check: bool = True, stdin: str | None = None) -> str:
        """Run a command as root on a host."""
        done = self.ssh(host, command, stdin)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    @staticmethod
    def ssh(host: str, command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root on a host, and again when a busy machine was too slow to let SSH in."""
        words = ["ssh", "-F", str(STATE / "ssh_config"), host, "sudo", "-n", "bash", "-c", f"'{command}'"]
        for _ in range(3):
            done = subprocess.run(words, check=False, capture_output=True, text=True, input=stdin, timeout=120)
            if done.returncode != SSH_FAILED or "banner exchange" not in done.stderr:
                break
        return done

    def sql(self, host: str, statement: str, check: bool = True) -> str:
        """Run SQL as the superuser on a host's socket."""
        command = "cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d postgres -f -"
        return self.shell(host, command, check, statement)

    def stop(self, host: str) -> None:
        """Switch a host off without a warning."""
        self._podman("kill", host)
        self.stopped.add(host)

    def start(self, host: str) -> None:
        """Switch a host on and wait until it answers over SSH."""
        self._podman("start", host)
        self.stopped.discard(host)
        self.wait(lambda: self.shell(host, "systemctl is-system-running --wait || true", check=False) != "", 60)

    @staticmethod
    def _podman(verb: str, host: str) -> None:
        tool = ROOT / "tests" / "hosts" / "podman"
        subprocess.run([tool, verb, f"steadfast-test-{host}"], check=True, capture_output=True, timeout=60)

    @staticmethod
    def wait(condition: Callable[[], bool], limit: float) -> None:
        """Return as soon as a condition holds."""
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, f"not within {limit} s"
            time.sleep(0.2)
