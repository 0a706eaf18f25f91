# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what guards a host, without changing it: firewall, way in, the kernel's settings, names of others."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _firewall, _host_files, _kernel
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import is_ip
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    STATE_DIRECTORY,
    CommandError,
    read_json,
    run,
)

PROC = Path("/proc")
NFT = "/usr/sbin/nft"
SSHD_PID = Path("/run/sshd.pid")
_LISTENS = "0A"  # state of a socket in /proc/net/tcp
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def guard(cluster: str, peers: Iterable[str]) -> dict[str, Any]:
    """Return everything about the guard of a host.

    Args:
        cluster: name of the cluster.
        peers: addresses of the members, as the inventory states them; names among them are looked up.
    """
    return {
        "ssh": ssh(),
        "firewall": firewall(cluster),
        "kernel": {name: _setting(name) for name in _kernel.NAMES},
        "huge_page_bytes": _huge_page_bytes(),
        "files": {path: _file(Path(path)) for path in _host_files.paths(cluster)},
        "resolved": {name: _resolved(name) for name in peers if name and not is_ip(name)},
    }


def firewall(cluster: str) -> dict[str, Any]:
    """Return fingerprints of the live rules and of the file, what was recorded when both were proven, and who is in it.

    A fingerprint is empty where there is nothing.
    """
    text = _text(Path(_host_files.rules(cluster)))
    return {
        "live": live(cluster),
        "file": _firewall.fingerprint(text),
        "record": read_json(record_file(cluster)),
        "enabled": Path(_host_files.enabled(cluster)).is_symlink(),
        "members": _firewall.former_members(text),
    }


def live(cluster: str) -> str:
    """Return the fingerprint of the rules in the kernel, as nft lists them."""
    try:
        listed = run([NFT, "--stateless", "list", "table", _firewall.FAMILY, _firewall.table(cluster)])
    except CommandError:
        return ""
    return _firewall.fingerprint(listed)


def record_file(cluster: str) -> Path:
    """The file that tells which rules were proven, and how nft listed them."""
    return STATE_DIRECTORY / cluster / "firewall.json"


def ssh() -> dict[str, Any]:
    """Return the ports of the SSH server that this run came through, and the client's address where it is to be seen.

    The server is an ancestor of this process, unless it was restarted since; sudo hides what SSH put into the
    environment, but not from root.
    """
    ancestors = list(_ancestors(os.getppid()))
    servers = [*ancestors, *_recorded_server()]
    inodes = {inode for pid in servers for inode in _sockets(pid)}
    client, port = next(filter(None, map(_connection, ancestors)), ("", 0))
    ports = {*_listening(inodes), *([port] if port else [])}
    return {"ports": sorted(ports), "client": client}


def _ancestors(pid: int) -> Iterator[int]:
    """Yield the parents of a process, without init, which listens for everybody."""
    while pid > 1:
        yield pid
        status = _text(PROC / str(pid) / "status")
        pid = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:")), 0)


def _recorded_server() -> list[int]:
    text = _text(SSHD_PID).strip()
    return [int(text)] if text.isdigit() else []


def _sockets(pid: int) -> Iterator[str]:
    """Yield the inodes of a process's sockets; without the right to look, nothing."""
    folder = PROC / str(pid) / "fd"
    try:
        links = [os.readlink(path) for path in folder.iterdir()]
    except OSError:
        return
    yield from (found[1] for link in links if (found := _SOCKET.fullmatch(link)))


def _listening(inodes: set[str]) -> Iterator[int]:
    for name in ("tcp", "tcp6"):
        for line in _text(PROC / "net" / name).splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENS and rest[5] in inodes:
                yield int(local.rpartition(":")[2], 16)


def _connection(pid: int) -> tuple[str, int] | None:
    """Return the client's address and the server's port of the SSH connection in a process's environment."""
    entries = _text(PROC / str(pid) / "environ").split("\0")
    found = next((entry for entry in entries if entry.startswith("SSH_CONNECTION=")), "")
    words = found.partition("=")[2].split()
    return (words[0], int(words[3])) if len(words) == 4 else None


def _setting(name: str) -> dict[str, Any]:
    path = PROC / "sys" / name.replace(".", "/")
    text = _text(path)
    return {"value": " ".join(text.split()) if text else None, "writable": bool(text) and os.access(path, os.W_OK)}


def _huge_page_bytes() -> int | None:
    lines = _text(PROC / "meminfo").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Hugepagesize:")), None)


def _file(path: Path) -> str:
    """Return what the decision compares of a file."""
    try:
        found = path.stat()
        content = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    return _host_files.fingerprint(content, found.st_uid, found.st_gid, found.st_mode & 0o7777)


def _resolved(name: str) -> list[str]:
    try:
        answers = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return []
    return sorted({str(answer[4][0]) for answer in answers})


def _text(path: Path) -> str:
    """Return the text of a file; of one that is not there, or not to be read, nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
