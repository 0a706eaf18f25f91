# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes against servers that answer as PostgreSQL does, and as it must not."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _probe
from ansible_collections.steadfast.postgresql.plugins.module_utils._probe import Answer
from certificate_factory import make, make_ca

HOST = "127.0.0.1"
SSL_REQUEST = struct.pack("!II", 8, 80877103)
ALERT = b"\x15\x03\x02\x00\x02"
NO_ENTRY = 'no pg_hba.conf entry for host "127.0.0.1", user "steadfast_probe", database "postgres", no encryption'


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Listen on a port of the loopback address and answer one client."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def closed_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def error(code: str, text: str, routine: str = "ClientAuthentication") -> bytes:
    fields = ("SFATAL", "VFATAL", f"C{code}", f"M{text}", "Fauth.c", "L550", f"R{routine}", "")
    return message(b"E", b"\0".join(field.encode() for field in fields) + b"\0")


REFUSED = error("28000", NO_ENTRY)


def after_startup(*answers: bytes) -> Callable[[socket.socket], object]:
    """Read the startup message, check what stands in it, and answer piece by piece."""

    def answer(connection: socket.socket) -> None:
        length, version = struct.unpack("!II", connection.recv(8, socket.MSG_WAITALL))
        parameters = connection.recv(length - 8, socket.MSG_WAITALL)
        assert (version, parameters) == (196608, b"user\0steadfast_probe\0database\0postgres\0\0")
        for part in answers:
            connection.sendall(part)

    return answer


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([REFUSED], Answer(True, f"28000: {NO_ENTRY}"), id="no rule"),
        pytest.param([REFUSED[:3], REFUSED[3:20], REFUSED[20:]], Answer(True, f"28000: {NO_ENTRY}"), id="in pieces"),
        pytest.param(
            [error("28000", "kein pg_hba.conf-Eintrag, keine Verschlüsselung")],
            Answer(True, "28000: kein pg_hba.conf-Eintrag, keine Verschlüsselung"),
            id="in another language",
        ),
        pytest.param(
            [error("28000", "Ident authentication failed", "auth_failed")],
            Answer(False, "it refuses something else, 28000: Ident authentication failed"),
            id="a rule without TLS that asks for another proof",
        ),
        pytest.param(
            [error("28000", 'role "steadfast_probe" does not exist', "InitializeSessionUserId")],
            Answer(False, 'it refuses something else, 28000: role "steadfast_probe" does not exist'),
            id="no such role",
        ),
        pytest.param(
            [message(b"E", b"SERROR\0C28000\0Mno such user\0\0")],
            Answer(False, "it refuses something else, 28000: no such user"),
            id="no server of PostgreSQL",
        ),
        pytest.param(
            [error("28P01", "password authentication failed", "auth_failed")],
            Answer(False, "it refuses something else, 28P01: password authentication failed"),
            id="a password was asked for",
        ),
        pytest.param(
            [error("53300", "sorry, too many clients already")],
            Answer(False, "it refuses something else, 53300: sorry, too many clients already"),
            id="no room",
        ),
        pytest.param(
            [message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")],
            Answer(False, "it goes on without TLS"),
            id="it asks for a password",
        ),
        pytest.param(
            [message(b"R", struct.pack("!I", 0)), REFUSED], Answer(False, "it goes on without TLS"), id="it trusts"
        ),
        pytest.param([], Answer(False, "no answer: the server closed the connection"), id="closed"),
        pytest.param([REFUSED[:30]], Answer(False, "no answer: the server closed the connection"), id="cut off"),
    ],
)
def test_plaintext(answers: list[bytes], expected: Answer) -> None:
    with server(after_startup(*answers)) as port:
        assert _probe.plaintext(HOST, port) == expected


@pytest.mark.parametrize("probe", [_probe.plaintext, _probe.old_tls])
def test_a_closed_port_proves_nothing(probe: Callable[..., Any]) -> None:
    assert probe(HOST, closed_port()) == Answer(False, "no answer: [Errno 111] Connection refused")


def test_a_server_that_says_nothing_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "LIMIT", 0.05)
    with server(lambda connection: connection.recv(1000) and connection.recv(1000)) as port:
        assert _probe.plaintext(HOST, port) == Answer(False, "no answer: timed out")


def after_hello(accept: bytes, *answers: bytes) -> Callable[[socket.socket], object]:
    """Answer the wish for TLS, then the first message of a handshake."""

    def answer(connection: socket.socket) -> None:
        assert connection.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
        connection.sendall(accept)
        if answers:
            head = connection.recv(5, socket.MSG_WAITALL)
            assert head[:3] == b"\x16\x03\x01"
            connection.recv(struct.unpack("!H", head[3:])[0], socket.MSG_WAITALL)
        for part in answers:
            connection.sendall(part)

    return answer


