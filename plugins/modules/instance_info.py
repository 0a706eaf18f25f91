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
    disks:
      description: File systems of data and WAL.
      type: dict
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _certificate_facts,
    _observe_host,
    _observe_instance,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import INSTANCE_ARGUMENTS, Instance


def observe_instance(instance: Instance, certificates: Path) -> dict[str, Any]:
    """Return the part of the observation that only a database server has."""
    answer, error = _observe_instance.server(instance)
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
        "disks": _observe_host.disks(
            {"data": instance.data_directory, "wal": instance.wal_directory or instance.data_directory}
        ),
    }


def main() -> None:
    """Read the host and print the observation."""
    module = AnsibleModule(
        argument_spec={
            **INSTANCE_ARGUMENTS,
            "certificates_directory": {"type": "path", "required": True},
            "database": {"type": "bool", "default": True},
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
    }
    instance = Instance.of(given)
    if given["database"]:
        found |= observe_instance(instance, certificates)
    found["journal"] = _observe_instance.journal(instance)
    found["clock"] = {"now": time.time()}
    module.exit_json(changed=False, instance=found)


if __name__ == "__main__":
    main()
