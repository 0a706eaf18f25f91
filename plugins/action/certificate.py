# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a host's certificate on the controller, or hand over the user's own, and let the host install it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_checks, _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_reason import Policy
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError
from ansible_collections.steadfast.postgresql.plugins.modules import certificate as module
from ansible_collections.steadfast.postgresql.plugins.plugin_utils import _play

Answers = list[dict[str, Any]]


class ActionModule(ActionBase):  # type: ignore[misc]
    """The controller's half of the module certificate, whose documentation describes the options."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse what is wrong before the host is touched, then let the host do its steps."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        self._now = datetime.datetime.now(datetime.timezone.utc)
        _, given = self.validate_argument_spec(argument_spec=module.arguments())
        created = False
        try:
            if any((given["provided"] or {}).values()):
                answers = self._install_provided(given, given["provided"])
            elif given["authority"] is None:
                raise CertificateError("one of authority and provided is needed")
            elif given["sign"]:
                created, answers = self._issue(given, given["authority"])
            else:
                answers = [self._install_authority(given, given["authority"])]
        except (CertificateError, OSError) as error:
            return result | {"failed": True, "changed": False, "changes": [], "msg": str(error)}
        return result | self._sum(answers) | {"authority_created": created}

    def _issue(self, given: Mapping[str, Any], authority: Mapping[str, Any]) -> tuple[bool, Answers]:
        """Sign a request of the host; tell whether the CA was made for it."""
        directory = authority["directory"]
        self._refuse(self._mistakes(given, authority))
        descriptions = {
            "certificate": f"{given['common_name']}, for {given['lifetime_days']} days",
            "ca": _described(authority),
        }
        if self._task.check_mode:
            contents = {"ca": _certificates.bundle(directory)}
            answers = [self._step(given, "request"), self._step(given, "install", contents, descriptions)]
            return contents["ca"] is None, answers
        lifetime = authority["lifetime_days"]
        created = _certificates.ensure(directory, authority["cluster"], authority["passphrase"], lifetime, self._now)
        signer = _certificates.load(directory, authority["passphrase"])
        request = self._step(given, "request")
        if request.get("failed"):
            return created, [request]
        policy = Policy(given["common_name"], tuple(given["names"]), given["lifetime_days"], given["group"])
        signed = _certificates.sign(request["request"], signer, policy, self._now)
        contents = {"ca": signer.bundle, "certificate": _certificates.pem_of(signed)}
        return created, [request, self._step(given, "install", contents, descriptions)]

    def _mistakes(self, given: Mapping[str, Any], authority: Mapping[str, Any]) -> list[str]:
        directory = authority["directory"]
        refusal = _certificate_checks.missing_signer(directory, authority["trusted"], authority["unobserved"])
        return [
            *_certificate_checks.check_names(given["common_name"], given["names"]),
            *_certificate_checks.check_ca(directory, authority["passphrase"], self._now.timestamp()),
            *([refusal] if refusal else []),
        ]

    def _install_authority(self, given: Mapping[str, Any], authority: Mapping[str, Any]) -> dict[str, Any]:
        """Let the host trust what the controller's ca.crt holds, where there is one."""
        bundle = _certificates.bundle(authority["directory"])
        if self._task.check_mode and authority["replaced"]:
            bundle = None
        elif bundle is None:
            return self._step(given, "install")
        return self._step(given, "install", {"ca": bundle}, {"ca": _described(authority)})

    def _install_provided(self, given: Mapping[str, Any], provided: Mapping[str, Any]) -> Answers:
        name, now = given["common_name"], self._now.timestamp()
        self._refuse(_certificate_checks.check_provided(provided, name=name, now=now, read=self._read))
        contents = {option: self._read(path).decode() for option, path in provided.items()}
        return [self._step(given, "install", contents, {option: f"as {path}" for option, path in provided.items()})]

    def _step(
        self,
        given: Mapping[str, Any],
        step: str,
        contents: Mapping[str, str | None] | None = None,
        descriptions: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run the module on the host with what the host needs to know, and no more."""
        options = {name: given[name] for name in ("directory", "group", "group_expected", "common_name")}
        options |= {"step": step, "contents": dict(contents or {}), "descriptions": dict(descriptions or {})}
        answer: dict[str, Any] = self._execute_module(
            module_name="steadfast.postgresql.certificate", module_args=options, task_vars=self._variables
        )
        return answer

    def _sum(self, answers: Answers) -> dict[str, Any]:
        """Put the answers of the steps together; the last one says whether they failed."""
        changes = _play.once(answers)
        found: dict[str, Any] = {"changed": bool(changes), "changes": changes}
        if self._task.diff:
            found["diff"] = [
                {
                    "before_header": change["name"],
                    "after_header": change["name"],
                    "before": f"{change['from']}\n",
                    "after": f"{change['to']}\n",
                }
                for change in changes
            ]
        if answers[-1].get("failed"):
            # What else the module said helps to find the cause; it holds no secret.
            found = {name: value for name, value in answers[-1].items() if name != "invocation"} | found
        return found

    @staticmethod
    def _refuse(mistakes: list[str]) -> None:
        if mistakes:
            raise CertificateError("\n".join(mistakes))

    def _read(self, path: str) -> bytes:
        """Read a file of the controller, decrypted where Ansible Vault encrypted it."""
        if not Path(path).exists():
            raise FileNotFoundError(2, "No such file or directory", path)
        try:
            real = self._loader.get_real_file(path)
        except AnsibleError as error:
            raise OSError(5, str(error).splitlines()[0], path) from error
        try:
            return Path(real).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(real)


def _described(authority: Mapping[str, Any]) -> str:
    # The same before and after a CA is made, so that check mode predicts it.
    return f"{_certificates.authority_name(authority['cluster'])} of {os.path.normpath(authority['directory'])}"
