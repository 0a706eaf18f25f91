#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: services
short_description: Bring systemd units into their states, many in one run
version_added: 0.1.0
description:
  - Enables, starts, reloads, restarts, stops and disables units, each verb once for all units that need it.
options:
  units:
    description: Units in any order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit with its suffix.
        type: str
        required: true
      state:
        description:
          - What it shall do; C(reloaded) and C(restarted) always act, and start a unit that does not run. V(any) leaves
            it as it is.
        type: str
        choices: [started, stopped, reloaded, restarted, any]
        default: started
      enabled:
        description: Whether it starts with the host; left as it is when not given.
        type: bool
  daemon_reload:
    description: Whether systemd reads its files again first.
    type: bool
    default: false
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Serve other hosts, and run a timer
  steadfast.postgresql.services:
    daemon_reload: true
    units:
      - {name: pgbackrest.service, state: reloaded, enabled: true}
      - {name: steadfast-check-archive.timer, enabled: true}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _services
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Read the arguments, converge the units, print the result."""
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": list(_services.STATES), "default": _services.STARTED},
                    "enabled": {"type": "bool"},
                },
            },
            "daemon_reload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    units = [_services.Unit.of(given) for given in module.params["units"]]
    try:
        changes = _services.converge(units, module.params["daemon_reload"], module.check_mode)
    except CommandError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
