#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: connection_probe
short_description: Prove from a host that servers refuse plaintext and old TLS, by their own answers
version_added: 0.1.0
description:
  - Tries each server without TLS and with TLS 1.1, both of which it has to refuse, and with a verified handshake,
    which it has to accept.
  - A closed port or a client that gives up by itself is a failed probe.
options:
  targets:
    description: Servers to try.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name that the server's certificate has to carry.
        type: str
        required: true
      address:
        description: Address to connect to.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
  ca_file:
    description: File on the host with the CA that has to have signed the certificate.
    type: path
    required: true
  client:
    description: Who logs in at each server for replication besides, by a certificate alone; nobody when it is left out.
    type: dict
    suboptions:
      user:
        description: Name of the role.
        type: str
        required: true
      certificate:
        description: File on the host with the certificate.
        type: path
        required: true
      key:
        description: File on the host with its private key.
        type: path
        required: true
attributes:
  check_mode:
    description: Changes nothing, so check mode is the same.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Try what must be refused
  steadfast.postgresql.connection_probe:
    targets: [{name: db1, address: 10.0.0.11, port: 5432}]
    ca_file: /etc/ssl/postgresql/main/ca.crt
"""

RETURN = r"""
probes:
  description: One entry a server and probe, with the server's words and whether it answered as it must.
  returned: always
  type: list
  elements: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _probe


def main() -> None:
    """Try every target and print the answers."""
    module = AnsibleModule(
        argument_spec={
            "targets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "ca_file": {"type": "path", "required": True},
            "client": {
                "type": "dict",
                "options": {
                    "user": {"type": "str", "required": True},
                    "certificate": {"type": "path", "required": True},
                    "key": {"type": "path", "required": True, "no_log": False},
                },
            },
        },
        supports_check_mode=True,
    )
    client = _probe.Client(**module.params["client"]) if module.params["client"] else None
    probes = []
    for target in module.params["targets"]:
        address, port = target["address"], target["port"]
        answers = {
            "plaintext": _probe.plaintext(address, port),
            "TLS 1.1": _probe.old_tls(address, port),
            "verified TLS": _probe.current_tls(address, port, target["name"], module.params["ca_file"]),
        }
        if client:
            answers["replication"] = _probe.login(address, port, target["name"], module.params["ca_file"], client)
        probes += [{"target": target["name"], "probe": name, **asdict(answer)} for name, answer in answers.items()]
    module.exit_json(changed=False, probes=probes)


if __name__ == "__main__":
    main()
