#!/usr/bin/python3 -B
# Ansible managed
# By the role replication of steadfast.postgresql.
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one writer of an instance's synchronous set.

Usage:
  synchronous set VERSION CLUSTER PORT EXPECTED [MEMBER ...]
  synchronous watch VERSION CLUSTER PORT HOST SECONDS CANDIDATE ...

"set" makes the members the synchronous standbys and returns once the server works with them; with none, commits wait
for nobody. It refuses when another value than the expected one is in force. "watch" is what a timer runs on every
database host where durability is "preferred"; it acts on the primary alone: once no member of the set has streamed for
the given seconds it leaves in it who streams, or nobody, and restores an empty set when a candidate streams. What was
committed in between can be lost with the primary; each step is a line of the journal. Only one of them works on an
instance at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import steadfast_journal

LIMIT = 15  # seconds for another writer to end, for the server to answer, and for it to work with a new set
STATE = """
SELECT json_build_object('recovery', pg_is_in_recovery(), 'set', current_setting('synchronous_standby_names'),
  'streaming', (SELECT coalesce(json_agg(application_name), '[]') FROM pg_stat_replication WHERE state = 'streaming'))
"""
POSITION = """
SELECT json_build_object('lsn', pg_current_wal_insert_lsn(),
  'timeline', ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int)
"""


def change(version: str, cluster: str, port: str, expected: str, *members: str) -> None:
    """Put a set in force in place of the expected one."""
    with alone(version, cluster):
        found = psql(version, port, "SHOW synchronous_standby_names")
        if found != expected:
            sys.exit(f"the set is {found!r} by now, not {expected!r}: another run or the watch changed it; run again")
        put(version, cluster, port, *members)


def put(version: str, cluster: str, port: str, *members: str) -> None:
    """Write the set's file, reload the server, and wait for the effect."""
    names = ", ".join(f'"{name}"' for name in sorted(members))
    wanted = f"ANY 1 ({names})" if names else ""
    path = Path("/etc/postgresql") / version / cluster / "conf.d" / "30-synchronous.conf"
    replace(path, f"# Written by /usr/local/lib/steadfast/synchronous.\nsynchronous_standby_names = '{wanted}'\n")
    psql(version, port, "SELECT pg_reload_conf()")
    deadline = time.monotonic() + LIMIT
    while psql(version, port, "SHOW synchronous_standby_names") != wanted:
        if time.monotonic() > deadline:
            sys.exit(f"synchronous_standby_names is not {wanted!r} {LIMIT} s after {path} was written and loaded")
        time.sleep(0.05)


def watch(version: str, cluster: str, port: str, host: str, patience: str, *candidates: str) -> None:
    """Look once, and empty or restore the set when it is time."""
    with alone(version, cluster):
        look(version, cluster, port, host, patience, *candidates)


def look(version: str, cluster: str, port: str, host: str, patience: str, *candidates: str) -> None:
    """Do what watch does; nobody else changes the set meanwhile."""
    state = json.loads(psql(version, port, STATE))
    missed = Path("/run/steadfast") / f"no-candidate-{version}-{cluster}"
    if state["recovery"]:
        # What was counted when it was the primary does not count once it is the primary again.
        missed.unlink(missing_ok=True)
        return
    members = re.findall(r'"([^"]+)"', state["set"])
    streaming = sorted(set(candidates) & set(state["streaming"]))
    if set(members) & set(state["streaming"]):
        missed.unlink(missing_ok=True)
    elif not members and streaming:
        missed.unlink(missing_ok=True)
        put(version, cluster, port, *streaming)
        record(version, cluster, port, host, streaming)
    elif members and waited(missed) >= float(patience):
        # Until the change is done a commit may be on any of both.
        record(version, cluster, port, host, sorted({*members, *streaming}) if streaming else [])
        put(version, cluster, port, *streaming)
        record(version, cluster, port, host, streaming)


def waited(missed: Path) -> float:
    """Return for how many seconds no member of the set has streamed; the first look without one starts the count."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    if not missed.exists():
        missed.parent.mkdir(exist_ok=True)
        missed.write_text(f"{now}", encoding="ascii")
    return now - float(missed.read_text(encoding="ascii"))


def record(version: str, cluster: str, port: str, host: str, members: list[str]) -> None:
    """Append what the set is from now on to the host's journal, on disk before it returns."""
    entry: dict[str, Any] = {
        "event": steadfast_journal.SYNCHRONOUS,
        "operation": "watch",
        "operator": "steadfast-watch timer",
        "primary": host,
        "durability": "preferred",
        "to": members,
        "time": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        **json.loads(psql(version, port, POSITION)),
    }
    path = Path("/var/lib/steadfast") / cluster / steadfast_journal.NAME
    steadfast_journal.append(path, entry, same=["to", "durability", "timeline"])


@contextlib.contextmanager
def alone(version: str, cluster: str) -> Iterator[None]:
    """Keep every other writer of the set out; the lock ends with the process at the latest."""
    path = Path("/run/steadfast") / f"synchronous-{version}-{cluster}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="ascii") as stream:
        try:
            refusal = f"another process is changing the synchronous set of {version}/{cluster} (fuser {path} shows it)"
            steadfast_journal.lock(stream.fileno(), refusal, LIMIT)
        except TimeoutError as error:
            sys.exit(str(error))
        yield


def replace(path: Path, text: str) -> None:
    """Replace the file in one step, owned by the server's user, on disk before it returns."""
    owner = pwd.getpwnam("postgres")
    candidate = path.with_name(f".{path.name}.steadfast")
    with candidate.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        os.fchown(stream.fileno(), owner.pw_uid, owner.pw_gid)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    candidate.replace(path)
    steadfast_journal.sync_directory(path.parent)


def psql(version: str, port: str, sql: str) -> str:
    """Run one statement over the local socket as the server's user."""
    owner = pwd.getpwnam("postgres")
    program = f"/usr/lib/postgresql/{version}/bin/psql"
    options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql", "-p", port, "-d", "postgres", "-c", sql]
    done = subprocess.run(
        [program, *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd="/",
        user=owner.pw_uid,
        group=owner.pw_gid,
        extra_groups=[],
    )
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return done.stdout.strip()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "set":
        change(*arguments)
    elif command == "watch":
        watch(*arguments)
    else:
        sys.exit(f"{command} is unknown; write set or watch")
