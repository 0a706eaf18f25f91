#!/usr/bin/python3
# Ansible managed
# By the role backup of steadfast.postgresql.
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for what no exit status says: holes in the WAL, damaged backups, backups and WAL that are late.

Usage:
  check_archive repository|verify|database CONFIG [--json]

"repository" runs on the repository host and looks at the lists of backups and of WAL; "verify" has pgBackRest read all
that the repositories hold, which takes as long as a restore. "database" runs on each database host and looks at the
archiver and at the disk of pg_wal. Each finding is one line of words; the last line says how it stands. The exit status
is 1 when something is wrong. The same is written as metrics, in Prometheus' text format. With --json only the findings
are printed, as JSON, and nothing is written.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

LIMIT = 60  # seconds for an answer that costs little
INFO_LIMIT = 15  # seconds for the list of backups
UNKNOWN = 99  # pgBackRest's status of a repository that it cannot read
VERIFY_LIMIT = 24 * 3600
DAY, HOUR = 86400, 3600
ROOM_ALARM = 0.70  # share of pg_wal's file system that is used
WORDS = 300  # characters of what a program says
LATE_ARCHIVE = 10  # archive_timeouts without an archived segment while some wait
SEGMENT = re.compile(r"(?P<id>[^/]+)/[0-9A-F]{16}/(?P<name>[0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?")
HISTORY = re.compile(r"(?P<id>[^/]+)/(?P<timeline>[0-9A-F]{8})\.history")
LSN_BITS = 32
NO_LIST = {"repository_down", "repository_empty"}  # findings of a repository in which there is nothing to list

FAILED_UNITS = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend"]

ARCHIVER = """
SELECT json_build_object(
  'recovery', pg_is_in_recovery(),
  'command', current_setting('archive_command'),
  'timeout', extract(epoch FROM current_setting('archive_timeout')::interval),
  'archived', (SELECT extract(epoch FROM now() - last_archived_time) FROM pg_stat_archiver),
  'failed', (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
    FROM pg_stat_archiver),
  'failed_wal', (SELECT last_failed_wal FROM pg_stat_archiver),
  'waiting', count(*), 'oldest', extract(epoch FROM now() - min(modification)))
FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
"""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: a name for metrics, and words."""

    name: str
    text: str


@dataclass(frozen=True)
class Metric:
    """A figure for Prometheus."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"steadfast_{self.name}{{{labels}}} {self.value:.17g}"


@dataclass(frozen=True)
class Archive:
    """The WAL that a repository holds for one version of a cluster.

    Attributes:
        segments: numbers of the segments that it holds, by timeline.
        history: a timeline's ancestors, each with the number of the segment where it was left.
    """

    segments: Mapping[int, frozenset[int]]
    history: Mapping[int, Mapping[int, int]]


class WalNames:
    """Names of WAL segments as numbers, for one size of segments."""

    def __init__(self, size: int) -> None:
        """Count in segments of a size in bytes."""
        self.size = size
        self.per_log = (1 << LSN_BITS) // size

    def number(self, name: str) -> tuple[int, int]:
        """Return a segment's timeline and number."""
        return int(name[:8], 16), int(name[8:16], 16) * self.per_log + int(name[16:24], 16)

    def of_lsn(self, lsn: str) -> int:
        """Return the number of the segment that holds a position."""
        high, low = (int(half, 16) for half in lsn.split("/"))
        return ((high << LSN_BITS) + low) // self.size

    def name(self, timeline: int, number: int) -> str:
        """Return a segment's name."""
        return f"{timeline:08X}{number // self.per_log:08X}{number % self.per_log:08X}"


def archives(listed: Iterable[str], names: WalNames, history: Callable[[str], str]) -> dict[str, Archive]:
    """Return what a repository holds, by its archive's ID.

    Args:
        listed: paths below the stanza's archive.
        names: reads the names of segments.
        history: returns the text of a timeline's history file.
    """
    segments: dict[str, dict[int, set[int]]] = {}
    histories: dict[str, dict[int, dict[int, int]]] = {}
    for path in listed:
        if found := SEGMENT.fullmatch(path):
            timeline, number = names.number(found["name"])
            segments.setdefault(found["id"], {}).setdefault(timeline, set()).add(number)
        elif found := HISTORY.fullmatch(path):
            lines = [line.split() for line in history(path).splitlines() if line.strip()]
            ancestors = {int(line[0]): names.of_lsn(line[1]) for line in lines}
            histories.setdefault(found["id"], {})[int(found["timeline"], 16)] = ancestors
    return {
        name: Archive({timeline: frozenset(held) for timeline, held in by_timeline.items()}, histories.get(name, {}))
        for name, by_timeline in segments.items()
    }


