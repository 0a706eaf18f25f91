#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: managed_files
short_description: Replace a set of files together, or not at all
version_added: 0.1.0
description:
  - One run holds all files, directories and links of a role. It looks at all of them, writes the candidates beside the
    files, lets the product's own checkers see them, and only then replaces the files, each in one step and durably.
  - What can be known to be wrong is reported in one list, before anything is changed. When a checker objects, nothing
    is replaced; when the host refuses a step, what was replaced is put back.
  - A file's candidate is C(.NAME.steadfast) in the file's directory. A killed run leaves at most that one, and the next
    run removes it.
  - Paths are not followed over links of another user than root, and a link is replaced only by an entry with
    O(files[].state=link).
  - Runs as root, or as any user who may change the files.
options:
  files:
    description:
      - What the paths should be. Order matters; the directory of an entry is there already or declared before it.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      state:
        description:
          - V(present) is a file, which needs O(files[].content) or O(files[].secret_content).
          - V(absent) removes a file, a link or a directory that is empty but for entries that are absent before it. It
            does not look at the other options, so that an expression may decide over V(present) and V(absent).
        type: str
        choices: [present, absent, directory, link]
        default: present
      content:
        description: The file's text. A mapping or a number is refused, because it would be written as Python spells it.
        type: raw
      secret_content:
        description: The file's text when it must not be shown, in no difference, result, message or log.
        type: str
      target:
        description: Where a link points to.
        type: str
      owner:
        description: Name or number of the user; the default is O(owner).
        type: str
      group:
        description: Name or number of the group; the default is O(group).
        type: str
      mode:
        description:
          - Four octal digits in quotes. The default is O(mode) for files, O(directory_mode) for directories and V(0600)
            for a file with O(files[].secret_content).
        type: raw
      validate:
        description:
          - Program and arguments that check the candidate, for whose path C(%s) stands; status 0 says that it is good.
            It runs only when the content differs, in C(/), without a shell, for 60 seconds at most, and with nothing in
            its environment but E(PATH), E(HOME) and E(LC_ALL).
          - In check mode the candidate is written too, checked and taken away, unless its directory, owner or checker
            is still to come.
        type: list
        elements: str
      validate_as:
        description: User that runs the checker; the default is the user of the module.
        type: str
      keep_until:
        description:
          - What the new file has to stand before the one that it replaces goes. Until then that one stays beside it as
            C(NAME.before-reload) or C(NAME.before-restart); whoever reloads or restarts the service removes it, or puts
            it back. One that is there already stays, because the service never worked with the file between the two.
        type: str
        choices: [reload, restart]
      in_force:
        description:
          - For O(files[].keep_until), whether the service is known to work with the file that is there. Then that one
            is kept, and not an older one; where there is none, an empty file is kept in its place.
        type: bool
        default: false
  owner:
    description: User of the files and directories that name none.
    type: str
    default: root
  group:
    description: Group of the files and directories that name none.
    type: str
    default: root
  mode:
    description: Mode of the files that name none.
    type: raw
    default: "0644"
  directory_mode:
    description: Mode of the directories that name none.
    type: raw
    default: "0755"
attributes:
  check_mode:
    description: Predicts the same RV(changes), also on a host where owners and directories are still to come.
    support: full
  diff_mode:
    description: Shows contents, owners and modes; of secret contents only that they differ.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
author:
  - The steadfast.postgresql team
"""

EXAMPLES = r"""
- name: Write the configuration
  steadfast.postgresql.managed_files:
    owner: postgres
    group: postgres
    files:
      - path: /etc/postgresql/16/main/conf.d
        state: directory
      - path: /etc/postgresql/16/main/conf.d/10-server.conf
        content: "{{ lookup('ansible.builtin.template', '10-server.conf.j2') }}"
        # The data directory may be missing still, hence the root directory in its place.
        validate: [/usr/lib/postgresql/16/bin/postgres, -D, /, -C, max_connections, -c, config_file=%s]
        validate_as: postgres
      - path: /etc/postgresql/16/main/pg_hba.conf
        content: "{{ lookup('ansible.builtin.template', 'pg_hba.conf.j2') }}"
        mode: "0640"
        keep_until: reload
      - path: /etc/postgresql/16/main/password
        secret_content: "{{ example_password }}"
