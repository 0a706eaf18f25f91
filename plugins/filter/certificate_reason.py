# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter certificate_reason."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_reason
short_description: Say why a host's certificate must be issued or installed
version_added: 0.1.0
description:
  - Compares what M(steadfast.postgresql.instance_info) saw of a host's certificate with what it should be, and with the
    CA on the controller, of which it reads C(ca.crt) alone.
  - A certificate is issued when there is none, when less than a third of its lifetime is left, when it lacks a name,
    when its key does not belong to it, and when the present CA did not sign it.
positional: _input
options:
  _input:
    description: The observation's C(certificates), null where the host has no certificate.
    type: dict
    required: true
  common_name:
    description: Common name that the certificate must have.
    type: str
    required: true
  names:
    description: Names and addresses that it must hold besides.
    type: list
    elements: str
    required: true
  lifetime_days:
    description: Days that a certificate is valid.
    type: int
    required: true
  ca_directory:
    description: Directory of the CA on the controller.
    type: str
    required: true
  group:
    description: Group that may read the private key.
    type: str
    default: ssl-cert
  provided:
    description:
      - Paths C(certificate), C(key) and C(ca) of the user's own files on the controller, for the host to hold.
    type: dict
    default: {}
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Show why
  ansible.builtin.debug:
    msg: >-
      {{ observation.instance.certificates | steadfast.postgresql.certificate_reason(
         common_name=inventory_hostname, names=['192.0.2.11'], lifetime_days=397, ca_directory=inventory_dir ~ '/ca') }}
"""

RETURN = r"""
_value:
  description: Nothing to do is an empty dictionary.
  type: dict
  contains:
    sign:
      description: Whether the CA must sign a new certificate.
      type: bool
    text:
      description: Why, in words.
      type: str
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_reason, _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError


def certificate_reason(  # noqa: PLR0913 - the options of the filter
    facts: Mapping[str, Any] | None,
    *,
    common_name: str,
    names: Sequence[str],
    lifetime_days: int,
    ca_directory: str,
    group: str = "ssl-cert",
    provided: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Say why a host's certificate must be issued or installed; empty when it need not."""
    try:
        if provided and any(provided.values()):
            given = _certificates.provided(provided["certificate"], provided["ca"])
            reason = _certificate_reason.wanted_provided(facts, given, group)
        else:
            policy = _certificate_reason.Policy(common_name, tuple(names), int(lifetime_days), group)
            reason = _certificate_reason.wanted(facts, policy, _certificates.anchor(ca_directory), time.time())
    except (CertificateError, OSError) as error:
        raise AnsibleFilterError(str(error)) from error
    return reason.as_dict() if reason else {}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"certificate_reason": certificate_reason}
