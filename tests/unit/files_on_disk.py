# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of managed_files share: they run as root and as anybody else, in a directory of their own."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _files, _files_apply
from ansible_collections.steadfast.postgresql.plugins.modules import managed_files

# The modes that the tests expect of files that they write themselves.
os.umask(0o022)

ROOT = os.geteuid() == 0
ME = pwd.getpwuid(os.geteuid()).pw_name
MY_GROUP = grp.getgrgid(os.getegid()).gr_name
NOBODY = "steadfast-no-such-user"
GOOD = ["grep", "-q", "good", "%s"]


def complete(entry: dict[str, Any]) -> dict[str, Any]:
    """Fill in what AnsibleModule would."""
    keys = ("content", "secret_content", "target", "owner", "group", "mode", "validate", "validate_as", "keep_until")
    return {"state": "present", "in_force": False, **dict.fromkeys(keys), **entry}


def params(files: list[Any], **defaults: int | str) -> dict[str, Any]:
    return {
        "files": [complete({**entry, "path": str(entry["path"])}) for entry in files],
        "owner": ME,
        "group": MY_GROUP,
        "mode": "0644",
        "directory_mode": "0755",
        **defaults,
    }


def run(files: list[dict[str, Any]], check: bool = False, **defaults: str) -> dict[str, Any]:
    """Do what main does between parsing and printing."""
    with _files.Directories() as directories:
        steps = _files.plan(managed_files.parse(params(files, **defaults)), directories, tolerant=check)
        unchecked = []
        if check:
            unchecked = _files_apply.try_candidates(steps, directories)
        else:
            _files_apply.apply(steps, directories)
        return {**managed_files.result(steps, unchecked), "diff": managed_files.differences(steps)}


def refusal(files: list[dict[str, Any]], check: bool = False, **options: Any) -> str:
    with pytest.raises(_files.FilesError) as caught:
        run(files, check, **options)
    return str(caught.value)


def tree(path: Path) -> dict[str, Any]:
    """Return everything below a path: kind, mode, content."""
    return {
        str(item.relative_to(path)): (
            oct(item.lstat().st_mode),
            os.readlink(item) if item.is_symlink() else content(item),
        )
        for item in sorted(path.rglob("*"))
    }


def content(item: Path) -> str | None:
    return item.read_text() if item.is_file() else None


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def everything(path: Path) -> list[dict[str, Any]]:
    """Prepare a directory and return a list with every kind of change."""
    (path / "old").write_text("one\n")
    (path / "old").chmod(0o600)
    (path / "drift").write_text("same\n")
    (path / "drift").chmod(0o666)
    (path / "same").write_text("same\n")
    (path / "same").chmod(0o644)
    (path / "key").write_text("first secret\n")
    (path / "gone").write_text("x")
    (path / "rest").mkdir()
    (path / "rest" / "a").write_text("x")
    (path / "open").mkdir(mode=0o755)
    (path / "open").chmod(0o777)
    (path / "there").symlink_to("same")
    (path / "elsewhere").symlink_to("old")
    return [
        {"path": path / "new", "state": "directory", "mode": "0700"},
        {"path": path / "new" / "file", "content": "two\n", "mode": "0640", "validate": ["grep", "-q", "two", "%s"]},
        {"path": path / "new" / "link", "state": "link", "target": "file"},
        {"path": path / "old", "content": "two\n"},
        {"path": path / "drift", "content": "same\n"},
        {"path": path / "same", "content": "same\n"},
        {"path": path / "key", "secret_content": "second secret\n", "mode": "0640"},
        {"path": path / "gone", "state": "absent"},
        {"path": path / "rest" / "a", "state": "absent"},
        {"path": path / "rest", "state": "absent"},
        {"path": path / "never", "state": "absent"},
        {"path": path / "open", "state": "directory"},
        {"path": path / "there", "state": "link", "target": "same"},
        {"path": path / "elsewhere", "state": "link", "target": "same"},
    ]


def expected(path: Path) -> list[dict[str, str]]:
    def change(kind: str, name: str, before: str, after: str) -> dict[str, str]:
        return {"kind": kind, "name": f"{path}/{name}", "from": before, "to": after}

    return [
        change("directory", "new", "absent", "directory"),
        change("file", "new/file", "absent", sha("two\n")),
        change("link", "new/link", "absent", "link to file"),
        change("file", "old", f"{sha('one' + chr(10))}, mode 0600", f"{sha('two' + chr(10))}, mode 0644"),
        change("file", "drift", "mode 0666", "mode 0644"),
        change("file", "key", "hidden, mode 0644", "hidden, mode 0640"),
        change("file", "gone", "file", "absent"),
        change("file", "rest/a", "file", "absent"),
        change("directory", "rest", "directory", "absent"),
        change("directory", "open", "mode 0777", "mode 0755"),
        change("link", "elsewhere", "link to old", "link to same"),
    ]
