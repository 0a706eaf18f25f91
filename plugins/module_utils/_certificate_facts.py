# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's certificate files hold, read on the host with the openssl command."""

from __future__ import annotations

import base64
import binascii
import calendar
import grp
import hashlib
import ipaddress
import os
import pwd
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import TypedDict

CERTIFICATE = "server.crt"
KEY = "server.key"
AUTHORITY = "ca.crt"

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_KEY_ID = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+")


class Facts(TypedDict):
    """A host's certificate; times are epoch seconds, fingerprints SHA-256 in lower case hexadecimal digits."""

    cn: str
    names: list[str]
    not_before: int
    not_after: int
    issuer: str
    issuer_key_id: str | None
    fingerprint: str
    chain_fingerprints: list[str]
    ca_fingerprints: list[str]
    key_matches: bool
    key_permissions: str | None
    ca_signed: bool


def read(directory: str) -> Facts | None:
    """Read a host's certificate files; None without a certificate that openssl can read.

    Runs no process where there is no certificate, else three.
    """
    folder = Path(directory)
    path = folder / CERTIFICATE
    prints = fingerprints(_text(path))
    if not prints:
        return None
    shown = openssl(
        *("x509", "-in", str(path), "-noout", "-pubkey", "-subject", "-issuer", "-startdate", "-enddate"),
        *("-dateopt", "iso_8601", "-nameopt", "sep_multiline,esc_ctrl,utf8,sname"),
        *("-ext", "subjectAltName,authorityKeyIdentifier"),
    )
    if shown is None:
        return None
    dates = {key: _epoch(shown, key) for key in ("notBefore", "notAfter")}
    if dates["notBefore"] is None or dates["notAfter"] is None:
        return None
    public_key = _PUBLIC_KEY.search(shown)
    return Facts(
        cn=_common_name(shown, "subject"),
        names=_alternative_names(shown),
        not_before=dates["notBefore"],
        not_after=dates["notAfter"],
        issuer=_common_name(shown, "issuer"),
        issuer_key_id=_issuer_key_id(shown),
        fingerprint=prints[0],
        chain_fingerprints=prints[1:],
        ca_fingerprints=fingerprints(_text(folder / AUTHORITY)),
        key_matches=public_key is not None and public_key_of(folder / KEY) == public_key.group(),
        key_permissions=permissions(folder / KEY),
        ca_signed=_signed(path, folder / AUTHORITY),
    )


def fingerprints(pem: str) -> list[str]:
    """Give the SHA-256 of each certificate of a PEM text, in its order; what is no base64 is left out."""
    contents = (_decoded(block) for block in _PEM.findall(pem))
    return [hashlib.sha256(content).hexdigest() for content in contents if content]


def public_key_of(key: Path) -> str | None:
    """Give the public half of a private key file as PEM; None where the key is missing, unreadable or encrypted."""
    return public_key_in(_text(key)) if key.is_file() else None


def public_key_in(pem: str) -> str | None:
    """Give the public half of a private key, or the key of a certificate, as PEM; None where openssl cannot."""
    if "PRIVATE KEY-----" in pem:
        # An empty passphrase makes an encrypted key fail instead of asking on the terminal.
        shown = openssl("pkey", "-pubout", "-passin", "pass:", given=pem)
    else:
        shown = openssl("x509", "-pubkey", "-noout", given=pem)
    found = _PUBLIC_KEY.search(shown or "")
    return found.group() if found else None


def openssl(*arguments: str, given: str = "", failing: bool = False) -> str | None:
    """Run openssl with a text as its standard input and give its output; None where it fails or is not installed.

    With `failing` the output counts that it gave before it failed.
    """
    try:
        done = subprocess.run(
            ("openssl", *arguments),
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if failing or done.returncode == 0 else None


def permissions(path: Path) -> str | None:
    """Give a file's `owner:group mode`, such as `root:ssl-cert 0640`; None without the file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{_user(status.st_uid)}:{_group(status.st_gid)} {stat.S_IMODE(status.st_mode):04o}"


def normalised(name: str) -> str:
    """Write a name as comparisons want it: an address in its short form, a DNS name in lower case."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _decoded(block: str) -> bytes:
    try:
        return base64.b64decode("".join(block.split()), validate=True)
    except binascii.Error:
        return b""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _signed(certificate: Path, authority: Path) -> bool:
    # -no-CApath and -no-CAstore: the distribution's own authorities must not vouch for a member.
    arguments = ("-no-CApath", "-no-CAstore", "-CAfile", str(authority), "-untrusted", str(certificate))
    return authority.is_file() and openssl("verify", *arguments, str(certificate)) is not None


def _section(shown: str, title: str) -> list[str]:
    """Give the indented lines below a line of openssl's output."""
    lines = shown.splitlines()
    heads = (f"{title}=", f"{title}:", f"{title}: critical")
    starts = [number for number, line in enumerate(lines) if line.rstrip() in heads]
    found: list[str] = []
    for line in lines[starts[0] + 1 :] if starts else []:
        if not line.startswith("    "):
            break
        found.append(line.strip())
    return found


def _common_name(shown: str, title: str) -> str:
    # PostgreSQL compares the first common name.
    parts = (part for line in _section(shown, title) for part in line.split(" + "))
    return next((part.removeprefix("CN=") for part in parts if part.startswith("CN=")), "")


def _alternative_names(shown: str) -> list[str]:
    entries = ", ".join(_section(shown, "X509v3 Subject Alternative Name")).split(", ")
    kinds = (entry.partition(":") for entry in entries)
    return [normalised(name) for kind, _, name in kinds if kind in ("DNS", "IP Address")]


def _issuer_key_id(shown: str) -> str | None:
    lines = _section(shown, "X509v3 Authority Key Identifier")
    found = _KEY_ID.search(lines[0].removeprefix("keyid:")) if lines else None
    return found.group().replace(":", "").lower() if found else None


def _epoch(shown: str, title: str) -> int | None:
    found = re.search(rf"^{title}=(\S+ \S+)Z$", shown, re.MULTILINE)
    return calendar.timegm(time.strptime(found.group(1), "%Y-%m-%d %H:%M:%S")) if found else None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
