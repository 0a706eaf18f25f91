# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with certificates that the inventory names: every mistake, in words that name the variable."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError, Reader
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PASSPHRASE = "postgresql_certificates_ca_passphrase"  # noqa: S105 - the name of the variable
DIRECTORY = "postgresql_certificates_ca_directory"
NAMES = "postgresql_certificates_names"
PROVIDED = "postgresql_certificates_provided"
PASSPHRASE_LENGTH = 12
VALID_NOW = "take one that is valid now"
LONGEST_CHAIN = 8
_DNS_NAME = re.compile(r"(?=.{1,253}$)(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_-]{1,63})*")


def check_names(inventory_name: str, names: Iterable[str]) -> list[str]:
    """Say what is wrong with a member's names: its certificate must be able to hold them."""
    mistakes = []
    if len(inventory_name) > _certificates.COMMON_NAME_LENGTH:
        mistakes.append(
            f"inventory name {inventory_name!r}: it has {len(inventory_name)} characters; "
            f"the common name of a certificate holds {_certificates.COMMON_NAME_LENGTH}"
        )
    if not is_name(inventory_name):
        mistakes.append(
            f"inventory name {inventory_name!r}: it is neither a DNS name nor an address, "
            "as a certificate wants it; write it in letters, digits, '-' and '.'"
        )
    mistakes += [
        f"{NAMES}: {name!r} is no DNS name and no address; write such as db1.example.com"
        for name in names
        if not is_name(name)
    ]
    return mistakes


def is_name(name: str) -> bool:
    """Tell whether a certificate can hold it: a DNS name (a `*` may lead it) or an address."""
    try:
        return isinstance(_certificates.general_name(name), x509.IPAddress) or bool(_DNS_NAME.fullmatch(name))
    except ValueError:
        return False


def check_ca(directory: str, passphrase: str, now: float) -> list[str]:
    """Say what is wrong with the CA of a cluster on the controller; a CA that does not exist yet is fine.

    Where ca.crt lies alone nothing can be signed, and no passphrase is needed.
    """
    certificate, key = Path(directory, _certificates.CERTIFICATE), _certificates.signing_key(directory)
    # The staged certificate is looked for first: another process may be putting it in place right now.
    staged = Path(directory, _certificates.STAGED).exists()
    if key.exists() and not staged and not certificate.exists():
        return [f"{DIRECTORY}: {key} exists and {certificate} does not; put the certificate of that key there"]
    mistakes = [] if certificate.exists() and not key.exists() else _check_passphrase(passphrase)
    if not certificate.exists():
        return mistakes
    try:
        found = _parsed_certificates(certificate.read_bytes())
    except (CertificateError, OSError) as error:
        return [*mistakes, f"{DIRECTORY}: {certificate} {_reason(error)}"]
    faults = [*_not_a_ca(found[0]), *_check_key(found[0]), *_dates(found[0], now)]
    mistakes += [f"{DIRECTORY}: {certificate} {text}" for text in faults]
    if key.exists() and passphrase:
        mistakes += _check_ca_key(found, key, passphrase)
    return mistakes


def missing_signer(directory: str, trusted: Sequence[str], unobserved: Sequence[str]) -> str | None:
    """Say why nothing can be signed: the CA's key is not on this controller, and making another CA would be wrong.

    Args:
        directory: postgresql_certificates_ca_directory.
        trusted: fingerprints of the CAs that members of the cluster trust already.
        unobserved: members of the cluster that may trust a CA that this run cannot see.
    """
    certificate, key = Path(directory, _certificates.CERTIFICATE), _certificates.signing_key(directory)
    # The certificate is looked for first: another process may be making both right now, the key before it.
    has_certificate = certificate.exists()
    if key.exists():
        return None
    if has_certificate:
        return (
            f"{DIRECTORY}: this run must sign a certificate, and the key of the CA is not at {key}; "
            "put it there, or run from the controller that holds it"
        )
    if trusted:
        return (
            f"{DIRECTORY}: this run must sign a certificate, and the CA that the hosts trust is not in {directory}; "
            f"put its {certificate.name} and {key.name} there, or run from the controller that holds them"
        )
    if unobserved:
        return (
            f"{DIRECTORY}: there is no CA in {directory}, and none is made while members that may trust one are not "
            f"seen ({', '.join(unobserved)}); put {certificate.name} and {key.name} there, or run with all members"
        )
    return None


