# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pg_ident."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_ident
short_description: Render the maps of pg_ident.conf
version_added: 0.1.0
description:
  - Writes all maps. Where there are two or more members, the certificate of each, which names it by its inventory
    name, may log in as the role that replicates.
positional: _input
options:
  _input:
    description: Address of each database member by its inventory name.
    type: dict
    required: true
  contributed:
    description: Lines of other roles.
    type: list
    elements: dict
    default: []
    suboptions:
      comment:
        description: What the line is for, one line.
        type: str
        required: true
      map:
        description: Name of the map, which a rule of C(pg_hba.conf) names in its option V(map).
        type: str
        required: true
      system_user:
        description: Common name of the certificate or name of the system user. A leading V(/) makes it an expression.
        type: str
        required: true
      role:
        description: Role that it may log in as.
        type: str
        required: true
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Show who may replicate
  ansible.builtin.debug:
    msg: "{{ {'db1': '10.0.0.11', 'db2': '10.0.0.12'} | steadfast.postgresql.pg_ident }}"
"""

RETURN = r"""
_value:
  description: The text of the maps, for C(pg_ident.conf).
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba


def pg_ident(members: Mapping[str, str], contributed: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the text of the maps."""
    return _hba.render_ident(_hba.build_ident(_hba.Networks(members=members), contributed))


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by its name."""
        return {"pg_ident": pg_ident}
