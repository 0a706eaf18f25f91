# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprint of an OpenPGP key (RFC 4880), so that a package source's key is checked without GnuPG on the host."""

from __future__ import annotations

import base64
import binascii
import hashlib

PUBLIC_KEY_TAG = 6
VERSION = 4


def fingerprint(armored: str) -> str:
    """Return the fingerprint of the first public key of an ASCII-armored file, in upper-case hexadecimal.

    Raises:
        ValueError: the text is no armored version 4 public key.
    """
    lines = armored.strip().splitlines()
    if not lines or "BEGIN PGP PUBLIC KEY BLOCK" not in lines[0]:
        raise ValueError("no ASCII-armored public key")
    # Headers end at the first empty line; a line that begins with "=" is the checksum.
    body = lines[lines.index("") + 1 : -1] if "" in lines else lines[1:-1]
    try:
        packets = base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
    except binascii.Error as error:
        raise ValueError("the armor is damaged") from error
    key = _first_packet(packets)
    if key[0] != VERSION:
        raise ValueError(f"a key of version {key[0]}, not {VERSION}")
    # Section 12.2: SHA-1 over 0x99, the length in two octets, and the packet's body.
    digest = hashlib.sha1(b"\x99" + len(key).to_bytes(2, "big") + key, usedforsecurity=False)
    return digest.hexdigest().upper()


def _first_packet(data: bytes) -> bytes:
    """Return the body of the first packet, in the old or the new format of section 4.2."""
    header = data[0]
    is_new = bool(header & 0x40)
    tag = header & 0x3F if is_new else (header & 0x3C) >> 2
    if tag != PUBLIC_KEY_TAG:
        raise ValueError(f"the first packet is of tag {tag}, not a public key")
    if not is_new:
        size = 1 << (header & 0x03)
        start = 1 + size
        return data[start : start + int.from_bytes(data[1:start], "big")]
    if data[1] < 192:
        return data[2 : 2 + data[1]]
    length = ((data[1] - 192) << 8) + data[2] + 192
    return data[3 : 3 + length]
