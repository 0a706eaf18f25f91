# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter certificate_refusal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_refusal
short_description: Say why no certificate can be signed on this controller
version_added: 0.1.0
description:
  - A certificate is signed with the key of the CA. Where the CA is not on the controller another one is made only when
    no member of the cluster trusts one.
positional: _input
options:
  _input:
    description: Directory of the CA on the controller.
    type: str
    required: true
  trust:
    description: What P(steadfast.postgresql.certificate_trust#filter) says of the cluster.
    type: dict
    required: true
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Refuse what cannot be signed
  ansible.builtin.fail:
    msg: "{{ refusal }}"
  vars:
    refusal: "{{ '/srv/ca' | steadfast.postgresql.certificate_refusal({'trusted': [], 'unobserved': ['db2']}) }}"
  when: refusal | length > 0
"""

RETURN = r"""
_value:
  description: The reason with what to do about it; empty when it can be signed.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_checks import missing_signer


def certificate_refusal(directory: str, trust: Mapping[str, Sequence[str]]) -> str:
    """Say why no certificate can be signed; empty when it can."""
    return missing_signer(directory, trust["trusted"], trust["unobserved"]) or ""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"certificate_refusal": certificate_refusal}