def missing(archive: Archive, timeline: int, first: int, last: int | None) -> list[tuple[int, int]]:
    """Return the segments that a recovery from one segment on would not find, as timeline and number.

    A recovery follows the ancestors of a timeline up to where each was left; the segment of a switch is in both.

    Args:
        archive: what is held.
        timeline: where the recovery ends.
        first: number of the segment where it begins.
        last: number of the segment where it ends; None for the newest one that is held.
    """
    held: dict[int, int] = {}
    ancestors = archive.history.get(timeline, {})
    for step in [*sorted(ancestors), timeline]:
        kept = archive.segments.get(step, frozenset())
        held |= {number: step for number in kept if number <= ancestors.get(step, number)}
    end = last if last is not None else max(held, default=first)
    found, inside = [], timeline
    for number in range(end, first - 1, -1):
        inside = held.get(number, inside)
        if number not in held:
            found.append((inside, number))
    return found[::-1]


def ranges(found: list[tuple[int, int]], names: WalNames) -> str:
    """Word missing segments: runs of them as from .. to."""
    runs: list[list[tuple[int, int]]] = []
    for step in found:
        if runs and runs[-1][-1] == (step[0], step[1] - 1):
            runs[-1].append(step)
        else:
            runs.append([step])
    words = [names.name(*run[0]) + (f" to {names.name(*run[-1])}" if len(run) > 1 else "") for run in runs]
    return ", ".join(words)


def check_wal(repository: Json, info: Json, held: Mapping[str, Archive], names: WalNames) -> Iterator[Finding]:
    """Yield holes in the WAL of a repository: within each backup, and from the oldest one on.

    A repository without point-in-time recovery keeps the WAL since its newest full backup only. A hole before that
    backup can be mended no more, and what follows it can be restored: that is another finding.
    """
    backups = backups_of(repository, info)
    versions = {item["id"]: f"{item['version']}-{item['id']}" for item in info.get("db", [])}
    for backup in backups:
        archive = held.get(versions.get(backup["database"]["id"], ""), Archive({}, {}))
        timeline, first = names.number(backup["archive"]["start"])
        _, last = names.number(backup["archive"]["stop"])
        if lost := missing(archive, timeline, first, last):
            text = f"backup {backup['label']} in {repository['name']} cannot be restored"
            yield Finding("backup_wal_missing", f"{text}: WAL {ranges(lost, names)} is missing")
    fulls = [backup for backup in backups if backup["type"] == "full"]
    starts = fulls if repository["point_in_time"] else fulls[-1:]
    if not starts:
        return
    archive = held.get(versions.get(starts[0]["database"]["id"], ""), Archive({}, {}))
    _, first = names.number(starts[0]["archive"]["start"])
    if not archive.segments:
        return  # said above, for each backup
    _, newest = names.number(fulls[-1]["archive"]["start"])
    lost = missing(archive, max(archive.segments), first, None)
    text = f"no recovery in {repository['name']} crosses the missing WAL {{}}: {{}}"
    if after := [step for step in lost if step[1] >= newest]:
        yield Finding("wal_gap", text.format(ranges(after, names), "run a full backup now"))
    if before := [step for step in lost if step[1] < newest]:
        what = f"all since backup {fulls[-1]['label']} can be restored, and the gap leaves with the backups before it"
        yield Finding("wal_gap_before", text.format(ranges(before, names), what))


def backups_of(repository: Json, info: Json) -> list[Json]:
    """Return the backups of a repository, the oldest first."""
    return [backup for backup in info.get("backup", []) if backup["database"]["repo-key"] == repository["number"]]


