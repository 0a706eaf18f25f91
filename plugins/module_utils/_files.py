# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a set of files with the host, changing nothing; _files_apply then makes the host agree.

Paths are walked from the root directory without following links that somebody else made, because the module runs as
root in directories that belong to others.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as in the kernel


class FilesError(Exception):
    """The run cannot go on; each mistake is one text."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Keep the mistakes."""
        super().__init__("\n".join(mistakes))


@dataclass(frozen=True)
class Entry:
    """What one path should be; its values are already known to make sense.

    Attributes:
        label: how messages call the entry, such as files[0].
        state: present (a file), directory, link or absent.
        secret: whether the content must not be shown.
        target: where a link points to.
        owner: name or number; likewise group.
        validate: command with %s for the candidate; empty when nothing checks it.
        validate_as: user that runs it; empty for the user of the module.
        keep_until: restart or reload, until which the file that is replaced stays beside the new one; empty for not.
        in_force: whether the service works with the file that is there.
    """

    label: str
    path: str
    state: str = "present"
    content: bytes = b""
    secret: bool = False
    target: str = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    validate: tuple[str, ...] = ()
    validate_as: str = ""
    keep_until: str = ""
    in_force: bool = False

    @property
    def parent(self) -> str:
        """The directory that holds the path."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    @property
    def candidate(self) -> str:
        """Name beside the file; always the same, so that an interrupted run leaves at most one."""
        return f".{self.name}.steadfast"

    @property
    def previous(self) -> str:
        """Name beside the file for what it was before."""
        return f"{self.name}.before-{self.keep_until}"


@dataclass(frozen=True)
class Found:
    """What stands at a path: absent, file, directory, link or other."""

    kind: str = "absent"
    content: bytes = b""
    uid: int = 0
    gid: int = 0
    mode: int = 0
    target: str = ""


@dataclass(frozen=True)
class Step:
    """An entry, what was found in its place, and how the two differ: pairs of from and to, none when they agree."""

    entry: Entry
    found: Found
    differences: tuple[tuple[str, str], ...]

    @property
    def writes(self) -> bool:
        """Whether a file with new content takes the place of what is there."""
        if self.entry.state != "present":
            return False
        return self.found.kind == "absent" or self.found.content != self.entry.content

    @property
    def change(self) -> dict[str, str]:
        """The change as an element of the list of changes; check mode predicts the same."""
        kind = {"present": "file", "absent": self.found.kind}.get(self.entry.state, self.entry.state)
        before = ", ".join(pair[0] for pair in self.differences)
        after = ", ".join(pair[1] for pair in self.differences)
        return {"kind": kind, "name": self.entry.path, "from": before, "to": after}


class Directories:
    """Open directories by path, each once."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[str, int] = {}

    def __enter__(self) -> Directories:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all of them."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def open(self, path: str) -> int:
        """Return a descriptor of a directory.

        Raises:
            OSError: there is none.
            FilesError: the way leads over a link of another user.
        """
        if path not in self._open:
            self._open[path] = open_directory(path)
        return self._open[path]

    def forget(self, path: str) -> None:
        """Close a directory that was removed; one that is made in its place is another."""
        if path in self._open:
            os.close(self._open.pop(path))


def open_directory(path: str) -> int:
    """Open a directory; on the way to it follow links only of root and of the user who runs this."""
    trusted = (0, os.geteuid())
    waiting = path.split("/")[::-1]
    links = 0
    here = os.open("/", _DIRECTORY)
    try:
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            seen = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISLNK(seen.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    raise FilesError([f"{path} leads over too many links"])
                if seen.st_uid not in trusted:
                    raise FilesError([f"{path} leads over the link {name} of another user, which is not followed"])
                target = os.readlink(name, dir_fd=here)
                waiting += target.split("/")[::-1]
                name = "/" if target.startswith("/") else "."
            after = os.open(name, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = after
    except BaseException:
        os.close(here)
        raise
    return here


def look(parent: int, name: str) -> Found:
    """Return what stands at a name in an open directory."""
    try:
        seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return Found()
    mode = stat.S_IMODE(seen.st_mode)
    if stat.S_ISLNK(seen.st_mode):
        return Found("link", target=os.readlink(name, dir_fd=parent))
    if stat.S_ISDIR(seen.st_mode):
        return Found("directory", b"", seen.st_uid, seen.st_gid, mode)
    if not stat.S_ISREG(seen.st_mode):
        return Found("other")
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent), "rb") as stream:
        return Found("file", stream.read(), seen.st_uid, seen.st_gid, mode)


def uid(owner: str) -> int:
    """Return the number of a user given by name or number; a KeyError when there is no such user."""
    return int(owner) if owner.isdecimal() else pwd.getpwnam(owner).pw_uid


def gid(group: str) -> int:
    """Return the number of a group given by name or number; a KeyError when there is no such group."""
    return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid


