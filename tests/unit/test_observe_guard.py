# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a host's guard: the way that a run came in, the firewall, the kernel, files, names."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _firewall,
    _host_files,
    _kernel,
    _observe_guard,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   0: 00000000:{port:04X} {remote}:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
FROM_ROOT = b"HOME=/root\0SSH_CONNECTION=10.9.0.7 50000 10.0.0.1 2222\0LANG=C\0"


class Machine:
    """The processes and sockets of a host, as /proc shows them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "net").mkdir()
        self.sockets = {"tcp": TCP, "tcp6": TCP}
        self.listen("tcp", 5432, 9999)

    def process(self, pid: int, parent: int, *inodes: int, environ: bytes = b"") -> None:
        """Make a process with sockets."""
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
        (folder / "environ").write_bytes(environ)
        (folder / "fd/0").symlink_to("/dev/null")
        for number, inode in enumerate(inodes, 3):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    def listen(self, family: str, port: int, inode: int, state: str = "0A", remote: str = "00000000") -> None:
        """Add a socket to the kernel's table."""
        self.sockets[family] += LINE.format(port=port, inode=inode, state=state, remote=remote)
        for name, text in self.sockets.items():
            (self.root / "net" / name).write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(_observe_guard, "PROC", tmp_path)
    monkeypatch.setattr(_observe_guard, "SSHD_PID", tmp_path / "sshd.pid")
    monkeypatch.setattr(os, "getppid", lambda: 90)
    return Machine(tmp_path)


def test_the_server_is_an_ancestor(machine: Machine) -> None:
    machine.process(90, 80, 1)
    machine.process(80, 70, 2)
    machine.process(70, 1, 3, 4)
    machine.process(1, 0, 5)
    machine.listen("tcp", 22, 3)
    machine.listen("tcp6", 2022, 4)
    # Not its own, not listening, and of init, which listens for others.
    machine.listen("tcp", 80, 8)
    machine.listen("tcp", 40000, 2, state="01", remote="0700090A")
    machine.listen("tcp", 631, 5)
    assert _observe_guard.ssh() == {"ports": [22, 2022], "client": ""}


def test_a_server_that_was_restarted_since(machine: Machine) -> None:
    machine.process(90, 1)
    machine.process(60, 1, 6)
    machine.listen("tcp", 22, 6)
    assert _observe_guard.ssh()["ports"] == []
    (machine.root / "sshd.pid").write_text("60\n")
    assert _observe_guard.ssh()["ports"] == [22]


def test_the_connection_in_an_environment(machine: Machine) -> None:
    machine.process(90, 80)
    machine.process(80, 1, environ=FROM_ROOT)
    assert _observe_guard.ssh() == {"ports": [2222], "client": "10.9.0.7"}


def test_a_run_that_came_another_way(machine: Machine) -> None:
    machine.process(90, 1, environ=b"SSH_CONNECTION=\0")
    assert _observe_guard.ssh() == {"ports": [], "client": ""}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_host_files, "FIREWALL_FOLDER", str(tmp_path))
    monkeypatch.setattr(_host_files, "enabled", lambda cluster: str(tmp_path / f"{cluster}.wants"))
    monkeypatch.setattr(_observe_guard, "STATE_DIRECTORY", tmp_path)
    return tmp_path


def test_no_firewall(paths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(command: list[str]) -> str:
        raise CommandError("nft is not there")

    monkeypatch.setattr(_observe_guard, "run", missing)
    nothing: dict[str, Any] = {"live": "", "file": "", "record": None, "enabled": False, "members": {}}
    assert _observe_guard.firewall("main") == nothing


def test_a_firewall(paths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(command: list[str]) -> str:
        asked.append(" ".join(command))
        return "table inet steadfast_main {}\n"

    monkeypatch.setattr(_observe_guard, "run", answer)
    (paths / "main").mkdir()
    record = {"rules": "a", "live": "b"}
    (paths / "main/firewall.json").write_text(json.dumps(record))
    text = "# member db1 10.0.0.1\n"
    (paths / "firewall_main.nft").write_text(text)
    # A link to a unit that is not there yet is one all the same.
    (paths / "main.wants").symlink_to("/nowhere")
    assert _observe_guard.firewall("main") == {
        "live": _firewall.fingerprint("table inet steadfast_main {}\n"),
        "file": _firewall.fingerprint(text),
        "record": record,
        "enabled": True,
        "members": {"db1": ["10.0.0.1"]},
    }
    assert asked == ["/usr/sbin/nft --stateless list table inet steadfast_main"]


def test_the_kernel_and_files(machine: Machine, paths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrades = paths / "upgrades"
    upgrades.write_text("text")
    upgrades.chmod(0o640)
    monkeypatch.setattr(_host_files, "paths", lambda cluster: [str(upgrades), str(paths / "not there")])
    monkeypatch.setattr(_observe_guard, "run", lambda command: "")
    (machine.root / "sys/vm").mkdir(parents=True)
    (machine.root / "sys/vm/swappiness").write_text("60\n")
    (machine.root / "meminfo").write_text("MemTotal: 8 kB\nHugepagesize:       2048 kB\n")
    found = _observe_guard.guard("main", ["10.0.0.1", "", "fd00::1"])
    assert list(found["kernel"]) == list(_kernel.NAMES)
    assert found["kernel"]["vm.swappiness"] == {"value": "60", "writable": True}
    assert found["kernel"]["vm.dirty_bytes"] == {"value": None, "writable": False}
    assert found["huge_page_bytes"] == 2 << 20
    assert found["files"] == {
        str(upgrades): _host_files.fingerprint("text", os.getuid(), os.getgid(), 0o640),
        str(paths / "not there"): "",
    }
    assert found["resolved"] == {}


def test_names_are_looked_up(machine: Machine, paths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(name: str, port: None, proto: int) -> list[Any]:
        if name == "db2.example.com":
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", ("127.0.1.1", 0)), (0, 0, 0, "", ("10.0.0.1", 0)), (0, 0, 0, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(_observe_guard, "run", lambda command: "")
    found = _observe_guard.guard("main", ["db1.example.com", "db2.example.com", "10.0.0.9"])
    assert found["resolved"] == {"db1.example.com": ["10.0.0.1", "127.0.1.1"], "db2.example.com": []}
