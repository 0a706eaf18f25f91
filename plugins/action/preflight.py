# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse an inventory with mistakes before any host is touched, or return the cluster that it describes.

Runs on every host, on the controller alone. Every host reads the variables of all members of its cluster, so all of
them come to the same result, also about members that are outside `--limit` or unreachable.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.steadfast.postgresql.plugins.module_utils import _arguments, _certificate_checks, _preflight
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import NAME_LIMIT
from ansible_collections.steadfast.postgresql.plugins.module_utils._preflight import CLUSTER_NAME, Member
from ansible_collections.steadfast.postgresql.plugins.module_utils._preflight_member import CHECKED_WHOLE, worded
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import REPOSITORIES

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 trusts every text

    def trust_as_template(value: str) -> str:
        """Return the text as it is."""
        return value


ROLES = Path(__file__).resolve().parents[2] / "roles"
PREFIX = "postgresql_"


class Roles:
    """What the roles of the collection say about their variables.

    Attributes:
        specs: the argument spec of each variable.
        defaults: the default of each variable, templates among them.
        secrets: the variables that hold something that is never shown.
    """

    def __init__(self, loader: Any, directory: Path = ROLES) -> None:
        """Read the roles in a directory."""
        self.specs: dict[str, Mapping[str, Any]] = {}
        self.defaults: dict[str, Any] = {}
        for path in sorted(directory.glob("*/meta/argument_specs.yml")):
            for entry in (loader.load_from_file(str(path)) or {})["argument_specs"].values():
                self.specs |= entry.get("options", {})
        for path in sorted(directory.glob("*/defaults/main.yml")):
            self.defaults |= _trusted(loader.load_from_file(str(path)) or {})
        self.secrets = {name for name, spec in self.specs.items() if _arguments.is_secret(spec)}