@pytest.mark.parametrize(
    ("accept", "answers", "expected"),
    [
        pytest.param(b"S", [ALERT + b"\x02\x46"], Answer(True, "TLS alert 70"), id="protocol_version"),
        pytest.param(b"S", [ALERT, b"\x02\x46"], Answer(True, "TLS alert 70"), id="in pieces"),
        pytest.param(b"S", [ALERT + b"\x01\x46"], Answer(False, "TLS alert 70"), id="a warning only"),
        pytest.param(b"S", [ALERT + b"\x02\x28"], Answer(False, "TLS alert 40"), id="handshake_failure"),
        pytest.param(b"S", [b"\x16\x03\x02\x00\x40\x02\x00"], Answer(False, "it accepts TLS 1.1"), id="ServerHello"),
        pytest.param(b"N", [], Answer(False, "it does not speak TLS"), id="no TLS"),
        pytest.param(b"", [], Answer(False, "no answer: the server closed the connection"), id="closed"),
        pytest.param(
            b"S", [b"\x15"], Answer(False, "no answer: the server closed the connection"), id="closed in a record"
        ),
    ],
)
def test_old_tls(accept: bytes, answers: list[bytes], expected: Answer) -> None:
    with server(after_hello(accept, *answers)) as port:
        assert _probe.old_tls(HOST, port) == expected


@pytest.fixture(scope="module")
def authority() -> Any:
    now = datetime.datetime.now(datetime.timezone.utc)
    return make_ca(begins=now - datetime.timedelta(days=1), ends=now + datetime.timedelta(days=2))


@pytest.fixture
def files(tmp_path: Path, authority: Any) -> Path:
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    made = make("db1", authority, begins=now - day, ends=now + day)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "other.crt").write_bytes(make_ca("another CA", begins=now - day, ends=now + day).pem)
    (tmp_path / "server.pem").write_bytes(made.pem + made.key_pem())
    return tmp_path


def with_tls(
    files: Path, oldest: ssl.TLSVersion, newest: ssl.TLSVersion | None = None
) -> Callable[[socket.socket], object]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # What the library refuses by itself is no proof about these probes.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = oldest
    context.maximum_version = newest or ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.load_cert_chain(files / "server.pem")

    def answer(connection: socket.socket) -> None:
        assert connection.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
        connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return answer


