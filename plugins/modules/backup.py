#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: backup
short_description: Make a stanza and backups with pgBackRest on the repository host
version_added: 0.1.0
description:
  - One operation of pgBackRest on the host that keeps the repositories, with the wait for its effect.
  - A backup runs in a unit of its own that outlives the controller; a later run waits for one that runs.
options:
  operation:
    description:
      - C(stanza) makes the stanza where it lacks, C(make) makes backups side by side.
      - C(emergency_file) makes a file that may be deleted when the disk is full.
    type: str
    required: true
    choices: [stanza, make, emergency_file]
  stanza:
    description: Name of the stanza, which is the cluster's.
    type: str
    required: true
  user:
    description: Operating-system user that owns the repositories.
    type: str
    required: true
  repositories:
    description: For O(operation=stanza), names of the repositories that lack it.
    type: list
    elements: str
    default: []
  backups:
    description: For O(operation=make), what to make.
    type: list
    elements: dict
    default: []
    suboptions:
      repository:
        description: Name of the repository.
        type: str
        required: true
      kind:
        description: Kind of backup.
        type: str
        choices: [full, differential, incremental]
        required: true
  path:
    description: For O(operation=emergency_file), where it lies.
    type: path
  bytes:
    description: For O(operation=emergency_file), its size; 0 removes it.
    type: int
    default: 0
  begin:
    description: For O(operation=make), whether to start what does not run; without it, only look.
    type: bool
    default: true
  patience:
    description: For O(operation=make), seconds that one module run waits.
    type: float
    default: 15
attributes:
  check_mode:
    description: Returns the same list of changes without making them.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Make a full backup
  steadfast.postgresql.backup:
    operation: make
    stanza: main
    user: pgbackrest
    backups: [{repository: daily, kind: full}]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
finished:
  description: Whether all backups are made.
  returned: when O(operation=make)
  type: bool
running:
  description: Units of the backups that are being made.
  returned: when O(operation=make)
  type: list
  elements: str
bytes:
  description: How much has been copied.
  returned: when O(operation=make)
  type: int
expected:
  description: How much there is to copy; 0 while that is not known.
  returned: when O(operation=make)
  type: int
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_run
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, change

KINDS = ["full", "differential", "incremental"]


def make(given: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make backups, or say how far they are."""
    backups = [_backup_run.Backup(**item) for item in given["backups"]]
    changes = [change("backup", backup.repository, "due", backup.kind) for backup in backups]
    if check_mode:
        return {"changes": changes, **asdict(_backup_run.Progress(finished=True))}
    progress = _backup_run.make(given["user"], given["stanza"], backups, given["begin"], given["patience"])
    return {"changes": changes, **asdict(progress)}


def main() -> None:
    """Read the arguments, do the operation, print the result."""
    module = AnsibleModule(
        argument_spec={
            "operation": {"type": "str", "required": True, "choices": ["stanza", "make", "emergency_file"]},
            "stanza": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "repositories": {"type": "list", "elements": "str", "default": []},
            "backups": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "repository": {"type": "str", "required": True},
                    "kind": {"type": "str", "choices": KINDS, "required": True},
                },
            },
            "path": {"type": "path"},
            "bytes": {"type": "int", "default": 0},
            "begin": {"type": "bool", "default": True},
            "patience": {"type": "float", "default": 15},
        },
        required_if=[("operation", "emergency_file", ["path"])],
        supports_check_mode=True,
    )
    given = module.params
    user, stanza = given["user"], given["stanza"]
    result: dict[str, Any] = {"changes": []}
    try:
        if given["operation"] == "stanza":
            result["changes"] = _backup_run.make_stanza(user, stanza, given["repositories"], module.check_mode)
        elif given["operation"] == "make":
            result = make(given, module.check_mode)
        else:
            result["changes"] = _backup_run.emergency_file(Path(given["path"]), given["bytes"], module.check_mode)
    except (CommandError, KeyError) as error:
        module.fail_json(msg=f"{given['operation']}: {error}")
    module.exit_json(changed=bool(result["changes"]), **result)


if __name__ == "__main__":
    main()
