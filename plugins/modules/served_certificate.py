#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: served_certificate
short_description: Prove by a server's own answer that it works with the certificate files of its host
version_added: 0.1.0
description:
  - Connects to services of the host over TLS and waits until each of them shows the host's C(server.crt) and, where it
    says which CAs it takes client certificates of, those of the host's C(ca.crt).
  - It runs on the host, which needs the command C(openssl).
options:
  directory:
    description: Directory of C(server.crt) and C(ca.crt).
    type: path
    required: true
  address:
    description: Address of the host at which its services listen.
    type: str
    required: true
  services:
    description: Who serves with the files.
    type: list
    elements: dict
    required: true
    suboptions:
      unit:
        description: Name for messages, such as that of its systemd unit.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
      starttls:
        description: Protocol that is spoken before TLS; empty where TLS begins at once.
        type: str
        choices: ["", postgres]
        default: ""
      duties:
        description: Of the hosts that run it; not looked at here.
        type: list
        elements: str
        default: []
  limit:
    description: Seconds to wait for each service.
    type: float
    default: 30
attributes:
  check_mode:
    description: Changes nothing; in check mode nothing was replaced, so nothing is asked.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: See that the server has read its new certificate
  steadfast.postgresql.served_certificate:
    directory: /etc/ssl/postgresql/main
    address: 192.0.2.11
    services:
      - {unit: postgresql@16-main.service, port: 5432, starttls: postgres}
"""

RETURN = r"""
served:
  description: Serial number and issuer of what each service shows, by its name.
  returned: success
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _served
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError


def main() -> None:
    """Ask every service and print what it shows."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "address": {"type": "str", "required": True},
            "services": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "unit": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "starttls": {"type": "str", "choices": ["", "postgres"], "default": ""},
                    "duties": {"type": "list", "elements": "str", "default": []},
                },
            },
            "limit": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params
    served = {}
    try:
        for service in [] if module.check_mode else given["services"]:
            server = {**service, "name": service["unit"], "address": given["address"]}
            served[service["unit"]] = _served.prove(server, Path(given["directory"]), given["limit"])
    except (CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, served=served)


if __name__ == "__main__":
    main()
