# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The console of PgBouncer, spoken to by the protocol: rows, refusals, silence."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _console
from ansible_collections.steadfast.postgresql.plugins.module_utils._console import Console, ConsoleError

READY = b"Z\0\0\0\5I"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def row(*values: str | None) -> bytes:
    cells = [
        b"\xff\xff\xff\xff" if value is None else struct.pack("!I", len(value)) + value.encode() for value in values
    ]
    return message(b"D", struct.pack("!H", len(values)) + b"".join(cells))


def columns(*names: str) -> bytes:
    return message(b"T", struct.pack("!H", len(names)) + b"".join(name.encode() + bytes(19) for name in names))


def error(severity: str, text: str) -> bytes:
    return message(b"E", f"S{severity}\0C08P01\0M{text}\0\0".encode())


LOGGED_IN = message(b"R", bytes(4)) + message(b"S", b"server_version\x001.24\0") + READY
SHOWN = columns("name", "force_user", "paused") + row("shop", None, "0") + row("books", "x", "1")


@contextlib.contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """A console that gives these answers, one to each message that it gets."""
    heard: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for answer in answers:
                heard.append(connection.recv(4096))
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        thread.join(5)
        listener.close()


def test_rows_without_what_is_null(tmp_path: Path) -> None:
    done = message(b"C", b"SHOW\0") + READY
    with answering(tmp_path / "s", LOGGED_IN, SHOWN + done) as heard, Console(tmp_path / "s") as console:
        assert console.ask("SHOW DATABASES") == [
            {"name": "shop", "paused": "0"},
            {"name": "books", "force_user": "x", "paused": "1"},
        ]
    assert heard[0][8:] == b"user\0pgbouncer\0database\0pgbouncer\0\0"
    assert heard[1] == message(b"Q", b"SHOW DATABASES\0")


def test_a_refused_command_ends_no_session(tmp_path: Path) -> None:
    refused = error("ERROR", "no such database: shop") + READY
    paused = message(b"C", b"PAUSE\0") + READY
    with answering(tmp_path / "s", LOGGED_IN, refused, paused), Console(tmp_path / "s") as console:
        with pytest.raises(ConsoleError, match=r"^no such database: shop$"):
            console.ask("PAUSE shop")
        assert console.ask("PAUSE books") == []


def test_who_is_not_let_in(tmp_path: Path) -> None:
    with answering(tmp_path / "s", error("FATAL", "not allowed")), pytest.raises(ConsoleError, match=r"^not allowed$"):
        Console(tmp_path / "s")


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match=r"^No such file or directory$"):
        Console(tmp_path / "s")


def test_the_session_ends_early(tmp_path: Path) -> None:
    ended = pytest.raises(ConsoleError, match=r"^it ended the session$")
    with answering(tmp_path / "s", LOGGED_IN, b""), Console(tmp_path / "s") as console, ended:
        console.ask("SHOW POOLS")


def test_silence_has_an_end(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    with listener, pytest.raises(ConsoleError, match=r"^it does not answer in time$"):
        Console(tmp_path / "s", limit=0.05)


def test_where_a_process_listens() -> None:
    assert str(_console.socket_path("/run/pgbouncer/1", 6432)) == "/run/pgbouncer/1/.s.PGSQL.6432"
