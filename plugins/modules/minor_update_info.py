#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: minor_update_info
short_description: Read which packages of a major version of PostgreSQL are installed, and which could be
version_added: 0.1.0
description:
  - Covers the server and the programs of its major version, C(postgresql-16), C(postgresql-client-16) and the like;
    extensions have versions of their own.
  - Runs as root.
options:
  version:
    description: Major version.
    type: str
    required: true
  cluster:
    description: Name of the cluster, whose journal is read.
    type: str
    required: true
attributes:
  check_mode:
    description: The same in check mode; the lists of the package source are made fresh, which is how one looks.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Look for a newer minor version
  steadfast.postgresql.minor_update_info:
    version: "16"
    cluster: main
  register: __example_packages
"""

RETURN = r"""
packages:
  description: By name the C(installed) version, the C(candidate), whether that is C(newer), and whether it is C(held).
  returned: always
  type: dict
interrupted:
  description: Whether dpkg was interrupted and has something left to configure.
  returned: always
  type: bool
begun:
  description: What the host's journal says was begun and not done, C(from) and C(to); empty when there is nothing.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _journal, _minor, _minor_packages
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Look and print."""
    module = AnsibleModule(
        argument_spec={"version": {"type": "str", "required": True}, "cluster": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    given = module.params
    try:
        found = _minor_packages.look(given["version"])
        entry = _journal.last(_journal.journal_of(given["cluster"]), _minor.EVENT) or {}
    except (CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    begun = {key: entry[key] for key in ("from", "to")} if entry.get("state") == _minor.BEGUN else {}
    module.exit_json(changed=False, begun=begun, **found)


if __name__ == "__main__":
    main()
