# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove by a server's own answer which connections it refuses.

A client library gives up by itself on what it thinks is unsafe, which proves nothing about the server; so the first
messages of PostgreSQL's protocol and of TLS are written here byte by byte.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass

LIMIT = 5.0  # seconds for each answer
PROTOCOL_3 = 196608
SSL_REQUEST = 80877103
# The words of a refusal may be in any language, and its code alone stands for other refusals as well (no such role, the
# method ident). The place in the server's source is that where it has found that no rule of pg_hba.conf lets the client
# in: of a client without TLS only such a refusal is about the missing encryption.
AUTHENTICATED = 0
NOT_AUTHORISED = "28000"
NO_RULE = "ClientAuthentication"
ALERT, FATAL, PROTOCOL_VERSION = 21, 2, 70  # RFC 8446, section 6
TLS_1_1 = b"\x03\x02"


@dataclass(frozen=True)
class Answer:
    """What came of one probe.

    Attributes:
        passed: whether the server answered as it must.
        words: the answer.
    """

    passed: bool
    words: str


@dataclass(frozen=True)
class Client:
    """Who logs in: the role, and the files of its certificate and key."""

    user: str
    certificate: str
    key: str


def plaintext(address: str, port: int) -> Answer:
    """Ask for a session without TLS: the server has to say that no rule lets it in."""
    body = struct.pack("!I", PROTOCOL_3) + _parameters(user="steadfast_probe", database="postgres")
    try:
        with socket.create_connection((address, port), LIMIT) as connection:
            connection.sendall(struct.pack("!I", len(body) + 4) + body)
            kind, content = _message(connection)
    except OSError as error:
        return Answer(False, f"no answer: {error}")
    if kind != b"E":
        return Answer(False, "it goes on without TLS")
    fields = _error_fields(content)
    words = f"{fields.get('C')}: {fields.get('M')}"
    if (fields.get("C"), fields.get("R")) == (NOT_AUTHORISED, NO_RULE):
        return Answer(True, words)
    return Answer(False, f"it refuses something else, {words}")


def old_tls(address: str, port: int) -> Answer:
    """Offer TLS 1.1 at most: the server has to answer with the alert that refuses the version."""
    try:
        with socket.create_connection((address, port), LIMIT) as connection:
            if not _accepts_tls(connection):
                return Answer(False, "it does not speak TLS")
            connection.sendall(_client_hello(TLS_1_1))
            record = _exactly(connection, 7)
    except OSError as error:
        return Answer(False, f"no answer: {error}")
    if record[0] == ALERT:
        level, description = record[5], record[6]
        return Answer((level, description) == (FATAL, PROTOCOL_VERSION), f"TLS alert {description}")
    return Answer(False, "it accepts TLS 1.1")


def current_tls(address: str, port: int, name: str, ca_file: str) -> Answer:
    """Shake hands as libpq does with verify-full; without it the refusals above could be those of a broken port."""
    try:
        context = _as_libpq(ca_file)
        with socket.create_connection((address, port), LIMIT) as connection:
            if not _accepts_tls(connection):
                return Answer(False, "it does not speak TLS")
            with context.wrap_socket(connection, server_hostname=name) as secured:
                return Answer(True, str(secured.version()))
    except OSError as error:
        return Answer(False, str(error))


def login(address: str, port: int, name: str, ca_file: str, client: Client) -> Answer:
    """Log in for replication as a standby does: with a certificate alone, to a server that proves who it is."""
    body = struct.pack("!I", PROTOCOL_3) + _parameters(user=client.user, replication="true")
    try:
        context = _as_libpq(ca_file)
        context.load_cert_chain(client.certificate, client.key)
        with socket.create_connection((address, port), LIMIT) as connection:
            if not _accepts_tls(connection):
                return Answer(False, "it does not speak TLS")
            with context.wrap_socket(connection, server_hostname=name) as secured:
                secured.sendall(struct.pack("!I", len(body) + 4) + body)
                kind, content = _message(secured)
    except OSError as error:
        return Answer(False, str(error))
    if kind == b"R" and content == struct.pack("!I", AUTHENTICATED):
        return Answer(True, f"logged in as {client.user}")
    fields = _error_fields(content) if kind == b"E" else {}
    return Answer(False, f"{fields.get('C')}: {fields.get('M')}" if fields else "it asks for more than the certificate")


def _parameters(**given: str) -> bytes:
    return b"".join(f"{name}\0{value}\0".encode() for name, value in given.items()) + b"\0"


def _as_libpq(ca_file: str) -> ssl.SSLContext:
    """Return what judges a certificate as the clients do.

    Python's own default context is stricter from 3.13 on: it refuses certificates of users' own CAs, which libpq takes.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    return context


def _accepts_tls(connection: socket.socket) -> bool:
    connection.sendall(struct.pack("!II", 8, SSL_REQUEST))
    return _exactly(connection, 1) == b"S"


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(connection, 5)
    return head[:1], _exactly(connection, struct.unpack("!I", head[1:])[0] - 4)


def _error_fields(content: bytes) -> dict[str, str]:
    parts = (part for part in content.split(b"\0") if part)
    return {chr(part[0]): part[1:].decode("utf-8", "replace") for part in parts}


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise ConnectionError("the server closed the connection")
        received += more
    return received


def _client_hello(version: bytes) -> bytes:
    """Write the first message of a handshake (RFC 4346, RFC 8422) with suites that the version knows."""
    suites = struct.pack("!6H", 0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035)
    groups = struct.pack("!HHHH", 10, 4, 2, 23)  # supported groups: secp256r1
    formats = struct.pack("!HHBB", 11, 2, 1, 0)  # uncompressed points
    extensions = groups + formats
    body = version + bytes(32) + b"\0" + struct.pack("!H", len(suites)) + suites
    body += b"\x01\0" + struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake
