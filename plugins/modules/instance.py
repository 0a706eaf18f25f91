#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: instance
short_description: Make, start, reload or restart a PostgreSQL instance, or what replication needs in it
version_added: 0.1.0
description:
  - One operation on the instance of a host, together with the wait for its effect.
  - Nothing that exists is ever overwritten; a data directory is made beside its place and renamed when complete.
  - Runs as root and drops to the instance's owner by itself.
options:
  operation:
    description:
      - C(bootstrap) makes a new cluster, C(clone) copies the primary, C(adopt) records an existing cluster as ours.
      - C(start), C(reload) and C(restart) act on the service and wait until it answers. A server that does not come up
        is started again with the files that M(steadfast.postgresql.managed_files) kept for that, and the operation
        fails. C(take_back) puts these back where the server still runs with them.
      - C(watch) runs or ends the timer that watches over the synchronous standby.
      - C(accounts), C(slots) and C(synchronous) act on the primary.
      - C(write_probe) writes a WAL record on the primary that changes no row; C(await_replay) waits for one. Neither
        fails, because what went wrong is for the verification to judge, together with everything else.
      - C(prove_program) fails unless the server runs the program that is installed. C(await_standbys) on the primary
        waits until O(standbys) stream and have caught up, and fails when one does not. Neither does anything in check
        mode.
    type: str
    required: true
    choices:
      [bootstrap, clone, adopt, start, reload, restart, take_back, watch, accounts, slots, synchronous, write_probe,
        await_replay, prove_program, await_standbys]
  locale:
    description: For O(operation=bootstrap), the locale of the template databases.
    type: str
    default: C.UTF-8
  locale_provider:
    description: For O(operation=bootstrap), who provides collations.
    type: str
    choices: [libc, icu]
    default: libc
  system_identifier:
    description: For O(operation=adopt), the system identifier of the existing cluster.
    type: str
  consequences:
    description: For O(operation=adopt), what it changes for the users of the cluster; they join the list of changes.
    type: list
    elements: dict
    default: []
  conninfo:
    description: For O(operation=clone), how to reach the primary; it holds no secret.
    type: str
  repository:
    description: For O(operation=clone), number of the repository whose newest backup is copied; 0 copies the primary.
    type: int
    default: 0
  slot:
    description: For O(operation=clone), the standby's slot on the primary.
    type: str
  patience:
    description: For O(operation=clone), seconds that one module run waits for the copy.
    type: float
    default: 20
  standby_needs:
    description: For O(operation=restart) of a standby, the primary's values that it has to have replayed first.
    type: dict
    default: {}
  wanted:
    description: For O(operation=watch), whether the timer is to run.
    type: bool
    default: true
  lsn:
    description: For O(operation=await_replay), the position in the WAL to wait for.
    type: str
  standbys:
    description: For O(operation=await_standbys), names of standbys in PostgreSQL.
    type: list
    elements: str
    default: []
  limit:
    description: Seconds to wait for the effect of start, reload, restart, of the replay of O(lsn) and for O(standbys).
    type: float
    default: 300
  administrators:
    description: For O(operation=accounts), login roles of administrators.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Password; only its SCRAM verifier reaches the server.
        type: str
        required: true
      comment:
        description: Who it is for.
        type: str
  backups:
    description: For O(operation=accounts), whether backups log in to this cluster.
    type: bool
    default: false
  poolers:
    description: For O(operation=accounts), whether poolers log in to this cluster.
    type: bool
    default: false
  replication:
    description: For O(operation=accounts), whether standbys log in to this cluster.
    type: bool
    default: false
  create:
    description: For O(operation=slots), physical slots to create.
    type: list
    elements: str
    default: []
  drop:
    description: For O(operation=slots), physical slots to drop; one that is in both lists is made again.
    type: list
    elements: str
    default: []
  keep:
    description: For O(operation=synchronous), members that stay in the set if they are in.
    type: list
    elements: str
    default: []
  enter:
    description: For O(operation=synchronous), candidates that enter the set once they stream.
    type: list
    elements: str
    default: []
  expect:
    description:
      - For O(operation=synchronous), the value of the set that the decision was made upon. When another one is in force
        nothing is changed and the module fails.
    type: str
  wait:
    description: For O(operation=synchronous), seconds to wait for all candidates to stream.
    type: float
    default: 60
