# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host does for backups: the part of the decision that the role backup reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_config, _repositories, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_units as _systemd
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_config import Host, Site
from ansible_collections.steadfast.postgresql.plugins.module_utils._backup_memory import Memory
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, REPOSITORY
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import FULL, POSIX, Repository

Json = Mapping[str, Any]

PACKAGE = "pgbackrest"
UNITS = "/etc/systemd/system"
# How much later than its schedule a backup may be before it is a finding: it takes its time, and timers are spread.
SLACK = 1.25, 3600
MOST_PROCESSES = 8


@dataclass(frozen=True)
class Context:
    """What the plan is made of.

    Attributes:
        host: inventory name of the host in question.
        cluster: what preflight returned.
        members: the members with their addresses.
        own: the host's own variables.
        observed: what was seen on each member; None for one that was not.
        version: of pgBackRest's stanza, PostgreSQL's major version.
    """

    host: str
    cluster: Json
    members: Sequence[Json]
    own: Json
    observed: Mapping[str, Json | None]

    @property
    def repositories(self) -> list[Repository]:
        """The repositories of the cluster."""
        return [Repository(**item) for item in self.cluster.get("repositories", [])]

    def with_duty(self, duty: str) -> list[Json]:
        """Return the members that have a duty."""
        return [member for member in self.members if duty in member["duties"]]

    @property
    def keeper(self) -> Json:
        """The repository host; there is one when there are repositories."""
        return self.with_duty(REPOSITORY)[0]

    def seen(self, host: str) -> Json | None:
        """What was seen of backups on a host."""
        found: Json | None = (self.observed.get(host) or {}).get("backup")
        return found

    def info(self, repository: Repository) -> Json | None:
        """What was seen of a repository, by its place; None when nobody looked."""
        seen = self.seen(self.keeper["name"])
        if seen is None:
            return None
        number = self.number(repository)
        return seen["repositories"][str(number)] if number else _repositories.NOTHING

    def number(self, repository: Repository) -> int:
        """The number that the repository host has for the place of a repository; 0 for none."""
        infos: Mapping[str, Json] = (self.seen(self.keeper["name"]) or {}).get("repositories", {})
        return next((int(number) for number, info in infos.items() if info["place"] == repository.place), 0)


def of_cluster(context: Context) -> dict[str, Any]:
    """Return what the cluster's backups need from the repository host."""
    if not context.repositories:
        return {"stanza": context.cluster["name"], "repository": "", "repositories": []}
    live = [repository for repository in context.repositories if not repository.suspended]
    infos = {repository.name: context.info(repository) for repository in live}
    returned = _returned(context)
    owed = [
        name
        for name, info in infos.items()
        if info and info["answers"] and (info["full"] is None or info["full"] < returned.get(name, 0))
    ]
    return {
        "stanza": context.cluster["name"],
        "repository": context.keeper["name"],
        "user": _user(context.keeper),
        "port": context.cluster["backup_port"],
        "repositories": [asdict(repository) for repository in context.repositories],
        "owed": [{"repository": name, "kind": FULL} for name in owed],
        "silent": {name: info["error"] for name, info in infos.items() if info and not info["answers"]},
        "without_stanza": [name for name, info in infos.items() if info and info["answers"] and not info["stanza"]],
    }


def of_host(context: Context) -> dict[str, Any]:
    """Return what the host itself has and does for backups; its duties are none without repositories."""
    member = next(item for item in context.members if item["name"] == context.host)
    duties = [duty for duty in (DATABASE, REPOSITORY) if duty in member["duties"]] if context.repositories else []
    if not duties or context.observed.get(context.host) is None:
        return {"duties": []}
    site, user = _site(context), _user(member)
    if not site.repository.address and not site.keeps_backups:
        return {"duties": []}  # said in left
    seen = context.seen(context.host) or {"user": False, "units": {}, "stale": [], "check": None}
    schedules = _schedules(context)
    wanted = _systemd.running(duties, schedules, serves=bool(site.peers))
    running = [name for name, unit in seen["units"].items() if unit["active"] and unit["enabled"]]
    obsolete = sorted(set(seen["units"]) - set(wanted))
    emergency = (seen.get("emergency_file") or {}) if DATABASE in duties else {}
    size = emergency_bytes(context.own["postgresql_backup_emergency_file"])
    return {
        "duties": duties,
        "user": user,
        "serves": bool(site.peers),
        "user_missing": user == _backup_config.REPOSITORY_USER and not seen["user"],
        "configuration": _backup_config.render(_backup_config.sections(site)),
        "site": _plain(site),
        "unit_files": [
            {"path": f"{UNITS}/{name}", "content": text}
            for name, text in _systemd.units(
                context.cluster["name"], user, site.port if site.peers else 0, duties, schedules
            ).items()
        ],
        "authority_files": [
            {"path": _backup_config.authority_file(name), "content": text}
            for name, text in context.cluster.get("storage_authorities", {}).items()
        ],
        "units": [
            *({"name": name, "state": "started", "enabled": True} for name in wanted if name != _systemd.SERVICE),
            *({"name": name, "state": "stopped", "enabled": False} for name in obsolete),
        ],
        "obsolete_files": [{"path": f"{UNITS}/{name}", "state": "absent"} for name in obsolete],
        "stale": seen["stale"],
        "service_needed": bool(seen["stale"] or obsolete or set(wanted) - set(running)),
        "directories": _directories(context) if REPOSITORY in duties else [f"{_backup_config.PACKAGE_STATE}/lock"],
        "check": _check(context, member, emergency.get("path", "")),
        "emergency": (
            {"path": emergency["path"], "bytes": size} if emergency and (emergency["bytes"] or 0) != size else {}
        ),
    }