def digest(content: bytes) -> str:
    """Return a short fingerprint of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:12]}"


def plan(entries: Sequence[Entry], directories: Directories, tolerant: bool) -> list[Step]:
    """Look at every path and return what would change, in order.

    Args:
        entries: what the paths should be.
        directories: opened on the way.
        tolerant: whether owners and parent directories may be missing, as on a host where check mode has
            installed nothing.

    Raises:
        FilesError: with all that stands in the way; nothing was changed.
    """
    mistakes: list[str] = []
    steps: list[Step] = []
    planned: dict[str, str] = {}
    for entry in entries:
        try:
            found = _find(entry, directories, planned, tolerant)
            mistakes += [f"{entry.label}: {mistake}" for mistake in _obstacles(entry, found, directories, planned)]
            if not tolerant:
                mistakes += [f"{entry.label}.{mistake}" for mistake in _unknown_owners(entry)]
            steps.append(Step(entry, found, tuple(_differences(entry, found))))
        except FilesError as error:
            mistakes.append(f"{entry.label}: {error}")
        except OSError as error:
            mistakes.append(f"{entry.label}: {entry.path}: {error.strerror}")
        planned[entry.path] = entry.state
    if mistakes:
        raise FilesError(mistakes)
    return steps


def _find(entry: Entry, directories: Directories, planned: dict[str, str], tolerant: bool) -> Found:
    """Return what stands at the entry's path; absent when its directory is still to come."""
    coming = planned.get(entry.parent, "directory")
    if coming != "directory":
        if entry.state == "absent":
            return Found()
        raise FilesError([f"{entry.path} needs the directory {entry.parent}, which the list declares as {coming}"])
    try:
        return look(directories.open(entry.parent), entry.name)
    except FileNotFoundError:
        if tolerant or entry.parent in planned or entry.state == "absent":
            return Found()
        raise FilesError([f"the directory {entry.parent} is not there; declare it before {entry.path}"]) from None


def _obstacles(entry: Entry, found: Found, directories: Directories, planned: dict[str, str]) -> Iterable[str]:
    """Yield why what stands at the path may not be replaced."""
    wanted = {"present": "file"}.get(entry.state, entry.state)
    if found.kind == "link" and wanted in ("file", "directory"):
        yield f"{entry.path} is a link to {found.target}, which is not followed; name the target, or remove the link"
    elif found.kind == "other":
        yield f"{entry.path} is neither a file nor a directory nor a link"
    elif wanted == "absent" and found.kind == "directory":
        inside = os.listdir(directories.open(entry.path))
        left = [name for name in sorted(inside) if planned.get(f"{entry.path}/{name}") != "absent"]
        if left:
            yield f"{entry.path} is not empty and is not removed; it holds {', '.join(left[:5])}"
    elif wanted != "absent" and found.kind not in ("absent", wanted):
        yield f"{entry.path} is a {found.kind} and does not become a {wanted}; remove it if nothing needs it"


def _unknown_owners(entry: Entry) -> Iterable[str]:
    """Yield which of the entry's users and groups the host does not have."""
    if entry.validate_as and not _known(uid, entry.validate_as):
        yield f"validate_as: there is no user {entry.validate_as} on this host"
    if entry.state in ("present", "directory"):
        if not _known(uid, entry.owner):
            yield f"owner: there is no user {entry.owner} on this host"
        if not _known(gid, entry.group):
            yield f"group: there is no group {entry.group} on this host"


def _known(number: Callable[[str], int], name: str) -> bool:
    try:
        number(name)
    except KeyError:
        return False
    return True


def _differences(entry: Entry, found: Found) -> Iterable[tuple[str, str]]:
    """Yield how what was found differs from the entry, as pairs of from and to."""
    before = f"link to {found.target}" if found.kind == "link" else found.kind
    if entry.state == "absent":
        after = "absent"
    elif entry.state == "link":
        after = f"link to {entry.target}"
    elif entry.state == "directory":
        after = "directory"
    else:
        after = "hidden" if entry.secret else digest(entry.content)
        if found.kind == "file":
            before = "hidden" if entry.secret else digest(found.content)
            if found.content != entry.content:
                yield before, after
            yield from _attributes(entry, found)
            return
    if before != after:
        yield before, after
    elif after == "directory":
        yield from _attributes(entry, found)


def _attributes(entry: Entry, found: Found) -> Iterable[tuple[str, str]]:
    """Yield the differences in owner, group and mode; a user that is not there yet differs from every user."""
    pairs: list[tuple[str, str, int, Callable[[str], int], Callable[[int], str]]] = [
        ("owner", entry.owner, found.uid, uid, lambda number: pwd.getpwuid(number).pw_name),
        ("group", entry.group, found.gid, gid, lambda number: grp.getgrgid(number).gr_name),
    ]
    for what, wanted, number, number_of, name_of in pairs:
        with contextlib.suppress(KeyError):
            if number_of(wanted) == number:
                continue
        name = str(number)
        with contextlib.suppress(KeyError):
            name = name_of(number)
        yield f"{what} {name}", f"{what} {wanted}"
    if entry.mode != found.mode:
        yield f"mode {found.mode:04o}", f"mode {entry.mode:04o}"
