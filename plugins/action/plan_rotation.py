# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which certificates are replaced in what order, or why none is: see _rotation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.steadfast.postgresql.plugins.module_utils import _authority, _certificate_checks, _rotation
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

DISPLAY = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return the plan of the cluster and the services of this host, or fail with all refusals.

    Options: scope and confirm as the operator gave them, and readers, the services that read the files.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan from the CA directory on the controller and what every member was seen to hold."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "scope": {"type": "str", "required": True},
                "confirm": {"type": "str", "required": True},
                "readers": {"type": "list", "elements": "dict", "required": True},
            }
        )
        play = _play.Play(task_vars or {})
        try:
            plan = _plan(play, given)
        except (CertificateError, OSError) as error:
            return result | {"failed": True, "msg": play.refusal([str(error)])}
        if plan.refusals:
            return result | {"failed": True, "msg": play.refusal(plan.refusals)}
        if play.speaks(_play.OBSERVATION):
            DISPLAY.display("\n" + "\n".join(plan.lines or ("Nothing is left to do.",)) + "\n")
        seen = play.seen(play.host, _play.OBSERVATION) or {}
        own = _rotation.readers_of(given["readers"], play.preflight["duties"], bool(seen.get("server")))
        reloads = [{"name": reader["unit"], "state": "reloaded"} for reader in own]
        return result | {"changed": False, "readers": own, "reloads": reloads, "time": play.moment} | asdict(plan)


def _plan(play: _play.Play, given: Mapping[str, Any]) -> _rotation.Plan:
    directory = play.own[_certificate_checks.DIRECTORY]
    request = _rotation.Request(
        scope=given["scope"],
        confirm=given["confirm"],
        cluster=play.cluster["name"],
        directory=os.path.normpath(directory),
        obstacle=_certificate_checks.missing_signer(directory, [], []) or "",
    )
    return _rotation.plan(request, _authority.read(directory), [_holder(play, it) for it in play.cluster["members"]])


def _holder(play: _play.Play, member: Mapping[str, Any]) -> _rotation.Holder:
    # A host outside --limit has no preflight of its own, and is not looked at.
    own = play.registered(member["name"], _play.PREFLIGHT).get("own", {})
    provided = any((own.get(_certificate_checks.PROVIDED) or {}).values())
    directory = own.get("postgresql_certificates_directory", "")
    return _rotation.Holder.of(member, play.seen(member["name"], _play.OBSERVATION), provided, directory)
