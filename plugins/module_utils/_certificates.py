# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA of a cluster on the controller: its files, its making, its signatures."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import ipaddress
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts, _certificate_reason
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE = "ca.crt"
KEY = "ca.key"
# Folder of the CA that will sign, see _authority.
NEXT = "next"
# A certificate that waits for its key to be in place; only an interrupted making leaves it.
STAGED = "ca.crt.new"
# Hosts whose clock is a little behind the controller's must accept what was just issued.
BACKDATED = datetime.timedelta(minutes=5)
COMMON_NAME_LENGTH = 64  # ub-common-name of RFC 5280

Reader = Callable[[str], bytes]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class CertificateError(Exception):
    """What prevents a signature, in words for the user."""


@dataclass(frozen=True)
class Authority:
    """A CA that can sign, and the bundle of every CA that members trust."""

    certificate: x509.Certificate
    key: PrivateKey
    bundle: str


def authority_name(cluster: str) -> str:
    """Name the CA of a cluster."""
    return f"{cluster[: COMMON_NAME_LENGTH - len(' PostgreSQL CA')]} PostgreSQL CA"


def read_file(path: str) -> bytes:
    """Read a file of the controller as it lies there."""
    return Path(path).read_bytes()


def parse(pem: bytes) -> list[x509.Certificate]:
    """Read the certificates of a PEM text; none where it holds none.

    Raises:
        CertificateError: a certificate in it is broken.
    """
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return []
    try:
        return list(x509.load_pem_x509_certificates(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(str(error)) from error


def parse_key(pem: bytes, passphrase: str | None = None) -> Any:
    """Read a private key.

    Raises:
        CertificateError: it is none, or the passphrase is wrong, missing or needless.
    """
    try:
        return serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(str(error)) from error


def valid_from(certificate: x509.Certificate) -> datetime.datetime:
    """Give the beginning of a certificate's validity, aware of UTC in every release of cryptography."""
    return _aware(certificate, "not_valid_before")


def valid_until(certificate: x509.Certificate) -> datetime.datetime:
    """Give the end of a certificate's validity, aware of UTC in every release of cryptography."""
    return _aware(certificate, "not_valid_after")


def key_id(certificate: x509.Certificate) -> str:
    """Give the identifier by which what a CA signs names the CA's key."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        value = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return value.digest.hex()


def public_key_of(certificate: x509.Certificate) -> Any:
    """Give a certificate's public key; None where its kind is unknown."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def same_key(certificate: x509.Certificate, key: Any) -> bool:
    """Tell whether a certificate was made for a private key."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    held = public_key_of(certificate)
    return held is not None and bool(held.public_bytes(*form) == key.public_key().public_bytes(*form))


def anchor(directory: str) -> _certificate_reason.Anchor | None:
    """Describe the CA of a directory from its ca.crt alone; None without one.

    Raises:
        CertificateError: ca.crt is broken.
    """
    path = Path(directory, CERTIFICATE)
    if not path.is_file():
        return None
    pem = path.read_bytes()
    certificates = parse(pem)
    if not certificates:
        raise CertificateError(f"{path} holds no certificate in PEM form")
    prints = _certificate_facts.fingerprints(pem.decode(errors="replace"))
    return _certificate_reason.Anchor(
        key_id(certificates[0]), tuple(sorted(prints)), valid_until(certificates[0]).timestamp()
    )


def bundle(directory: str) -> str | None:
    """Give the certificates that members trust; None where there is no CA yet."""
    path = Path(directory, CERTIFICATE)
    return _bundle(path.read_bytes()) if path.is_file() else None


def signing_key(directory: str) -> Path:
    """Give the file of the key that belongs to the first certificate of ca.crt.

    Between two steps of a replacement (_authority) the CA signs already whose key is still where it was made.
    """
    folder = Path(directory)
    coming = folder / NEXT
    signs = _first(coming)
    moves = coming.joinpath(KEY).exists() and signs is not None and signs == _first(folder)
    return (coming if moves else folder) / KEY


def _first(folder: Path) -> x509.Certificate | None:
    # Whoever needs the content says what is wrong with it.
    with contextlib.suppress(CertificateError, OSError, IndexError):
        return parse(folder.joinpath(CERTIFICATE).read_bytes())[0]
    return None


def _bundle(pem: bytes) -> str:
    """Write what members trust: by fingerprint, because which of them signs changes nothing for them."""
    return "".join(pem_of(found) for found in sorted(parse(pem), key=lambda one: one.fingerprint(hashes.SHA256())))


def provided(certificate: str, authority: str, read: Reader = read_file) -> _certificate_reason.Provided:
    """Describe the user's own certificate and CA files by their fingerprints."""
    prints = _certificate_facts.fingerprints(read(certificate).decode(errors="replace"))
    trusted = _certificate_facts.fingerprints(read(authority).decode(errors="replace"))
    return _certificate_reason.Provided(prints[0] if prints else "", tuple(prints[1:]), tuple(trusted))


def load(directory: str, passphrase: str) -> Authority:
    """Read a CA that can sign; the first certificate of ca.crt is the one that its key belongs to.

    Raises:
        CertificateError: a file is missing or broken, or the passphrase is wrong.
    """
    try:
        trusted = Path(directory, CERTIFICATE).read_bytes()
        key = parse_key(signing_key(directory).read_bytes(), passphrase)
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from error
    certificates = parse(trusted)
    if not certificates or not same_key(certificates[0], key):
        raise CertificateError(f"{KEY} in {directory} does not belong to the first certificate of {CERTIFICATE}")
    return Authority(certificates[0], key, _bundle(trusted))


def ensure(directory: str, cluster: str, passphrase: str, lifetime_days: int, now: datetime.datetime) -> bool:
    """Make the CA of a cluster where there is none; tell whether this call made it.

    Safe beside other processes that do the same, and after one that was killed at any point.
    """
    folder = Path(directory)
    if folder.joinpath(CERTIFICATE).exists():
        return False
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(folder):
        if folder.joinpath(CERTIFICATE).exists():
            return False
        if not folder.joinpath(KEY).exists():
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self_signed(key, authority_name(cluster), lifetime_days, now)
            write(folder / STAGED, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
            write(folder / KEY, encrypted(key, passphrase), 0o600)
        elif not folder.joinpath(STAGED).exists():
            raise CertificateError(f"{folder / KEY} exists and {folder / CERTIFICATE} does not")
        folder.joinpath(STAGED).rename(folder / CERTIFICATE)
        sync(folder)
    return True


def sign(
    request: str, authority: Authority, policy: _certificate_reason.Policy, now: datetime.datetime
) -> x509.Certificate:
    """Sign a member's request: of the request only the public key counts, everything else is the policy's.

    Raises:
        CertificateError: the request is broken, its own signature is wrong or its key is weak.
    """
    public_key = _requested_key(request)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = _certificate_reason.names_of(policy.common_name, policy.names)
    until = min(now + datetime.timedelta(days=policy.lifetime_days), valid_until(authority.certificate))
    issuer = x509.SubjectKeyIdentifier(bytes.fromhex(key_id(authority.certificate)))
    builder = (
        _builder(policy.common_name, authority.certificate.subject, now, until)
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(encipherment=isinstance(public_key, rsa.RSAPublicKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def pem_of(certificate: x509.Certificate) -> str:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def general_name(name: str) -> x509.GeneralName:
    """Write a name or an address as a certificate does.

    Raises:
        ValueError: the name has characters outside ASCII.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _requested_key(request: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        parsed = x509.load_pem_x509_csr(request.encode())
        public_key = parsed.public_key()
        genuine = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"the host's certificate request cannot be read: {error}") from error
    if not genuine:
        raise CertificateError("the host's certificate request is not signed by its own key")
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.key_size >= 256:
        return public_key
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size >= 2048:
        return public_key
    raise CertificateError("the host's key is weaker than RSA of 2048 bits or an elliptic curve of 256")


def self_signed(
    key: ec.EllipticCurvePrivateKey, name: str, lifetime_days: int, now: datetime.datetime
) -> x509.Certificate:
    """Make the certificate of a CA."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(name, subject, now, now + datetime.timedelta(days=lifetime_days))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _builder(
    common_name: str, issuer: x509.Name, now: datetime.datetime, until: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
    )


def _key_usage(*, signs_certificates: bool = False, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def encrypted(key: ec.EllipticCurvePrivateKey, passphrase: str) -> bytes:
    """Write a private key as PEM, encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )


def _aware(certificate: x509.Certificate, name: str) -> datetime.datetime:
    # cryptography before 42 has only the naive attributes.
    moment = getattr(certificate, f"{name}_utc", None)
    if moment is None:
        moment = getattr(certificate, name).replace(tzinfo=datetime.timezone.utc)
    return cast("datetime.datetime", moment)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the kernel lets go of it when the process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all; the caller holds the folder, so the name beside it is free."""
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    beside.rename(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make what was made or renamed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