"""

RETURN = r"""
changes:
  description: One element for each path that changed, or would change in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(file), V(directory) or V(link).
      type: str
    name:
      description: The path.
      type: str
    from:
      description:
        - What it was, such as V(absent), V(link to /other), V(mode 0600), or the beginning of the content's SHA-256;
          V(hidden) for secret contents.
      type: str
    to:
      description: What it is now.
      type: str
  sample:
    - kind: file
      name: /etc/postgresql/16/main/pg_hba.conf
      from: sha256:0a1b2c3d4e5f, mode 0644
      to: sha256:5f4e3d2c1b0a, mode 0640
changed_paths:
  description: The paths of RV(changes).
  returned: always
  type: list
  elements: str
written_paths:
  description: The paths of files whose content changed.
  returned: always
  type: list
  elements: str
unchecked:
  description: Paths whose candidate could not be checked, which happens in check mode only.
  returned: always
  type: list
  elements: str
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.steadfast.postgresql.plugins.module_utils import _files_apply
from ansible_collections.steadfast.postgresql.plugins.module_utils._files import (
    Directories,
    Entry,
    FilesError,
    Step,
    plan,
)

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
_LARGEST_DIFF = 104448  # bytes, as Ansible's own modules
_MODE = re.compile(r"[0-7]{4}")
# Ansible hides the values of secrets wherever they stand. A short one stands in many places by chance.
_SHORTEST_SECRET = 8  # characters


class FilesModule(AnsibleModule):  # type: ignore[misc]  # Ansible has no types
    """A module that logs the paths only: Ansible does not recognise a secret of several lines inside a list."""

    def _log_invocation(self) -> None:
        files = [str(entry["path"]) for entry in self.params["files"]]
        self.log(f"Invoked with files={' '.join(files)}")


def argument_spec() -> dict[str, Any]:
    """Return the options of the module."""
    entry = {
        "path": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent", "directory", "link"], "default": "present"},
        "content": {"type": "raw"},
        "secret_content": {"type": "str", "no_log": True},
        "target": {"type": "str"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "raw"},
        "validate": {"type": "list", "elements": "str"},
        "validate_as": {"type": "str"},
        "keep_until": {"type": "str", "choices": ["reload", "restart"]},
        "in_force": {"type": "bool", "default": False},
    }
    return {
        "files": {"type": "list", "elements": "dict", "required": True, "options": entry},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "raw", "default": "0644"},
        "directory_mode": {"type": "raw", "default": "0755"},
    }


def parse(params: Mapping[str, Any]) -> list[Entry]:
    """Return the entries that the options describe.

    Raises:
        FilesError: with all that makes no sense.
    """
    mistakes = [
        f"{key}: {_mode_mistake(params[key])}" for key in ("mode", "directory_mode") if _mode_mistake(params[key])
    ]
    seen: dict[str, str] = {}
    for index, data in enumerate(params["files"]):
        label = f"files[{index}]"
        mistakes += [f"{label}.{mistake}" for mistake in _entry_mistakes(data)]
        path = os.path.normpath(data["path"])
        if path in seen:
            mistakes.append(f"{label}.path: {path} is declared already, by {seen[path]}")
        seen.setdefault(path, label)
    if mistakes:
        raise FilesError(mistakes)
    return [_entry(f"files[{index}]", data, params) for index, data in enumerate(params["files"])]


def _entry_mistakes(data: Mapping[str, Any]) -> list[str]:
    """Return what makes no sense in one entry; each text begins with the name of the option."""
    state, path = data["state"], data["path"]
    contents = [key for key in ("content", "secret_content") if data[key] is not None]
    mistakes = []
    if not path.startswith("/") or os.path.normpath(path).strip("/") == "" or "\0" in path:
        mistakes.append(f"path: {path!r} is no absolute path of a file")
    if state == "present" and len(contents) != 1:
        mistakes.append("content: a file needs either content or secret_content")
    if state in ("directory", "link"):
        mistakes += [f"{key}: only a file has it, but state is {state}" for key in (*contents, "validate") if data[key]]
    if data["content"] is not None and not isinstance(data["content"], str):
        mistakes.append("content: must be text; a filter such as to_json or to_nice_yaml makes one of a value")
    if state != "absent" and (state == "link") != bool(data["target"]):
        mistakes.append("target: a link needs it, and nothing else has it")
    if data["mode"] is not None and _mode_mistake(data["mode"]):
        mistakes.append(f"mode: {_mode_mistake(data['mode'])}")
    if data["validate"] and not any("%s" in word for word in data["validate"]):
        mistakes.append("validate: %s must stand for the path of the candidate")
    return mistakes