def check_backups(repository: Json, info: Json, now: float) -> Iterator[Finding | Metric]:
    """Yield whether a repository answers, and how old its backups are."""
    name, number = repository["name"], repository["number"]
    label = (("repository", name),)
    status: Json = next((item["status"] for item in info.get("repo", []) if item["key"] == number), {})
    answers = status.get("code", UNKNOWN) in {0, 2}  # 2: no backup yet
    yield Metric("repository_up", float(answers), label)
    if status.get("code") in {1, 3}:  # no folder of the stanza, or none of its files
        text = f"repository {name} holds nothing of this cluster: run site.yml, which begins it anew"
        yield Finding("repository_empty", text)
        return
    if not answers:
        yield Finding(
            "repository_down", f"repository {name} does not answer: {said(status.get('message', 'no status'))}"
        )
        return
    backups = backups_of(repository, info)
    for kinds, limit, what in (
        (("full",), repository["full_seconds"], "full backup"),
        (("full", "diff", "incr"), repository["any_seconds"], "backup"),
    ):
        stops = [backup["timestamp"]["stop"] for backup in backups if backup["type"] in kinds and not backup["error"]]
        age = now - max(stops) if stops else None
        metric = "full_backup_age_seconds" if kinds == ("full",) else "backup_age_seconds"
        yield Metric(metric, age if age is not None else float("inf"), label)
        if age is None:
            yield Finding("no_backup", f"repository {name} holds no {what}: run run_backup")
            return
        if limit and age > limit:
            text = f"the newest {what} in {name} is {duration(age)} old, and is due every {duration(limit)}"
            yield Finding("backup_late", f"{text}: look at its timer's journal")
    for backup in backups:
        if backup["error"]:
            text = f"backup {backup['label']} in {name} holds pages whose checksums were wrong on the server"
            yield Finding("backup_page_errors", f"{text}: look for damage there before it spreads")


def said(message: str) -> str:
    """Return pgBackRest's first line; those after it can repeat what it failed to decrypt."""
    first = message.partition("\n")[0].rstrip(":")
    hint = ": it was written with another passphrase, or is damaged" if "unable to load info file" in first else ""
    return first + hint


def check_verified(name: str, text: str) -> Iterator[Finding]:
    """Yield what pgBackRest's verify reports; its exit status is 0 whatever it finds."""
    if not re.search(r"^status: (ok|error)$", text, re.MULTILINE):
        yield Finding("verify_failed", f"verify of {name} ended without a status: {' '.join(text.split())[-200:]}")
        return
    item, told = "", False
    for line in text.splitlines():
        if found := re.match(r"\s+(backup: \S+?|archiveId: \S+?), ", line):
            item = found[1]
        counts = re.findall(r"(missing|checksum invalid|size invalid|other): ([1-9]\d*)", line)
        bad = re.search(r"status: (invalid|in-progress|manifest missing)", line)
        if bad and not counts:
            continue  # the next line counts
        if counts:
            told = True
            words = ", ".join(f"{count} {what}" for what, count in counts)
            yield Finding("damaged", f"verify finds damage in {name}, {item.replace(': ', ' ')}: {words}")
    if not told and "status: error" in text:
        yield Finding("damaged", f"verify finds damage in {name}: {' '.join(text.split())[-200:]}")


def check_archiver(state: Json, config: Json) -> Iterator[Finding | Metric]:
    """Yield how the archiver of a primary does."""
    yield Metric("archive_waiting_segments", state["waiting"])
    if state["recovery"]:
        return
    yield Metric("archive_age_seconds", state["archived"] if state["archived"] is not None else float("inf"))
    if state["command"] != config["archive_command"]:
        text = f"archive_command is {state['command']!r} and should be {config['archive_command']!r}"
        yield Finding(
            "archive_command", f"{text}: WAL does not reach the repositories. ALTER SYSTEM RESET archive_command"
        )
    if state["failed"]:
        why = last_words(Path(config["spool"]))
        text = f"archiving fails: {state['waiting']} segments wait, {state['failed_wal']} failed last"
        yield Finding("archive_failing", f"{text}: {why}" if why else text)
    elif state["oldest"] and state["oldest"] > LATE_ARCHIVE * state["timeout"]:
        text = f"{state['waiting']} WAL segments wait for the archive, the oldest since {duration(state['oldest'])}"
        yield Finding("archive_late", text)


