# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a step of the replacement of a cluster's CA on the controller: see _authority.

It runs on every host and acts on the one that speaks for its cluster, so that no task is run once for several clusters.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import _authority, _certificate_checks
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CERTIFICATE, CertificateError
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

PREPARE, PROMOTE, RETIRE = "prepare", "promote", "retire"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Change the CA directory.

    Options: step (prepare, promote or retire), directory, cluster, passphrase, lifetime_days.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the step, or only say what it changes."""
        result: dict[str, Any] = super().run(tmp, task_vars) | {"changed": False, "changes": []}
        _, given = self.validate_argument_spec(
            {
                "step": {"type": "str", "required": True, "choices": [PREPARE, PROMOTE, RETIRE]},
                "directory": {"type": "str", "required": True},
                "cluster": {"type": "str", "required": True},
                "passphrase": {"type": "str", "required": True, "no_log": True},
                "lifetime_days": {"type": "int", "required": True},
            }
        )
        play = _play.Play(task_vars or {})
        if not play.speaks(_play.OBSERVATION):
            return result
        try:
            changes = self._take(given)
        except (CertificateError, OSError) as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {"changed": bool(changes), "changes": changes}

    def _take(self, given: Mapping[str, Any]) -> list[dict[str, str]]:
        directory, step = given["directory"], given["step"]
        state = _authority.read(directory)
        if state is None:
            raise CertificateError(f"{_certificate_checks.DIRECTORY}: there is no CA in {directory}")
        changes = _foreseen(state, given)
        if not self._task.check_mode:
            _act(step, given)
        return changes


def _act(step: str, given: Mapping[str, Any]) -> None:
    directory, passphrase = given["directory"], given["passphrase"]
    if step == PREPARE:
        now = datetime.datetime.now(datetime.timezone.utc)
        _authority.prepare(directory, given["cluster"], passphrase, given["lifetime_days"], now)
    elif step == PROMOTE:
        _authority.promote(directory, passphrase)
    else:
        _authority.retire(directory)


def _foreseen(state: _authority.State, given: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what a step changes in ca.crt; in check mode the one before it was not taken."""
    path, step = os.path.normpath(f"{given['directory']}/{CERTIFICATE}"), given["step"]
    name = state.next_name(given["cluster"])
    if step == PROMOTE:
        # Taken already: all that is left is to put its files in their place.
        signs = state.stage == _authority.SIGNING
        return [] if signs else [change("certificate", path, f"{state.signer.name} signs", f"{name} signs")]
    before = [known.name for known in state.trusted]
    if step == RETIRE:
        after = [known.name for known in state.kept]
    else:
        after = before if state.coming in state.trusted else [*before, name]
    joined = ", ".join(before), ", ".join(after)
    return [change("certificate", path, *joined)] if before != after else []
