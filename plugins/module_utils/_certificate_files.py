# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member's certificate files on its host: its key and request, and what is put in place."""

from __future__ import annotations

import contextlib
import grp
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts, _certificate_reason
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_facts import AUTHORITY, CERTIFICATE, KEY
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, run

KIND = "certificate"
NEW_KEY = "new key (EC P-256) that stays on this host"
# A later file may rely on an earlier one: who follows the certificate must find its key and its CA.
ORDER = (KEY, AUTHORITY, CERTIFICATE)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_REQUEST = """[req]
prompt = no
string_mask = utf8only
distinguished_name = subject
[subject]
CN = {common_name}
"""

Change = dict[str, str]


class FileError(Exception):
    """What prevents the work on this host, in words for the user."""


@dataclass(frozen=True)
class Place:
    """Where a member's files lie, and the group that may read its key."""

    directory: Path
    group: str

    @property
    def group_id(self) -> int:
        """Number of the group.

        Raises:
            FileError: there is no such group.
        """
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError as error:
            raise FileError(f"the group {self.group} does not exist on this host") from error


@dataclass(frozen=True)
class Wish:
    """A file that is to be put in place; the content is unknown (None) only while a run is predicted."""

    content: str | None
    description: str


def make_group(place: Place, *, predict: bool) -> list[Change]:
    """Make the group that may read the key where there is none; PostgreSQL's packages make the same one."""
    try:
        grp.getgrnam(place.group)
    except KeyError:
        if not predict:
            run(["groupadd", "--system", place.group])
        return [change("group", place.group, "absent", "present")]
    return []


def request(place: Place, common_name: str, *, predict: bool) -> tuple[list[Change], str | None]:
    """Make the private key where there is none that works, and a certificate request with it.

    A key that works is kept, so certificate and key match however often a renewal is interrupted.
    """
    if not _PLAIN_NAME.fullmatch(common_name):
        raise FileError(f"{common_name!r} cannot be a common name")
    # In check mode its package may be still to come.
    if not predict and _certificate_facts.openssl("version") is None:
        raise FileError("the command openssl does not run on this host; install the package openssl")
    key = place.directory / KEY
    changes = []
    if _certificate_facts.public_key_of(key) is None:
        changes = [_change(key, "a key that openssl cannot read" if key.exists() else "absent", NEW_KEY)]
    if predict:
        return changes, None
    if changes:
        _make_key(place, place.group_id)
    config = _REQUEST.format(common_name=common_name)
    made = _certificate_facts.openssl("req", "-new", "-key", str(key), "-config", "/dev/stdin", given=config)
    if made is None:
        raise FileError(f"openssl could not make a certificate request with {key}")
    return changes, made


def install(place: Place, wishes: Mapping[str, Wish], *, predict: bool) -> list[Change]:
    """Put files in place that differ from what is there, all staged first, and mend who may read the key.

    Args:
        place: where.
        wishes: what, by file name.
        predict: whether to change nothing.
    """
    different = {name: wishes[name] for name in ORDER if name in wishes and _differs(place, name, wishes[name])}
    changes = [
        _change(place.directory / name, _present(place, name), wish.description) for name, wish in different.items()
    ]
    key = place.directory / KEY
    held, needed = _certificate_facts.permissions(key), _certificate_reason.key_permissions(place.group)
    if held not in (None, needed) and KEY not in different:
        changes.append(_change(key, held or "", needed))
    if predict:
        return changes
    _check_pair(place, wishes)
    if changes:
        group = place.group_id
        _make_directory(place.directory)
        staged = [_stage(place, name, wish.content or "", group) for name, wish in different.items()]
        for beside, path in staged:
            beside.rename(path)
        if key.exists():
            _protect(key, group)
        _sync(place.directory)
    return changes


def clean(place: Place) -> None:
    """Remove what an interrupted run left beside the files."""
    for name in ORDER:
        _beside(place, name).unlink(missing_ok=True)


def _check_pair(place: Place, wishes: Mapping[str, Wish]) -> None:
    certificate = wishes.get(CERTIFICATE)
    if certificate is None:
        return
    key = wishes.get(KEY)
    held = _certificate_facts.public_key_in((key.content if key else None) or _read(place.directory / KEY))
    if held is None or held != _certificate_facts.public_key_in(certificate.content or ""):
        raise FileError(f"the certificate does not belong to the key {place.directory / KEY}; nothing was installed")


def _differs(place: Place, name: str, wish: Wish) -> bool:
    return wish.content is None or _read(place.directory / name) != wish.content


def _present(place: Place, name: str) -> str:
    """Say in words what a file holds before it is replaced."""
    path = place.directory / name
    if not path.exists():
        return "absent"
    if name == CERTIFICATE:
        facts = _certificate_facts.read(str(place.directory))
        return f"{facts['cn']}, until {_certificate_reason.day(facts['not_after'])}" if facts else "unreadable"
    if name == AUTHORITY:
        prints = _certificate_facts.fingerprints(_read(path))
        return f"sha256 {', '.join(found[:16] for found in prints)}" if prints else "unreadable"
    return "another key"


def _make_key(place: Place, group: int) -> None:
    made = _certificate_facts.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    if made is None:
        raise FileError("openssl could not make a private key")
    _make_directory(place.directory)
    beside, path = _stage(place, KEY, made, group)
    if path.exists():
        # What cannot be read is kept all the same: whoever put it there may know more.
        spare = place.directory / f".{KEY}.unreadable"
        spare.unlink(missing_ok=True)
        spare.hardlink_to(path)
    beside.rename(path)
    _sync(place.directory)


def _make_directory(directory: Path) -> None:
    for folder in (*reversed(directory.parents), directory):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)


def _stage(place: Place, name: str, content: str, group: int) -> tuple[Path, Path]:
    beside, path = _beside(place, name), place.directory / name
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        if name == KEY:
            _protect(beside, group)
        else:
            beside.chmod(0o644)
        os.fsync(descriptor)
    return beside, path


def _protect(key: Path, group: int) -> None:
    os.chown(key, 0, group)
    key.chmod(_certificate_reason.KEY_MODE)


def _beside(place: Place, name: str) -> Path:
    return place.directory / f".{name}.steadfast"


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _change(path: Path, before: str, after: str) -> Change:
    return {"kind": KIND, "name": str(path), "from": before, "to": after}
