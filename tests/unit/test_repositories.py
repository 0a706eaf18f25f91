"""Repositories: every mistake with its exact words, and what applications ask against what the repositories give."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight_backup, _repositories
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import Objectives

R = "postgresql_backup_repositories"
EXAMPLE = "such as daily, 'Sun 02:00', 'Mon..Sat 02:00' or '*-*-01 03:30'"
ONE_LINE = (
    "holds a line break, another control character or a blank at an end; pgBackRest reads one line, and drops blanks "
    "at its ends; write it without"
)
BUCKET = {"bucket": "b", "endpoint": "s3.example.com", "region": "us-west-2", "key": "k", "key_secret": "s"}


def posix(**changes: Any) -> dict[str, Any]:
    return {
        "name": "daily",
        "type": "posix",
        "path": "",
        "passphrase": "correct horse battery staple",
        "retention_days": 30,
        "point_in_time": True,
        "schedule": {"full": "daily", "differential": "", "incremental": "hourly"},
        "s3": None,
    } | changes


def s3(**changes: Any) -> dict[str, Any]:
    return posix(name="offsite", type="s3", passphrase="another horse and its staple", s3=BUCKET) | changes


def mistakes(*given: dict[str, Any] | None, suspended: tuple[str, ...] = ()) -> list[str]:
    return [f"{found.variable}: {found.text}" for found in _repositories.check(given, suspended, "main")]


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in BUCKET.items() if name != key}


def test_nothing_is_wrong() -> None:
    assert mistakes(posix(), s3()) == []
    assert mistakes() == []


WRONG = [
    (
        [posix(name="Daily")],
        f'{R}[0].name: "Daily" is no name; write a-z, 0-9 and _, a letter first, at most 32 characters',
    ),
    (
        [posix(), s3(name="daily")],
        f"{R}[1].name: is the name of {R}[0] as well; give each a name of its own",
    ),
    (
        [posix(passphrase="")],
        f"{R}[0].passphrase: is empty; write at least 20, from a secrets manager or an environment variable",
    ),
    (
        [posix(passphrase="short")],
        f"{R}[0].passphrase: has 5 characters; write at least 20, from a secrets manager or an environment variable",
    ),
    (
        [posix(), s3(passphrase="correct horse battery staple")],
        f"{R}[1].passphrase: is the passphrase of {R}[0] as well; give each its own, so that one that leaks opens one",
    ),
    *(
        ([posix(passphrase=text)], f"{R}[0].passphrase: {ONE_LINE}")
        for text in (
            "twenty characters and\nanother line",
            " a blank at the beginning",
            "at the end\t of a long one \t",
        )
    ),
    ([s3(s3=BUCKET | {"key": "k "})], f"{R}[0].s3.key: {ONE_LINE}"),
    (
        [s3(s3=BUCKET | {"endpoint": "https://s3.example.com"})],
        f'{R}[0].s3.endpoint: "https://s3.example.com" is no host; write its name or address alone',
    ),
    *(
        (
            [posix(path=text)],
            f"{R}[0].path: {text} belongs to the system, and the repository would take it over; write a directory of "
            "its own, such as /srv/backup/main",
        )
        for text in ("/etc", "/srv", "/etc/pgbackrest", "/srv/pgbackrest", "/tmp/x")
    ),
    ([posix(number=5)], f"{R}[0].number: 5 is no number of a repository; write 1 to 4, or 0 for a free one"),
    (
        [posix(number=2), s3(number=2)],
        f"{R}[1].number: is the number of {R}[0] as well; write another one, or none",
    ),
    ([posix(retention_days=0)], f"{R}[0].retention_days: 0 keeps nothing; write the days to keep, at least 1"),
    ([posix(path="srv/x")], f'{R}[0].path: "srv/x" is no absolute path; write such as /srv/backup/main'),
    ([posix(path="/srv/../x")], f'{R}[0].path: "/srv/../x" is no absolute path; write such as /srv/backup/main'),
    (
        [posix(), posix(name="weekly", passphrase="x" * 20, path="/srv/pgbackrest/main/daily/inside")],
        f"{R}[1].path: /srv/pgbackrest/main/daily/inside overlaps /srv/pgbackrest/main/daily of {R}[0]; "
        "write a place of its own",
    ),
    (
        [s3(path="/x"), s3(name="monthly", passphrase="x" * 20, path="/x")],
        f"{R}[1].path: /x overlaps /x of {R}[0]; write a place of its own",
    ),
    *(
        (
            [s3(s3=without(key))],
            f"{R}[0].s3.{key}: is missing, and object storage is not reached without it; write it",
        )
        for key in BUCKET
    ),
    ([posix(s3=BUCKET)], f"{R}[0].s3: says where object storage is, but the type is posix; write type: s3"),
    (
        [posix(schedule={"full": "", "incremental": "hourly"})],
        f"{R}[0].schedule.full: is missing, and without full backups there is nothing to restore; write one, {EXAMPLE}",
    ),
    (
        [posix(schedule={"full": "*-02-30 02:00"})],
        f'{R}[0].schedule.full: "*-02-30 02:00" never happens; write one that does, {EXAMPLE}',
    ),
    (
        [posix(schedule={"full": "daily", "incremental": "often"})],
        f'{R}[0].schedule.incremental: "often" is no calendar event; write one, {EXAMPLE}',
    ),
    (
        [posix(name=f"r{n}", passphrase=f"{n}" * 20) for n in range(5)],
        f"{R}: holds 5 repositories; write at most 4",
    ),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
def test_each_mistake(given: list[dict[str, Any]], words: str) -> None:
    assert mistakes(*given) == [words]


def test_all_mistakes_at_once() -> None:
    assert len(mistakes(posix(name="X", passphrase="", retention_days=0), None, s3(s3=None))) == 3 + len(BUCKET)


def test_a_disk_of_its_own_may_be_a_repository() -> None:
    assert mistakes(posix(path="/backup"), s3(path="/etc")) == []
    assert mistakes(posix(path="/var/lib/backups", passphrase="quotes ' \" # ; = % ü and blanks")) == []


def test_another_bucket_is_another_place() -> None:
    other = s3(name="weekly", passphrase="x" * 20, s3=BUCKET | {"bucket": "c"})
    assert mistakes(s3(path="/x"), other | {"path": "/x"}) == []


def test_suspended() -> None:
    words = "postgresql_backup_suspended_repositories"
    assert mistakes(posix(), s3(), suspended=("offsite",)) == []
    assert mistakes(posix(), suspended=("ofsite",)) == [f"{words}[0]: ofsite is no repository; write one of daily"]
    everything = f"{words}: takes out every repository, and no WAL would be kept anywhere; leave one in"
    assert mistakes(posix(), s3(), suspended=("daily", "offsite")) == [everything]


def test_numbers() -> None:
    given = [posix(), s3(number=1), posix(number=0), posix(number=3)]
    assert _repositories.numbers(given) == [2, 1, 4, 3]


def test_defaults() -> None:
    first, second = _repositories.resolve([posix(), s3()], ["offsite"], "main")
    assert (first.number, first.path, first.suspended) == (1, "/srv/pgbackrest/main/daily", False)
    assert (second.number, second.path, second.suspended) == (2, "/main/offsite", True)
    assert first.schedule == {"full": "*-*-* 00:00:00 UTC", "incremental": "*-*-* *:00:00 UTC"}
    assert set(second.s3) == {"bucket", "endpoint", "region"}


def gaps(asked: Objectives, *given: dict[str, Any], suspended: tuple[str, ...] = (), timeout: int = 60) -> list[str]:
    resolved = _repositories.resolve(given, suspended, "main")
    return [f"{found.variable}: {found.text}" for found in _repositories.gaps([asked], resolved, timeout)]


ASKED = "postgresql_applications[0].objectives"
MONTHLY = posix(schedule={"full": "monthly"}, point_in_time=False, retention_days=366)
GAPS = [
    (Objectives("cloudflow", "15min", 30, 30, 24, "00:00"), [posix()], 60, []),
    (Objectives("cloudflow"), [], 0, []),
    (Objectives("a", rpo="soon"), [posix()], 60, [f'{ASKED}.rpo: "soon" is no number; write such as 15min or 1h']),
    (
        Objectives("a", rpo="30s"),
        [posix()],
        60,
        [
            f"{ASKED}.rpo: a may lose 30s, but WAL is archived only every 60s (archive_timeout); "
            "write archive_timeout: 30s or less, or a larger rpo"
        ],
    ),
    (
        Objectives("a", rpo="1h"),
        [posix()],
        0,
        [
            f"{ASKED}.rpo: a may lose 1h, but an unfilled WAL segment is never archived (archive_timeout is 0); "
            "write archive_timeout: 1h or less"
        ],
    ),
    (Objectives("a", rpo="1h"), [], 60, [f"{ASKED}.rpo: a may lose 1h, but WAL is archived nowhere; write {R}"]),
    (
        Objectives("synergyflow", retention_days=31),
        [posix()],
        60,
        [
            f"{ASKED}.retention_days: synergyflow asks for 31 days of backups, and the repositories keep 30; "
            "raise retention_days of one of them"
        ],
    ),
    (Objectives("a", retention_days=366), [posix(), MONTHLY], 60, []),
    (
        Objectives("cloudflow", point_in_time_days=60),
        [posix(), MONTHLY],
        60,
        [
            f"{ASKED}.point_in_time_days: cloudflow asks for every moment of 60 days, "
            "and the repositories keep the WAL of 30; raise retention_days of one with point_in_time: true"
        ],
    ),
    (
        Objectives("cloudflow", full_backup_hours=24),
        [posix(schedule={"full": "Sun 02:00"})],
        60,
        [
            f"{ASKED}.full_backup_hours: cloudflow asks for a full backup every 24 hours, "
            "and the closest are 168 hours apart; add a full to the schedule of a repository"
        ],
    ),
    (
        Objectives("cloudflow", full_backup_hours=24),
        [],
        60,
        [
            f"{ASKED}.full_backup_hours: cloudflow asks for a full backup every 24 hours, and there is none; "
            "add a full to the schedule of a repository"
        ],
    ),
    (
        Objectives("cloudflow", full_backup_at="02:00"),
        [posix()],
        60,
        [
            f"{ASKED}.full_backup_at: cloudflow asks for a full backup at 02:00 UTC, and they begin at 00:00; "
            "change the schedule of a repository"
        ],
    ),
    (
        Objectives("cloudflow", full_backup_at="2 am"),
        [posix()],
        60,
        [f"{ASKED}.full_backup_at: \"2 am\" is no time of day; write hours and minutes in UTC, such as '02:00'"],
    ),
]


@pytest.mark.parametrize(("asked", "given", "timeout", "words"), GAPS)
def test_what_applications_ask(asked: Objectives, given: list[dict[str, Any]], timeout: int, words: list[str]) -> None:
    assert gaps(asked, *given, timeout=timeout) == words


def test_a_suspended_repository_gives_nothing() -> None:
    asked = Objectives("synergyflow", retention_days=30)
    assert gaps(asked, posix(), s3(retention_days=7)) == []
    assert gaps(asked, posix(), s3(retention_days=7), suspended=("daily",)) != []


def test_objectives_of_an_application() -> None:
    given = {"name": "a", "objectives": {"rpo": "1h", "rto": "4h", "retention_days": 30, "full_backup_at": None}}
    assert Objectives.of(given) == Objectives("a", rpo="1h", retention_days=30)
    assert Objectives.of({"name": "a"}) == Objectives("a")


KEEPER = {"ops1": {R: [1]}}


@pytest.mark.parametrize(
    ("keepers", "expected"),
    [
        pytest.param(KEEPER, [], id="one"),
        pytest.param(
            {},
            [f"{R}: backups need one repository host, and there is none; put one host into the group pgbackrest"],
            id="none",
        ),
        pytest.param(
            KEEPER | {"ops2": {R: [1]}},
            [
                f"{R}: backups need one repository host, and there are 2 (ops1, ops2); "
                "put one host into the group pgbackrest"
            ],
            id="two",
        ),
        pytest.param(
            {"ops1": {R: []}},
            [f"{R}: is not given to ops1, which keeps them; write it where every member reads it (group_vars/all)"],
            id="only to the database hosts",
        ),
    ],
)
def test_repository_hosts(keepers: dict[str, Any], expected: list[str]) -> None:
    found = _preflight_backup.mistakes("main", [{R: [posix()]}], keepers)
    assert [f"{mistake.variable}: {mistake.text}" for mistake in found] == expected


def test_without_repositories_no_repository_host_is_needed() -> None:
    assert list(_preflight_backup.mistakes("main", [{R: []}], {})) == []


ASKING = [{"name": "shop", "objectives": {"rpo": "30s", "retention_days": 60}}]
SHORT = (
    "postgresql_applications[0].objectives.retention_days: shop asks for 60 days of backups, and the repositories keep "
    "30; raise retention_days of one of them"
)
LATE = (
    "postgresql_applications[0].objectives.rpo: shop may lose 30s, but WAL is archived only every 60s "
    "(archive_timeout); write archive_timeout: 30s or less, or a larger rpo"
)


@pytest.mark.parametrize(("timeout", "expected"), [(None, [LATE, SHORT]), ("20s", [SHORT])])
def test_applications_ask_for_more(timeout: str | None, expected: list[str]) -> None:
    parameters = {"archive_timeout": timeout} if timeout else {}
    values = {R: [posix()], "postgresql_applications": ASKING, "postgresql_server_parameters": parameters}
    found = _preflight_backup.mistakes("main", [values], KEEPER)
    assert sorted(f"{mistake.variable}: {mistake.text}" for mistake in found) == sorted(expected)


def test_an_application_has_one_entry() -> None:
    found = _preflight_backup.mistakes("main", [{R: [], "postgresql_applications": [{"name": "a"}, {"name": "a"}]}], {})
    assert [mistake.text for mistake in found] == ["a is declared 2 times; give each application one entry"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"postgresql_backup_port": 8432, "postgresql_port": 5432}, []),
        (
            {"postgresql_backup_port": 80},
            ["postgresql_backup_port: 80 is no port of an unprivileged service; write 1024 to 65535"],
        ),
        (
            {"postgresql_backup_port": 5432, "postgresql_port": 5432},
            ["postgresql_backup_port: 5432 is the port of PostgreSQL; write another one"],
        ),
        (
            {"postgresql_backup_metrics_directory": "metrics"},
            [
                'postgresql_backup_metrics_directory: "metrics" is no absolute path; '
                "write such as /var/lib/prometheus/node-exporter"
            ],
        ),
        ({"postgresql_backup_emergency_file": "0"}, []),
        (
            {"postgresql_backup_emergency_file": "64"},
            ['postgresql_backup_emergency_file: "64" has no unit; write such as 64MB, or 0 for none'],
        ),
    ],
)
def test_variables_of_a_member(values: dict[str, Any], expected: list[str]) -> None:
    assert [f"{found.variable}: {found.text}" for found in _preflight_backup.member_mistakes(values)] == expected
