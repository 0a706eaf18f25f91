# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pg_hba."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_hba
short_description: Render the rules of pg_hba.conf
version_added: 0.1.0
description:
  - Writes all rules, one comment before each rule and the columns aligned. PostgreSQL takes the first rule that
    matches.
  - "The order is: local administration by the system user C(postgres); replication by the members' certificates, where
    there are two or more; the refusal of superusers over the network; the rules of the user; administrators from the
    management networks; the rules of other roles. Everything else is refused."
  - There is no rule for connections without TLS.
  - A mistake in a rule is an error; preflight reports the same mistakes, all of them and before any host is touched.
positional: _input
options:
  _input:
    description:
      - Rules of the user, as in C(postgresql_server_hba_rules).
      - In O(_input[].databases) and O(_input[].users) the words V(all), V(sameuser), V(samerole) and V(replication), a
        leading V(+) (members of a role) and a leading V(/) (a regular expression) mean what they mean in
        C(pg_hba.conf). A name in double quotes means just that name.
    type: list
    elements: dict
    required: true
    suboptions:
      comment:
        description: What the rule is for, one line.
        type: str
        required: true
      databases:
        description: Databases that the rule is about.
        type: list
        elements: str
        required: true
      users:
        description: Roles that the rule is about.
        type: list
        elements: str
        required: true
      addresses:
        description: Networks in CIDR notation, each inside a network that the inventory names.
        type: list
        elements: str
        required: true
      method:
        description: How the client proves who it is.
        type: str
        choices: [scram-sha-256, cert, reject]
        required: true
      options:
        description: Options of the method, V(clientcert) for C(scram-sha-256) and V(clientname) for C(cert).
        type: dict
  members:
    description:
      - Address of each database member by its inventory name. One whose address is not known, an empty text, has no
        rule.
    type: dict
    default: {}
  application_networks:
    description: Networks from which applications come.
    type: list
    elements: str
    default: []
  management_networks:
    description: Networks from which administrators come.
    type: list
    elements: str
    default: []
  administrators:
    description: Administrators as mappings with C(name) and, if wanted, C(comment); other keys are not looked at.
    type: list
    elements: dict
    default: []
  contributed:
    description:
      - Rules of other roles. They may also have an option V(map), and a C(type) of V(local), which has no addresses
        and the methods V(peer), V(scram-sha-256) and V(reject).
    type: list
    elements: dict
    default: []
  superusers:
    description: Roles that may log in over the local socket only.
    type: list
    elements: str
    default: [postgres]
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Show the rules of a cluster of two
  ansible.builtin.debug:
    msg: >-
      {{ postgresql_server_hba_rules | steadfast.postgresql.pg_hba(
           members={'db1': '10.0.0.11', 'db2': '10.0.0.12'},
           application_networks=postgresql_application_networks,
           management_networks=postgresql_management_networks,
           administrators=postgresql_administrators) }}
"""

RETURN = r"""
_value:
  description: The text of the rules, for C(pg_hba.conf).
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _hba_check


def pg_hba(  # noqa: PLR0913 - they are the filter's options
    rules: Sequence[Mapping[str, Any]],
    *,
    members: Mapping[str, str] | None = None,
    application_networks: Sequence[str] = (),
    management_networks: Sequence[str] = (),
    administrators: Sequence[Mapping[str, Any]] = (),
    contributed: Sequence[Mapping[str, Any]] = (),
    superusers: Sequence[str] = _hba.SUPERUSERS,
) -> str:
    """Return the text of the rules.

    Raises:
        AnsibleFilterError: a rule or a network holds a mistake.
    """
    networks = _hba.Networks(application_networks, management_networks, members or {})
    mistakes = [
        *_hba_check.check_networks(_hba_check.APPLICATION_NETWORKS, application_networks),
        *_hba_check.check_networks(_hba_check.MANAGEMENT_NETWORKS, management_networks),
        *_hba_check.check(rules, networks, superusers=superusers),
        *_hba_check.check(contributed, networks, "contributed", contributed=True, superusers=superusers),
    ]
    if mistakes:
        raise AnsibleFilterError("\n".join(mistakes))
    return _hba.render(_hba.build(networks, administrators, contributed, rules, superusers))


class FilterModule:
    """Ansible's entry to the filter."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by its name."""
        return {"pg_hba": pg_hba}
