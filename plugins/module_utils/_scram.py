# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), so that a server never sees or logs a password in plain text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

# PostgreSQL's own default for scram_iterations.
ITERATIONS = 4096
SALT_BYTES = 16
VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return the verifier of a password as PostgreSQL stores it.

    Args:
        password: in ASCII; other characters would need SASLprep, which PostgreSQL applies and this function does not.
        salt: random bytes, made when not given.
        iterations: rounds of PBKDF2.

    Raises:
        ValueError: the password has characters outside printable ASCII.
    """
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a password has printable ASCII characters only")
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def matches(password: str, stored: str | None) -> bool:
    """Say whether a stored verifier is that of a password."""
    found = VERIFIER.fullmatch(stored or "")
    if not found:
        return False
    return hmac.compare_digest(verifier(password, base64.b64decode(found[2]), int(found[1])), stored or "")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
