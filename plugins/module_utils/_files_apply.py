# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace a set of files together, or not at all.

All candidates are written beside their files and checked before the first takes its place; what then fails puts back
what was replaced. A run that is killed leaves old or new files, whole, and at most one candidate a file, which the next
run removes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from ansible_collections.steadfast.postgresql.plugins.module_utils import _files_checker as _checker
from ansible_collections.steadfast.postgresql.plugins.module_utils._files import (
    Directories,
    Entry,
    FilesError,
    Step,
    gid,
    look,
    uid,
)


def try_candidates(steps: Sequence[Step], directories: Directories) -> list[str]:
    """Let the checkers see the candidates, then take these away again, as check mode does.

    Returns:
        The paths that could not be checked, because their directory, their owner or their checker is still to come.

    Raises:
        FilesError: what the checkers say.
    """
    unchecked: list[str] = []
    mistakes: list[str] = []
    for entry in (step.entry for step in steps if step.writes and step.entry.validate):
        try:
            _checker.find(entry.validate[0], entry.validate_as)
            parent = directories.open(entry.parent)
            _write(parent, entry.candidate, entry.content, (uid(entry.owner), gid(entry.group), entry.mode))
        except (OSError, KeyError, _checker.MissingError):
            unchecked.append(entry.path)
            continue
        try:
            mistakes += _objections(entry)
        finally:
            _discard(parent, entry.candidate)
    if mistakes:
        raise FilesError(mistakes)
    return unchecked


def apply(steps: Sequence[Step], directories: Directories) -> None:
    """Make the host agree with the steps.

    Raises:
        FilesError: why it failed; the files are as they were, or the text names those that are not.
    """
    done: list[Step] = []
    try:
        _stage(steps, directories, done)
        mistakes = [mistake for step in steps if step.writes for mistake in _objections(step.entry)]
        if mistakes:
            raise FilesError(mistakes)
        _commit(steps, directories, done)
    except (FilesError, OSError) as error:
        _discard_candidates(steps, directories)
        left = [mistake for step in reversed(done) if (mistake := _put_back(step, directories))]
        raise FilesError([str(error), *left]) from error
    finally:
        # Also those that an earlier run left.
        _discard_candidates(steps, directories)


def _stage(steps: Sequence[Step], directories: Directories, done: list[Step]) -> None:
    """Make the new directories and write the candidates, on disk and with their final owners and modes."""
    for step in steps:
        entry = step.entry
        with _named(entry):
            if entry.state == "directory" and step.found.kind == "absent":
                os.mkdir(entry.name, 0o700, dir_fd=directories.open(entry.parent))
                done.append(step)
                _own(directories.open(entry.parent), entry.name, _owned(entry))
            elif step.writes:
                _write(directories.open(entry.parent), entry.candidate, entry.content, _owned(entry))


def _commit(steps: Sequence[Step], directories: Directories, done: list[Step]) -> None:
    """Put the candidates in place and make everything else that differs agree, in order and durably."""
    for step in steps:
        if not step.differences or step in done:
            continue
        with _named(step.entry):
            parent = directories.open(step.entry.parent)
            done.append(step)
            _replace(step, parent)
            if step.entry.state == "absent":
                directories.forget(step.entry.path)
    for path in sorted({step.entry.parent for step in done}):
        with contextlib.suppress(FileNotFoundError):
            os.fsync(directories.open(path))


def _replace(step: Step, parent: int) -> None:
    """Make one path agree with its entry."""
    entry = step.entry
    if step.writes:
        if entry.keep_until:
            _keep(step, parent)
        # Services compare the time of a file with that of their last load, which may have been since it was written.
        os.utime(entry.candidate, dir_fd=parent, follow_symlinks=False)
        os.replace(entry.candidate, entry.name, src_dir_fd=parent, dst_dir_fd=parent)
    elif entry.state == "link":
        _link(parent, entry, entry.target)
    elif entry.state == "absent" and step.found.kind == "directory":
        os.rmdir(entry.name, dir_fd=parent)
    elif entry.state == "absent":
        os.unlink(entry.name, dir_fd=parent)
    else:
        _own(parent, entry.name, _owned(entry))


