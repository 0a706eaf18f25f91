#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: databases
short_description: Bring databases, roles, schemas, extensions and rights to what applications declare
version_added: 0.3.0
description:
  - Reads what the server holds with a handful of queries, computes the difference and applies it, in one transaction a
    database. With C(--diff) it shows the statements, without passwords.
  - What exists and is not declared is returned as C(drift) and stays.
  - A run that was ended on the way is completed by the next one.
  - Its action plugin takes O(applications) as the variable C(postgresql_applications) holds them, and hands the
    passwords over apart.
options:
  operation:
    description:
      - C(reconcile) applies what lacks. C(look) only says what lacks, as C(pending).
      - C(rotate) changes the passwords that differ, and nothing else.
      - C(prove) tries as each account what it must and must not be able to do, and returns the answers as C(probes).
        Nothing of it stays.
    type: str
    choices: [reconcile, look, rotate, prove]
    default: reconcile
  applications:
    description: All applications, as in the variable C(postgresql_applications).
    type: list
    elements: dict
    required: true
  only:
    description: Name of the one application that this run is about; empty for all.
    type: str
    default: ""
  passwords:
    description: Passwords by login, as JSON; given by the action plugin.
    type: str
    default: "{}"
  logged_in:
    description: >-
      Who is logged in elsewhere than on the primary: through poolers (C(clients), by login), of which some tell it
      (C(addresses)), and on standbys; given by the action plugin.
    type: dict
    default: {}
  packages_come:
    description: >-
      Whether packages are installed before, so that a check does not miss their extensions; given by the action plugin.
    type: bool
    default: false
  connection:
    description: >-
      A server that is somebody else's, as in the variable C(postgresql_databases_connection). Without a host it is the
      instance of this host.
    type: dict
    default: {}
    suboptions:
      host:
        description: Name of the server.
        type: str
        default: ""
      port:
        description: TCP port.
        type: int
        default: 5432
      user:
        description: Role with CREATEROLE and CREATEDB.
        type: str
        default: ""
      password:
        description: Its password.
        type: str
        default: ""
      database:
        description: A database that is there.
        type: str
        default: postgres
      sslmode:
        description: What is proved of the server.
        type: str
        choices: [verify-full, verify-ca, require]
        default: verify-full
      ca:
        description: File with the CA of the server's certificate, or C(system).
        type: str
        default: system
  version:
    description: Major version of the instance of this host.
    type: str
  cluster:
    description: Name of its cluster.
    type: str
  port:
    description: Its TCP port.
    type: int
    default: 5432
  data_directory:
    description: Its data directory.
    type: path
  wal_directory:
    description: Directory of its write-ahead log where that is elsewhere.
    type: path
attributes:
  check_mode:
    description: Returns the same list of changes and the same SQL without running it.
    support: full
  diff_mode:
    description: Shows the statements, without passwords.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Reconcile the databases
  steadfast.postgresql.databases:
    applications: "{{ postgresql_applications }}"
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
pending:
  description: What is not as declared.
  returned: when O(operation=look)
  type: list
  elements: dict
refused:
  description: Why a run would change nothing.
  returned: when O(operation=look) and there is a reason
  type: list
  elements: str
probes:
  description: One entry an application, with whether its accounts are kept apart, and every surprise.
  returned: when O(operation=prove)
  type: list
  elements: dict
drift:
  description: What exists and is not declared, each with what an operator may do about it.
  returned: unless O(operation=prove)
  type: list
  elements: dict
turns:
  description: Of accounts with two logins, which one is in use and whose password may change next.
  returned: unless O(operation=prove)
  type: list
  elements: dict
seconds:
  description: How long reading, comparing and applying took.
  returned: always
  type: float
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _database_apply, _database_proof
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import RefusalError
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_server import Server
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    owner_exists,
    query,
)


class StoppedError(Exception):
    """A check mode run would have to look into a server that the real run starts."""


OPERATIONS = ["reconcile", "look", "rotate", "prove"]
CONNECTION: dict[str, Any] = {
    "host": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 5432},
    "user": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "database": {"type": "str", "default": "postgres"},
    "sslmode": {"type": "str", "default": "verify-full", "choices": ["verify-full", "verify-ca", "require"]},
    "ca": {"type": "str", "default": "system"},
}


def server_of(given: dict[str, Any], check_mode: bool) -> Server | None:
    """Return the server that the arguments name; in check mode it may not be there yet.

    Raises:
        StoppedError: it is there and is stopped, so a check does not know what it holds.
    """
    if given["connection"].get("host"):
        return Server.remote(given["connection"])
    instance = Instance(given["version"], given["cluster"], Path(given["data_directory"]), given["port"])
    if check_mode and not answers(instance):
        if instance.holds_data:
            raise StoppedError
        return None
    return Server.local(instance)


def answers(instance: Instance) -> bool:
    """Whether the instance is there."""
    try:
        return owner_exists() and bool(query(instance, "SELECT 1"))
    except CommandError:
        return False


def operate(given: dict[str, Any], check_mode: bool, with_diff: bool) -> dict[str, Any]:
    """Do the operation and return its result."""
    started = time.monotonic()
    every = [Application.of(entry) for entry in given["applications"]]
    server = server_of(given, check_mode)
    passwords = json.loads(given["passwords"])
    if given["operation"] == "prove":
        probes = _database_proof.prove(server, every, given["only"], passwords) if server else []
        return {"changes": [], "probes": probes}
    looks = given["operation"] == "look"
    apply = _database_apply.rotate if given["operation"] == "rotate" else _database_apply.reconcile
    wanted = _database_apply.Wanted(every, given["only"], passwords, given["logged_in"], given["packages_come"])
    plan = apply(server, wanted, check_mode or looks)
    return {
        "changes": [] if looks else plan.changes,
        **({"pending": plan.changes} if looks else {}),
        "drift": [asdict(found) for found in plan.drift],
        "turns": [asdict(found) for found in plan.turns],
        "seconds": round(time.monotonic() - started, 3),
        **({"diff": {"before": "", "after": plan.sql, "after_header": "SQL"}} if with_diff else {}),
    }


def main() -> None:
    """Read the arguments, reconcile, print the result."""
    module = AnsibleModule(
        argument_spec={
            "operation": {"type": "str", "choices": OPERATIONS, "default": "reconcile"},
            "applications": {"type": "list", "elements": "dict", "required": True},
            "only": {"type": "str", "default": ""},
            "passwords": {"type": "str", "default": "{}", "no_log": True},
            "logged_in": {"type": "dict", "default": {}},
            "packages_come": {"type": "bool", "default": False},
            "connection": {"type": "dict", "default": {}, "options": CONNECTION},
            "version": {"type": "str"},
            "cluster": {"type": "str"},
            "port": {"type": "int", "default": 5432},
            "data_directory": {"type": "path"},
            "wal_directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    looks = given["operation"] == "look"
    try:
        result = operate(given, module.check_mode, module._diff)
    except StoppedError:
        result = {"changes": [], "drift": [], "turns": []}
    except RefusalError as refusal:
        result = {"refused": refusal.texts}
        if not looks:
            lines = "\n".join(f"- {text}" for text in refusal.texts)
            module.fail_json(msg=f"Refused; the databases and their roles stay as they were.\n{lines}")
    except CommandError as error:
        result = {"refused": [str(error)]}
        if not looks:
            module.fail_json(msg=str(error))
    module.exit_json(changed=bool(result.get("changes")), **result)


if __name__ == "__main__":
    main()
