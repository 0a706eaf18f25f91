"""Fingerprints of keys as GnuPG shows them."""

from __future__ import annotations

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
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        _openpgp.fingerprint(text)