def last_words(spool: Path) -> str:
    """Return why pgBackRest could not archive last: the first error in what its push left in the spool."""
    errors = sorted(spool.glob("*.error"), key=lambda path: path.stat().st_mtime)
    lines = errors[-1].read_text(encoding="utf-8", errors="replace").splitlines()[1:] if errors else []
    found = next((line for line in lines if line.startswith("repo")), lines[0] if lines else "")
    return found[:WORDS]


def check_room(directory: Path, emergency: Path | None) -> Iterator[Finding | Metric]:
    """Yield how full the file system of pg_wal is."""
    found = os.statvfs(directory)
    taken = found.f_blocks - found.f_bfree
    used = taken / (taken + found.f_bavail)
    yield Metric("wal_disk_used_ratio", used)
    if used > ROOM_ALARM:
        spare = f" In need, delete {emergency}." if emergency and emergency.exists() else ""
        text = f"{used:.0%} of pg_wal's file system is used; a full one stops the server."
        yield Finding("wal_disk", f"{text} See why WAL is kept (archive, slots), or enlarge it.{spare}")
    if emergency:
        yield Metric("emergency_file", float(emergency.exists()))
        if not emergency.exists():
            yield Finding(
                "emergency_file", f"the emergency file {emergency} was used: free room, then run site to make it again"
            )


