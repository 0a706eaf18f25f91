# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare secrets without handing them over: a seal is the same for the same secret and tells nothing of it. Pure."""

from __future__ import annotations

import hashlib

ROUNDS = 20_000
"""Slow enough that a guess costs something; secrets that are sealed are long anyway."""
LENGTH = 16  # bytes


def seal(secret: str, purpose: str) -> str:
    """Return the seal of a secret: PBKDF2 with HMAC-SHA-256 (RFC 8018), salted with what the secret is for."""
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), purpose.encode(), ROUNDS, LENGTH).hex()