extends_documentation_fragment:
  - steadfast.postgresql.instance
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
  idempotent:
    description: An operation whose effect is there already changes nothing; reload and restart always act.
    support: partial
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Make the cluster
  steadfast.postgresql.instance:
    operation: bootstrap
    version: "16"
    cluster: main
    data_directory: /var/lib/postgresql/16/main
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
pending:
  description: After a reload, what waits for a restart (settings, files of the service), running and configured.
  returned: when O(operation=reload)
  type: dict
finished:
  description: Whether the clone is complete.
  returned: when O(operation=clone)
  type: bool
in_force:
  description: Who is in the synchronous set now, in C(to), with time, timeline and LSN, as the journal has it.
  returned: when O(operation=synchronous)
  type: dict
lsn:
  description: Where the write ended in the WAL; empty where it failed.
  returned: when O(operation=write_probe)
  type: str
probes:
  description: Whether the write was taken, or arrived, and the words for it.
  returned: when O(operation=write_probe) or O(operation=await_replay)
  type: list
  elements: dict
version:
  description: What the server says its version is.
  returned: when O(operation=prove_program)
  type: str
bytes:
  description: How much of the clone has arrived.
  returned: when O(operation=clone)
  type: int
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _instance_make,
    _instance_objects,
    _instance_probe,
    _instance_prove,
    _instance_service,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    INSTANCE_ARGUMENTS,
    CommandError,
    Instance,
    change,
)

Given = dict[str, Any]
Result = dict[str, Any]

ARGUMENTS: dict[str, Any] = {
    **INSTANCE_ARGUMENTS,
    "locale": {"type": "str", "default": "C.UTF-8"},
    "locale_provider": {"type": "str", "choices": ["libc", "icu"], "default": "libc"},
    "system_identifier": {"type": "str"},
    "consequences": {"type": "list", "elements": "dict", "default": []},
    "conninfo": {"type": "str"},
    "repository": {"type": "int", "default": 0},
    "slot": {"type": "str"},
    "patience": {"type": "float", "default": 20},
    "standby_needs": {"type": "dict", "default": {}},
    "wanted": {"type": "bool", "default": True},
    "lsn": {"type": "str"},
    "standbys": {"type": "list", "elements": "str", "default": []},
    "limit": {"type": "float", "default": 300},
    "administrators": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "comment": {"type": "str"},
        },
    },
    "replication": {"type": "bool", "default": False},
    "backups": {"type": "bool", "default": False},
    "poolers": {"type": "bool", "default": False},
    "create": {"type": "list", "elements": "str", "default": []},
    "drop": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "list", "elements": "str", "default": []},
    "enter": {"type": "list", "elements": "str", "default": []},
    "expect": {"type": "str"},
    "wait": {"type": "float", "default": 60},
}


def clone(instance: Instance, given: Given, check_mode: bool) -> Result:
    """Clone the standby, or say how far the clone is."""
    changes = [change("instance", instance.label, "absent", "cloned")]
    if check_mode:
        return {"changes": changes, "finished": True, "bytes": 0}
    copy = (
        _instance_make.from_repository(instance, given["repository"])
        if given["repository"]
        else _instance_make.from_primary(instance, given["conninfo"], given["slot"])
    )
    state = _instance_make.clone(instance, copy, given["patience"])
    return {"changes": changes, "finished": state.finished, "bytes": state.bytes}


