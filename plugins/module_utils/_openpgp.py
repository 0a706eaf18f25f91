# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprint of an OpenPGP key (RFC 4880), so that a package source's key is checked without GnuPG on the host.

A package manager trusts every key of the file, so one that holds a second key has no fingerprint here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

PUBLIC_KEY_TAG = 6
# What belongs to a key: signatures, trust, user IDs, subkeys, user attributes (section 4.3).
PARTS_OF_A_KEY = frozenset({2, 12, 13, 14, 17})
VERSION = 4
BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = "-----END PGP PUBLIC KEY BLOCK-----"


def fingerprint(armored: str) -> str:
    """Return the fingerprint of the only primary key of an ASCII-armored file, in upper-case hexadecimal.

    Raises:
        ValueError: the text is no armored version 4 public key, or holds more than that.
    """
    packets = list(_packets(_unarmored(armored)))
    if packets[0][0] != PUBLIC_KEY_TAG:
        raise ValueError(f"the first packet is of tag {packets[0][0]}, not a public key")
    keys = [body for tag, body in packets if tag == PUBLIC_KEY_TAG]
    if len(keys) > 1:
        raise ValueError(f"{len(keys)} keys, of which every one would be trusted")
    strange = {tag for tag, _ in packets} - PARTS_OF_A_KEY - {PUBLIC_KEY_TAG}
    if strange:
        raise ValueError(f"a packet of tag {min(strange)}, which is no part of a public key")
    return _fingerprint(keys[0])


def _fingerprint(key: bytes) -> str:
    """Section 12.2: SHA-1 over 0x99, the length in two octets, and the packet's body."""
    if key[0] != VERSION:
        raise ValueError(f"a key of version {key[0]}, not {VERSION}")
    digest = hashlib.sha1(b"\x99" + len(key).to_bytes(2, "big") + key, usedforsecurity=False)
    return digest.hexdigest().upper()


def _unarmored(armored: str) -> bytes:
    """Return what the only block of a text holds."""
    lines = [line.strip() for line in armored.strip().splitlines()]
    if lines[:1] != [BEGIN]:
        raise ValueError("no ASCII-armored public key")
    if lines[-1] != END or lines.count(BEGIN) > 1 or lines.count(END) > 1:
        raise ValueError("the text is not one whole block")
    # Headers end at the first empty line; a line that begins with "=" is the checksum.
    body = lines[lines.index("") + 1 : -1] if "" in lines else lines[1:-1]
    try:
        packets = base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
    except binascii.Error as error:
        raise ValueError("the armor is damaged") from error
    if not packets:
        raise ValueError("the armor is empty")
    return packets


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each packet, in the old or the new format of section 4.2."""
    while data:
        header = data[0]
        if not header & 0x80:
            raise ValueError("the armor holds no packets")
        is_new = bool(header & 0x40)
        tag = header & 0x3F if is_new else (header & 0x3C) >> 2
        start, length = _new_length(data) if is_new else _old_length(data)
        if not length or start + length > len(data):
            raise ValueError("a packet is not whole")
        yield tag, data[start : start + length]
        data = data[start + length :]


def _old_length(data: bytes) -> tuple[int, int]:
    """Return where the body of a packet of the old format begins, and how long it is."""
    start = 1 + (1 << (data[0] & 0x03))
    return start, int.from_bytes(data[1:start], "big")


def _new_length(data: bytes) -> tuple[int, int]:
    """Return the same for the new format; a length of 0 stands for the forms that no key uses."""
    first = data[1] if len(data) > 1 else 255
    if first < 192:
        return 2, first
    if first < 224 and len(data) > 2:
        return 3, ((first - 192) << 8) + data[2] + 192
    return (6, int.from_bytes(data[2:6], "big")) if first == 255 else (2, 0)