def check_provided(
    provided: Mapping[str, Any], *, name: str, now: float, read: Reader = _certificates.read_file
) -> list[str]:
    """Say what is wrong with a host's own certificate, key and CA file.

    Args:
        provided: postgresql_certificates_provided: the paths certificate, key and ca on the controller.
        name: the host's inventory name.
        now: epoch seconds.
        read: gives the content of a path, decrypted where Ansible Vault encrypted it, or raises an OSError.
    """
    chain, mistakes = _read(provided, "certificate", read, _parsed_certificates)
    key, key_mistakes = _read(provided, "key", read, _parsed_key)
    authorities, ca_mistakes = _read(provided, "ca", read, _parsed_certificates)
    if chain:
        found = [*_check_leaf(chain[0], name), *_dates(chain[0], now)]
        mistakes += [f"{PROVIDED}.certificate: {provided['certificate']} {text}" for text in found]
    if chain and key is not None and not _certificates.same_key(chain[0], key):
        text = f"does not belong to {provided['certificate']}; name the key that the certificate was issued for"
        key_mistakes.append(f"{PROVIDED}.key: {provided['key']} {text}")
    if chain and authorities:
        ca_mistakes += [f"{PROVIDED}.ca: {text}" for text in _check_chain(chain, authorities, provided, now)]
    return [*mistakes, *key_mistakes, *ca_mistakes]


def _read(
    provided: Mapping[str, Any], option: str, read: Reader, parse: Callable[[bytes], Any]
) -> tuple[Any, list[str]]:
    """Give the parsed content of one of the three files, or None and what is wrong with it."""
    path = str(provided.get(option) or "")
    if not path:
        return None, [f"{PROVIDED}.{option}: it is missing; certificate, key and ca go together"]
    if not os.path.isabs(path):
        return None, [f"{PROVIDED}.{option}: {path} is a relative path; write {{{{ inventory_dir }}}}/{path}"]
    try:
        return parse(read(path)), []
    except (CertificateError, OSError) as error:
        return None, [f"{PROVIDED}.{option}: {path} {_reason(error)}"]


def _parsed_certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        found = _certificates.parse(pem)
    except CertificateError as error:
        raise CertificateError(f"cannot be read: {error}") from error
    if not found:
        raise CertificateError("holds no certificate in PEM form")
    return found


def _parsed_key(pem: bytes) -> Any:
    if b"-----BEGIN" not in pem or b"PRIVATE KEY-----" not in pem:
        raise CertificateError("holds no private key in PEM form")
    if _is_encrypted(pem):
        raise CertificateError(
            "is encrypted, and the server must read it without a passphrase; encrypt the file by Ansible Vault instead"
        )
    try:
        return _certificates.parse_key(pem)
    except CertificateError as error:
        raise CertificateError(f"cannot be read: {error}") from error


def _is_encrypted(pem: bytes) -> bool:
    return b"ENCRYPTED" in pem


def _check_leaf(leaf: x509.Certificate, name: str) -> list[str]:
    return [*_check_subject(leaf, name), *_check_usages(leaf), *_check_key(leaf), *_check_signature(leaf)]


def _check_subject(leaf: x509.Certificate, name: str) -> list[str]:
    texts = []
    common_names = [str(found.value) for found in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common_names[:1] != [name]:
        held = repr(common_names[0]) if common_names else "none"
        texts.append(f"has the common name {held}; standbys log in by it, so it must be the inventory name {name!r}")
    names = _alternative_names(leaf)
    if not any(_covers(pattern, name) for pattern in names):
        held = ", ".join(names) or "none"
        texts.append(f"does not name {name!r} among its subject alternative names ({held}); have it issued with it")
    return texts


def _alternative_names(leaf: x509.Certificate) -> list[str]:
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*held.get_values_for_type(x509.DNSName), *map(str, held.get_values_for_type(x509.IPAddress))]


