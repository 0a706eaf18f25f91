#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: journal
short_description: Append an entry to a host's journal, on disk before it returns
version_added: 0.1.0
description:
  - The journal of a cluster is the file C(/var/lib/steadfast/<cluster>/journal.jsonl), a line of JSON for each thing
    that was done, on every database host and on the repository host.
  - The module succeeds only when the entry is on the disk. When it cannot be written the journal stays as it was.
  - Runs as root.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  entry:
    description:
      - What to write. C(event) names the kind of thing that was done.
      - An entry that says in C(to) what holds from now on gets, in C(from), what the last entry of that event said
        before it.
    type: dict
    required: true
  same:
    description:
      - Keys by which the last entry of the same event is recognised as saying the same; then nothing is appended.
      - Without them nothing is appended when an entry with all the given values is there.
    type: list
    elements: str
    default: []
  limit:
    description: Seconds to wait for another process that writes to the journal.
    type: float
    default: 15
attributes:
  check_mode:
    description: Returns the same changes without making them.
    support: full
  idempotent:
    description: An entry that is there is not appended again.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Record a drill
  steadfast.postgresql.journal:
    cluster: main
    entry: {event: restore drill, time: "2026-01-31T03:00:00.000000+00:00", to: passed}
"""

RETURN = r"""
changes:
  description: What was appended, or would be in check mode.
  returned: always
  type: list
  elements: dict
entry:
  description: The entry as the journal has it.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _journal
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change


def worded(value: Any) -> str:
    """Write a value of an entry for the list of changes."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return str(value) if value is not None else "nothing"


def main() -> None:
    """Read the arguments, append, print the result."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "entry": {"type": "dict", "required": True},
            "same": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "limit": {"type": "float", "default": _journal.LIMIT},
        },
        supports_check_mode=True,
    )
    given = module.params
    path, entry = _journal.journal_of(given["cluster"]), given["entry"]
    if not isinstance(entry.get("event"), str):
        module.fail_json(msg="entry has no event: write what was done, such as event: restore drill")
    try:
        if module.check_mode:
            written, is_new = _journal.planned(path, entry, given["same"])
        else:
            written, is_new = _journal.append(path, entry, given["same"], given["limit"])
    except (OSError, _journal.JournalError) as error:
        module.fail_json(msg=str(error))
    before, after = worded(written.get("from")), worded(written.get("to", "recorded"))
    changes = [change("journal", entry["event"], before, after)] if is_new else []
    module.exit_json(changed=is_new, changes=changes, entry=written)


if __name__ == "__main__":
    main()