def reload(instance: Instance, given: Given, check_mode: bool) -> Result:
    """Make the server read its files again."""
    changes, pending = _instance_service.reload(instance, given["limit"], check_mode)
    return {"changes": changes, "pending": pending}


def synchronous(instance: Instance, given: Given, check_mode: bool) -> Result:
    """Set the synchronous standbys."""
    plan = _instance_objects.SetPlan(given["keep"], given["enter"], given["expect"], given["wait"])
    changes, in_force = _instance_objects.synchronous(instance, plan, check_mode)
    return {"changes": changes, "in_force": in_force}


def write_probe(instance: Instance, _given: Given, check_mode: bool) -> Result:
    """Write on the primary."""
    answer, lsn = _instance_probe.write(instance, check_mode)
    return {"changes": [], "probes": [{"probe": "write", **asdict(answer)}], "lsn": lsn}


def await_replay(instance: Instance, given: Given, _check_mode: bool) -> Result:
    """Wait for a write on a standby."""
    answer = _instance_probe.replay(instance, given["lsn"], given["limit"])
    return {"changes": [], "probes": [{"probe": "replay", **asdict(answer)}]}


def prove_program(instance: Instance, _given: Given, check_mode: bool) -> Result:
    """See that the server runs what is installed."""
    return {"changes": [], "version": "" if check_mode else _instance_prove.program(instance)}


def await_standbys(instance: Instance, given: Given, check_mode: bool) -> Result:
    """Wait for standbys on the primary."""
    if not check_mode:
        _instance_prove.standbys(instance, given["standbys"], given["limit"])
    return {"changes": []}


from ansible_collections.steadfast.postgresql.plugins.module_utils._service_roles import Services

OPERATIONS: dict[str, Callable[[Instance, Given, bool], Result]] = {
    "bootstrap": lambda instance, given, check_mode: {
        "changes": _instance_make.bootstrap(instance, given["locale"], given["locale_provider"], check_mode)
    },
    "clone": clone,
    "adopt": lambda instance, given, check_mode: {
        "changes": _instance_make.adopt(instance, given["system_identifier"], given["consequences"], check_mode)
    },
    "start": lambda instance, given, check_mode: {
        "changes": _instance_service.start(instance, given["limit"], check_mode)
    },
    "reload": reload,
    "restart": lambda instance, given, check_mode: {
        "changes": _instance_service.restart(instance, given["standby_needs"], given["limit"], check_mode)
    },
    "take_back": lambda instance, given, check_mode: {
        "changes": _instance_service.take_back(instance, given["limit"], check_mode)
    },
    "watch": lambda instance, given, check_mode: {
        "changes": _instance_service.watch(instance, given["wanted"], check_mode)
    },
    "accounts": lambda instance, given, check_mode: {
        "changes": _instance_objects.accounts(
            instance,
            given["administrators"],
            Services(given["replication"], given["backups"], given["poolers"]),
            check_mode,
        )
    },
    "slots": lambda instance, given, check_mode: {
        "changes": _instance_objects.slots(instance, given["create"], given["drop"], check_mode)
    },
    "synchronous": synchronous,
    "write_probe": write_probe,
    "await_replay": await_replay,
    "prove_program": prove_program,
    "await_standbys": await_standbys,
}


def main() -> None:
    """Read the arguments, do the operation, print the result."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS | {"operation": {"type": "str", "required": True, "choices": list(OPERATIONS)}},
        required_if=[
            ("operation", "clone", ["conninfo", "slot"]),
            ("operation", "adopt", ["system_identifier"]),
            ("operation", "await_replay", ["lsn"]),
        ],
        supports_check_mode=True,
    )
    given = module.params
    instance = Instance.of(given)
    try:
        result = OPERATIONS[given["operation"]](instance, given, module.check_mode)
    except (CommandError, OSError, ValueError) as error:
        module.fail_json(msg=f"{given['operation']}: {error}")
    module.exit_json(changed=bool(result["changes"]), **result)


if __name__ == "__main__":
    main()
