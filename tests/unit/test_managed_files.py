# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What managed_files changes, predicts, shows and hides."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.steadfast.postgresql.plugins.module_utils import _files
from ansible_collections.steadfast.postgresql.plugins.modules import managed_files
from files_on_disk import GOOD, ME, MY_GROUP, NOBODY, ROOT, everything, expected, params, refusal, run, tree

# What is done, and what check mode says


def test_every_kind_of_change(tmp_path: Path) -> None:
    files = everything(tmp_path)
    done = run(files)
    assert done["changes"] == expected(tmp_path)
    assert done["changed_paths"] == [change["name"] for change in expected(tmp_path)]
    file, directory, link = "0o100", "0o40", "0o120"
    assert tree(tmp_path) == {
        "drift": (file + "644", "same\n"),
        "elsewhere": (link + "777", "same"),
        "key": (file + "640", "second secret\n"),
        "new": (directory + "700", None),
        "new/file": (file + "640", "two\n"),
        "new/link": (link + "777", "file"),
        "old": (file + "644", "two\n"),
        "open": (directory + "755", None),
        "same": (file + "644", "same\n"),
        "there": (link + "777", "same"),
    }


def test_check_mode_predicts_the_same_and_changes_nothing(tmp_path: Path) -> None:
    files = everything(tmp_path)
    before = tree(tmp_path)
    predicted = run(files, check=True)
    assert tree(tmp_path) == before
    assert predicted["changes"] == expected(tmp_path)
    assert predicted["diff"] == run(files)["diff"]


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    files = everything(tmp_path)
    run(files)
    before = {item: item.lstat().st_mtime_ns for item in tmp_path.rglob("*")}
    assert run(files) == {
        "changed": False,
        "changes": [],
        "changed_paths": [],
        "written_paths": [],
        "unchecked": [],
        "diff": [],
    }
    assert run(files, check=True)["changes"] == []
    assert {item: item.lstat().st_mtime_ns for item in tmp_path.rglob("*")} == before


def test_check_mode_on_an_empty_host(tmp_path: Path) -> None:
    files = [
        {"path": tmp_path / "etc" / "main" / "a", "content": "x", "validate": ["no-such-program", "%s"]},
        {"path": tmp_path / "b", "content": "x", "owner": NOBODY, "validate": GOOD},
        {"path": tmp_path / "c", "content": "x", "validate": GOOD, "validate_as": NOBODY},
        {"path": tmp_path / "d", "content": "x", "validate": ["no-such-program", "%s"]},
    ]
    predicted = run(files, check=True)
    paths = [str(entry["path"]) for entry in files]
    assert predicted["changed_paths"] == paths
    assert predicted["unchecked"] == paths
    assert list(tmp_path.iterdir()) == []


