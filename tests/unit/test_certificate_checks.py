# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import certificate_factory as factory
import pytest
from ansible_collections.steadfast.postgresql.plugins.filter.certificate_refusal import certificate_refusal
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_checks as checks
from certificate_factory import DAY, NOW, PASSPHRASE, make, make_ca
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

CA = make_ca()
OTHER_CA = make_ca("other CA")
LEAF = make("db1", CA)


def write(folder: Path, **contents: bytes) -> dict[str, str]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


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
            ["certificate expired on 2026-05-31 12:00 UTC"],
            id="expired",
        ),
        pytest.param(
            make("db1", CA, begins=NOW + DAY), ["certificate is not valid before 2026-06-02 12:00 UTC"], id="too early"
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
            ["certificate does not name 'db1' among its subject alternative names (db1.example.com, 192.0.2.11)"],
            id="names",
        ),
        pytest.param(
            make("db1", CA, names=()),
            ["certificate does not name 'db1' among its subject alternative names (none)"],
            id="no names",
        ),
        pytest.param(
            make("db1", CA, names=("*.db1",)),
            ["certificate does not name 'db1' among its subject alternative names (*.db1)"],
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
            make("db1", CA, digital_signature=False), ["certificate lacks the key usage digitalSignature"], id="usage"
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
        pytest.param(make("db1", CA).key_pem(), ["key does not belong to certificate"], id="another"),
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
        pytest.param(b"", LEAF, OTHER_CA.pem, ["no certificate in ca signed certificate"], id="another CA"),
        pytest.param(b"", LEAF, SAME_NAME.pem, ["no certificate in ca signed certificate"], id="same name, other key"),
        pytest.param(b"", BELOW, CA.pem, ["no certificate in ca signed certificate"], id="intermediate missing"),
        pytest.param(
            INTERMEDIATE.pem, BELOW, OTHER_CA.pem, ["no certificate in ca signed 'CN=intermediate'"], id="root missing"
        ),
        pytest.param(
            b"",
            make("db1", OLD_CA),
            OLD_CA.pem,
            ["'CN=main PostgreSQL CA', which signed certificate, expired on 2026-05-31 12:00 UTC"],
            id="expired CA",
        ),
        pytest.param(
            b"",
            make("db1", NO_CA),
            CA.pem + NO_CA.pem,
            ["'CN=no CA', which signed certificate, is not the certificate of a CA"],
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
        "among its subject alternative names (db2)",
        "postgresql_certificates_provided.certificate: certificate expired on 2026-05-31 12:00 UTC",
        "postgresql_certificates_provided.key: key does not belong to certificate",
        "postgresql_certificates_provided.ca: no certificate in ca signed certificate",
    ]


@pytest.mark.parametrize(
    ("files", "passphrase", "expected"),
    [
        pytest.param({}, PASSPHRASE, [], id="none yet"),
        pytest.param({"ca.crt": CA.pem, "ca.key": CA.key_pem(PASSPHRASE)}, PASSPHRASE, [], id="right"),
        pytest.param({"ca.crt": CA.pem}, "", [], id="without a key nothing is signed"),
        pytest.param({"ca.key": b"key", "ca.crt.new": CA.pem}, PASSPHRASE, [], id="interrupted making"),
        pytest.param(
            {},
            "",
            [
                "postgresql_certificates_ca_passphrase: it is empty; write the passphrase of the CA's key "
                "(12 characters at least), encrypted by Ansible Vault or looked up"
            ],
            id="no passphrase",
        ),
        pytest.param(
            {},
            "12345678901",
            ["postgresql_certificates_ca_passphrase: it has 11 characters; 12 are the least"],
            id="short",
        ),
        pytest.param(
            {"ca.crt": CA.pem, "ca.key": CA.key_pem(PASSPHRASE)},
            "another passphrase",
            ["postgresql_certificates_ca_passphrase: it does not open DIR/ca.key"],
            id="wrong passphrase",
        ),
        pytest.param(
            {"ca.key": CA.key_pem(PASSPHRASE)},
            PASSPHRASE,
            [
                "postgresql_certificates_ca_directory: DIR/ca.key exists and DIR/ca.crt does not; "
                "put the certificate of that key there"
            ],
            id="key alone",
        ),
        pytest.param(
            {"ca.crt": CA.pem, "ca.key": OTHER_CA.key_pem(PASSPHRASE)},
            PASSPHRASE,
            ["postgresql_certificates_ca_directory: DIR/ca.key does not belong to DIR/ca.crt"],
            id="another key",
        ),
        pytest.param(
            {"ca.crt": CA.pem, "ca.key": CA.key_pem()},
            PASSPHRASE,
            [
                "postgresql_certificates_ca_directory: DIR/ca.key is not encrypted; "
                "encrypt it with openssl pkcs8 -topk8 and postgresql_certificates_ca_passphrase"
            ],
            id="plain key",
        ),
        pytest.param(
            {"ca.crt": OLD_CA.pem, "ca.key": OLD_CA.key_pem(PASSPHRASE)},
            PASSPHRASE,
            ["postgresql_certificates_ca_directory: DIR/ca.crt expired on 2026-05-31 12:00 UTC"],
            id="expired",
        ),
        pytest.param(
            {"ca.crt": LEAF.pem, "ca.key": LEAF.key_pem(PASSPHRASE)},
            PASSPHRASE,
            ["postgresql_certificates_ca_directory: DIR/ca.crt is not the certificate of a CA"],
            id="no CA",
        ),
        pytest.param(
            {"ca.crt": b"text", "ca.key": b"text"},
            PASSPHRASE,
            ["postgresql_certificates_ca_directory: DIR/ca.crt holds no certificate in PEM form"],
            id="text",
        ),
    ],
)
def test_ca(tmp_path: Path, files: dict[str, bytes], passphrase: str, expected: list[str]) -> None:
    write(tmp_path, **files)
    found = checks.check_ca(str(tmp_path), passphrase, NOW.timestamp())
    assert [mistake.replace(str(tmp_path), "DIR") for mistake in found] == expected


@pytest.mark.parametrize(
    ("files", "trusted", "unobserved", "expected"),
    [
        pytest.param({}, [], [], None, id="the first run"),
        pytest.param({"ca.crt": b"", "ca.key": b""}, ["aa"], ["db2"], None, id="a CA that signs"),
        pytest.param(
            {"ca.crt": b""},
            ["aa"],
            [],
            "this run must sign a certificate, and the key of the CA is not at DIR/ca.key; "
            "put it there, or run from the controller that holds it",
            id="no key",
        ),
        pytest.param(
            {},
            ["aa"],
            ["db2"],
            "this run must sign a certificate, and the CA that the hosts trust is not in DIR; "
            "put its ca.crt and ca.key there, or run from the controller that holds them",
            id="another controller",
        ),
        pytest.param(
            {},
            [],
            ["db1", "db2"],
            "there is no CA in DIR, and none is made while members that may trust one are not seen (db1, db2); "
            "put ca.crt and ca.key there, or run with all members",
            id="limited run",
        ),
    ],
)
def test_missing_signer(
    tmp_path: Path, files: dict[str, bytes], trusted: list[str], unobserved: list[str], expected: str | None
) -> None:
    write(tmp_path, **files)
    found = checks.missing_signer(str(tmp_path), trusted, unobserved)
    whole = f"postgresql_certificates_ca_directory: {expected}" if expected else None
    assert (found.replace(str(tmp_path), "DIR") if found else None) == whole
    assert certificate_refusal(str(tmp_path), {"trusted": trusted, "unobserved": unobserved}) == (found or "")


LONG = "a" * 65


@pytest.mark.parametrize(
    ("inventory_name", "names", "expected"),
    [
        pytest.param("db1", ["db1.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"], [], id="right"),
        pytest.param("db_1", [], [], id="underscore"),
        pytest.param("192.0.2.1", [], [], id="address"),
        pytest.param(
            f"{LONG}",
            [],
            [
                f"inventory name '{LONG}': it has 65 characters; the common name of a certificate holds 64",
                f"inventory name '{LONG}': it is neither a DNS name nor an address, as a certificate wants it; "
                "write it in letters, digits, '-' and '.'",
            ],
            id="long",
        ),
        pytest.param(
            "bücher",
            [],
            [
                "inventory name 'bücher': it is neither a DNS name nor an address, as a certificate wants it; "
                "write it in letters, digits, '-' and '.'"
            ],
            id="characters",
        ),
        pytest.param(
            "db1",
            ["a b", "ü", "10.0.0.0/8", "-a", ""],
            [
                f"postgresql_certificates_names: {name!r} is neither a DNS name nor an address"
                for name in ("a b", "ü", "10.0.0.0/8", "-a", "")
            ],
            id="names",
        ),
    ],
)
def test_names(inventory_name: str, names: list[str], expected: list[str]) -> None:
    assert checks.check_names(inventory_name, names) == expected
