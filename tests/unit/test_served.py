# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server shows of its certificates, and what lies on its host."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _served
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError
from ansible_collections.steadfast.postgresql.plugins.module_utils._served import Shown
from certificate_factory import Made, make, make_ca
from cryptography.hazmat.primitives import serialization

HOST = "127.0.0.1"
OLD, NEW = make_ca("main PostgreSQL CA"), make_ca("main PostgreSQL CA 2")
LEAF, OTHER = make("db1", NEW), make("db1", OLD)
NAMES = frozenset({"CN=main PostgreSQL CA", "CN=main PostgreSQL CA 2"})


def print_of(made: Made) -> str:
    return hashlib.sha256(made.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("server.crt").write_bytes(LEAF.pem)
    tmp_path.joinpath("ca.crt").write_bytes(OLD.pem + NEW.pem)
    return tmp_path


@contextlib.contextmanager
def server(folder: Path, *shown: Made) -> Iterator[int]:
    """Serve TLS, one client after the other, each with the next certificate and the last for ever."""
    contexts = []
    for number, made in enumerate(shown):
        chain, key = folder / f"{number}.crt", folder / f"{number}.key"
        chain.write_bytes(made.pem)
        key.write_bytes(made.key_pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        contexts.append(context)
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            turn = 0
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with (
                        contextlib.suppress(OSError),
                        contexts[min(turn, len(contexts) - 1)].wrap_socket(connection, server_side=True) as secured,
                    ):
                        secured.recv(1)
                    turn += 1

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def prove(folder: Path, port: int, limit: float = 10) -> str:
    return _served.prove({"name": "web", "address": HOST, "port": port, "starttls": ""}, folder, limit)


def test_the_files_of_a_host(folder: Path) -> None:
    found = _served.files(folder)
    assert found.shown == Shown(print_of(LEAF), NAMES)
    serial = f"{LEAF.certificate.serial_number:X}"
    assert (
        found.words.replace("serial=0", "serial=")
        == f"serial={serial.removeprefix('0')}, issuer=CN=main PostgreSQL CA 2"
    )


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"server.crt holds no certificate"):
        _served.files(tmp_path)


def test_a_server_that_has_read_them(folder: Path) -> None:
    with server(folder, LEAF) as port:
        assert prove(folder, port).endswith("issuer=CN=main PostgreSQL CA 2")


def test_a_server_is_waited_for(folder: Path) -> None:
    with server(folder, OTHER, LEAF) as port:
        assert prove(folder, port)


def test_a_server_that_serves_the_former_one(folder: Path) -> None:
    with server(folder, OTHER) as port, pytest.raises(CommandError) as raised:
        prove(folder, port, 0)
    expected = f"it serves the certificate {print_of(OTHER)[:16]}, and {print_of(LEAF)[:16]} is on the host"
    assert str(raised.value) == f"web: {expected}, after 0 s"


def test_nobody_answers(folder: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    with pytest.raises(CommandError, match=r"^web: it shows no certificate, after 0 s$"):
        prove(folder, port, 0)


ANSWER = f"""\
CONNECTED(00000003)
{LEAF.pem.decode()}
---
Acceptable client certificate CA names
CN=main PostgreSQL CA
CN=main PostgreSQL CA 2
Requested Signature Algorithms: ECDSA+SHA256
---
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(ANSWER, Shown(print_of(LEAF), NAMES), id="whole"),
        pytest.param(
            ANSWER.replace("Requested Signature Algorithms: ECDSA+SHA256\n", ""),
            Shown(print_of(LEAF), NAMES),
            id="TLS 1.2 of an old server",
        ),
        pytest.param(LEAF.pem.decode(), Shown(print_of(LEAF), frozenset()), id="no names"),
        pytest.param("connect:errno=111", None, id="nobody there"),
    ],
)
def test_an_answer(text: str, expected: Shown | None) -> None:
    assert _served.parse(text) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(Shown("aa", NAMES), [], id="as on the host"),
        pytest.param(Shown("aa", frozenset()), [], id="it names no CAs"),
        pytest.param(
            Shown("aa", frozenset({"CN=main PostgreSQL CA"})),
            [
                "it takes client certificates of CN=main PostgreSQL CA, "
                "and CN=main PostgreSQL CA, CN=main PostgreSQL CA 2 is on the host"
            ],
            id="it trusts the former one alone",
        ),
        pytest.param(Shown("bb", NAMES), ["it serves the certificate bb, and aa is on the host"], id="not read"),
        pytest.param(None, ["it shows no certificate"], id="none"),
    ],
)
def test_differences(shown: Shown | None, expected: list[str]) -> None:
    assert _served.differences(shown, Shown("aa", NAMES)) == expected
