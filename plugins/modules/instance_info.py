#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: instance_info
short_description: Read everything about a host's PostgreSQL instance without changing it
version_added: 0.1.0
description:
  - One run reads the host (hardware, packages, disks, clock), the instance's files and control data, its systemd unit,
    its certificates, its journal and what the running server says about itself.
  - It works on a host where nothing is installed yet, and runs as root.
options:
  certificates_directory:
    description: Directory that holds the host's certificate and key.
    type: path
    required: true
  database:
    description: Whether the host is a database server; other hosts are read without the instance.
    type: bool
    default: true
  backup:
    description: What to look at of backups; nothing without it.
    type: dict
    suboptions:
      user:
        description: Operating-system user that pgBackRest runs as here.
        type: str
        required: true
      repositories:
        description: On the repository host, numbers of repositories; those that its configuration has are looked at.
        type: list
        elements: int
        default: []
  pooler:
    description: What to look at of a pooler; nothing without it.
    type: dict
    suboptions:
      port:
        description: TCP port of the poolers; 0 where none is wanted.
        type: int
        required: true
  check_archive:
    description: Whether to look for holes in the WAL, late backups and the like too, where backups are configured.
    type: bool
    default: false
  peers:
    description: Addresses of the members as the inventory states them; names among them are looked up on the host.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - steadfast.postgresql.instance
attributes:
  check_mode:
    description: Changes nothing, so check mode is the same.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Read the instance
  steadfast.postgresql.instance_info:
    version: "16"
    cluster: main
    data_directory: /var/lib/postgresql/16/main
    certificates_directory: /etc/ssl/postgresql/main
  register: __example_observation
"""

RETURN = r"""
instance:
  description:
    - What was found. A key is null where there is nothing, for example C(server) while the server does not answer.
  returned: always
  type: dict
  contains:
    clock:
      description: The host's time C(now), and the controller's when the module was C(sent) and its answer C(received).
      type: dict
    host:
      description: Distribution, kernel, cores, memory in bytes, default addresses, groups.
      type: dict
    packages:
      description: Installed packages of the platform with their versions.
      type: dict
    project_key:
      description: C(fingerprint) of the key that the PostgreSQL project's package source is signed by, or C(error).
      type: dict
    data:
      description: The data directory, its state (V(absent), V(empty), V(cluster), V(foreign)), its settings.
      type: dict
    marker:
      description: The collection's own record of the instance.
      type: dict
    control:
      description: The control data.
      type: dict
    libraries:
      description: Folder and names of the libraries that the server can load; null before its packages are there.
      type: dict
    unit:
      description: State of the instance's systemd unit.
      type: dict
    server:
      description: What the running server says about itself.
      type: dict
    server_error:
      description: Why the server did not answer.
      type: str
    elsewhere:
      description: C(port) and C(directory) of a server that runs otherwise than the options say.
      type: dict
    former:
      description: C(rules) of C(pg_hba.conf) and C(clients) of a running cluster that is not the collection's own.
      type: dict
    replicas:
      description: Addresses from which the members replicate, by inventory name, as C(pg_hba.conf) names them.
      type: dict
    stale:
      description: Files that are newer than the server's last load of its configuration.
      type: list
    certificates:
      description: The host's certificate.
      type: dict
    journal:
      description: The last entry of the host's journal about the synchronous set, and why the journal cannot be read.
      type: dict
    backup:
      description:
        - Units of backups, files that pgBackRest has not read yet, and on the repository host what each repository
          holds.
      type: dict
    pooler:
      description: >-
        Units and processes of PgBouncer, which of them serves, databases with their load, files that it has not read.
      type: dict
    archive_findings:
      description: What is wrong with archive and backups, each with a C(name) and a C(text).
      type: list
    disks:
      description: File systems of data and WAL.
      type: dict
    volumes:
      description: Devices under data and WAL, and whether they are encrypted, with which ciphers.
      type: dict
    guard:
      description: >-
        The firewall's rules and their file by fingerprints, the SSH server's ports, settings of the kernel,
        files of the role host by fingerprints, where names of members lead.
      type: dict
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _certificate_facts,
    _observe_backup,
    _observe_guard,
    _observe_host,
    _observe_instance,
    _observe_pooler,
    _observe_volumes,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import INSTANCE_ARGUMENTS, Instance


def observe_instance(instance: Instance, certificates: Path) -> dict[str, Any]:
    """Return the part of the observation that only a database server has."""
    answer, error = _observe_instance.server(instance)
    places = {"data": instance.data_directory, "wal": instance.wal_directory or instance.data_directory}
    return {
        "data": _observe_instance.data(instance),
        "marker": _observe_instance.marker(instance),
        "control": _observe_instance.control(instance),
        "libraries": _observe_instance.libraries(instance),
        "unit": _observe_host.unit(instance),
        "server": answer,
        "server_error": error,
        "elsewhere": None if answer else _observe_instance.elsewhere(instance),
        "former": _observe_instance.former(instance, answer),
        "replicas": _observe_instance.replicas(instance),
        "stale": _observe_instance.stale(instance, answer, certificates),
        "disks": _observe_host.disks(places),
        "volumes": _observe_volumes.volumes(places),
    }


def main() -> None:
    """Read the host and print the observation."""
    module = AnsibleModule(
        argument_spec={
            **INSTANCE_ARGUMENTS,
            "certificates_directory": {"type": "path", "required": True},
            "database": {"type": "bool", "default": True},
            "check_archive": {"type": "bool", "default": False},
            "backup": {
                "type": "dict",
                "options": {
                    "user": {"type": "str", "required": True},
                    "repositories": {"type": "list", "elements": "int", "default": []},
                },
            },
            "pooler": {"type": "dict", "options": {"port": {"type": "int", "required": True}}},
            "peers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    certificates = Path(given["certificates_directory"])
    found: dict[str, Any] = {
        "host": _observe_host.host(),
        "libc": _observe_host.libc(),
        "packages": _observe_host.packages(),
        "project_key": _observe_host.project_key(),
        "certificates": _certificate_facts.read(given["certificates_directory"]),
        "guard": _observe_guard.guard(given["cluster"], given["peers"]),
    }
    instance = Instance.of(given)
    if given["database"]:
        found |= observe_instance(instance, certificates)
    if given["backup"]:
        places = [instance.wal_directory or instance.data_directory] if given["database"] else []
        found["backup"] = _observe_backup.backup(
            instance.cluster, **given["backup"], certificates=certificates, places=places
        )
        duties = ["database"] * given["database"] + ["repository"] * bool(given["backup"]["repositories"])
        user = given["backup"]["user"]
        found["archive_findings"] = _observe_backup.findings(user, duties) if given["check_archive"] else []
    if given["pooler"]:
        found["pooler"] = _observe_pooler.pooler(given["pooler"]["port"], certificates)
    found["journal"] = _observe_instance.journal(instance)
    found["clock"] = {"now": time.time()}
    module.exit_json(changed=False, instance=found)


if __name__ == "__main__":
    main()
