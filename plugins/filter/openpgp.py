# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter about OpenPGP keys."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.steadfast.postgresql.plugins.module_utils import _openpgp

DOCUMENTATION = r"""
name: openpgp_fingerprint
short_description: Fingerprint of an OpenPGP public key
version_added: 0.1.0
description: Returns the fingerprint of the only key of an ASCII-armored file; a second key in it is an error.
options:
  _input:
    description: The text of the file.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the fingerprint
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.file', 'key.asc') | steadfast.postgresql.openpgp_fingerprint }}"
"""

RETURN = r"""
_value:
  description: Forty hexadecimal digits in upper case.
  type: str
"""


def openpgp_fingerprint(armored: str) -> str:
    """Return the fingerprint, or fail with what is wrong with the text."""
    try:
        return _openpgp.fingerprint(armored)
    except ValueError as error:
        raise AnsibleFilterError(f"openpgp_fingerprint: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[[str], str]]:
        """Name the filters."""
        return {"openpgp_fingerprint": openpgp_fingerprint}
