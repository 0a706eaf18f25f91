# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import grp
import os
import pwd
from pathlib import Path
from typing import Any

import certificate_factory as factory
import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts
from certificate_factory import DAY, make, make_ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes

# openssl verify looks at the clock.
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
SPAN: dict[str, Any] = {"begins": NOW - DAY, "ends": NOW + 30 * DAY}
CA = make_ca("main PostgreSQL CA", **SPAN)
INTERMEDIATE = make_ca("intermediate", CA, **SPAN)
LEAF = make("db1", CA, names=("db1", "DB1.Example.com", "192.0.2.11", "2001:db8:0::1"), **SPAN)


def fingerprint(made: factory.Made) -> str:
    return made.certificate.fingerprint(hashes.SHA256()).hex()


def put(folder: Path, leaf: factory.Made = LEAF, **contents: bytes | None) -> Path:
    given = {"server_crt": leaf.pem, "server_key": leaf.key_pem(), "ca_crt": CA.pem, **contents}
    for name, content in given.items():
        if content is not None:
            (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def read(folder: Path) -> _certificate_facts.Facts:
    found = _certificate_facts.read(str(folder))
    assert found is not None
    return found


def test_everything_is_read(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "server.key").chmod(0o640)
    owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
    above = LEAF.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert above is not None
    assert read(tmp_path) == {
        "cn": "db1",
        "names": ["db1", "db1.example.com", "192.0.2.11", "2001:db8::1"],
        "not_before": int((NOW - DAY).timestamp()),
        "not_after": int((NOW + 30 * DAY).timestamp()),
        "issuer": "main PostgreSQL CA",
        "issuer_key_id": above.hex(),
        "fingerprint": fingerprint(LEAF),
        "chain_fingerprints": [],
        "ca_fingerprints": [fingerprint(CA)],
        "key_matches": True,
        "key_permissions": f"{owner} 0640",
        "ca_signed": True,
    }


def test_three_processes_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], _certificate_facts.openssl

    def counted(*arguments: str, given: str = "") -> str | None:
        calls.append(arguments[0])
        return real(*arguments, given=given)

    monkeypatch.setattr(_certificate_facts, "openssl", counted)
    assert _certificate_facts.read(str(tmp_path)) is None
    assert calls == []
    read(put(tmp_path))
    assert sorted(calls) == ["pkey", "verify", "x509"]


BELOW = make("db1", INTERMEDIATE, **SPAN)


@pytest.mark.parametrize(
    ("leaf", "contents", "expected"),
    [
        pytest.param(LEAF, {"server_key": None}, {"key_matches": False, "key_permissions": None}, id="no key"),
        pytest.param(LEAF, {"server_key": b"text"}, {"key_matches": False}, id="broken key"),
        pytest.param(LEAF, {"server_key": LEAF.key_pem("long passphrase")}, {"key_matches": False}, id="encrypted"),
        pytest.param(LEAF, {"server_key": CA.key_pem()}, {"key_matches": False}, id="another key"),
        pytest.param(LEAF, {"ca_crt": None}, {"ca_signed": False, "ca_fingerprints": []}, id="no CA"),
        pytest.param(LEAF, {"ca_crt": b"text"}, {"ca_signed": False, "ca_fingerprints": []}, id="broken CA"),
        pytest.param(LEAF, {"ca_crt": make_ca("main PostgreSQL CA", **SPAN).pem}, {"ca_signed": False}, id="other CA"),
        pytest.param(
            LEAF,
            {"ca_crt": INTERMEDIATE.pem + CA.pem},
            {"ca_signed": True, "ca_fingerprints": [fingerprint(INTERMEDIATE), fingerprint(CA)]},
            id="bundle",
        ),
        pytest.param(
            BELOW,
            {"server_crt": BELOW.pem + INTERMEDIATE.pem},
            {"ca_signed": True, "issuer": "intermediate", "chain_fingerprints": [fingerprint(INTERMEDIATE)]},
            id="chain",
        ),
        pytest.param(BELOW, {}, {"ca_signed": False}, id="chain without its intermediate"),
        pytest.param(
            make("db1", CA, begins=NOW - 3 * DAY, ends=NOW - 2 * DAY),
            {},
            {"ca_signed": False, "key_matches": True, "not_after": int((NOW - 2 * DAY).timestamp())},
            id="expired",
        ),
        pytest.param(
            make("db1", CA, key=factory.rsa_key(), **SPAN), {}, {"key_matches": True, "ca_signed": True}, id="RSA"
        ),
        pytest.param(
            make("", CA, names=(), identifiers=False, **SPAN),
            {},
            {"cn": "", "names": [], "issuer_key_id": None},
            id="bare",
        ),
        pytest.param(
            make("bücher, x", CA, names=("db1",), **SPAN), {}, {"cn": "bücher, x", "names": ["db1"]}, id="common name"
        ),
    ],
)
def test_what_differs(
    tmp_path: Path, leaf: factory.Made, contents: dict[str, bytes | None], expected: dict[str, Any]
) -> None:
    found = read(put(tmp_path, leaf, **contents))
    assert {name: found[name] for name in expected} == expected  # type: ignore[literal-required]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"text",
        b"\xff\xfe",
        b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        LEAF.pem[:300],
    ],
)
def test_no_certificate_that_can_be_read(tmp_path: Path, content: bytes | None) -> None:
    put(tmp_path, server_crt=content)
    assert _certificate_facts.read(str(tmp_path)) is None


def test_without_openssl_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _certificate_facts.read(str(tmp_path)) is None


LISTING = """subject=
    OU=x + CN=db1
issuer=
    CN=CA
notBefore=2026-06-01 12:00:00Z
notAfter=2027-06-01 12:00:00Z
X509v3 Authority Key Identifier: {critical}
    keyid:0A:FF:10
    DirName:/CN=CA
    serial:01:02:03
X509v3 Subject Alternative Name: {critical}
    DNS:db1, IP Address:192.0.2.11, email:a@b, URI:http://c
"""


@pytest.mark.parametrize("critical", ["", "critical"])
def test_other_ways_to_write_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, critical: str) -> None:
    put(tmp_path)
    monkeypatch.setattr(_certificate_facts, "openssl", lambda *_, **__: LISTING.format(critical=critical))
    found = read(tmp_path)
    shown = (found["cn"], found["names"], found["issuer_key_id"], found["not_before"], found["key_matches"])
    assert shown == ("db1", ["db1", "192.0.2.11"], "0aff10", 1780315200, False)
