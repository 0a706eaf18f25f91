# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import certificate_factory as factory
import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_checks as checks
from certificate_factory import DAY, NOW, PASSPHRASE, make, make_ca, write
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

CA = make_ca()
OTHER_CA = make_ca("other CA")
LEAF = make("db1", CA)


def check(folder: Path, leaf: factory.Made, ca: bytes = CA.pem, **more: bytes) -> list[str]:
    contents = {"certificate": leaf.pem, "key": leaf.key_pem(), "ca": ca, **more}
    found = checks.check_provided(write(folder, **contents), name="db1", now=NOW.timestamp())
    return [mistake.replace(f"{folder}/", "") for mistake in found]


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        pytest.param(LEAF, [], id="right"),
        pytest.param(make("db1", CA, key=factory.rsa_key()), [], id="rsa"),
        pytest.param(make("db1", CA, usages=()), [], id="every usage"),
        pytest.param(make("db1", CA, digital_signature=True), [], id="key usage"),
        pytest.param(make("db1", CA, identifiers=False), [], id="without identifiers"),
        pytest.param(make("db1", CA, names=("other", "DB1")), [], id="case"),
        pytest.param(
            make("db1", CA, ends=NOW - DAY, begins=NOW - 2 * DAY),
            ["certificate expired on 2026-05-31 12:00 UTC; take one that is valid now"],
            id="expired",
        ),
        pytest.param(
            make("db1", CA, begins=NOW + DAY),
            ["certificate is not valid before 2026-06-02 12:00 UTC; take one that is valid now"],
            id="too early",
        ),
        pytest.param(
            make("db2", CA, names=("db1",)),
            ["certificate has the common name 'db2'; standbys log in by it, so it must be the inventory name 'db1'"],
            id="common name",
        ),
        pytest.param(
            make("", CA, names=("db1",)),
            ["certificate has the common name none; standbys log in by it, so it must be the inventory name 'db1'"],
            id="no common name",
        ),
        pytest.param(
            make("db1", CA, names=("db1.example.com", "192.0.2.11")),
            [
                "certificate does not name 'db1' among its subject alternative names (db1.example.com, 192.0.2.11); "
                "have it issued with it"
            ],
            id="names",
        ),
        pytest.param(
            make("db1", CA, names=()),
            ["certificate does not name 'db1' among its subject alternative names (none); have it issued with it"],
            id="no names",
        ),
        pytest.param(
            make("db1", CA, names=("*.db1",)),
            ["certificate does not name 'db1' among its subject alternative names (*.db1); have it issued with it"],
            id="wildcard of one label",
        ),
        pytest.param(
            make("db1", CA, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)),
            ["certificate lacks the extended key usage clientAuth; a member is server and client of the others"],
            id="no client",
        ),
        pytest.param(
            make("db1", CA, usages=(ExtendedKeyUsageOID.CODE_SIGNING,)),
            [
                "certificate lacks the extended key usage serverAuth and clientAuth; "
                "a member is server and client of the others"
            ],
            id="neither",
        ),
        pytest.param(
            make("db1", CA, digital_signature=False),
            ["certificate lacks the key usage digitalSignature; have it issued with it"],
            id="usage",
        ),
        pytest.param(
            make("db1", CA, key=factory.rsa_key(1024)),
            ["certificate has an RSA key of 1024 bits; 2048 is the least"],
            id="weak RSA",
        ),
        pytest.param(
            make("db1", CA, key=factory.elliptic(ec.SECP224R1())),
            ["certificate has an elliptic curve key of 224 bits; 256 is the least"],
            id="weak curve",
        ),
        pytest.param(
            make("db1", CA, key=ed25519.Ed25519PrivateKey.generate()),
            ["certificate has a key that is neither RSA nor an elliptic curve"],
            id="another kind of key",
        ),
    ],
)
def test_certificate(tmp_path: Path, leaf: factory.Made, expected: list[str]) -> None:
    assert check(tmp_path, leaf) == [f"postgresql_certificates_provided.certificate: {text}" for text in expected]


WILDCARD = make("db1.example.com", CA, names=("*.example.com",))


def test_wildcard_stands_for_one_label(tmp_path: Path) -> None:
    given = write(tmp_path, certificate=WILDCARD.pem, key=WILDCARD.key_pem(), ca=CA.pem)
    assert checks.check_provided(given, name="db1.example.com", now=NOW.timestamp()) == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(LEAF.key_pem(), [], id="right"),
        pytest.param(
            make("db1", CA).key_pem(),
            ["key does not belong to certificate; name the key that the certificate was issued for"],
            id="another",
        ),
        pytest.param(
            LEAF.key_pem(PASSPHRASE),
            [
                "key is encrypted, and the server must read it without a passphrase; "
                "encrypt the file by Ansible Vault instead"
            ],
            id="encrypted",
        ),
        pytest.param(b"text", ["key holds no private key in PEM form"], id="text"),
        pytest.param(CA.pem, ["key holds no private key in PEM form"], id="certificate"),
    ],
)
def test_key(tmp_path: Path, key: bytes, expected: list[str]) -> None:
    assert check(tmp_path, LEAF, key=key) == [f"postgresql_certificates_provided.key: {text}" for text in expected]