def refusals(context: Context, bootstraps: bool, system: str | None) -> Iterator[str]:
    """Yield why backups forbid what would be done.

    Args:
        context: the cluster and what was seen.
        bootstraps: whether a new cluster would be made.
        system: identifier of the cluster that is there.
    """
    if not context.repositories:
        return
    name = context.keeper["name"]
    if bootstraps and context.observed.get(name) is None:
        yield (
            f"{name} could not be observed, and its repositories may hold backups of {context.cluster['name']}: no new "
            "cluster is made. Run again when it is reachable"
        )
    for repository in context.repositories:
        info = context.info(repository) or {}
        if bootstraps and info.get("error"):
            yield (
                f"repository {repository.name} does not answer and may hold backups of {context.cluster['name']}: no "
                f"new cluster is made ({info['error']})"
            )
        if info.get("stanza") and info["seal"] not in {"", repository.seal}:
            yield (
                f"the passphrase of the repository {repository.name} is another one than its backups are encrypted "
                "with. Write the former one; for a new one give the repository another path as well "
                "(docs/runbooks/passphrase.md)"
            )
        number = context.number(repository)
        if number not in {0, repository.number}:
            yield (
                f"repository {repository.name} is repo{number} on {name} and would become repo{repository.number}, and "
                "WAL archived while the hosts change would be missing in one of them. Write number: "
                f"{number} for {repository.name} in {_repositories.REPOSITORIES}"
            )
        others = [item for item in info.get("systems", []) if item != system]
        if others and (bootstraps or system) and system not in info["systems"]:
            which = f"of the system {', '.join(others)}"
            what = "no new cluster is made" if bootstraps else f"the cluster here is {system}"
            yield (
                f"repository {repository.name} on {name} holds backups {which}, and {what}. To get that data back "
                "restore it (docs/runbooks/lost_cluster.md); to begin anew write another postgresql_cluster_name, or "
                f"another path for {repository.name}"
            )


def left(context: Context) -> Iterator[str]:
    """Yield what is not configured or said, because nobody knows where the repository host is or how it stands."""
    if not context.repositories:
        return
    name = context.keeper["name"]
    if context.seen(name) is None:  # otherwise its own check says so
        for repository in context.repositories:
            if repository.suspended:
                yield f"repository {repository.name}: is suspended, and gets no WAL and no backups until it is back"
    if not context.keeper["address"]:
        yield (
            f"pgbackrest.conf: is not written on the database hosts, because the address of {name} is not known; run "
            f"site.yml once it answers, or write postgresql_address for {name}"
        )


def newly_suspended(context: Context) -> list[str]:
    """Return the repositories that this run would take out."""
    return _memory(context).newly_suspended(context.repositories)


def _memory(context: Context) -> Memory:
    return Memory.of([(context.seen(host) or {}).get("check") for host in context.observed])


def _returned(context: Context) -> dict[str, float]:
    """Return since when each repository gets WAL again that was suspended or removed."""
    clocks = ((seen or {}).get("clock", {}).get("now", 0.0) for seen in context.observed.values())
    return _memory(context).returned_of(context.repositories, max(clocks, default=0.0))


def clone_from(context: Context) -> int:
    """Return the number of the first repository with a backup that new standbys are copied from; 0 for the primary."""
    plan = of_cluster(context)
    owed = {backup["repository"] for backup in plan.get("owed", [])}
    whole = [
        repository.number
        for repository in context.repositories
        if repository.name not in owed and (context.info(repository) or _repositories.NOTHING)["full"] is not None
    ]
    return min(whole, default=0)


def archive_command(cluster: Json) -> str:
    """Return how a server archives; nothing without repositories."""
    return f"/usr/bin/pgbackrest --stanza={cluster['name']} archive-push %p" if cluster.get("repositories") else ""


def restore_command(cluster: Json) -> str:
    """Return how a standby fetches WAL that its primary has no more; nothing without repositories."""
    name = cluster["name"]
    return f'/usr/bin/pgbackrest --stanza={name} archive-get %f "%p"' if cluster.get("repositories") else ""


def to_observe(cluster: Json, duties: Sequence[str]) -> dict[str, Any] | None:
    """Return what instance_info looks at on a host with these duties; nothing without repositories."""
    if not cluster.get("repositories") or not {DATABASE, REPOSITORY} & set(duties):
        return None
    numbers = list(range(1, _repositories.MOST + 1)) if REPOSITORY in duties else []
    return {"user": _user({"duties": duties}), "repositories": numbers}