class Inventory:
    """The variables of all hosts, each as a task of its own on that host would see them."""

    def __init__(self, loader: Any, task: Any, task_vars: Mapping[str, Any], roles: Roles) -> None:
        """Look at the inventory as a task does."""
        self._loader = loader
        self._task = task
        self._roles = roles
        self._groups: Mapping[str, Sequence[str]] = task_vars["groups"]
        self._play_hosts: Sequence[str] = task_vars["ansible_play_hosts_all"]
        # hostvars alone lack what the play, the caller of the role and the task set.
        self._manager = task_vars["hostvars"]._variable_manager
        self._hosts = task_vars["hostvars"]._inventory

    @functools.cache  # noqa: B019 - lives as long as the task
    def raw(self, host: str) -> Mapping[str, Any]:
        """Return the variables of a host over the defaults of all roles, with their templates."""
        variables = self._manager.get_vars(play=self._task.get_play(), host=self._hosts.get_host(host), task=self._task)
        return {**self._roles.defaults, **variables}

    @functools.cache  # noqa: B019 - lives as long as the task
    def cluster_name(self, host: str) -> str:
        """Return the name of a host's cluster; nothing when it cannot be read."""
        try:
            name = self._templar(host).template(self.raw(host)[CLUSTER_NAME])
        except AnsibleError:
            return ""
        return str(name) if isinstance(name, str | int) else ""

    def members(self, cluster: str) -> list[Member]:
        """Return the members of a cluster with their variables.

        A host of the play that is in no group is a cluster of its own, as long as it is the only host of that name.
        """
        database, repository, pooler = (
            [host for host in self._groups.get(group, []) if self.cluster_name(host) == cluster]
            for group in _preflight.GROUPS
        )
        duties = _preflight.duties(database, repository, pooler)
        strays = [host for host in self._play_hosts if self._is_stray(host, cluster)]
        if not duties and len(strays) == 1:
            return [self._member(strays[0], _preflight.duties(strays, [], [])[strays[0]])]
        members = [self._member(host, names) for host, names in duties.items()]
        return members + [self._member(host, (), _preflight.stray_mistake(cluster)) for host in strays]

    def _is_stray(self, host: str, cluster: str) -> bool:
        grouped = any(host in self._groups.get(group, []) for group in _preflight.GROUPS)
        return not grouped and self.cluster_name(host) == cluster

    def _templar(self, host: str) -> Any:
        return Templar(loader=self._loader, variables=self.raw(host))

    def _member(self, host: str, duties: tuple[str, ...], *mistakes: Mistake) -> Member:
        """Read and check the variables of a host."""
        names = [name for name in self.raw(host) if name.startswith(PREFIX)]
        known = {*self._roles.specs, *_preflight.PLAYBOOK_VARIABLES}
        values, given, wrong = self._values(host)
        found = [
            *mistakes,
            *_arguments.unknown(names, known, PREFIX),
            *wrong,
            *self._name_mistakes(values),
            *worded(self._certificate_mistakes(host, values)),
            *self._storage_mistakes(values),
        ]
        return Member(host, duties, values, frozenset(given), tuple(found))

    def _values(self, host: str) -> tuple[dict[str, Any], set[str], list[Mistake]]:
        """Return the converted variables of a host, the names of those that are not the default, and the mistakes."""
        raw, templar = self.raw(host), self._templar(host)
        values: dict[str, Any] = {}
        given: set[str] = set()
        wrong: list[Mistake] = []
        consequences: list[Mistake] = []
        for name, spec in self._roles.specs.items():
            value, found = self._value(name, raw[name], templar)
            default, found_in_default = self._value(name, self._roles.defaults[name], templar)
            if value != default:
                given.add(name)
            # What is wrong in a list of dictionaries does not hide what is wrong in its other parts.
            if not found or (value is not None and spec.get("elements") == "dict"):
                values[name] = value
            (consequences if found == found_in_default else wrong).extend(found)
        # A default fails when what it refers to does.
        return values, given, wrong or consequences

    def _value(self, name: str, raw: Any, templar: Any) -> tuple[Any, list[Mistake]]:
        try:
            value = _decrypted(templar.template(raw))
        except AnsibleError as error:
            text = str(error).splitlines()[0].rstrip(".")
            return None, [Mistake(name, f"cannot be evaluated: {text}; correct what it refers to")]
        if name in CHECKED_WHOLE:
            return value, []
        return _arguments.check(name, self._roles.specs[name], value)

    @staticmethod
    def _name_mistakes(values: Mapping[str, Any]) -> list[Mistake]:
        return list(_preflight.cluster_name_mistakes(values[CLUSTER_NAME])) if CLUSTER_NAME in values else []

    def _certificate_mistakes(self, host: str, values: Mapping[str, Any]) -> list[str]:
        """Check the files of the controller that the variables name."""
        found = []
        if len(host) <= NAME_LIMIT:
            found += _certificate_checks.check_names(host, values.get(_certificate_checks.NAMES, []))
        provided = values.get(_certificate_checks.PROVIDED)
        if provided is None:
            return found
        if any(provided.values()):
            return found + _certificate_checks.check_provided(provided, name=host, now=time.time(), read=self._read)
        directory = values.get(_certificate_checks.DIRECTORY)
        passphrase = values.get(_certificate_checks.PASSPHRASE)
        if directory is None or passphrase is None:
            return found
        return found + self._authority_mistakes(directory, passphrase)

    @functools.cache  # noqa: B019 - lives as long as the task
    def _authority_mistakes(self, directory: str, passphrase: str) -> list[str]:
        """Check a CA once for all members: opening its key is slow on purpose."""
        return _certificate_checks.check_ca(directory, passphrase, time.time())

    def storage_authorities(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the CAs of object storage that the variables name, by the repositories."""
        given = [item for item in values.get(REPOSITORIES) or [] if item and (item.get("s3") or {}).get("ca")]
        return {item["name"]: self._read(item["s3"]["ca"]).decode() for item in given}

    def _storage_mistakes(self, values: Mapping[str, Any]) -> list[Mistake]:
        found = []
        for index, item in enumerate(values.get(REPOSITORIES) or []):
            path = ((item or {}).get("s3") or {}).get("ca")
            try:
                if path and b"BEGIN CERTIFICATE" not in self._read(path):
                    found.append(Mistake(f"{REPOSITORIES}[{index}].s3.ca", f"{path} holds no certificate; name one"))
            except OSError as error:
                text = f"{path} cannot be read on the controller ({error.strerror}); write the path of the CA there"
                found.append(Mistake(f"{REPOSITORIES}[{index}].s3.ca", text))
        return found

    def _read(self, path: str) -> bytes:
        """Read a file of the controller, decrypted where Ansible Vault encrypted it."""
        if not Path(path).exists():
            raise FileNotFoundError(2, "No such file or directory", path)
        try:
            readable = self._loader.get_real_file(path)
        except AnsibleError as error:
            raise OSError(5, str(error).splitlines()[0], path) from error
        try:
            return Path(readable).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(readable)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Check the inventory of this host's cluster; the option `only` names the application that the play is about."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return `cluster`, or fail: the first member with the whole list, the others with a pointer to it.

        Beside `cluster` the result holds `duties`, those of this host, and `own`: its converted variables but secrets.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        roles = Roles(self._loader)
        inventory = Inventory(self._loader, self._task, task_vars, roles)
        host = task_vars["inventory_hostname"]
        cluster = inventory.cluster_name(host)
        members = inventory.members(cluster)
        found = _preflight.mistakes(cluster, members, str(self._task.args.get("only", "")))
        if not found:
            own = next(member for member in members if member.name == host)
            return result | {
                "changed": False,
                "started": time.monotonic(),
                "cluster": {
                    **_preflight.resolve(cluster, members),
                    "storage_authorities": inventory.storage_authorities(_preflight.databases(members)[0].values),
                },
                "duties": list(own.duties),
                "own": {name: value for name, value in own.values.items() if name not in roles.secrets},
            }
        speaker = self._speaker(cluster, [member.name for member in members], task_vars)
        speaks = host == speaker
        text = _preflight.message(cluster, found) if speaks else _preflight.pointer(cluster, speaker)
        return result | {"failed": True, "refused": cluster, "msg": text}

    def _speaker(self, cluster: str, members: Sequence[str], task_vars: Mapping[str, Any]) -> str:
        """Return the member that says what is wrong: the first that the play reached when this task began.

        A member that this task refused a moment ago is no longer among the play's hosts, but has said it.
        """
        reached = task_vars["ansible_play_batch"]
        hosts = [
            host
            for host in task_vars["ansible_play_hosts_all"]
            if host in reached or self._refused(host, cluster, task_vars["hostvars"])
        ]
        return _preflight.speaker(members, hosts)

    def _refused(self, host: str, cluster: str, hostvars: Any) -> bool:
        registered = hostvars.raw_get(host).get(self._task.register) if self._task.register else None
        return isinstance(registered, Mapping) and registered.get("refused") == cluster


def _decrypted(value: Any) -> Any:
    """Decrypt what Ansible Vault encrypted; since ansible-core 2.19 templating has done it."""
    if type(value).__name__ == "AnsibleVaultEncryptedUnicode":
        return str(value)
    if isinstance(value, Mapping):
        return {key: _decrypted(item) for key, item in value.items()}
    return [_decrypted(item) for item in value] if isinstance(value, list) else value


def _trusted(value: Any) -> Any:
    """Let the templates in a role's defaults be templates."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, Mapping):
        return {key: _trusted(item) for key, item in value.items()}
    return [_trusted(item) for item in value] if isinstance(value, list) else value