def test_check_mode_lets_the_checker_see_the_candidate(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("good")
    message = refusal([{"path": path, "content": "bad", "validate": GOOD}], check=True)
    assert message == f"files[0]: {path}: grep ended with status 1: it said nothing"
    assert tree(tmp_path) == {"a": ("0o100644", "good")}


def test_an_owner_that_is_still_to_come_differs(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    predicted = run([{"path": tmp_path / "a", "content": "x", "owner": NOBODY, "group": NOBODY}], check=True)
    assert predicted["changes"] == [
        {
            "kind": "file",
            "name": f"{tmp_path}/a",
            "from": f"owner {ME}, group {MY_GROUP}",
            "to": f"owner {NOBODY}, group {NOBODY}",
        }
    ]


def test_owner_drift(tmp_path: Path) -> None:
    """Root repairs the owner; anybody else fails, and puts the other files back."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("x")
    files = [{"path": tmp_path / "a", "content": "new"}, {"path": tmp_path / "b", "content": "x", "owner": "daemon"}]
    if not ROOT:
        assert refusal(files) == f"files[1]: {tmp_path}/b: Operation not permitted"
        assert tree(tmp_path) == {"a": ("0o100644", "old"), "b": ("0o100644", "x")}
        return
    assert run(files)["changes"][1] == {
        "kind": "file",
        "name": f"{tmp_path}/b",
        "from": "owner root",
        "to": "owner daemon",
    }
    assert (tmp_path / "b").stat().st_uid == pwd.getpwnam("daemon").pw_uid
    assert run(files)["changed"] is False


def test_owners_by_number(tmp_path: Path) -> None:
    entry = {"path": tmp_path / "a", "content": "x", "owner": str(os.geteuid()), "group": str(os.getegid())}
    run([entry])
    assert run([entry])["changed"] is False


def test_modes_by_default(tmp_path: Path) -> None:
    run(
        [
            {"path": tmp_path / "d", "state": "directory"},
            {"path": tmp_path / "d" / "a", "content": "x"},
            {"path": tmp_path / "d" / "s", "secret_content": "x"},
            {"path": tmp_path / "d" / "special", "content": "x", "mode": "2755"},
        ],
        mode="0604",
        directory_mode="0705",
    )
    modes = {name: mode[-4:] for name, (mode, _) in tree(tmp_path).items()}
    assert modes == {"d": "0705", "d/a": "0604", "d/s": "0600", "d/special": "2755"}


# Options


@pytest.mark.parametrize(
    ("files", "messages"),
    [
        ([{"path": "etc/a", "content": ""}], ["files[0].path: 'etc/a' is no absolute path of a file"]),
        ([{"path": "/", "state": "directory"}], ["files[0].path: '/' is no absolute path of a file"]),
        ([{"path": "/a"}], ["files[0].content: a file needs either content or secret_content"]),
        (
            [{"path": "/a", "content": "x", "secret_content": "y"}],
            ["files[0].content: a file needs either content or secret_content"],
        ),
        (
            [{"path": "/a", "content": {"x": 1}}],
            ["files[0].content: must be text; a filter such as to_json or to_nice_yaml makes one of a value"],
        ),
        (
            [{"path": "/a", "state": "directory", "content": "x", "validate": ["true", "%s"]}],
            [
                "files[0].content: only a file has it, but state is directory",
                "files[0].validate: only a file has it, but state is directory",
            ],
        ),
        ([{"path": "/a", "state": "link"}], ["files[0].target: a link needs it, and nothing else has it"]),
        (
            [{"path": "/a", "content": "x", "target": "b"}],
            ["files[0].target: a link needs it, and nothing else has it"],
        ),
        (
            [{"path": "/a", "content": "x", "mode": 420}, {"path": "/b", "content": "x", "mode": "644"}],
            [
                "files[0].mode: 420 is no mode; write four octal digits in quotes, such as '0644'",
                "files[1].mode: '644' is no mode; write four octal digits in quotes, such as '0644'",
            ],
        ),
        (
            [{"path": "/a", "content": "x", "validate": ["true"]}],
            ["files[0].validate: %s must stand for the path of the candidate"],
        ),
        (
            [{"path": "/a/b", "content": "x"}, {"path": "/a/../a//b/", "state": "absent"}],
            ["files[1].path: /a/b is declared already, by files[0]"],
        ),
    ],
)
def test_options_that_make_no_sense(files: list[Any], messages: list[str]) -> None:
    with pytest.raises(_files.FilesError) as caught:
        managed_files.parse(params(files))
    assert str(caught.value).splitlines() == messages


def test_default_modes_that_make_no_sense() -> None:
    with pytest.raises(_files.FilesError) as caught:
        managed_files.parse(params([], mode=420, directory_mode="rwx"))
    assert str(caught.value).splitlines() == [
        "mode: 420 is no mode; write four octal digits in quotes, such as '0644'",
        "directory_mode: 'rwx' is no mode; write four octal digits in quotes, such as '0644'",
    ]


# Differences and secrets


def test_differences(tmp_path: Path) -> None:
    shown: dict[str, Any] = {}
    for difference in run(everything(tmp_path))["diff"]:
        name = os.path.relpath(difference["before_header"], tmp_path)
        shown.setdefault(name, []).append((difference["before"], difference["after"]))
    assert shown == {
        "new": [("absent\n", "directory\n")],
        "new/file": [("", "two\n")],
        "new/link": [("absent\n", "link to file\n")],
        "old": [("one\n", "two\n"), ("mode 0600\n", "mode 0644\n")],
        "drift": [("mode 0666\n", "mode 0644\n")],
        "key": [("", "content differs (hidden)\n"), ("mode 0644\n", "mode 0640\n")],
        "gone": [("file\n", "absent\n")],
        "rest/a": [("file\n", "absent\n")],
        "rest": [("directory\n", "absent\n")],
        "open": [("mode 0777\n", "mode 0755\n")],
        "elsewhere": [("link to old\n", "link to same\n")],
    }


@pytest.mark.parametrize("before", [b"\0binary", b"x" * 200_000])
def test_differences_that_are_not_shown(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "a").write_bytes(before)
    shown = run([{"path": tmp_path / "a", "content": "text"}], check=True)["diff"]
    assert [(one["before"], one["after"]) for one in shown] == [("", "content differs (too large or binary)\n")]


def test_a_file_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"caf\xe9\n")
    shown = run([{"path": tmp_path / "a", "content": "caf\udce9s\n"}])["diff"]
    assert (tmp_path / "a").read_bytes() == b"caf\xe9s\n"
    assert shown[0]["before"] == "caf\ufffd\n"


def test_secrets_that_ansible_hides_everywhere() -> None:
    secrets = {"on\n", "", "correct horse\n"}
    assert managed_files.narrowed(secrets) == {"correct horse\n", "correct horse"}


# Through AnsibleModule


def module(files: list[dict[str, Any]], tmp_path: Path, **options: bool) -> dict[str, Any]:
    """Run the module as a program, arguments on its standard input, and return what it prints."""
    arguments = {"files": files, "owner": ME, "group": MY_GROUP, "_ansible_diff": True, **options}
    done = subprocess.run(
        [sys.executable, "-m", managed_files.__name__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_as_a_module(tmp_path: Path) -> None:
    files = [
        {**entry, "path": str(entry["path"])}
        for entry in [*everything(tmp_path), {"path": tmp_path / "short", "secret_content": "o\n"}]
    ]
    predicted = module(files, tmp_path, _ansible_check_mode=True)
    done = module(files, tmp_path)
    again = module(files, tmp_path)
    short = {"kind": "file", "name": f"{tmp_path}/short", "from": "absent", "to": "hidden"}
    assert predicted["changes"] == done["changes"] == [*expected(tmp_path), short]
    assert predicted["diff"] == done["diff"]
    assert (again["changed"], again["changes"], again["diff"]) == (False, [], [])
    for printed in (predicted, done, again):
        assert "second secret" not in json.dumps(printed)
        assert printed["invocation"]["module_args"]["files"][-1]["secret_content"] == managed_files.HIDDEN
    # The secret "o\n" is too short to be hidden everywhere.
    assert {"before": "one\n", "after": "two\n"}.items() <= done["diff"][3].items()
    assert "********" not in json.dumps(done)


def test_a_failing_module_shows_no_secret(tmp_path: Path) -> None:
    files = [{"path": f"{tmp_path}/a", "secret_content": "first line\nsecond line\n", "validate": ["false", "%s"]}]
    done = module(files, tmp_path)
    assert done["failed"] is True
    assert done["msg"] == f"files[0]: {tmp_path}/a: false ended with status 1: it said nothing"
    assert "line" not in json.dumps(done)


def test_the_log_of_the_host_has_the_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logged = []
    monkeypatch.setattr(
        managed_files.FilesModule, "log", lambda self, text, log_args=None: logged.append((text, log_args))
    )
    arguments = {
        "files": [
            {"path": f"{tmp_path}/a", "content": "public"},
            {"path": f"{tmp_path}/b", "secret_content": "-----BEGIN\nabcdefgh\n-----END\n"},
        ],
        "owner": ME,
        "group": MY_GROUP,
    }
    with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
        managed_files.main()
    assert ended.value.code == 0
    assert logged == [(f"Invoked with files={tmp_path}/a {tmp_path}/b", None)]
    assert "abcdefgh" not in capsys.readouterr().out
