# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What managed_files does about checkers that object, errors, interruptions, links and obstacles."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _files_apply, _files_checker
from files_on_disk import GOOD, ME, NOBODY, ROOT, everything, refusal, run, tree

# Checkers


def test_nothing_is_replaced_when_one_checker_objects(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    files = [
        {"path": tmp_path / "new", "state": "directory"},
        {"path": tmp_path / "new" / "b", "content": "good", "validate": GOOD},
        {"path": tmp_path / "a", "content": "bad", "validate": ["sh", "-c", "echo line 1 of $0 is bad; exit 3", "%s"]},
        {"path": tmp_path / "c", "content": "bad", "validate": GOOD},
    ]
    assert refusal(files).splitlines() == [
        f"files[2]: {tmp_path}/a: sh ended with status 3: line 1 of {tmp_path}/a is bad",
        f"files[3]: {tmp_path}/c: grep ended with status 1: it said nothing",
    ]
    assert tree(tmp_path) == {"a": ("0o100644", "old")}


def test_a_checker_sees_the_candidates_of_the_whole_set(tmp_path: Path) -> None:
    files = [
        {"path": tmp_path / "a", "content": "one", "validate": ["grep", "two", "%s", f"{tmp_path}/.b.steadfast"]},
        {"path": tmp_path / "b", "content": "two"},
    ]
    assert run(files)["changed"] is True


def test_a_checker_sees_the_final_mode_and_a_small_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "leaked")
    command = ["sh", "-c", "stat -c %a $0; env | cut -d= -f1 | grep -v '^_$' | sort; pwd; exit 1", "%s"]
    entry = {"path": tmp_path / "a", "content": "x", "mode": "0640", "validate": command}
    words = refusal([entry]).splitlines()
    assert words[0].endswith("ended with status 1: 640")
    assert words[1:] == ["HOME", "LC_ALL", "PATH", "PWD", "/"]


def test_a_checker_runs_as_another_user(tmp_path: Path) -> None:
    """Root becomes that user, with its groups; anybody else cannot, and says so."""
    entry = {"path": tmp_path / "a", "content": "x", "validate": ["sh", "-c", "id -un; exit 1 # %s"]}
    message = refusal([{**entry, "validate_as": "daemon"}])
    if ROOT:
        assert message == f"files[0]: {tmp_path}/a: sh ended with status 1: daemon"
    else:
        assert message.startswith(f"files[0]: {tmp_path}/a: sh could not be run as daemon: ")
    assert refusal([{**entry, "validate_as": ME}]) == f"files[0]: {tmp_path}/a: sh ended with status 1: {ME}"


def test_a_checker_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files_checker, "LIMIT", 0.1)
    entry = {"path": tmp_path / "a", "content": "x", "validate": ["tail", "-f", "%s"]}
    assert refusal([entry]) == f"files[0]: {tmp_path}/a: tail did not end within 0.1 s"
    assert tree(tmp_path) == {}


def test_a_checker_that_is_missing(tmp_path: Path) -> None:
    entry = {"path": tmp_path / "a", "content": "x", "validate": ["/no/such/program", "%s"]}
    assert refusal([entry]) == f"files[0]: {tmp_path}/a: there is no program /no/such/program on this host"


def test_a_checker_runs_only_for_new_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    entry = {"path": tmp_path / "a", "content": "x", "mode": "0600", "validate": ["false", "%s"]}
    assert run([entry])["changed"] is True


def test_a_checker_does_not_repeat_secrets(tmp_path: Path) -> None:
    entry = {
        "path": tmp_path / "userlist",
        "secret_content": '"alice" "pa ss=w0rd"\nkey = v4lue\n',
        "validate": ["sh", "-c", 'cat $0; echo; echo line 2: bad token w0rd\\" or v4lue; exit 1', "%s"],
    }
    message = refusal([entry])
    for part in ("alice", "w0rd", "v4lue"):
        assert part not in message
    assert "line 2: bad token ********" in message


def test_the_time_of_a_file_is_that_of_its_replacement(tmp_path: Path) -> None:
    run([{"path": tmp_path / "a", "content": "x", "validate": ["touch", "-d", "2001-01-01", "%s"]}])
    assert (tmp_path / "a").stat().st_mtime > 1_500_000_000


