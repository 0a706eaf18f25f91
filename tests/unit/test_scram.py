"""SCRAM verifiers: the example of RFC 7677, and what the server stores."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _scram

RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
# RFC 7677, section 3: password "pencil", 4096 iterations; the server's signature there follows from these keys.
RFC_VERIFIER = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_verifier_is_that_of_the_rfc() -> None:
    assert _scram.verifier("pencil", RFC_SALT) == RFC_VERIFIER


def test_verifier_has_a_salt_of_its_own() -> None:
    assert _scram.verifier("pencil") != _scram.verifier("pencil")


@pytest.mark.parametrize(
    ("password", "stored", "expected"),
    [
        ("pencil", RFC_VERIFIER, True),
        ("pencil", _scram.verifier("pencil", iterations=1000), True),
        ("pencils", RFC_VERIFIER, False),
        ("pencil", None, False),
        ("pencil", "md5d8578edf8458ce06fbc5bb76a58c5ca4", False),
        ("pencil", RFC_VERIFIER + "x", False),
    ],
)
def test_matches(password: str, stored: str | None, expected: bool) -> None:
    assert _scram.matches(password, stored) is expected


@pytest.mark.parametrize("password", ["pencîl", "pen\ncil"])
def test_other_characters_are_refused(password: str) -> None:
    with pytest.raises(ValueError, match=r"^a password has printable ASCII characters only$"):
        _scram.verifier(password)
