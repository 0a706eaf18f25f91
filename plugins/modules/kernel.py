#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: kernel
short_description: Set live settings of the kernel
version_added: 0.1.0
description:
  - Sets what differs and reads it back. The file that sets it when the host starts is for another module.
options:
  settings:
    description: Values by the names that sysctl has for them.
    type: dict
    required: true
  exact:
    description: Settings that the kernel has to take as they are, and not a part of, such as C(vm.nr_hugepages).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Set what differs
  steadfast.postgresql.kernel:
    settings: {vm.swappiness: "1"}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _kernel_apply
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Read the arguments, set what differs, print the result."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "exact": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    wanted = {name: str(value) for name, value in module.params["settings"].items()}
    try:
        changes = _kernel_apply.converge(wanted, module.params["exact"], module.check_mode)
    except CommandError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
