#!/usr/bin/python3 -B
# Ansible managed
# By the role pooler of steadfast.postgresql.
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steer the pooler of this host, as root: look at it, pause and resume it, lead it to another server.

While one process takes the place of another, both have clients. The former one has no console any more: it follows to
another server, and cannot be paused.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from steadfast_console import Console, ConsoleError, Row

RUN = Path("/run/pgbouncer")
FILES = {
    "primary": Path("/etc/pgbouncer/steadfast/primary.ini"),
    "standby": Path("/etc/pgbouncer/steadfast/standby.ini"),
}
TIMER = "steadfast-pooler-resume"
RESUMES_AFTER = 30  # seconds: pools never stay paused, whatever becomes of whoever paused them
START_LIMIT = 10.0  # seconds for a process to answer
PAUSE_LIMIT = 5.0  # seconds for transactions to end
HOST = re.compile(r"\bhost=\S+")


def main() -> int:
    """Do what the command line says and return the exit status."""
    arguments = _parser().parse_args()
    try:
        arguments.act(arguments)
    except (ConsoleError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"pooler: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, act: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=about, description=about)
        found.set_defaults(act=act)
        return found

    ask = command("console", _console, "say something to the console, such as: show pools")
    ask.add_argument("words", nargs="+")
    pause = command(
        "pause", _pause, f"let transactions end and clients wait; resumed after {RESUMES_AFTER} s by itself"
    )
    pause.add_argument("--limit", type=float, default=PAUSE_LIMIT, help="seconds for transactions to end")
    command("resume", _resume, "let clients go on")
    point = command("point", _point, "lead the pools to another server")
    point.add_argument("pools", choices=FILES)
    point.add_argument("address")
    for name, act, about in (
        ("take_over", _take_over, "as a process starts: stand in for the one that served"),
        ("reload", _reload, "make a process read its files"),
    ):
        command(name, act, about).add_argument("process", type=int)
    return parser


def _console(arguments: argparse.Namespace) -> None:
    for number, path in _sockets().items():
        with Console(path) as console:
            rows = console.ask(" ".join(arguments.words))
        sys.stdout.write("\n".join([f"# process {number}", *_table(rows)]) + "\n")


def _pause(arguments: argparse.Namespace) -> None:
    """Pause every pool that can be: one in session mode would wait until its last client leaves."""
    _stop_timer()
    command = [f"--unit={TIMER}", f"--on-active={RESUMES_AFTER}", "--timer-property=AccuracySec=100ms"]
    subprocess.run(["systemd-run", "--quiet", "--collect", *command, os.path.abspath(__file__), "resume"], check=True)
    try:
        work = [(path, name) for path in _sockets().values() for name in _names(path)]
        with ThreadPoolExecutor(max_workers=max(1, len(work))) as pool:
            for done in [pool.submit(_say, path, f"PAUSE {name}", arguments.limit) for path, name in work]:
                done.result()
    except BaseException:
        _resume(arguments)
        raise


def _resume(_: argparse.Namespace) -> None:
    for path in _sockets().values():
        with Console(path) as console:
            for row in console.ask("SHOW DATABASES"):
                if row.get("paused") == "1":
                    console.ask(f"RESUME {row['name']}")
    _stop_timer()


def _point(arguments: argparse.Namespace) -> None:
    path = FILES[arguments.pools]
    text = path.read_text(encoding="utf-8")
    wanted = HOST.sub(f"host={arguments.address}", text)
    if wanted != text:
        candidate = path.with_name(f".{path.name}.steadfast")
        candidate.write_text(wanted, encoding="utf-8")
        candidate.chmod(0o644)
        candidate.replace(path)
    for number in _processes():
        _load(number)


def _take_over(arguments: argparse.Namespace) -> None:
    """Be the process that serves, once it does, and let the former one wait for its last client."""
    own = RUN / str(arguments.process)
    _wait_for(arguments.process)
    link = RUN / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(own.name)
    link.replace(RUN / "current")
    own.joinpath("draining").unlink(missing_ok=True)
    for number in _processes():
        # A second signal would end it at once.
        asked = RUN / str(number) / "draining"
        if number != arguments.process and not asked.exists():
            asked.touch()
            _signal(number, signal.SIGTERM)


def _wait_for(number: int) -> None:
    """Return as soon as a process answers."""
    deadline = time.monotonic() + START_LIMIT
    while not _answers(number):
        if time.monotonic() > deadline:
            raise ConsoleError(f"process {number} did not answer within {START_LIMIT:g} s")
        time.sleep(0.02)


def _answers(number: int) -> bool:
    try:
        _say(_socket(number), "SHOW VERSION")
    except ConsoleError:
        return False
    return True


def _signal(number: int, what: signal.Signals) -> None:
    """Send a signal to a process, which may have gone already."""
    command = ["systemctl", "show", "--property=MainPID", "--value", f"pgbouncer@{number}.service"]
    process = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if process > 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, what)


def _reload(arguments: argparse.Namespace) -> None:
    _load(arguments.process)


def _load(number: int) -> None:
    """Make a process read its files, and note since when: a file that is newer has not been read."""
    now = time.time()
    if _socket(number).is_socket():
        _say(_socket(number), "RELOAD")
    else:
        _signal(number, signal.SIGHUP)
    os.utime(RUN / str(number) / "loaded", (now, now))


def _say(path: Path, command: str, limit: float = 5.0) -> None:
    with Console(path, limit) as console:
        try:
            console.ask(command)
        except ConsoleError as error:
            raise ConsoleError(f"{command}: {error}") from error


def _names(path: Path) -> list[str]:
    """Return the databases of a process that can be paused."""
    with Console(path) as console:
        return [
            row["name"]
            for row in console.ask("SHOW DATABASES")
            if row["name"] != "pgbouncer" and row.get("pool_mode") == "transaction" and row.get("paused") != "1"
        ]


def _sockets() -> dict[int, Path]:
    """Return the console of each process that runs."""
    return {number: place for number in _processes() if (place := _socket(number)).is_socket()}


def _processes() -> list[int]:
    """Return the processes that run: each has a directory as long as it does."""
    return sorted(int(path.name) for path in RUN.glob("[0-9]"))


def _socket(number: int) -> Path:
    return next(iter(RUN.joinpath(str(number)).glob(".s.PGSQL.*")), RUN / str(number) / "no socket")


def _stop_timer() -> None:
    # One that is not there, or has just run, is as good.
    subprocess.run(["systemctl", "stop", f"{TIMER}.timer"], check=False, capture_output=True)


def _table(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([row.get(name, "") for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


if __name__ == "__main__":
    sys.exit(main())