def duration(seconds: float) -> str:
    """Word a number of seconds by its largest unit."""
    for size, unit in ((DAY, "days"), (HOUR, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


class CommandError(Exception):
    """A program did not do what it should; the text holds its words."""


def run(command: list[str], limit: float = LIMIT) -> str:
    """Run a program and return what it printed."""
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise CommandError(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[0]} did not end within {limit:.0f} s") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise CommandError(f"{command[0]} ended with status {done.returncode}: {words[-300:]}")
    return done.stdout


def check_units(failed: str, repositories: Iterable[str]) -> Iterator[Finding]:
    """Yield the units whose last run failed, from systemctl's list; not those of repositories that are no more."""
    present = tuple(f"steadfast-backup@{name}-" for name in repositories)
    for unit in (line.split()[0] for line in failed.splitlines() if line.strip()):
        if unit.startswith(present) or not unit.startswith("steadfast-backup@"):
            yield Finding("unit_failed", f"the last run of {unit} failed: journalctl -u {unit} says why")


def info_of(stanza: str, number: int) -> Json:
    """Return what pgBackRest knows of a repository; of one that does not answer in time, that."""
    command = ["pgbackrest", f"--stanza={stanza}", f"--repo={number}", "--output=json", "info"]
    try:
        found: Json = parsed(run(command, INFO_LIMIT))[0]
    except CommandError as error:
        return {"repo": [{"key": number, "status": {"code": UNKNOWN, "message": str(error)}}]}
    return found


def parsed(text: str) -> Any:
    """Read JSON of pgBackRest, whose messages can hold the bytes of a file that it could not decrypt."""
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise CommandError(f"pgbackrest's answer cannot be read: {error}") from error


def look_at_repositories(config: Json) -> Iterator[Finding | Metric]:
    """Yield all that the lists of backups and of WAL say, and which unit failed."""
    failed = run([*FAILED_UNITS, "steadfast-backup@*", "steadfast-verify-*"])
    yield from check_units(failed, [repository["name"] for repository in config["repositories"]])
    names = WalNames(config["wal_segment_bytes"])
    stanza = config["stanza"]
    live = [repository["number"] for repository in config["repositories"] if not repository["suspended"]]
    # Each on its own, all at once: one that does not answer hides and delays nothing of the others.
    with ThreadPoolExecutor(max_workers=max(1, len(live))) as pool:
        infos = dict(zip(live, pool.map(lambda number: info_of(stanza, number), live), strict=True))
    for repository in config["repositories"]:
        name, number = repository["name"], repository["number"]
        yield Metric("repository_suspended", float(repository["suspended"]), (("repository", name),))
        if repository["suspended"]:
            yield Finding(
                "suspended", f"repository {name} is suspended: it gets no WAL and no backups until it is back"
            )
            continue
        info = infos[number]
        found = list(check_backups(repository, info, time.time()))
        yield from found
        if any(isinstance(item, Finding) and item.name in NO_LIST for item in found):
            continue
        try:
            yield from check_wal(
                repository, info, archives(listed(stanza, number), names, reader(stanza, number)), names
            )
        except CommandError as error:
            yield Finding("repository_unreadable", f"repository {name} cannot be read: {error}")


def look_inside(config: Json) -> Iterator[Finding | Metric]:
    """Yield what pgBackRest finds when it reads everything."""
    for repository in config["repositories"]:
        if repository["suspended"]:
            continue
        try:
            yield from check_verified(repository["name"], verified(config["stanza"], repository["number"]))
        except CommandError as error:
            yield Finding("verify_failed", f"repository {repository['name']} cannot be verified: {error}")


def listed(stanza: str, number: int) -> list[str]:
    """Return the paths below a stanza's archive."""
    command = ["pgbackrest", f"--repo={number}", "--recurse", "--output=json", "repo-ls", f"archive/{stanza}"]
    return list(parsed(run(command)))


def reader(stanza: str, number: int) -> Callable[[str], str]:
    """Return a function that reads a file below a stanza's archive."""
    base = ["pgbackrest", f"--stanza={stanza}", f"--repo={number}", "repo-get"]
    return lambda path: run([*base, f"archive/{stanza}/{path}"])


def verified(stanza: str, number: int) -> str:
    """Return what pgBackRest says of all that a repository holds, without the same in its log."""
    options = ["--verbose", "--output=text", "--log-level-console=off"]
    return run(["pgbackrest", f"--stanza={stanza}", f"--repo={number}", *options, "verify"], VERIFY_LIMIT)


def look_at_database(config: Json) -> Iterator[Finding | Metric]:
    """Yield all that concerns the archiver and the disk of pg_wal."""
    emergency = Path(config["emergency_file"]) if config["emergency_file"] else None
    yield from check_room(Path(config["wal_directory"]), emergency)
    command = ["psql", "-XAtqc", ARCHIVER, f"host=/var/run/postgresql port={config['port']} dbname=postgres"]
    try:
        yield from check_archiver(json.loads(run(command)), config)
    except CommandError as error:
        yield Finding("server_down", f"the server does not answer: {error}")


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Replace the file of metrics in one step."""
    candidate = path.with_name(f".{path.name}")
    candidate.write_text("".join(f"{metric}\n" for metric in metrics), encoding="utf-8")
    candidate.chmod(0o644)
    candidate.replace(path)


DUTIES = {"repository": look_at_repositories, "verify": look_inside, "database": look_at_database}


def main(arguments: list[str]) -> int:
    """Look, print, write the metrics; return 1 when something is wrong."""
    if len(arguments) < 2 or arguments[0] not in DUTIES or arguments[2:] not in ([], ["--json"]):
        sys.exit(__doc__)
    duty, path, *options = arguments
    config: Json = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        found = list(DUTIES[duty](config))
    except CommandError as error:
        found = [Finding("check_failed", str(error))]
    findings = [item for item in found if isinstance(item, Finding)]
    if options:
        print(json.dumps([asdict(finding) for finding in findings]))  # noqa: T201
    else:
        report(config, duty, found, findings)
    return 1 if findings else 0


def report(config: Json, duty: str, found: Iterable[Finding | Metric], findings: list[Finding]) -> None:
    """Write the metrics and print one line for each finding."""
    cluster = (("cluster", config["cluster"]),)
    metrics = [Metric(item.name, item.value, cluster + item.labels) for item in found if isinstance(item, Metric)]
    names = sorted({finding.name for finding in findings})
    metrics += [Metric("archive_finding", 1, (*cluster, ("duty", duty), ("finding", name))) for name in names]
    metrics += [Metric("archive_checked_at", time.time(), (*cluster, ("duty", duty)))]
    write_metrics(Path(config["metrics"]) / f"steadfast_{config['cluster']}_{duty}.prom", metrics)
    for finding in findings:
        print(finding.text)  # noqa: T201
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    print(count if findings else "nothing is wrong")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
