# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server shows of its certificates when a client connects: read on its host with the openssl command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_facts import AUTHORITY, CERTIFICATE
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, wait_until

# One way to write names, of the server's list and of the files.
NAMES = ("-nameopt", "RFC2253,utf8")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
ASKED = "Acceptable client certificate CA names"
END_OF_NAMES = re.compile(r"^(Client Certificate Types|Requested Signature Algorithms|---)")


@dataclass(frozen=True)
class Shown:
    """The SHA-256 of a server's certificate, and the CAs of the client certificates that it takes, if it says so."""

    fingerprint: str
    authorities: frozenset[str]


@dataclass(frozen=True)
class Files:
    """The same of what lies on the host, with the serial number and the issuer in words."""

    shown: Shown
    words: str


def parse(text: str) -> Shown | None:
    """Read the output of `openssl s_client`; None where no certificate was shown."""
    prints = _certificate_facts.fingerprints(text)
    return Shown(prints[0], frozenset(_asked(text))) if prints else None


def files(directory: Path) -> Files:
    """Read what a server that follows shows.

    Raises:
        CommandError: there is no certificate, or openssl cannot read it.
    """
    path = directory / CERTIFICATE
    text = path.read_text(encoding="ascii", errors="replace") if path.is_file() else ""
    prints = _certificate_facts.fingerprints(text)
    words = _certificate_facts.openssl("x509", "-noout", "-serial", "-issuer", *NAMES, given=text)
    if not prints or words is None:
        raise CommandError(f"{path} holds no certificate")
    blocks = PEM.findall(directory.joinpath(AUTHORITY).read_text(encoding="ascii", errors="replace"))
    subjects = (_certificate_facts.openssl("x509", "-noout", "-subject", *NAMES, given=block) for block in blocks)
    names = (subject.strip().removeprefix("subject=") for subject in subjects if subject)
    return Files(Shown(prints[0], frozenset(names)), ", ".join(words.split("\n")[:2]))


def differences(shown: Shown | None, wanted: Shown) -> list[str]:
    """Say what a server shows that is not what lies on its host; a list of CAs that it does not send is not missed."""
    if shown is None:
        return ["it shows no certificate"]
    texts = []
    if shown.fingerprint != wanted.fingerprint:
        served, held = shown.fingerprint[:16], wanted.fingerprint[:16]
        texts.append(f"it serves the certificate {served}, and {held} is on the host")
    if shown.authorities and shown.authorities != wanted.authorities:
        trusted, asked = (", ".join(sorted(names)) for names in (wanted.authorities, shown.authorities))
        texts.append(f"it takes client certificates of {asked}, and {trusted} is on the host")
    return texts


def prove(server: Mapping[str, Any], directory: Path, limit: float) -> str:
    """Wait until a server shows what lies on its host; returns serial number and issuer.

    Args:
        server: name, address, port, and starttls (empty where TLS begins at once).
        directory: of the files.
        limit: seconds; a reload is over when systemctl has returned, though not its effect.

    Raises:
        CommandError: it does not, in words.
    """
    wanted = files(directory)
    said: list[str] = []

    def shows() -> bool:
        said[:] = differences(_ask(server), wanted.shown)
        return not said

    try:
        wait_until(shows, limit, "", interval=0.2)
    except CommandError as error:
        raise CommandError(f"{server['name']}: {'; '.join(said)}, after {limit:g} s") from error
    return wanted.words


def _ask(server: Mapping[str, Any]) -> Shown | None:
    host = f"[{server['address']}]" if ":" in server["address"] else server["address"]
    protocol = ("-starttls", server["starttls"]) if server["starttls"] else ()
    # It ends with an error where the server closes first; what it has shown until then counts.
    shown = _certificate_facts.openssl(
        "s_client", "-connect", f"{host}:{server['port']}", *protocol, "-showcerts", *NAMES, failing=True
    )
    return parse(shown or "")


def _asked(text: str) -> list[str]:
    lines = text.splitlines()
    names: list[str] = []
    for line in lines[lines.index(ASKED) + 1 :] if ASKED in lines else []:
        if END_OF_NAMES.match(line):
            break
        names.append(line.strip())
    return names
