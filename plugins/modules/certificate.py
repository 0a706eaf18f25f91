#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: certificate
short_description: Issue a host's certificate from the CA on the controller, or install the user's own
version_added: 0.1.0
description:
  - The host makes its private key and a certificate request, the action plugin of the same name signs the request on
    the controller, and the host puts C(server.crt) and C(ca.crt) in place. The private key never leaves the host, and a
    renewal keeps it.
  - The subject and the names of the certificate are those of this task; what the request says of them is not looked at.
  - The CA is made where it does not exist and a certificate must be signed. Its key is encrypted.
  - It runs as root on the host, which needs the command C(openssl).
options:
  directory:
    description:
      - Directory of C(server.key), C(server.crt) and C(ca.crt) on the host.
      - It is made with mode C(0755) where it is missing.
    type: str
    required: true
  group:
    description: Group that may read the private key, which is root's with mode C(0640). It is made where it is missing.
    type: str
    default: ssl-cert
  group_expected:
    description: Whether a package that the same play installs makes the group, so that check mode does not list it.
    type: bool
    default: false
  common_name:
    description: Common name of the certificate, the inventory name of the host.
    type: str
    required: true
  names:
    description: Names and addresses for the subject alternative names, besides O(common_name).
    type: list
    elements: str
    default: []
  lifetime_days:
    description: Days that the certificate is valid, though never longer than its CA.
    type: int
    default: 397
  sign:
    description:
      - Whether a new certificate is needed. Without it only C(ca.crt) and the permissions of the key are mended.
    type: bool
    default: true
  authority:
    description: The CA on the controller.
    type: dict
    suboptions:
      directory:
        description:
          - Directory of C(ca.crt) and C(ca.key). The first certificate of C(ca.crt) signs; hosts trust all of them.
        type: str
        required: true
      passphrase:
        description: Passphrase of C(ca.key).
        type: str
        default: ""
      cluster:
        description: Name of the cluster, from which a new CA has its name.
        type: str
        required: true
      lifetime_days:
        description: Days that a new CA is valid.
        type: int
        default: 3650
      trusted:
        description:
          - Fingerprints of the CAs that hosts of the cluster trust already; no new CA is made where there are any.
        type: list
        elements: str
        default: []
      unobserved:
        description: Hosts of the cluster of which that is not known; no new CA is made where there are any.
        type: list
        elements: str
        default: []
      replaced:
        description:
          - Whether the play changes what hosts trust before this task; in check mode nobody knows then what C(ca.crt)
            will hold, only that it is something else.
        type: bool
        default: false
  provided:
    description:
      - The user's own files on the controller instead of O(authority). They may be encrypted by Ansible Vault.
    type: dict
    suboptions:
      certificate:
        description: Certificate in PEM form, followed by those of intermediate CAs.
        type: str
      key:
        description: Private key of the certificate in PEM form, without a passphrase.
        type: str
      ca:
        description: Certificates in PEM form of the CAs that are trusted.
        type: str
  step:
    description: What the host does; the action plugin sets it.
    type: str
    choices: [request, install]
    default: install
  contents:
    description: What the host installs; the action plugin sets it.
    type: dict
    default: {}
    suboptions:
      key:
        description: Content of C(server.key).
        type: str
      certificate:
        description: Content of C(server.crt).
        type: str
      ca:
        description: Content of C(ca.crt).
        type: str
  descriptions:
    description: In words what each of O(contents) is, for the list of changes; the action plugin sets it.
    type: dict
    default: {}
    suboptions:
      key:
        description: What C(server.key) becomes.
        type: str
      certificate:
        description: What C(server.crt) becomes.
        type: str
      ca:
        description: What C(ca.crt) becomes.
        type: str