def _mode_mistake(mode: object) -> str:
    """Return what is wrong with a mode; YAML turns an unquoted 0644 into the number 420."""
    if isinstance(mode, str) and _MODE.fullmatch(mode):
        return ""
    return f"{mode!r} is no mode; write four octal digits in quotes, such as '0644'"


def _entry(label: str, data: Mapping[str, Any], params: Mapping[str, Any]) -> Entry:
    """Return an entry that has no mistakes, with the defaults filled in."""
    secret = data["secret_content"] is not None
    default = params["directory_mode"] if data["state"] == "directory" else "0600" if secret else params["mode"]
    text = data["secret_content"] if secret else data["content"] or ""
    return Entry(
        label=label,
        path=os.path.normpath(data["path"]),
        state=data["state"],
        content=text.encode("utf-8", "surrogateescape"),
        secret=secret,
        target=data["target"] or "",
        owner=data["owner"] or params["owner"],
        group=data["group"] or params["group"],
        mode=int(data["mode"] or default, 8),
        validate=tuple(data["validate"] or ()),
        validate_as=data["validate_as"] or "",
        keep_until=data["keep_until"] or "",
        in_force=data["in_force"],
    )


def differences(steps: Sequence[Step]) -> list[dict[str, str]]:
    """Return what Ansible shows with --diff: for each path its content, then everything else that changes."""
    shown = []
    for step in steps:
        path = step.entry.path
        headers = {"before_header": path, "after_header": path}
        pairs = list(step.differences)
        if step.writes:
            pairs = pairs[1:]
            shown.append({**headers, **_content_difference(step)})
        if pairs:
            shown.append({**headers, "before": _lines(pairs, 0), "after": _lines(pairs, 1)})
    return shown


def _content_difference(step: Step) -> dict[str, str]:
    before, after = step.found.content, step.entry.content
    if step.entry.secret:
        return {"before": "", "after": "content differs (hidden)\n"}
    if max(len(before), len(after)) > _LARGEST_DIFF or b"\0" in before + after:
        return {"before": "", "after": "content differs (too large or binary)\n"}
    return {"before": before.decode("utf-8", "replace"), "after": after.decode("utf-8", "replace")}


def _lines(pairs: Sequence[tuple[str, str]], side: int) -> str:
    return "".join(f"{pair[side]}\n" for pair in pairs)


def result(steps: Sequence[Step], unchecked: Sequence[str]) -> dict[str, Any]:
    """Return what the module returns, except the differences."""
    changes = [step.change for step in steps if step.differences]
    return {
        "changed": bool(changes),
        "changes": changes,
        "changed_paths": [change["name"] for change in changes],
        "written_paths": [step.entry.path for step in steps if step.writes],
        "unchecked": list(unchecked),
    }


def invocation(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as a result may show them."""
    files = [{**data, "secret_content": None if data["secret_content"] is None else HIDDEN} for data in params["files"]]
    return {"module_args": {**params, "files": files}}


def narrowed(secrets: set[str]) -> set[str]:
    """Return the secrets that Ansible shall hide wherever they stand, also without their last line end."""
    long = {secret for secret in secrets if len(secret.strip()) >= _SHORTEST_SECRET}
    return long | {secret.strip() for secret in long}


def main() -> None:
    """Compare, replace, report."""
    module = FilesModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.no_log_values = narrowed(module.no_log_values)
    shown = invocation(module.params)
    try:
        with Directories() as directories:
            steps = plan(parse(module.params), directories, tolerant=module.check_mode)
            unchecked: list[str] = []
            if module.check_mode:
                unchecked = _files_apply.try_candidates(steps, directories)
            else:
                _files_apply.apply(steps, directories)
    except FilesError as error:
        module.fail_json(msg=str(error), changes=[], changed_paths=[], written_paths=[], unchecked=[], invocation=shown)
    if module._diff:
        module.exit_json(**result(steps, unchecked), diff=differences(steps), invocation=shown)
    module.exit_json(**result(steps, unchecked), invocation=shown)


if __name__ == "__main__":
    main()