def test_broken_contents_are_named(tmp_path: Path) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    found = check(tmp_path, LEAF, ca=b"text", certificate=broken, key=key)
    starts = [
        "postgresql_certificates_provided.certificate: certificate cannot be read: ",
        "postgresql_certificates_provided.key: key cannot be read: ",
        "postgresql_certificates_provided.ca: ca holds no certificate in PEM form",
    ]
    assert [start for start, mistake in zip(starts, found, strict=True) if not mistake.startswith(start)] == []


RSA_CA = make_ca(key=factory.rsa_key())
BY_RSA = make("db1", RSA_CA)
INTERMEDIATE = make_ca("intermediate", CA)
BELOW = make("db1", INTERMEDIATE)
OLD_CA = make_ca(ends=NOW - DAY, begins=NOW - 2 * DAY)
NO_CA = make("no CA", CA)
SAME_NAME = make_ca()


@pytest.mark.parametrize(
    ("certificate", "leaf", "ca", "expected"),
    [
        pytest.param(b"", BELOW, CA.pem + INTERMEDIATE.pem, [], id="intermediate in the CA file"),
        pytest.param(INTERMEDIATE.pem, BELOW, CA.pem, [], id="intermediate behind the certificate"),
        pytest.param(b"", LEAF, OTHER_CA.pem + CA.pem, [], id="bundle"),
        pytest.param(b"", BY_RSA, RSA_CA.pem, [], id="RSA CA"),
        pytest.param(
            b"",
            LEAF,
            OTHER_CA.pem,
            ["no certificate in ca signed certificate; name a file with that of the CA that did"],
            id="another CA",
        ),
        pytest.param(
            b"",
            LEAF,
            SAME_NAME.pem,
            ["no certificate in ca signed certificate; name a file with that of the CA that did"],
            id="same name, other key",
        ),
        pytest.param(
            b"",
            BELOW,
            CA.pem,
            ["no certificate in ca signed certificate; name a file with that of the CA that did"],
            id="intermediate missing",
        ),
        pytest.param(
            INTERMEDIATE.pem,
            BELOW,
            OTHER_CA.pem,
            ["no certificate in ca signed 'CN=intermediate'; name a file with that of the CA that did"],
            id="root missing",
        ),
        pytest.param(
            b"",
            make("db1", OLD_CA),
            OLD_CA.pem,
            [
                "'CN=main PostgreSQL CA', which signed certificate, expired on 2026-05-31 12:00 UTC; "
                "take one that is valid now"
            ],
            id="expired CA",
        ),
        pytest.param(
            b"",
            make("db1", NO_CA),
            CA.pem + NO_CA.pem,
            ["'CN=no CA', which signed certificate, is not the certificate of a CA; take that of the CA"],
            id="no CA",
        ),
    ],
)
def test_chain(tmp_path: Path, certificate: bytes, leaf: factory.Made, ca: bytes, expected: list[str]) -> None:
    found = check(tmp_path, leaf, ca, certificate=leaf.pem + certificate)
    assert found == [f"postgresql_certificates_provided.ca: {text}" for text in expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {"certificate": "/nowhere/c", "key": "", "ca": "certificates/ca.crt"},
            [
                "postgresql_certificates_provided.certificate: /nowhere/c cannot be read: No such file or directory",
                "postgresql_certificates_provided.key: it is missing; certificate, key and ca go together",
                "postgresql_certificates_provided.ca: certificates/ca.crt is a relative path; "
                "write {{ inventory_dir }}/certificates/ca.crt",
            ],
            id="paths",
        ),
        pytest.param(
            {"key": None},
            [
                f"postgresql_certificates_provided.{option}: it is missing; certificate, key and ca go together"
                for option in ("certificate", "key", "ca")
            ],
            id="nothing",
        ),
    ],
)
def test_paths(given: dict[str, Any], expected: list[str]) -> None:
    assert checks.check_provided(given, name="db1", now=NOW.timestamp()) == expected


def test_every_mistake_is_in_one_list(tmp_path: Path) -> None:
    leaf = make("db2", OTHER_CA, begins=NOW - 2 * DAY, ends=NOW - DAY)
    assert check(tmp_path, leaf, key=LEAF.key_pem()) == [
        "postgresql_certificates_provided.certificate: certificate has the common name 'db2'; "
        "standbys log in by it, so it must be the inventory name 'db1'",
        "postgresql_certificates_provided.certificate: certificate does not name 'db1' "
        "among its subject alternative names (db2); have it issued with it",
        "postgresql_certificates_provided.certificate: certificate expired on 2026-05-31 12:00 UTC; "
        "take one that is valid now",
        "postgresql_certificates_provided.key: key does not belong to certificate; "
        "name the key that the certificate was issued for",
        "postgresql_certificates_provided.ca: no certificate in ca signed certificate; "
        "name a file with that of the CA that did",
    ]