attributes:
  check_mode:
    description: Returns the same list of changes without making them, neither on the host nor a CA on the controller.
    support: full
  diff_mode:
    description: Shows what each file held and holds, in words.
    support: full
  idempotent:
    description:
      - With O(sign) each run issues a certificate.
        The filter P(steadfast.postgresql.certificate_reason#filter) says whether one is needed.
    support: partial
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Issue a certificate
  steadfast.postgresql.certificate:
    directory: /etc/ssl/postgresql/main
    common_name: "{{ inventory_hostname }}"
    names: [db1.example.com, 192.0.2.11]
    authority:
      directory: "{{ inventory_dir }}/ca/main"
      passphrase: "{{ example_passphrase }}"
      cluster: main

- name: Install a certificate of one's own
  steadfast.postgresql.certificate:
    directory: /etc/ssl/postgresql/main
    common_name: "{{ inventory_hostname }}"
    provided:
      certificate: /srv/certificates/db1.crt
      key: /srv/certificates/db1.key
      ca: /srv/certificates/ca.crt
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(certificate), or V(group) for the one that may read the key.
      type: str
    name:
      description: Path of the file on the host, or name of the group.
      type: str
    from:
      description: What the file held, in words.
      type: str
    to:
      description: What it holds now, in words.
      type: str
authority_created:
  description: Whether this task made the CA on the controller, or would in check mode.
  returned: success
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts, _certificate_files
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_files import FileError, Place, Wish
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

FILES = {
    "key": _certificate_facts.KEY,
    "ca": _certificate_facts.AUTHORITY,
    "certificate": _certificate_facts.CERTIFICATE,
}


def wishes(contents: dict[str, Any], descriptions: dict[str, Any]) -> dict[str, Wish]:
    """Name the files that are to be put in place: those that have a description."""
    return {
        name: Wish(contents.get(option), descriptions[option])
        for option, name in FILES.items()
        if descriptions.get(option)
    }


def _texts(*names: str) -> dict[str, Any]:
    options = {name: {"type": "str"} for name in names}
    return {"type": "dict", "default": {}, "options": options}


def arguments() -> dict[str, Any]:
    """Give the options; those of the controller are here so that the documentation holds for the module too."""
    contents = _texts("key", "certificate", "ca")
    contents["options"]["key"]["no_log"] = True
    descriptions = _texts("key", "certificate", "ca")
    descriptions["options"]["key"]["no_log"] = False
    provided = _texts("certificate", "key", "ca")
    provided["options"]["key"]["no_log"] = False
    del provided["default"]
    strings = {"type": "list", "elements": "str", "default": []}
    authority = {
        "directory": {"type": "str", "required": True},
        "passphrase": {"type": "str", "default": "", "no_log": True},
        "cluster": {"type": "str", "required": True},
        "lifetime_days": {"type": "int", "default": 3650},
        "trusted": strings,
        "unobserved": strings,
        "replaced": {"type": "bool", "default": False},
    }
    return {
        "directory": {"type": "str", "required": True},
        "group": {"type": "str", "default": "ssl-cert"},
        "group_expected": {"type": "bool", "default": False},
        "common_name": {"type": "str", "required": True},
        "names": strings,
        "lifetime_days": {"type": "int", "default": 397},
        "sign": {"type": "bool", "default": True},
        "authority": {"type": "dict", "options": authority},
        "provided": provided,
        "step": {"type": "str", "choices": ["request", "install"], "default": "install"},
        "contents": contents,
        "descriptions": descriptions,
    }


def main() -> None:
    """Do one step on the host and print what it changed."""
    module = AnsibleModule(argument_spec=arguments(), supports_check_mode=True)
    given = module.params
    place = Place(Path(given["directory"]), given["group"])
    request = None
    try:
        if not module.check_mode:
            _certificate_files.clean(place)
        expected = module.check_mode and given["group_expected"]
        changes = [] if expected else _certificate_files.make_group(place, predict=module.check_mode)
        if given["step"] == "request":
            made, request = _certificate_files.request(place, given["common_name"], predict=module.check_mode)
            changes += made
        else:
            wanted = wishes(given["contents"], given["descriptions"])
            changes += _certificate_files.install(place, wanted, predict=module.check_mode)
    except (CommandError, FileError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes, request=request)


if __name__ == "__main__":
    main()