# Errors and interruptions


def test_an_error_in_the_middle_puts_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = everything(tmp_path)
    before = tree(tmp_path)
    calls: list[Any] = []
    real = os.rmdir

    def fails(path: str, **options: int) -> None:
        calls.append(path)
        if path == "rest":
            raise OSError(5, "Input/output error")
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", fails)
    assert refusal(files) == f"files[9]: {tmp_path}/rest: Input/output error"
    assert tree(tmp_path) == before


@pytest.mark.parametrize("moment", range(1, 6))
@pytest.mark.parametrize("function", ["replace", "fsync", "fchmod"])
def test_a_killed_run_is_repaired_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, moment: int
) -> None:
    """A kill is an exception that nothing handles; every file is whole then, old or new."""
    files = everything(tmp_path)
    calls: list[Any] = []
    real = getattr(os, function)

    def killed(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) >= moment:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(os, function, killed)
        patch.setattr(_files_apply, "_discard_candidates", lambda *_: None)
        run(files)
    assert (tmp_path / "old").read_text() in ("one\n", "two\n")
    run(files)
    assert sorted(name for name in tree(tmp_path) if "steadfast" in name) == []
    assert run(files)["changed"] is False
    assert (tmp_path / "old").read_text() == "two\n"


@pytest.mark.parametrize("until", ["reload", "restart"])
def test_the_previous_file_stays_until_somebody_accepts_the_new_one(tmp_path: Path, until: str) -> None:
    def write(content: str, **more: bool) -> Any:
        return run([{"path": tmp_path / "a", "content": content, "keep_until": until, **more}])["changed_paths"]

    path, previous = tmp_path / "a", tmp_path / f"a.before-{until}"
    write("one")
    assert tree(tmp_path) == {"a": ("0o100644", "one")}
    path.chmod(0o600)
    assert write("two") == [str(path)]
    assert tree(tmp_path) == {"a": ("0o100644", "two"), previous.name: ("0o100600", "one")}
    write("three")
    assert previous.read_text() == "one"
    previous.unlink()
    write("three")
    assert not previous.exists()
    write("four")
    assert previous.read_text() == "three"
    write("five", in_force=True)
    assert previous.read_text() == "four"


@pytest.mark.parametrize("in_force", [False, True])
def test_a_service_that_works_without_the_file_goes_back_to_an_empty_one(tmp_path: Path, in_force: bool) -> None:
    entry = {"path": tmp_path / "a", "content": "one", "keep_until": "restart", "in_force": in_force, "mode": "0640"}
    run([entry])
    kept = {"a.before-restart": ("0o100640", "")} if in_force else {}
    assert tree(tmp_path) == {"a": ("0o100640", "one"), **kept}


def test_an_error_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").write_text("x")
    files = [
        {"path": tmp_path / "a", "content": "one", "keep_until": "restart", "in_force": True},
        {"path": tmp_path / "gone", "state": "absent"},
    ]
    real = os.unlink

    def fails(path: str, **options: int) -> None:
        if path == "gone":
            raise OSError(30, "Read-only file system")
        real(path, **options)

    monkeypatch.setattr(os, "unlink", fails)
    refusal(files)
    assert tree(tmp_path) == {"gone": ("0o100644", "x")}


def test_an_error_leaves_no_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "gone").write_text("x")
    files = [
        {"path": tmp_path / "a", "content": "two", "keep_until": "reload"},
        {"path": tmp_path / "gone", "state": "absent"},
    ]
    real = os.unlink

    def fails(path: str, **options: int) -> None:
        if path == "gone":
            raise OSError(30, "Read-only file system")
        real(path, **options)

    monkeypatch.setattr(os, "unlink", fails)
    assert refusal(files) == f"files[1]: {tmp_path}/gone: Read-only file system"
    assert tree(tmp_path) == {"a": ("0o100644", "one"), "gone": ("0o100644", "x")}