def _keep(step: Step, parent: int) -> None:
    """Let the file stay under its other name; one that is there already is what the service last worked with."""
    entry = step.entry
    if entry.in_force:
        _discard(parent, entry.previous)
    if step.found.kind == "absent":
        # For a service that works without the file an empty one is the same.
        if entry.in_force:
            _write(parent, entry.previous, b"", _owned(entry))
        return
    with contextlib.suppress(FileExistsError):
        os.link(entry.name, entry.previous, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)


def _put_back(step: Step, directories: Directories) -> str:
    """Undo a step; return why that was not possible, if so."""
    try:
        _restore(step, directories.open(step.entry.parent))
    except OSError as error:
        return f"{step.entry.label}: {step.entry.path} could not be put back: {error.strerror}"
    return ""


def _restore(step: Step, parent: int) -> None:
    """Make one path what it was."""
    entry, found = step.entry, step.found
    owned = (found.uid, found.gid, found.mode)
    if found.kind == "file":
        _write(parent, entry.candidate, found.content, owned)
        os.replace(entry.candidate, entry.name, src_dir_fd=parent, dst_dir_fd=parent)
        if entry.keep_until and look(parent, entry.previous).content == found.content:
            _discard(parent, entry.previous)
    elif found.kind == "link":
        _link(parent, entry, found.target)
    elif found.kind == "directory":
        with contextlib.suppress(FileExistsError):
            os.mkdir(entry.name, 0o700, dir_fd=parent)
        _own(parent, entry.name, owned)
    elif entry.state == "directory":
        os.rmdir(entry.name, dir_fd=parent)
    else:
        _discard(parent, entry.name)
        if entry.keep_until and look(parent, entry.previous).content == b"":
            _discard(parent, entry.previous)


def _objections(entry: Entry) -> list[str]:
    """Let the entry's checker see its candidate; return what it objects to."""
    if not entry.validate:
        return []
    candidate = os.path.join(entry.parent, entry.candidate)
    command = [word.replace("%s", candidate) for word in entry.validate]
    words = _checker.objection(command, entry.validate_as, [entry.content] if entry.secret else [])
    return [f"{entry.label}: {entry.path}: {words.replace(candidate, entry.path)}"] if words else []


def _owned(entry: Entry) -> tuple[int, int, int]:
    return uid(entry.owner), gid(entry.group), entry.mode


def _write(parent: int, name: str, content: bytes, owned: tuple[int, int, int]) -> None:
    """Write a file that is on disk, with its final owner, group and mode, when this returns."""
    _discard(parent, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as stream:
        stream.write(content)
        stream.flush()
        _own_open(stream.fileno(), owned)
        os.fsync(stream.fileno())


def _link(parent: int, entry: Entry, target: str) -> None:
    """Replace a link in one step."""
    _discard(parent, entry.candidate)
    os.symlink(target, entry.candidate, dir_fd=parent)
    os.replace(entry.candidate, entry.name, src_dir_fd=parent, dst_dir_fd=parent)


def _own(parent: int, name: str, owned: tuple[int, int, int]) -> None:
    """Set owner, group and mode of a file or directory that is no link."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        _own_open(descriptor, owned)
    finally:
        os.close(descriptor)


def _own_open(descriptor: int, owned: tuple[int, int, int]) -> None:
    """Set the owner before the mode, because a new owner takes the special bits of the mode away."""
    os.fchown(descriptor, owned[0], owned[1])
    os.fchmod(descriptor, owned[2])


def _discard_candidates(steps: Sequence[Step], directories: Directories) -> None:
    for entry in (step.entry for step in steps):
        with contextlib.suppress(OSError, FilesError):
            _discard(directories.open(entry.parent), entry.candidate)


def _discard(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


@contextlib.contextmanager
def _named(entry: Entry) -> Iterator[None]:
    """Let an error of the system name the entry."""
    try:
        yield
    except OSError as error:
        raise FilesError([f"{entry.label}: {entry.path}: {error.strerror}"]) from error