@pytest.mark.parametrize(
    ("newest", "words"), [(None, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")], ids=["1.3", "1.2"]
)
def test_current_tls(files: Path, newest: ssl.TLSVersion | None, words: str) -> None:
    with server(with_tls(files, ssl.TLSVersion.TLSv1_2, newest)) as port:
        assert _probe.current_tls(HOST, port, "db1", str(files / "ca.crt")) == Answer(True, words)


@pytest.mark.parametrize(
    ("name", "ca", "words"),
    [
        ("db2", "ca.crt", "Hostname mismatch, certificate is not valid for 'db2'"),
        ("db1", "other.crt", "certificate verify failed"),
    ],
)
def test_current_tls_of_another(files: Path, name: str, ca: str, words: str) -> None:
    with server(with_tls(files, ssl.TLSVersion.TLSv1_2)) as port:
        answer = _probe.current_tls(HOST, port, name, str(files / ca))
    assert not answer.passed
    assert words in answer.words


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python's default context be that of 3.13."""
    default = ssl.create_default_context

    def create(**given: Any) -> ssl.SSLContext:
        context = default(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


@pytest.mark.usefixtures("strict")
def test_current_tls_takes_a_certificate_without_identifiers_as_libpq_does(tmp_path: Path) -> None:
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    times: dict[str, Any] = {"begins": now - day, "ends": now + day}
    root = make_ca("our own CA", identifiers=False, **times)
    made = make("db1", root, identifiers=False, **times)
    (tmp_path / "ca.crt").write_bytes(root.pem)
    (tmp_path / "server.pem").write_bytes(made.pem + made.key_pem())
    with server(with_tls(tmp_path, ssl.TLSVersion.TLSv1_2)) as port:
        assert _probe.current_tls(HOST, port, "db1", str(tmp_path / "ca.crt")) == Answer(True, "TLSv1.3")


@pytest.mark.usefixtures("strict")
def test_current_tls_takes_no_chain_that_ends_early_as_libpq_does(tmp_path: Path, authority: Any) -> None:
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    times: dict[str, Any] = {"begins": now - day, "ends": now + day}
    between = make_ca("between", authority, **times)
    made = make("db1", between, **times)
    (tmp_path / "ca.crt").write_bytes(between.pem)
    (tmp_path / "server.pem").write_bytes(made.pem + between.pem + made.key_pem())
    with server(with_tls(tmp_path, ssl.TLSVersion.TLSv1_2)) as port:
        answer = _probe.current_tls(HOST, port, "db1", str(tmp_path / "ca.crt"))
    assert not answer.passed
    assert "unable to get issuer certificate" in answer.words


def test_current_tls_without_tls(files: Path) -> None:
    with server(after_hello(b"N")) as port:
        assert _probe.current_tls(HOST, port, "db1", str(files / "ca.crt")) == Answer(False, "it does not speak TLS")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_current_tls_without_a_ca(tmp_path: Path, content: str | None) -> None:
    ca = tmp_path / "ca.crt"
    if content:
        ca.write_text(content)
    answer = _probe.current_tls(HOST, 1, "db1", str(ca))
    assert not answer.passed
    assert "Connection refused" not in answer.words


def test_a_real_listener_refuses_the_old_version(files: Path) -> None:
    """The bytes are a greeting that OpenSSL understands: it answers with the alert, not with a decoding error."""
    with server(with_tls(files, ssl.TLSVersion.TLSv1_2)) as port:
        assert _probe.old_tls(HOST, port) == Answer(True, "TLS alert 70")


def test_a_real_listener_accepts_the_old_version(files: Path) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        answer = with_tls(files, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
    with server(answer) as port:
        assert _probe.old_tls(HOST, port) == Answer(False, "it accepts TLS 1.1")


def shake_hands(secured: ssl.SSLSocket) -> None:
    """Begin TLS; closing with something unread would take the alert away from the client."""
    try:
        secured.do_handshake()
    except ssl.SSLError:
        secured.shutdown(socket.SHUT_WR)
        while secured.recv(1000):
            pass
        raise


def for_peers(files: Path, *answers: bytes) -> Callable[[socket.socket], object]:
    """Let in who shows a certificate of the CA, check the startup message and answer it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files / "server.pem")
    expected = b"\x00\x03\x00\x00user\0replicator\0replication\0true\0\0"

    def answer(connection: socket.socket) -> None:
        assert connection.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
        connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secured:
            shake_hands(secured)
            length = struct.unpack("!I", secured.recv(4))[0]
            assert secured.recv(length - 4) == expected
            for part in answers:
                secured.sendall(part)

    return answer


def logged_in(files: Path, port: int, client: str = "server.pem", name: str = "db1") -> Answer:
    pair = str(files / client)
    return _probe.login(HOST, port, name, str(files / "ca.crt"), _probe.Client("replicator", pair, pair))


AUTHENTICATED = message(b"R", struct.pack("!I", 0))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([AUTHENTICATED], Answer(True, "logged in as replicator"), id="let in"),
        pytest.param(
            [AUTHENTICATED + message(b"S", b"x\0y\0")], Answer(True, "logged in as replicator"), id="and more"
        ),
        pytest.param(
            [error("28000", "no pg_hba.conf entry for replication connection")],
            Answer(False, "28000: no pg_hba.conf entry for replication connection"),
            id="no rule",
        ),
        pytest.param(
            [message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")],
            Answer(False, "it asks for more than the certificate"),
            id="a password",
        ),
        pytest.param([], Answer(False, "the server closed the connection"), id="closed"),
    ],
)
def test_login(files: Path, answers: list[bytes], expected: Answer) -> None:
    with server(for_peers(files, *answers)) as port:
        assert logged_in(files, port) == expected


def test_login_with_a_certificate_of_another_ca(files: Path) -> None:
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    other = make("db1", make_ca("another CA", begins=now - day, ends=now + day), begins=now - day, ends=now + day)
    (files / "stranger.pem").write_bytes(other.pem + other.key_pem())
    with server(for_peers(files, AUTHENTICATED)) as port:
        answer = logged_in(files, port, "stranger.pem")
    assert not answer.passed
    assert "unknown ca" in answer.words


def test_login_at_another_server(files: Path) -> None:
    with server(for_peers(files, AUTHENTICATED)) as port:
        answer = logged_in(files, port, name="db2")
    assert not answer.passed
    assert "Hostname mismatch" in answer.words


def test_login_without_tls(files: Path) -> None:
    with server(after_hello(b"N")) as port:
        assert logged_in(files, port) == Answer(False, "it does not speak TLS")
