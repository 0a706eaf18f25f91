#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall
short_description: Load a cluster's nftables table so that it cannot lock anybody out
version_added: 0.1.0
description:
  - Loads the rules and lets a timer of the host take them back. Then the action plugin of the same name connects anew,
    shares no connection that was open before, and confirms them; only then they become the file that is loaded at boot,
    and the timer is stopped. A run that is killed, or that the rules lock out, leaves what was there before.
  - It touches no table but C(inet steadfast_<cluster>), and runs as root.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  rules:
    description: What nft loads; it must replace that one table. Empty removes the table.
    type: str
    required: true
  take_back_after:
    description: Seconds until rules are taken back that nobody confirmed.
    type: int
    default: 60
  operation:
    description: The action plugin runs the module a second time to confirm.
    type: str
    choices: [apply, confirm]
    default: apply
  live:
    description: For O(operation=confirm), fingerprint of the rules to be confirmed, RV(live) of the first run.
    type: str
    default: ""
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
  diff_mode:
    description: Shows the rules that were confirmed last, and the new ones.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Guard the host
  steadfast.postgresql.firewall:
    cluster: main
    rules: "{{ lookup('ansible.builtin.file', 'firewall_main.nft') }}"
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
live:
  description: Fingerprint of the rules as nft lists them.
  returned: with O(operation=apply) and rules, but in check mode
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _firewall_apply
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Read the arguments, load or confirm the rules, print the result."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "rules": {"type": "str", "required": True},
            "take_back_after": {"type": "int", "default": 60},
            "operation": {"type": "str", "choices": ["apply", "confirm"], "default": "apply"},
            "live": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    cluster, rules = given["cluster"], given["rules"]
    result = {}
    try:
        if given["operation"] == "confirm":
            _firewall_apply.confirm(cluster, rules, given["live"])
            module.exit_json(changed=True)
        changes = _firewall_apply.planned(cluster, rules)
        diff = {"before": _firewall_apply.shown(cluster), "after": rules, "before_header": "firewall"}
        if not module.check_mode and rules:
            result["live"] = _firewall_apply.apply(cluster, rules, given["take_back_after"])
        elif not module.check_mode:
            _firewall_apply.remove(cluster)
    except CommandError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, changes=changes, diff=diff | {"after_header": "firewall"}, **result)


if __name__ == "__main__":
    main()
