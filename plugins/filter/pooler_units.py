# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pooler_units."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pooler_units
short_description: Say what becomes of the processes of a pooler
version_added: 0.3.0
description:
  - What a reload takes over is reloaded. For the rest the other one of two processes is started, which takes the place
    of the one that serves, so that no client is cut.
positional: _input
options:
  _input:
    description: What the decision says of the pooler of the host.
    type: dict
    required: true
  changed:
    description: Paths of the files that this run has written.
    type: list
    elements: str
    required: true
  new_certificate:
    description: Whether this run has written the certificate of the host.
    type: bool
    default: false
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Bring the processes into their states
  steadfast.postgresql.services:
    units: "{{ (decision | steadfast.postgresql.pooler_units(written.changed_paths)).units }}"
"""

RETURN = r"""
_value:
  description: C(units) and C(daemon_reload) as the module C(services) takes them.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _pooler_plan


def pooler_units(plan: Mapping[str, Any], changed: Sequence[str], new_certificate: bool = False) -> dict[str, Any]:
    """Return the arguments of the module services."""
    return _pooler_plan.units(plan, changed, new_certificate)


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filter by its name."""
        return {"pooler_units": pooler_units}
