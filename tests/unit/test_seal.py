# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seals: alike for the same secret, different for any other, and nothing of the secret in them."""

from __future__ import annotations

from ansible_collections.steadfast.postgresql.plugins.module_utils._seal import seal


def test_seals() -> None:
    made = seal("correct horse battery staple", "main repo1")
    assert made == seal("correct horse battery staple", "main repo1")
    others = {seal("correct horse battery staplE", "main repo1"), seal("correct horse battery staple", "main repo2")}
    assert len(others | {made}) == 3
    # openssl kdf -keylen 16 -kdfopt digest:SHA256 -kdfopt pass:... -kdfopt salt:... -kdfopt iter:20000 PBKDF2
    assert made == "1d207abfb06d39453c9465185131997a"
