# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a CA of the controller, and with names that a certificate cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.steadfast.postgresql.plugins.filter.certificate_refusal import certificate_refusal
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_checks as checks
from certificate_factory import DAY, NOW, PASSPHRASE, make, make_ca, write

CA = make_ca()
OTHER_CA = make_ca("other CA")
OLD_CA = make_ca(ends=NOW - DAY, begins=NOW - 2 * DAY)
LEAF = make("db1", CA)


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
            ["postgresql_certificates_ca_passphrase: it does not open DIR/ca.key; write the one that encrypted it"],
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
            [
                "postgresql_certificates_ca_directory: DIR/ca.key does not belong to DIR/ca.crt; "
                "put key and certificate of one CA there"
            ],
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
            [
                "postgresql_certificates_ca_directory: DIR/ca.crt expired on 2026-05-31 12:00 UTC; "
                "take one that is valid now"
            ],
            id="expired",
        ),
        pytest.param(
            {"ca.crt": LEAF.pem, "ca.key": LEAF.key_pem(PASSPHRASE)},
            PASSPHRASE,
            ["postgresql_certificates_ca_directory: DIR/ca.crt is not the certificate of a CA; take that of the CA"],
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
                f"postgresql_certificates_names: {name!r} is no DNS name and no address; write such as db1.example.com"
                for name in ("a b", "ü", "10.0.0.0/8", "-a", "")
            ],
            id="names",
        ),
    ],
)
def test_names(inventory_name: str, names: list[str], expected: list[str]) -> None:
    assert checks.check_names(inventory_name, names) == expected