def _covers(pattern: str, name: str) -> bool:
    """Compare as libpq does: a leading `*.` stands for exactly one label."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def _check_usages(leaf: x509.Certificate) -> list[str]:
    texts = []
    try:
        held = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        needed = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}
        missing = [word for word, usage in needed.items() if usage not in held]
        if missing:
            texts.append(
                f"lacks the extended key usage {' and '.join(missing)}; a member is server and client of the others"
            )
    except x509.ExtensionNotFound:
        pass  # without the extension every usage is allowed
    try:
        if not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            texts.append("lacks the key usage digitalSignature; have it issued with it")
    except x509.ExtensionNotFound:
        pass
    return texts


def _check_key(certificate: x509.Certificate) -> list[str]:
    key = _certificates.public_key_of(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return [] if key.key_size >= 2048 else [f"has an RSA key of {key.key_size} bits; 2048 is the least"]
    if isinstance(key, ec.EllipticCurvePublicKey):
        return [] if key.key_size >= 256 else [f"has an elliptic curve key of {key.key_size} bits; 256 is the least"]
    return ["has a key that is neither RSA nor an elliptic curve"]


def _check_signature(certificate: x509.Certificate) -> list[str]:
    digest = _digest(certificate)
    # PostgreSQL binds SCRAM to the digest of this signature: an Ed25519 signature has none.
    if digest is None or digest.name in ("md5", "sha1"):
        return [f"is signed with {digest.name if digest else 'no digest'}; SHA-256 is the least"]
    return []


def _digest(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _dates(certificate: x509.Certificate, now: float) -> list[str]:
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    if moment < _certificates.valid_from(certificate):
        return [f"is not valid before {_certificates.valid_from(certificate):%Y-%m-%d %H:%M} UTC; {VALID_NOW}"]
    if moment >= _certificates.valid_until(certificate):
        return [f"expired on {_certificates.valid_until(certificate):%Y-%m-%d %H:%M} UTC; {VALID_NOW}"]
    return []


def _not_a_ca(certificate: x509.Certificate) -> list[str]:
    return [] if _is_ca(certificate) else ["is not the certificate of a CA; take that of the CA"]


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _check_chain(
    chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], provided: Mapping[str, Any], now: float
) -> list[str]:
    """Follow the signatures from the certificate to a root of the CA file, over what stands behind either."""
    current, signed = chain[0], provided["certificate"]
    for _ in range(LONGEST_CHAIN):
        issuer = next((other for other in (*authorities, *chain[1:]) if _signed_by(current, other)), None)
        if issuer is None:
            return [f"no certificate in {provided['ca']} signed {signed}; name a file with that of the CA that did"]
        name = repr(issuer.subject.rfc4514_string())
        faults = [*_not_a_ca(issuer), *_dates(issuer, now)]
        if faults:
            return [f"{name}, which signed {signed}, {text}" for text in faults]
        if issuer in authorities and issuer.subject == issuer.issuer:
            return []
        current, signed = issuer, name
    return [f"the chain from {provided['certificate']} does not end at a root in {provided['ca']}"]


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    key, digest = _certificates.public_key_of(issuer), _digest(certificate)
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            scheme = certificate.signature_algorithm_parameters or padding.PKCS1v15()
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, scheme, digest)  # type: ignore[arg-type]
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_passphrase(passphrase: str) -> list[str]:
    if not passphrase:
        return [
            f"{PASSPHRASE}: it is empty; write the passphrase of the CA's key "
            f"({PASSPHRASE_LENGTH} characters at least), encrypted by Ansible Vault or looked up"
        ]
    if len(passphrase) < PASSPHRASE_LENGTH:
        return [f"{PASSPHRASE}: it has {len(passphrase)} characters; {PASSPHRASE_LENGTH} are the least"]
    return []


def _check_ca_key(found: Sequence[x509.Certificate], path: Path, passphrase: str) -> list[str]:
    try:
        pem = path.read_bytes()
        if b"-----BEGIN" in pem and not _is_encrypted(pem):
            return [f"{DIRECTORY}: {path} is not encrypted; encrypt it with openssl pkcs8 -topk8 and {PASSPHRASE}"]
        key = _certificates.parse_key(pem, passphrase)
    except OSError as error:
        return [f"{DIRECTORY}: {path} {_reason(error)}"]
    except CertificateError:
        return [f"{PASSPHRASE}: it does not open {path}; write the one that encrypted it"]
    if not _certificates.same_key(found[0], key):
        certificate = path.with_name(_certificates.CERTIFICATE)
        return [f"{DIRECTORY}: {path} does not belong to {certificate}; put key and certificate of one CA there"]
    return []


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
