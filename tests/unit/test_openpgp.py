"""Fingerprints of keys as GnuPG shows them."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _openpgp

KEY = """-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawFgwRYJKwYBBAHaRw8BAQdA3h17eXn2H/mdvNbqcMYguOOkwiG5YMnbBKv2
3p5XrQm0F3Rlc3QgPHRlc3RAZXhhbXBsZS5jb20+iJAEExYIADgWIQSeZDyW2E7f
RfWP+W/KnL4HDHse/wUCawFgwQIbAQULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAK
CRDKnL4HDHse/4m3AP4ypFrllzquDU4GpOwd4DnA5mvwelJmelp3Z9n4ELSenwEA
wOip6GsTYpIdhN4EyzM5ZTjEUItLaxWFmBCEtms32wo=
=Wqyg
-----END PGP PUBLIC KEY BLOCK-----
"""
FINGERPRINT = "9E643C96D84EDF45F58FF96FCA9CBE070C7B1EFF"


def armored(packets: bytes) -> str:
    """Return packets as an ASCII-armored file."""
    return f"{_openpgp.BEGIN}\n\n{base64.b64encode(packets).decode()}\n{_openpgp.END}\n"


PACKETS = base64.b64decode("".join(KEY.splitlines()[2:-2]))
# The same key in packets of the new format, with lengths of one, two and five octets.
BODY = PACKETS[2 : 2 + PACKETS[1]]


@pytest.mark.parametrize(
    "header",
    [bytes([0xC6, len(BODY)]), bytes([0xC6, 0xFF, 0, 0, 0, len(BODY)]), bytes([0x99, 0, len(BODY)])],
)
@pytest.mark.parametrize("name", [b"\xcd\x01n", b"\xcd\xc0\x00" + b"n" * 192, b"\xb4\x01n"])
def test_every_format_of_a_packet(header: bytes, name: bytes) -> None:
    assert _openpgp.fingerprint(armored(header + BODY + name)) == FINGERPRINT


def test_fingerprint() -> None:
    assert _openpgp.fingerprint(KEY) == FINGERPRINT


def test_a_changed_key_has_another_fingerprint() -> None:
    assert _openpgp.fingerprint(KEY.replace("mDMEawFgwR", "mDMEawFgwS")) != FINGERPRINT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no ASCII-armored public key"),
        ("-----BEGIN PGP SIGNATURE-----\n", "no ASCII-armored public key"),
        (KEY.replace("mDME", "m!ME"), "the armor is damaged"),
        (KEY.replace("mDME", "iDME"), "the first packet is of tag 2, not a public key"),
        (KEY.replace("mDMEaw", "mDMDaw"), "a key of version 3, not 4"),
        (KEY + KEY, "the text is not one whole block"),
        (KEY + "more", "the text is not one whole block"),
        (KEY.replace("-----END PGP PUBLIC KEY BLOCK-----", ""), "the text is not one whole block"),
        (armored(b""), "the armor is empty"),
        (armored(PACKETS + PACKETS), "2 keys, of which every one would be trusted"),
        (armored(PACKETS + b"\xcb\x01b"), "a packet of tag 11, which is no part of a public key"),
        (armored(PACKETS[:-1]), "a packet is not whole"),
        (armored(PACKETS + b"\xcd"), "a packet is not whole"),
        (armored(PACKETS + b"\xcd\xe1"), "a packet is not whole"),
        (armored(PACKETS + b"\x01"), "the armor holds no packets"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        _openpgp.fingerprint(text)
