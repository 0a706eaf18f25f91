# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program that checks a file, with a small environment and as the user that the caller names."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

LIMIT = 60.0  # seconds
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LONGEST = 2000  # characters of a checker's words
_SHORTEST_SECRET = 4  # characters; shorter parts of a secret file say nothing and stand everywhere
_SEPARATORS = re.compile(r"""[\s=:;,"']+""")


class MissingError(Exception):
    """The program or the user does not exist on this host."""


def find(program: str, user: str) -> str:
    """Return the path of a program.

    Raises:
        MissingError: there is no such program, or no such user.
    """
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise MissingError(f"there is no program {program} on this host")
    if user:
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise MissingError(f"there is no user {user} on this host") from None
    return path


def objection(command: Sequence[str], user: str, secrets: Iterable[bytes] = ()) -> str:
    """Run a checker; return why it did not pass, in its own words, or nothing.

    Args:
        command: program and arguments.
        user: who runs it; empty for the user of this process.
        secrets: contents whose lines and words the answer must not repeat.
    """
    try:
        path = find(command[0], user)
        done = subprocess.run(
            [path, *command[1:]],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            cwd="/",
            **_identity(user),
        )
    except MissingError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within {LIMIT:g} s"
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]} could not be run as {user or 'the user of the module'}: {error}"
    if done.returncode == 0:
        return ""
    words = _without(done.stdout.decode("utf-8", "replace").strip(), secrets)
    return f"{command[0]} ended with status {done.returncode}: {words[-_LONGEST:] or 'it said nothing'}"


def _identity(user: str) -> dict[str, Any]:
    """Return the options of subprocess.run that make a process somebody's, with a small environment."""
    account = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    options: dict[str, Any] = {"env": {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": account.pw_dir}}
    if account.pw_uid != os.geteuid():
        options["user"] = account.pw_uid
        options["group"] = account.pw_gid
        options["extra_groups"] = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    return options


def _without(words: str, secrets: Iterable[bytes]) -> str:
    """Replace what a checker repeats of a secret file; only the number of a line may remain."""
    parts: set[str] = set()
    for secret in secrets:
        text = secret.decode("utf-8", "replace")
        parts |= {line.strip() for line in text.splitlines()} | set(text.split()) | set(_SEPARATORS.split(text))
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            words = words.replace(part, "********")
    return words