def test_absent_does_not_look_at_the_other_options(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    entry = {"path": tmp_path / "a", "state": "absent", "content": "x", "validate": ["false", "%s"], "target": "y"}
    assert run([entry], check=True)["changes"] == run([entry])["changes"]
    assert list(tmp_path.iterdir()) == []


def test_a_left_candidate_is_removed_where_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / ".a.steadfast").write_text("left")
    run([{"path": tmp_path / "a", "content": "x"}])
    assert tree(tmp_path) == {"a": ("0o100644", "x")}


# Links and obstacles


def test_a_candidate_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    (tmp_path / ".a.steadfast").symlink_to(victim)
    run([{"path": tmp_path / "a", "content": "x"}])
    assert victim.read_text() == "keep"


def test_own_links_on_the_way_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "way").symlink_to("./real/../real")
    (tmp_path / "absolute").symlink_to(tmp_path / "way")
    run([{"path": tmp_path / "absolute" / "deep" / "a", "content": "x"}])
    assert (tmp_path / "real" / "deep" / "a").read_text() == "x"


def test_links_of_another_user_on_the_way_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    way = tmp_path / "way"
    way.symlink_to("real")
    if ROOT:
        os.chown(way, 1, 1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    message = refusal([{"path": way / "a", "content": "x"}])
    assert message == f"files[0]: {way} leads over the link way of another user, which is not followed"
    assert list((tmp_path / "real").iterdir()) == []


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert refusal([{"path": tmp_path / "a" / "x", "content": ""}]) == (
        f"files[0]: {tmp_path}/a leads over too many links"
    )


FILE, LINK = {"content": "x"}, {"state": "link", "target": "x"}
DIRECTORY, ABSENT = {"state": "directory"}, {"state": "absent"}
STAYS = "; remove it if nothing needs it"
NOT_FOLLOWED = "{0}/link is a link to file, which is not followed; name the target, or remove the link"


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("link", FILE, f": {NOT_FOLLOWED}"),
        ("link", DIRECTORY, f": {NOT_FOLLOWED}"),
        ("directory", FILE, ": {0}/directory is a directory and does not become a file" + STAYS),
        ("file", DIRECTORY, ": {0}/file is a file and does not become a directory" + STAYS),
        ("file", LINK, ": {0}/file is a file and does not become a link" + STAYS),
        ("pipe", FILE, ": {0}/pipe is neither a file nor a directory nor a link"),
        ("pipe", ABSENT, ": {0}/pipe is neither a file nor a directory nor a link"),
        ("directory", ABSENT, ": {0}/directory is not empty and is not removed; it holds inside"),
        ("none/a", FILE, ": the directory {0}/none is not there; declare it before {0}/none/a"),
        ("file/a", FILE, ": {0}/file/a: Not a directory"),
        ("a", {**FILE, "owner": NOBODY}, f".owner: there is no user {NOBODY} on this host"),
        ("a", {**FILE, "group": NOBODY}, f".group: there is no group {NOBODY} on this host"),
        (
            "a",
            {**FILE, "validate": ["true", "%s"], "validate_as": NOBODY},
            f".validate_as: there is no user {NOBODY} on this host",
        ),
    ],
)
def test_obstacles(tmp_path: Path, path: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "file").write_text("keep")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "inside").write_text("")
    os.mkfifo(tmp_path / "pipe")
    before = tree(tmp_path)
    assert refusal([{**options, "path": tmp_path / path}]) == "files[0]" + message.format(tmp_path)
    assert tree(tmp_path) == before


def test_all_obstacles_in_one_list(tmp_path: Path) -> None:
    files = [
        {"path": tmp_path / "a", "content": "x"},
        {"path": tmp_path / "b", "content": "x", "owner": NOBODY},
        {"path": tmp_path / "a" / "c", "content": "x"},
        {"path": tmp_path / "d" / "e", "state": "directory"},
        {"path": tmp_path / "f", "state": "absent"},
        {"path": tmp_path / "f" / "g", "state": "absent"},
    ]
    assert refusal(files).splitlines() == [
        f"files[1].owner: there is no user {NOBODY} on this host",
        f"files[2]: {tmp_path}/a/c needs the directory {tmp_path}/a, which the list declares as present",
        f"files[3]: the directory {tmp_path}/d is not there; declare it before {tmp_path}/d/e",
    ]
    assert list(tmp_path.iterdir()) == []
