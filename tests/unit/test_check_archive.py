"""What no exit status says: holes in the WAL, damage, late backups, a late archiver, a full disk."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "roles" / "backup" / "files" / "check_archive.py"
NOW = 1_800_000_000.0
CHECKSUM = "e47f4a34264bc528edafcc1ea4894ca61ab35b8d"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_archive", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_archive"] = module
    spec.loader.exec_module(module)
    return module


script = load()
NAMES = script.WalNames(16 << 20)


def paths(timeline: int, *numbers: int) -> list[str]:
    names = [NAMES.name(timeline, number) for number in numbers]
    return [f"16-1/{name[:16]}/{name}-{CHECKSUM}.zst" for name in names]


def backup(label: str, start: int, stop: int, timeline: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "label": label,
        "type": "full" if label.endswith("F") else "incr",
        "archive": {"start": NAMES.name(timeline, start), "stop": NAMES.name(timeline, stop)},
        "database": {"id": 1, "repo-key": 1},
        "error": False,
        "timestamp": {"start": NOW - 3700, "stop": NOW - 3600},
    } | changes


def info(*backups: dict[str, Any], code: int = 0, message: str = "ok") -> dict[str, Any]:
    return {
        "db": [{"id": 1, "repo-key": 1, "version": "16"}],
        "repo": [{"key": 1, "status": {"code": code, "message": message}}],
        "backup": list(backups),
    }


def repository(**changes: Any) -> dict[str, Any]:
    return {
        "number": 1,
        "name": "daily",
        "point_in_time": True,
        "suspended": False,
        "full_seconds": 90_000,
        "any_seconds": 7_200,
    } | changes


def texts(found: Any) -> list[str]:
    return [item.text for item in found if isinstance(item, script.Finding)]


@pytest.mark.parametrize(
    ("name", "size", "number"),
    [
        ("000000010000000000000006", 16 << 20, (1, 6)),
        ("0000000200000001000000FF", 16 << 20, (2, 511)),
        ("000000010000000100000003", 1 << 30, (1, 7)),
    ],
)
def test_names_are_numbers(name: str, size: int, number: tuple[int, int]) -> None:
    names = script.WalNames(size)
    assert names.number(name) == number
    assert names.name(*number) == name


HISTORIES = {
    "16-1/00000002.history": "1\t0/A800000\tno recovery target specified\n",
    "16-1/00000003.history": "1\t0/A800000\tx\n\n2\t0/E000100\tbefore it\n",
}
# Timeline 1 went to 12 before its successor left it in segment 10, and 2 was left in segment 14.
FAILED_OVER = [*paths(1, 5, 6, 7, 8, 9, 10, 11, 12), *paths(2, 10, 11, 12, 13), *paths(3, 14, 15), *HISTORIES]

WAL = [
    ("all there", paths(1, 5, 6, 7, 8), [backup("1F", 5, 6)], []),
    ("other files beside", [*paths(1, 5), "16-1", "16-1/0000000100000000/X.partial"], [backup("1F", 5, 5)], []),
    (
        "a hole after the backup",
        paths(1, 5, 6, 8, 11),
        [backup("1F", 5, 6)],
        [
            "no recovery in daily crosses the missing WAL 000000010000000000000007, 000000010000000000000009 to "
            "00000001000000000000000A: run a full backup now"
        ],
    ),
    (
        "a hole inside a backup",
        paths(1, 5, 7, 8),
        [backup("1F", 5, 7)],
        [
            "backup 1F in daily cannot be restored: WAL 000000010000000000000006 is missing",
            "no recovery in daily crosses the missing WAL 000000010000000000000006: run a full backup now",
        ],
    ),
    (
        "holes before and after the newest full backup",
        paths(1, 5, 7, 8, 10),
        [backup("1F", 5, 5), backup("2F", 7, 8)],
        [
            "no recovery in daily crosses the missing WAL 000000010000000000000009: run a full backup now",
            "no recovery in daily crosses the missing WAL 000000010000000000000006: all since backup 2F can be "
            "restored, and the gap leaves with the backups before it",
        ],
    ),
    (
        "the end of a backup",
        paths(1, 5),
        [backup("1F", 5, 6)],
        ["backup 1F in daily cannot be restored: WAL 000000010000000000000006 is missing"],
    ),
    (
        "nothing at all",
        [],
        [backup("1F", 5, 6)],
        ["backup 1F in daily cannot be restored: WAL 000000010000000000000005 to 000000010000000000000006 is missing"],
    ),
    ("over two failovers", FAILED_OVER, [backup("1F", 5, 6)], []),
    (
        "what the dead primary wrote after the switch is no help",
        [path for path in FAILED_OVER if "00000002000000000000000B" not in path],
        [backup("1F", 5, 6)],
        ["no recovery in daily crosses the missing WAL 00000002000000000000000B: run a full backup now"],
    ),
    (
        "the segment of the switch is in both",
        [path for path in FAILED_OVER if "00000001000000000000000A" not in path],
        [backup("1F", 5, 6)],
        [],
    ),
    ("a backup on an abandoned timeline", FAILED_OVER, [backup("1F", 11, 12)], []),
    ("no backup, no promise", paths(1, 5, 7), [], []),
]


@pytest.mark.parametrize(("listed", "backups", "words"), [row[1:] for row in WAL], ids=[row[0] for row in WAL])
def test_holes_in_the_wal(listed: list[str], backups: list[dict[str, Any]], words: list[str]) -> None:
    held = script.archives(listed, NAMES, HISTORIES.__getitem__)
    assert texts(script.check_wal(repository(), info(*backups), held, NAMES)) == words


def test_without_point_in_time_only_the_newest_full_needs_all_that_followed() -> None:
    held = script.archives(paths(1, 5, 6, 9, 10, 11), NAMES, HISTORIES.__getitem__)
    backups = [backup("1F", 5, 6), backup("2F", 9, 10)]
    assert texts(script.check_wal(repository(point_in_time=False), info(*backups), held, NAMES)) == []
    assert len(texts(script.check_wal(repository(), info(*backups), held, NAMES))) == 1


def aged(label: str, hours: float, **changes: Any) -> dict[str, Any]:
    return backup(label, 5, 6, timestamp={"start": 0, "stop": NOW - hours * 3600}, **changes)


BACKUPS = [
    ("fresh", info(aged("1F", 5), aged("2I", 1)), []),
    (
        "full late",
        info(aged("1F", 50), aged("2I", 1)),
        ["the newest full backup in daily is 2 days old, and is due every 25 hours: look at its timer's journal"],
    ),
    (
        "incremental late",
        info(aged("1F", 5), aged("2I", 3)),
        ["the newest backup in daily is 3 hours old, and is due every 2 hours: look at its timer's journal"],
    ),
    ("none", info(code=2, message="no valid backups"), ["repository daily holds no full backup: run run_backup"]),
    (
        "down",
        info(code=99, message="other"),
        ["repository daily does not answer: other"],
    ),
    (
        "another passphrase",
        info(code=99, message="[FormatError] unable to load info file 'a' or 'b':\nFormatError: \ufffd\x1b"),
        [
            "repository daily does not answer: [FormatError] unable to load info file 'a' or 'b': it was written with "
            "another passphrase, or is damaged"
        ],
    ),
    (
        "empty",
        info(code=1, message="missing stanza path"),
        ["repository daily holds nothing of this cluster: run site.yml, which begins it anew"],
    ),
    (
        "damaged pages",
        info(aged("1F", 5, error=True), aged("2F", 1)),
        [
            "backup 1F in daily holds pages whose checksums were wrong on the server: "
            "look for damage there before it spreads"
        ],
    ),
    (
        "of another repository",
        info(aged("1F", 1, database={"id": 1, "repo-key": 2})),
        ["repository daily holds no full backup: run run_backup"],
    ),
]


@pytest.mark.parametrize(("seen", "words"), [row[1:] for row in BACKUPS], ids=[row[0] for row in BACKUPS])
def test_age_of_backups(seen: dict[str, Any], words: list[str]) -> None:
    assert texts(script.check_backups(repository(), seen, NOW)) == words


HEAD = "stanza: main\nstatus: {}\n"
GOOD = "    missing: 0, checksum invalid: 0, size invalid: 0, other: 0\n"
VERIFIED = [
    (HEAD.format("ok") + "  archiveId: 16-1, total WAL checked: 8, total valid WAL: 8\n" + GOOD, []),
    (
        HEAD.format("error")
        + "  archiveId: 16-1, total WAL checked: 10, total valid WAL: 9\n"
        + "    missing: 0, checksum invalid: 0, size invalid: 1, other: 0\n"
        + "  backup: 20261121-115640F, status: invalid, total files checked: 966, total valid files: 965\n"
        + "    missing: 2, checksum invalid: 1, size invalid: 0, other: 0\n"
        + "  backup: 20261121-115642F, status: valid, total files checked: 966, total valid files: 966\n"
        + GOOD,
        [
            "verify finds damage in daily, archiveId 16-1: 1 size invalid",
            "verify finds damage in daily, backup 20261121-115640F: 2 missing, 1 checksum invalid",
        ],
    ),
    (
        HEAD.format("error") + "  backup: 20261121-115640F, status: manifest missing, total files checked: 0\n",
        [
            "verify finds damage in daily: stanza: main status: error backup: 20261121-115640F, "
            "status: manifest missing, total files checked: 0"
        ],
    ),
    ("", ["verify of daily ended without a status: "]),
]


@pytest.mark.parametrize(("text", "words"), VERIFIED)
def test_what_verify_says(text: str, words: list[str]) -> None:
    assert texts(script.check_verified("daily", text)) == words


COMMAND = "pgbackrest --stanza=main archive-push %p"
FINE = {
    "recovery": False,
    "command": COMMAND,
    "timeout": 60,
    "archived": 20.0,
    "failed": False,
    "failed_wal": None,
    "waiting": 0,
    "oldest": None,
}
ARCHIVER = [
    ({}, []),
    ({"recovery": True, "command": "", "failed": True}, []),
    (
        {"command": "/bin/true"},
        [
            f"archive_command is '/bin/true' and should be '{COMMAND}': WAL does not reach the repositories. "
            "ALTER SYSTEM RESET archive_command"
        ],
    ),
    (
        {"failed": True, "waiting": 3, "failed_wal": "000000010000000000000006", "oldest": 900},
        ["archiving fails: 3 segments wait, 000000010000000000000006 failed last"],
    ),
    ({"waiting": 3, "oldest": 900}, ["3 WAL segments wait for the archive, the oldest since 15 minutes"]),
    ({"waiting": 3, "oldest": 500}, []),
]


@pytest.mark.parametrize(("changes", "words"), ARCHIVER)
def test_the_archiver(changes: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    assert texts(script.check_archiver(FINE | changes, {"archive_command": COMMAND, "spool": str(tmp_path)})) == words


def test_why_archiving_fails(tmp_path: Path) -> None:
    for age, name, text in (
        (9, "000000010000000000000007.error", "25\nolder words\n"),
        (
            1,
            "global.error",
            "104\nraised from local-1: command encountered error(s):\nrepo3: [28] No space left on device\n",
        ),
        (0, "000000010000000000000008.ok", "0\n\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        os.utime(tmp_path / name, (NOW - age, NOW - age))
    assert script.last_words(tmp_path) == "repo3: [28] No space left on device"
    (tmp_path / "global.error").unlink()
    assert script.last_words(tmp_path) == "older words"
    failing = FINE | {"failed": True, "failed_wal": "7", "waiting": 3}
    config = {"archive_command": COMMAND, "spool": str(tmp_path)}
    assert texts(script.check_archiver(failing, config)) == [
        "archiving fails: 3 segments wait, 7 failed last: older words"
    ]


def disk(monkeypatch: pytest.MonkeyPatch, used: int) -> None:
    found = os.statvfs_result((4096, 4096, 110, 110 - used, 100 - used, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: found)


def test_the_disk_of_the_wal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    emergency = tmp_path / "emergency"
    used = f"the emergency file {emergency} was used: free room, then run site to make it again"
    disk(monkeypatch, 60)
    assert texts(script.check_room(tmp_path, None)) == []
    assert texts(script.check_room(tmp_path, emergency)) == [used]
    emergency.touch()
    assert texts(script.check_room(tmp_path, emergency)) == []
    disk(monkeypatch, 80)
    full = "80% of pg_wal's file system is used; a full one stops the server. "
    full += "See why WAL is kept (archive, slots), or enlarge it."
    assert texts(script.check_room(tmp_path, None)) == [full]
    assert texts(script.check_room(tmp_path, emergency)) == [f"{full} In need, delete {emergency}."]


def test_the_whole_with_a_suspended_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answers = {
        "info": json.dumps([info(aged("1F", 1))]),
        "repo-ls": json.dumps(dict.fromkeys(paths(1, 5, 6))),
        "list-units": "",
    }
    commands: list[list[str]] = []

    def run(command: list[str], limit: float = 0) -> str:
        commands.append(command)
        return next(answer for word, answer in answers.items() if word in command)

    monkeypatch.setattr(script, "run", run)
    monkeypatch.setattr(script.time, "time", lambda: NOW)
    repositories = [repository(), repository(number=2, name="offsite", suspended=True)]
    config = {"cluster": "main", "stanza": "main", "wal_segment_bytes": 16 << 20, "metrics": str(tmp_path)}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config | {"repositories": repositories}), encoding="utf-8")
    assert script.main(["repository", str(path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said == ["repository offsite is suspended: it gets no WAL and no backups until it is back", "1 finding"]
    assert not any("--repo=2" in command for command in commands)
    metrics = (tmp_path / "steadfast_main_repository.prom").read_text(encoding="utf-8").splitlines()
    assert 'steadfast_repository_suspended{cluster="main",repository="offsite"} 1' in metrics
    assert 'steadfast_backup_age_seconds{cluster="main",repository="daily"} 3600' in metrics
    assert 'steadfast_archive_finding{cluster="main",duty="repository",finding="suspended"} 1' in metrics


def test_units_whose_last_run_failed() -> None:
    listed = "steadfast-backup@local-full.service loaded failed failed Backup local-full of the cluster main\n"
    listed += "steadfast-backup@former-full.service loaded failed failed Backup former-full of the cluster main\n"
    assert texts(script.check_units(listed, ["local"])) == [
        "the last run of steadfast-backup@local-full.service failed: journalctl -u steadfast-backup@local-full.service "
        "says why"
    ]
    verify = "steadfast-verify-repositories.service loaded failed failed Verify the repositories\n"
    assert len(texts(script.check_units(verify, ["local"]))) == 1
    assert texts(script.check_units("", ["local"])) == []


def test_an_answer_with_the_bytes_of_what_was_not_decrypted() -> None:
    assert script.parsed('["\x1b"]') == ["\x1b"]
    with pytest.raises(script.CommandError, match="pgbackrest's answer cannot be read: "):
        script.parsed("no JSON")


def test_a_repository_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "INFO_LIMIT", 0.1)
    monkeypatch.setattr(script.subprocess, "run", functools.partial(hangs, script.subprocess.TimeoutExpired))
    answer = script.info_of("main", 1)
    assert texts(script.check_backups(repository(), answer, NOW)) == [
        "repository daily does not answer: pgbackrest did not end within 0 s"
    ]


def hangs(error: type[Exception], command: list[str], *, timeout: float, **_: Any) -> None:
    raise error(command, timeout)


def test_usage() -> None:
    with pytest.raises(SystemExit, match="check_archive repository"):
        script.main(["repository"])
