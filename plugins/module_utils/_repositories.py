# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories that backups and WAL go to: what is wrong with them, and whether they give what applications ask.

A tier is a repository, so that retention is pgBackRest's own: each has its place, passphrase, schedule and days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _schedule, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed, shown
from ansible_collections.steadfast.postgresql.plugins.module_utils._seal import seal

Json = Mapping[str, Any]

REPOSITORIES = "postgresql_backup_repositories"
SUSPENDED = "postgresql_backup_suspended_repositories"
APPLICATIONS = "postgresql_applications"

POSIX, S3 = "posix", "s3"
HOME = "/srv/pgbackrest"
"""Where repositories lie that name no path; the package keeps its own folder for the server's user."""
MOST = 4
"""pgBackRest 2.55 takes 256 of them; each costs an upload of every WAL segment, and nobody has named a fifth tier."""
PASSPHRASE_LENGTH = 20  # characters at least
FULL = "full"
KINDS = (FULL, "differential", "incremental")
S3_NEEDED = ("bucket", "endpoint", "region", "key", "key_secret")

# A repository's directory is given to its user.
_SYSTEM = {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"}
_SHARED = {"/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/backups", "/var/lib", "/var/log", HOME}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_AT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Repository:
    """A repository without its secrets.

    Attributes:
        number: pgBackRest's repoN, from 1.
        name: what timers, commands and findings call it.
        type: posix (a directory of the repository host) or s3.
        path: directory, or prefix in the bucket.
        retention_days: days that a full backup is kept after the next one.
        point_in_time: whether all WAL of these days is kept, or only what makes each backup consistent.
        schedule: calendar events by kind of backup.
        s3: bucket, endpoint and region, how they are reached.
        suspended: whether it is taken out deliberately.
        seal: of its passphrase, to compare it with the one that a host has.
    """

    number: int
    name: str
    type: str
    path: str
    retention_days: int
    point_in_time: bool
    schedule: Mapping[str, str]
    s3: Json
    suspended: bool = False
    seal: str = ""

    @property
    def place(self) -> list[str]:
        """Where it lies: what a host's configuration of it says as well."""
        return [self.path, self.s3.get("bucket") or "", self.s3.get("endpoint") or ""]

    def longest_gap(self, *kinds: str) -> timedelta | None:
        """The longest time between two backups of these kinds; None when there are none."""
        gaps = [_schedule.parse(text).longest_gap() for kind in kinds if (text := self.schedule.get(kind, ""))]
        known = [gap for gap in gaps if gap is not None]
        return min(known) if known else None


NOTHING: Json = {"answers": True, "error": "", "stanza": False, "systems": [], "full": None}
"""What is seen of a repository that no configuration has."""


def resolve(given: Sequence[Json], suspended: Sequence[str], cluster: str) -> list[Repository]:
    """Return the repositories of a cluster, which are without mistakes; what they do not say has its default."""
    return [
        _resolve(number, item, item["name"] in suspended, cluster)
        for number, item in zip(numbers(given), given, strict=True)
    ]


def _resolve(number: int, item: Json, suspended: bool, cluster: str) -> Repository:
    found = Repository(
        number=number,
        name=item["name"],
        type=item["type"],
        path=item["path"] or default_path(item["type"], cluster, item["name"]),
        retention_days=item["retention_days"],
        point_in_time=item["point_in_time"],
        schedule={kind: _schedule.parse(text).text for kind in KINDS if (text := item["schedule"].get(kind))},
        s3={key: value for key, value in (item["s3"] or {}).items() if key not in {"key", "key_secret"}},
        suspended=suspended,
    )
    return replace(found, seal=seal(item["passphrase"], sealed_for(cluster, found.place)))


def numbers(given: Sequence[Json]) -> list[int]:
    """Return the number of each repository: the one that it names, else the lowest that none of them names."""
    named = {item.get("number") for item in given}
    others = (number for number in count(1) if number not in named)
    return [item.get("number") or next(others) for item in given]


def sealed_for(cluster: str, place: Sequence[str]) -> str:
    """Return what the seal of a repository's passphrase is salted with."""
    return " ".join([cluster, *place])


def default_path(kind: str, cluster: str, name: str) -> str:
    """Where a repository lies that names no path."""
    return f"/{cluster}/{name}" if kind == S3 else f"{HOME}/{cluster}/{name}"


def check(given: Sequence[Json | None], suspended: Sequence[str], cluster: str) -> Iterator[Mistake]:
    """Yield what is wrong with the repositories of a cluster.

    Args:
        given: the list of the inventory, converted; None for an entry whose types are wrong.
        suspended: names of those that are taken out.
        cluster: name of the cluster.
    """
    if len(given) > MOST:
        yield Mistake(REPOSITORIES, f"holds {len(given)} repositories; write at most {MOST}")
    known = {index: item for index, item in enumerate(given) if item is not None}
    for index, item in known.items():
        yield from _one(f"{REPOSITORIES}[{index}]", item)
    yield from _alike(known, "name", "name", "give each a name of its own")
    yield from _alike(known, "number", "number", "write another one, or none")
    yield from _alike(known, "passphrase", "passphrase", "give each its own, so that one that leaks opens one")
    yield from _same_place(known, cluster)
    names = [item.get("name") for item in known.values()]
    for index, name in enumerate(suspended):
        if name not in names:
            yield Mistake(f"{SUSPENDED}[{index}]", f"{name} is no repository; write one of {listed(names)}")
    if names and set(names) <= set(suspended):
        text = "takes out every repository, and no WAL would be kept anywhere; leave one in"
        yield Mistake(SUSPENDED, text)


def _one(path: str, item: Json) -> Iterator[Mistake]:
    name, passphrase = item.get("name"), item.get("passphrase")
    if name is not None and not _NAME.fullmatch(name):
        text = f"{shown(name)} is no name; write a-z, 0-9 and _, a letter first, at most 32 characters"
        yield Mistake(f"{path}.name", text)
    if passphrase is not None and len(passphrase) < PASSPHRASE_LENGTH:
        is_what = f"has {len(passphrase)} characters" if passphrase else "is empty"
        advice = f"write at least {PASSPHRASE_LENGTH}, from a secrets manager or an environment variable"
        yield Mistake(f"{path}.passphrase", f"{is_what}; {advice}")
    yield from _written(path, item)
    number = item.get("number")
    if number and not 1 <= number <= MOST:
        yield Mistake(
            f"{path}.number", f"{number} is no number of a repository; write 1 to {MOST}, or 0 for a free one"
        )
    days = item.get("retention_days")
    if days is not None and days < 1:
        yield Mistake(f"{path}.retention_days", f"{days} keeps nothing; write the days to keep, at least 1")
    place = item.get("path") or "/x"
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", place) or ".." in place:
        yield Mistake(f"{path}.path", f"{shown(place)} is no absolute path; write such as /srv/backup/main")
    elif item.get("type") == POSIX and (place in _SHARED or place.split("/")[1] in _SYSTEM):
        text = f"{place} belongs to the system, and the repository would take it over; write a directory of its own"
        yield Mistake(f"{path}.path", f"{text}, such as /srv/backup/main")
    yield from _s3(path, item)
    yield from _schedules(f"{path}.schedule", item.get("schedule"))


def _written(path: str, item: Json) -> Iterator[Mistake]:
    """Yield what does not survive in pgBackRest's configuration: it takes a line, and drops blanks at its ends."""
    s3 = item.get("s3") or {}
    texts = {"passphrase": item.get("passphrase"), **{f"s3.{key}": s3.get(key) for key in S3_NEEDED}}
    for key, text in texts.items():
        if text and (text != text.strip() or not text.isprintable()):
            advice = "pgBackRest reads one line, and drops blanks at its ends; write it without"
            yield Mistake(
                f"{path}.{key}", f"holds a line break, another control character or a blank at an end; {advice}"
            )
    if "/" in (s3.get("endpoint") or ""):
        yield Mistake(f"{path}.s3.endpoint", f"{shown(s3['endpoint'])} is no host; write its name or address alone")


def _s3(path: str, item: Json) -> Iterator[Mistake]:
    s3 = item.get("s3") or {}
    if item.get("type") == S3:
        for key in S3_NEEDED:
            if not s3.get(key):
                yield Mistake(f"{path}.s3.{key}", "is missing, and object storage is not reached without it; write it")
    elif item.get("type") == POSIX and any(s3.get(key) for key in S3_NEEDED):
        yield Mistake(f"{path}.s3", f"says where object storage is, but the type is {POSIX}; write type: {S3}")


def _schedules(path: str, schedule: Json | None) -> Iterator[Mistake]:
    if schedule is None:
        return
    if not schedule.get(FULL):
        text = f"is missing, and without full backups there is nothing to restore; write one, {_schedule.EXAMPLE}"
        yield Mistake(f"{path}.{FULL}", text)
    for kind in KINDS:
        event = str(schedule.get(kind) or "daily")
        try:
            gap = _schedule.parse(event).longest_gap()
        except _schedule.ScheduleError as error:
            yield Mistake(f"{path}.{kind}", f"{shown(event)} {error}")
            continue
        if gap is None:
            yield Mistake(f"{path}.{kind}", f"{shown(event)} never happens; write one that does, {_schedule.EXAMPLE}")


def _alike(known: Mapping[int, Json], key: str, what: str, advice: str) -> Iterator[Mistake]:
    holders: dict[Any, list[int]] = {}
    for index, item in known.items():
        if item.get(key):
            holders.setdefault(item[key], []).append(index)
    for indexes in holders.values():
        for index in indexes[1:]:
            text = f"is the {what} of {REPOSITORIES}[{indexes[0]}] as well; {advice}"
            yield Mistake(f"{REPOSITORIES}[{index}].{key}", text)


def _same_place(known: Mapping[int, Json], cluster: str) -> Iterator[Mistake]:
    """Two repositories in one place would overwrite each other; one inside the other would be listed as a stanza."""
    places = {
        index: (_store(item), (item.get("path") or default_path(item["type"], cluster, str(item.get("name")))))
        for index, item in known.items()
        if item.get("type")
    }
    for index, (store, path) in places.items():
        for earlier, (other_store, other) in places.items():
            if earlier >= index or store != other_store:
                continue
            if f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/"):
                text = f"{path} overlaps {other} of {REPOSITORIES}[{earlier}]; write a place of its own"
                yield Mistake(f"{REPOSITORIES}[{index}].path", text)


def _store(item: Json) -> tuple[str, ...]:
    s3 = (item.get("s3") or {}) if item["type"] == S3 else {}
    return (item["type"], str(s3.get("endpoint")), str(s3.get("bucket")))


@dataclass(frozen=True)
class Objectives:
    """What an application asks of backups; 0 and "" ask nothing.

    Attributes:
        application: its name.
        rpo: the most that may be lost with everything in one place, a time with a unit.
        retention_days: days that a backup is kept.
        point_in_time_days: days of which every moment can be restored.
        full_backup_hours: hours between two full backups at most.
        full_backup_at: a time of day, UTC, at which a full backup begins.
    """

    application: str
    rpo: str = ""
    retention_days: int = 0
    point_in_time_days: int = 0
    full_backup_hours: int = 0
    full_backup_at: str = ""

    @classmethod
    def of(cls, application: Json) -> Objectives:
        """Return what an entry of postgresql_applications asks."""
        given = application.get("objectives") or {}
        keys = ("rpo", "retention_days", "point_in_time_days", "full_backup_hours", "full_backup_at")
        return cls(application["name"], **{key: given[key] for key in keys if given.get(key)})


def gaps(
    objectives: Sequence[Objectives], repositories: Sequence[Repository], archive_timeout: int
) -> Iterator[Mistake]:
    """Yield what applications ask and the repositories do not give, with both figures.

    Args:
        objectives: those of each application.
        repositories: all of the cluster; a suspended one gives nothing.
        archive_timeout: seconds after which an unfilled WAL segment is archived (archive_timeout); 0 for never.
    """
    live = [repository for repository in repositories if not repository.suspended]
    for index, asked in enumerate(objectives):
        path = f"{APPLICATIONS}[{index}].objectives"
        yield from _rpo(path, asked, live, archive_timeout)
        yield from _days(path, asked, live)
        yield from _fulls(path, asked, live)


def _rpo(path: str, asked: Objectives, live: Sequence[Repository], archive_timeout: int) -> Iterator[Mistake]:
    if not asked.rpo:
        return
    try:
        seconds = _units.parse_integer(asked.rpo, "s")
    except _units.NumberError as error:
        yield Mistake(f"{path}.rpo", f"{shown(asked.rpo)} {error}; write such as 15min or 1h")
        return
    what = f"{asked.application} may lose {asked.rpo}"
    if not live:
        yield Mistake(f"{path}.rpo", f"{what}, but WAL is archived nowhere; write {REPOSITORIES}")
    elif not archive_timeout:
        text = "but an unfilled WAL segment is never archived (archive_timeout is 0)"
        yield Mistake(f"{path}.rpo", f"{what}, {text}; write archive_timeout: {asked.rpo} or less")
    elif archive_timeout > seconds:
        text = f"but WAL is archived only every {archive_timeout}s (archive_timeout)"
        yield Mistake(f"{path}.rpo", f"{what}, {text}; write archive_timeout: {asked.rpo} or less, or a larger rpo")


def _days(path: str, asked: Objectives, live: Sequence[Repository]) -> Iterator[Mistake]:
    kept = max((repository.retention_days for repository in live), default=0)
    if asked.retention_days > kept:
        text = f"{asked.application} asks for {asked.retention_days} days of backups, and the repositories keep {kept}"
        yield Mistake(f"{path}.retention_days", f"{text}; raise retention_days of one of them")
    moments = max((repository.retention_days for repository in live if repository.point_in_time), default=0)
    if asked.point_in_time_days > moments:
        text = (
            f"{asked.application} asks for every moment of {asked.point_in_time_days} days, and the repositories keep"
        )
        yield Mistake(
            f"{path}.point_in_time_days",
            f"{text} the WAL of {moments}; raise retention_days of one with point_in_time: true",
        )


def _fulls(path: str, asked: Objectives, live: Sequence[Repository]) -> Iterator[Mistake]:
    if asked.full_backup_hours:
        every = [gap for repository in live if (gap := repository.longest_gap(FULL))]
        hours = min(every) / timedelta(hours=1) if every else None
        if hours is None or hours > asked.full_backup_hours:
            have = f"the closest are {hours:g} hours apart" if hours else "there is none"
            text = f"{asked.application} asks for a full backup every {asked.full_backup_hours} hours, and {have}"
            yield Mistake(f"{path}.full_backup_hours", f"{text}; add a full to the schedule of a repository")
    if asked.full_backup_at:
        found = _AT.fullmatch(asked.full_backup_at)
        if not found:
            text = f"{shown(asked.full_backup_at)} is no time of day; write hours and minutes in UTC, such as '02:00'"
            yield Mistake(f"{path}.full_backup_at", text)
            return
        minute = int(found[1]) * 60 + int(found[2])
        times = {time for repository in live for time in _schedule.parse(repository.schedule[FULL]).times}
        if minute not in times:
            have = listed(f"{time // 60:02}:{time % 60:02}" for time in sorted(times)) or "never"
            text = f"{asked.application} asks for a full backup at {asked.full_backup_at} UTC, and they begin at {have}"
            yield Mistake(f"{path}.full_backup_at", f"{text}; change the schedule of a repository")
