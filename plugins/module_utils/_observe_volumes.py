# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read on what kind of volume a place lies, down to the disks, without changing it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, run

MOUNTS = Path("/proc/self/mountinfo")
BLOCK = Path("/sys/dev/block")
UNKNOWN_CIPHER = "unknown cipher"
_CIPHER = re.compile(r"^\s*cipher:\s*(\S+)", re.MULTILINE)
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo (proc_pid_mountinfo(5))."""

    device: str
    point: Path
    file_system: str
    source: str


def volumes(places: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Return for each place its mount and device, and whether everything below is encrypted, with which ciphers."""
    mounts = _mounts()
    return {name: _volume(path, mounts) for name, path in places.items()}


def _volume(path: Path, mounts: list[Mount]) -> dict[str, Any]:
    mount = _mount_of(Path(os.path.realpath(path)), mounts)
    block = _block(mount)
    ciphers = _ciphers(block) if block else []
    return {
        "mount": str(mount.point),
        "file_system": mount.file_system,
        "device": mount.source if block else "",
        "encrypted": bool(ciphers) and None not in ciphers,
        "ciphers": sorted({cipher for cipher in ciphers if cipher}),
    }


def _mounts() -> list[Mount]:
    return [_parsed(line) for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]


def _parsed(line: str) -> Mount:
    # Optional fields stand before the dash.
    fields, kind = (part.split() for part in line.split(" - ", 1))
    return Mount(device=fields[2], point=Path(_plain(fields[4])), file_system=kind[0], source=_plain(kind[1]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _mount_of(path: Path, mounts: list[Mount]) -> Mount:
    """Return the mount that holds a place; of several at one point, the last one covers the others."""
    holding = [mount for mount in mounts if mount.point == path or mount.point in path.parents]
    deepest = max(len(mount.point.parts) for mount in holding)
    return [mount for mount in holding if len(mount.point.parts) == deepest][-1]


def _block(mount: Mount) -> Path | None:
    """Return the block device under a mount; btrfs says another number than its device has."""
    found = BLOCK / mount.device
    if not found.exists() and mount.source.startswith("/dev/"):
        try:
            number = Path(mount.source).stat().st_rdev
        except OSError:
            return None
        found = BLOCK / f"{os.major(number)}:{os.minor(number)}"
    return found.resolve() if found.exists() else None


def _ciphers(block: Path) -> list[str | None]:
    """Return what encrypts each path down to a disk; None for a path that nothing encrypts."""
    if _text(block / "dm/uuid").startswith("CRYPT-"):
        return [_cipher(_text(block / "dm/name"))]
    below = list(_below(block))
    return [cipher for device in below for cipher in _ciphers(device)] if below else [None]


def _below(block: Path) -> Iterator[Path]:
    if (block / "partition").exists():
        yield block.resolve().parent
        return
    slaves = block / "slaves"
    if slaves.is_dir():
        yield from (slave.resolve() for slave in sorted(slaves.iterdir()))


def _cipher(name: str) -> str:
    """Return the cipher of a mapped device; the key is never read."""
    try:
        found = _CIPHER.search(run(["cryptsetup", "status", name]))
    except CommandError:
        found = None
    return found[1] if found else UNKNOWN_CIPHER


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
