# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pgbackrest_secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pgbackrest_secrets
short_description: Render the passphrases and keys that a host needs for its repositories
version_added: 0.1.0
description:
  - Writes a configuration file of pgBackRest with nothing but secrets, so that a diff can show the rest.
  - A directory of the repository host is opened there alone, so no other host has its passphrase.
positional: _input
options:
  _input:
    description: C(self.backup.site) of the decision.
    type: dict
    required: true
  repositories:
    description: The value of C(postgresql_backup_repositories).
    type: list
    elements: dict
    required: true
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Write the secrets
  steadfast.postgresql.managed_files:
    files:
      - path: /etc/pgbackrest/conf.d/secrets.conf
        secret_content: >-
          {{ __postgresql_cluster_decision.self.backup.site
             | steadfast.postgresql.pgbackrest_secrets(postgresql_backup_repositories) }}
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_config, _backup_plan

HEAD = "# Ansible managed\n# By the role backup of steadfast.postgresql.\n"


def pgbackrest_secrets(site: Mapping[str, Any], repositories: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the file of secrets."""
    return HEAD + _backup_config.render(_backup_config.secrets(_backup_plan.site_from(site), repositories))


class FilterModule:
    """The filter, as Ansible finds it."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"pgbackrest_secrets": pgbackrest_secrets}
