# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace the CA of a cluster on the controller: another one is made, signs, and the former one is trusted no more.

The directory of the CA holds the state, so that every run knows it and a run that was killed anywhere is finished by
the next one:

- `ca.crt` and `ca.key`: the CA that signs; behind its certificate in `ca.crt` those that members trust besides.
- `next/`: the CA that will sign, from the moment that it is made.
- `former/<first digits of its fingerprint>/`: a CA that signed before; it is trusted as long as it is in `ca.crt`.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import (
    CERTIFICATE,
    KEY,
    NEXT,
    CertificateError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FORMER = "former"
PRINT_LENGTH = 16

SETTLED, TRUSTING, SIGNING = "settled", "trusting", "signing"


@dataclass(frozen=True)
class Known:
    """A CA: common name, SHA-256 of its certificate, the identifier that its signatures name, its end (epoch)."""

    name: str
    fingerprint: str
    key_id: str
    not_after: float


@dataclass(frozen=True)
class State:
    """What a CA directory says.

    Attributes:
        trusted: what members trust; the first one signs.
        coming: the CA that will sign; None when none was made, or when it signs already.
        former: fingerprints of those that signed before.
    """

    trusted: tuple[Known, ...]
    coming: Known | None = None
    former: frozenset[str] = frozenset()

    @property
    def signer(self) -> Known:
        """The CA that signs."""
        return self.trusted[0]

    @property
    def stage(self) -> str:
        """How far a replacement is: none, a next CA that does not sign yet, or a former one that is still trusted."""
        if self.coming is not None:
            return TRUSTING
        return SIGNING if any(known.fingerprint in self.former for known in self.trusted[1:]) else SETTLED

    @property
    def kept(self) -> tuple[Known, ...]:
        """What is trusted once the former ones are retired; one that signs again is former no more."""
        return (self.signer, *(known for known in self.trusted[1:] if known.fingerprint not in self.former))

    def next_name(self, cluster: str) -> str:
        """Name the CA that will sign; servers name what they trust, so it has to differ from the others."""
        if self.coming is not None:
            return self.coming.name
        first = _certificates.authority_name(cluster)
        taken = {known.name for known in self.trusted}
        number = 2
        while _numbered(first, number) in taken:
            number += 1
        return _numbered(first, number)


def read(directory: str) -> State | None:
    """Return what a CA directory says; None without a CA.

    Raises:
        CertificateError: a file of it is broken.
    """
    folder = Path(directory)
    certificates = _certificates_of(folder)
    if not certificates:
        return None
    trusted = tuple(_known(certificate) for certificate in certificates)
    coming = next((_known(found) for found in _certificates_of(folder / NEXT)), None)
    former = {_known(found).fingerprint for place in _former(folder) for found in _certificates_of(place)}
    return State(
        trusted,
        coming if coming is not None and coming != trusted[0] else None,
        frozenset(former - {trusted[0].fingerprint}),
    )


def prepare(directory: str, cluster: str, passphrase: str, lifetime_days: int, now: datetime.datetime) -> None:
    """Make the next CA unless there is one, and add its certificate to those that members trust."""
    folder = Path(directory)
    with _certificates.locked(folder):
        state = _state(directory)
        if state.coming is None:
            _finish(folder)
            _make_next(folder, state.next_name(cluster), passphrase, lifetime_days, now)
        coming = _load_next(folder, passphrase)
        present = _certificates_of(folder)
        if coming not in present:
            _write_bundle(folder, [*present, coming])


def promote(directory: str, passphrase: str) -> None:
    """Let the next CA sign; the one that signed so far is kept as a former one, and stays trusted.

    The one moment that counts is when ca.crt is replaced: before it the old key signs, after it the new one, which is
    found in next/ until it is in its place.
    """
    folder = Path(directory)
    with _certificates.locked(folder):
        if _state(directory).coming is not None:
            coming = _load_next(folder, passphrase)
            present = _certificates_of(folder)
            _keep_former(folder, present[0])
            _write_bundle(folder, [coming, *(other for other in present if other != coming)])
        _finish(folder)


def retire(directory: str) -> None:
    """Take the former CAs out of those that members trust; their files stay in former/."""
    folder = Path(directory)
    with _certificates.locked(folder):
        kept = {known.fingerprint for known in _state(directory).kept}
        _write_bundle(folder, [found for found in _certificates_of(folder) if _known(found).fingerprint in kept])


def listed(trusted: Sequence[Known]) -> str:
    """Name CAs in one line."""
    return ", ".join(known.name for known in trusted)


def _numbered(first: str, number: int) -> str:
    end = f" {number}"
    return first[: _certificates.COMMON_NAME_LENGTH - len(end)] + end


def _state(directory: str) -> State:
    state = read(directory)
    if state is None:
        raise CertificateError(f"there is no CA in {directory}")
    return state


def _certificates_of(folder: Path) -> list[x509.Certificate]:
    path = folder / CERTIFICATE
    return _certificates.parse(path.read_bytes()) if path.is_file() else []


def _former(folder: Path) -> list[Path]:
    place = folder / FORMER
    return sorted(place.iterdir()) if place.is_dir() else []


def _known(certificate: x509.Certificate) -> Known:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Known(
        name=str(names[0].value) if names else certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        key_id=_certificates.key_id(certificate),
        not_after=_certificates.valid_until(certificate).timestamp(),
    )


def _make_next(folder: Path, name: str, passphrase: str, lifetime_days: int, now: datetime.datetime) -> None:
    # The certificate comes last and says that both are there; a key without it is one that nothing was signed with.
    place = folder / NEXT
    place.mkdir(mode=0o755, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificates.self_signed(key, name, lifetime_days, now)
    _certificates.write(place / KEY, _certificates.encrypted(key, passphrase), 0o600)
    _certificates.write(place / CERTIFICATE, _pem([certificate]), 0o644)
    _certificates.sync(folder)


def _load_next(folder: Path, passphrase: str) -> x509.Certificate:
    """Return the certificate of the next CA; its key must work before anything relies on it."""
    return _certificates.load(str(folder / NEXT), passphrase).certificate


def _keep_former(folder: Path, certificate: x509.Certificate) -> None:
    place = folder / FORMER / _known(certificate).fingerprint[:PRINT_LENGTH]
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not place.joinpath(KEY).exists():
        _certificates.write(place / KEY, folder.joinpath(KEY).read_bytes(), 0o600)
    _certificates.write(place / CERTIFICATE, _pem([certificate]), 0o644)
    _certificates.sync(place.parent)


def _finish(folder: Path) -> None:
    """Put the key of the CA that signs in its place, and remove what is left of next/."""
    place = folder / NEXT
    if _certificates.signing_key(str(folder)) == place / KEY:
        place.joinpath(KEY).rename(folder / KEY)
        _certificates.sync(folder)
    if place.is_dir():
        place.joinpath(CERTIFICATE).unlink(missing_ok=True)
        # Whatever somebody else put there stays.
        with contextlib.suppress(OSError):
            place.rmdir()
        _certificates.sync(folder)


def _write_bundle(folder: Path, certificates: Sequence[x509.Certificate]) -> None:
    _certificates.write(folder / CERTIFICATE, _pem(certificates), 0o644)


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(found.public_bytes(serialization.Encoding.PEM) for found in certificates)
