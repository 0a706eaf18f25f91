# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter certificate_trust."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_trust
short_description: Say which CAs the members of a cluster trust already
version_added: 0.1.0
description:
  - Where a member trusts a CA, a controller without that CA must not make another one. The same holds while a database
    host was not observed, because it may trust one.
positional: _input
options:
  _input:
    description: C(hostvars).
    type: dict
    required: true
  members:
    description: Members of the cluster, each with C(name) and C(duties).
    type: list
    elements: dict
    required: true
  observation:
    description: Name of the variable with a host's registered observation.
    type: str
    default: __postgresql_cluster_observation
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Show what is trusted
  ansible.builtin.debug:
    msg: "{{ hostvars | steadfast.postgresql.certificate_trust([{'name': 'db1', 'duties': ['database']}]) }}"
"""

RETURN = r"""
_value:
  description: What is known of the members.
  type: dict
  contains:
    trusted:
      description: SHA-256 fingerprints of the CAs that members trust.
      type: list
      elements: str
    unobserved:
      description: Database hosts of which that is not known.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def certificate_trust(
    hostvars: Mapping[str, Any],
    members: Sequence[Mapping[str, Any]],
    observation: str = "__postgresql_cluster_observation",
) -> dict[str, list[str]]:
    """Give the fingerprints that members trust, and the database hosts that were not observed."""
    seen = {member["name"]: _instance(hostvars, member["name"], observation) for member in members}
    certificates = [instance.get("certificates") for instance in seen.values() if instance is not None]
    trusted = {found for facts in certificates if facts for found in facts["ca_fingerprints"]}
    databases = [member["name"] for member in members if "database" in member["duties"]]
    return {"trusted": sorted(trusted), "unobserved": sorted(name for name in databases if seen[name] is None)}


def _instance(hostvars: Mapping[str, Any], name: str, observation: str) -> Mapping[str, Any] | None:
    registered = hostvars[name].get(observation) if name in hostvars else None
    return registered.get("instance") if isinstance(registered, Mapping) else None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"certificate_trust": certificate_trust}
