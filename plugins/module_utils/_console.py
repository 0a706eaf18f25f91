# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to PgBouncer's console over its socket, by PostgreSQL's protocol: a host that only pools has no psql.

It stands alone, because the role pooler also installs it on the hosts beside the program that uses it there.
Messages: https://www.postgresql.org/docs/16/protocol-message-formats.html.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

NAME = "pgbouncer"
"""The user and the database of the console; PgBouncer lets its own operating-system user in without a password."""
PROTOCOL_3 = 196608
TERMINATE = b"X\0\0\0\4"
FATAL = "FATAL"
"""The severity of an error that ends the session."""
Row = dict[str, str]


class ConsoleError(Exception):
    """No console answers, or it refuses a command; the text carries its own words."""


class Console:
    """A session with the console of one process."""

    def __init__(self, path: Path, limit: float = 5.0) -> None:
        """Log in.

        Args:
            path: of the socket.
            limit: seconds to wait for each answer.

        Raises:
            ConsoleError: nobody answers there.
        """
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(limit)
        try:
            with _acting_as(path.stat().st_uid):
                self._socket.connect(str(path))
            body = struct.pack("!I", PROTOCOL_3) + f"user\0{NAME}\0database\0{NAME}\0\0".encode()
            self._socket.sendall(struct.pack("!I", len(body) + 4) + body)
            self._rows()
        except OSError as error:
            self.close()
            raise ConsoleError(_words(error)) from error
        except ConsoleError:
            self.close()
            raise

    def __enter__(self) -> Console:
        """Return the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the session."""
        self.close()

    def close(self) -> None:
        """End the session, as PgBouncer's log likes it."""
        with contextlib.suppress(OSError):
            self._socket.sendall(TERMINATE)
        self._socket.close()

    def ask(self, command: str) -> list[Row]:
        """Run a command and return its rows; a value that is null is left out.

        Raises:
            ConsoleError: the command is refused, or there is no answer in time.
        """
        body = command.encode() + b"\0"
        try:
            self._socket.sendall(b"Q" + struct.pack("!I", len(body) + 4) + body)
            return self._rows()
        except OSError as error:
            raise ConsoleError(_words(error)) from error

    def _rows(self) -> list[Row]:
        """Read messages until the console waits for a command."""
        columns: list[str] = []
        rows: list[Row] = []
        refusal = ""
        while True:
            kind, body = self._message()
            if kind == b"T":
                columns = list(_columns(body))
            elif kind == b"D":
                rows.append(
                    {name: value for name, value in zip(columns, _values(body), strict=True) if value is not None}
                )
            elif kind == b"E":
                severity, refusal = _refusal(body)
                if severity == FATAL:
                    raise ConsoleError(refusal)
            elif kind == b"Z":
                if refusal:
                    raise ConsoleError(refusal)
                return rows

    def _message(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(int(struct.unpack("!I", head[1:])[0]) - 4)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._socket.recv(count - len(found))
            if not part:
                raise ConsoleError("it ended the session")
            found += part
        return found


def socket_path(directory: str, port: int) -> Path:
    """Return where a process listens for its console."""
    return Path(directory) / f".s.PGSQL.{port}"


@contextlib.contextmanager
def _acting_as(user: int) -> Iterator[None]:
    """Be another user while a socket is connected: the kernel tells the other side who that was."""
    before = os.geteuid()
    if before == user or before != 0:
        yield
        return
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(before)


def _columns(body: bytes) -> Iterator[str]:
    (count,) = struct.unpack_from("!H", body)
    place = 2
    for _ in range(count):
        end = body.index(b"\0", place)
        yield body[place:end].decode()
        place = end + 1 + 18  # what follows a name: table, attribute, type, size, modifier, format


def _values(body: bytes) -> Iterator[str | None]:
    (count,) = struct.unpack_from("!H", body)
    place = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, place)
        place += 4
        if size < 0:
            yield None
            continue
        yield body[place : place + size].decode(errors="replace")
        place += size


def _refusal(body: bytes) -> tuple[str, str]:
    """Return the severity and the message of an error."""
    texts = (field.decode(errors="replace") for field in body.split(b"\0") if field)
    fields = {text[0]: text[1:] for text in texts}
    return fields.get("S", ""), fields.get("M", "it refuses without a reason")


def _words(error: OSError) -> str:
    return "it does not answer in time" if isinstance(error, TimeoutError) else str(error.strerror or error)
