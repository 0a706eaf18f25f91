# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of every kind, right and wrong, for tests."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=datetime.timezone.utc)
PASSPHRASE = "a passphrase of tests"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def elliptic(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, passphrase: str = "") -> bytes:
        return key_pem(self.key, passphrase)


def key_pem(key: Any, passphrase: str = "") -> bytes:
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    return pem


def make(
    common_name: str,
    issuer: Made | None = None,
    *,
    key: Any = None,
    names: tuple[str, ...] | None = None,
    ca: bool = False,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 396 * DAY,
    usages: tuple[Any, ...] = BOTH,
    digital_signature: bool | None = None,
    digest: hashes.SHA256 | hashes.SHA512 | None = None,
    identifiers: bool = True,
) -> Made:
    key = key or elliptic()
    signer = issuer.key if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usages and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    if names is None and not ca:
        names = (common_name,)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    if digital_signature is not None:
        builder = builder.add_extension(_key_usage(digital_signature), critical=True)
    if identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        its = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(its)
        builder = builder.add_extension(own, critical=False).add_extension(above, critical=False)
    plain = not isinstance(signer, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
    return Made(builder.sign(signer, None if plain else digest or hashes.SHA256()), key)


def make_ca(common_name: str = "main PostgreSQL CA", issuer: Made | None = None, **more: Any) -> Made:
    return make(common_name, issuer, ca=True, **{"ends": NOW + 3650 * DAY, **more})


def write(folder: Path, **contents: bytes) -> dict[str, str]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=not digital_signature,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
