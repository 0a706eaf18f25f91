#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: minor_update
short_description: Install other versions of packages of PostgreSQL while its servers go on running
version_added: 0.1.0
description:
  - The packages' own scripts, which stop a server before they unpack and start it afterwards, are kept from that. The
    server runs its former program until somebody restarts it.
  - No package is added on its own account, and none is removed. What an interrupted dpkg left is completed first.
  - Runs as root.
options:
  packages:
    description: Versions to install, by the names of packages that are installed.
    type: dict
    required: true
  present:
    description: Versions that are installed, for the list of changes.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
  idempotent:
    description: Packages of the given versions are not installed again, though they are listed as changes.
    support: partial
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Install a minor version
  steadfast.postgresql.minor_update:
    packages: {postgresql-16: 16.14-1.pgdg13+1, postgresql-client-16: 16.14-1.pgdg13+1}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _minor_packages
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Install and print the changes."""
    module = AnsibleModule(
        argument_spec={"packages": {"type": "dict", "required": True}, "present": {"type": "dict", "default": {}}},
        supports_check_mode=True,
    )
    given = module.params
    try:
        changes = _minor_packages.install(given["packages"], given["present"], module.check_mode)
    except (CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