# How backups log in: as a role of their own, over the socket, where pgBackRest runs as the server's user.
HBA_RULE = {
    "comment": "Backups, over the socket",
    "type": "local",
    "databases": ["postgres"],
    "users": [_backup_config.DATABASE_ROLE],
    "method": "peer",
    "options": {"map": "backup"},
}
IDENT_MAP = {
    "comment": "pgBackRest runs as the server's user",
    "map": "backup",
    "system_user": _backup_config.SERVER_USER,
    "role": _backup_config.DATABASE_ROLE,
}


def emergency_bytes(text: str) -> int:
    """Return the size of the file that may be deleted in need; 0 for none.

    Raises:
        NumberError: it is no size with a unit.
    """
    return 0 if text.strip() == "0" else _units.parse_bytes(text)


def _user(member: Json) -> str:
    return _backup_config.SERVER_USER if DATABASE in member["duties"] else _backup_config.REPOSITORY_USER


def _site(context: Context) -> Site:
    directories = _data_directories(context)
    hosts = {
        member["name"]: Host(member["name"], member["address"], directories.get(member["name"], ""))
        for member in context.members
    }
    seen = context.observed.get(context.host) or {}
    return Site(
        stanza=context.cluster["name"],
        own=hosts[context.host],
        repository=hosts[context.keeper["name"]],
        databases=[hosts[member["name"]] for member in context.with_duty(DATABASE)],
        repositories=context.repositories,
        port=context.cluster["backup_port"],
        postgresql_port=context.cluster["port"],
        certificates=context.own["postgresql_certificates_directory"],
        processes=max(1, min(MOST_PROCESSES, seen.get("host", {}).get("cores", 2) // 2)),
    )


def _data_directories(context: Context) -> dict[str, str]:
    return {member["name"]: member["data_directory"] for member in context.with_duty(DATABASE)}


def _plain(site: Site) -> dict[str, Any]:
    return asdict(site)


def site_from(data: Json) -> Site:
    """Return the site that a decision holds."""
    return Site(
        **{
            **data,
            "own": Host(**data["own"]),
            "repository": Host(**data["repository"]),
            "databases": [Host(**host) for host in data["databases"]],
            "repositories": [Repository(**item) for item in data["repositories"]],
        }
    )


def _schedules(context: Context) -> list[_systemd.Schedule]:
    """Return all schedules; a suspended repository keeps them, and what they start says why it rests."""
    return [
        _systemd.Schedule(repository.name, kind, event)
        for repository in context.repositories
        for kind, event in repository.schedule.items()
    ]


def _directories(context: Context) -> list[str]:
    """Return the directories of the repositories on the host; those above a default path are the collection's too."""
    found: dict[str, None] = {_repositories.HOME: None, f"{_repositories.HOME}/lock": None}
    for repository in context.repositories:
        if repository.type != POSIX:
            continue
        if repository.path == _repositories.default_path(POSIX, context.cluster["name"], repository.name):
            found[repository.path.rpartition("/")[0]] = None
        found[repository.path] = None
    return list(found)


def _check(context: Context, member: Json, emergency: str) -> dict[str, Any]:
    """Return what the programs on the host know: check_archive and backup."""
    own, cluster = context.own, context.cluster
    found: dict[str, Any] = {
        "cluster": cluster["name"],
        "stanza": cluster["name"],
        "metrics": own["postgresql_backup_metrics_directory"],
        # For a run in which a member cannot be asked.
        "addresses": {item["name"]: item["address"] for item in context.members if item["address"]},
        "returned": _returned(context),
        "former": _memory(context).former_of(context.repositories),
        "repositories": [_checked(repository) for repository in context.repositories],
    }
    if REPOSITORY in member["duties"]:
        found["wal_segment_bytes"] = _segment_bytes(context)
    if DATABASE in member["duties"]:
        size = emergency_bytes(own["postgresql_backup_emergency_file"])
        wal = own["postgresql_server_wal_directory"] or f"{own['postgresql_server_data_directory']}/pg_wal"
        found |= {
            "archive_command": archive_command(cluster),
            "spool": f"{_backup_config.SPOOL}/archive/{cluster['name']}/out",
            "port": cluster["port"],
            "wal_directory": wal,
            "emergency_file": emergency if size else "",
        }
    return found


def _checked(repository: Repository) -> dict[str, Any]:
    factor, more = SLACK
    every = {
        "full_seconds": repository.longest_gap(FULL),
        "any_seconds": repository.longest_gap(*_repositories.KINDS),
    }
    return {
        "name": repository.name,
        "number": repository.number,
        "suspended": repository.suspended,
        "point_in_time": repository.point_in_time,
        **{name: int(gap.total_seconds() * factor + more) if gap else 0 for name, gap in every.items()},
    }


def _segment_bytes(context: Context) -> int:
    servers = [((seen or {}).get("server") or {}) for seen in context.observed.values()]
    return next((int(server["segment_bytes"]) for server in servers if server.get("segment_bytes")), 16 << 20)
