# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host does in a run: the decision about its cluster, seen from that host, as its roles read it.

Pure: the action plugin `decide` hands over what preflight returned and what was observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _addresses,
    _adoption,
    _backup_plan,
    _hba,
    _host,
    _in_force,
    _journal,
    _kernel,
    _libraries,
    _platform,
    _pooler_context,
    _pooler_plan,
    _rules_of_roles,
    _service_roles,
    _settings,
    _topology,
    _tuning,
    _units,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import Given, facts, observations
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import (
    DATABASE,
    PREFERRED,
    RECORDERS,
    REPLICATOR,
    STANDBY_MINIMA,
    is_ip,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import SYNCHRONOUS_SET, Observation
from ansible_collections.steadfast.postgresql.plugins.module_utils._service_roles import Services
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import (
    ADOPT,
    BOOTSTRAP,
    CLONE,
    NONE,
    PRIMARY,
    START,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames

Json = Mapping[str, Any]

# A WAL sender or receiver that hears nothing for so long counts as dead; another region is farther away.
TIMEOUT, DISTANT_TIMEOUT = "6s", "30s"
RECEIVER_TIMEOUT = "wal_receiver_timeout"


def decide(given: Given) -> dict[str, Any]:
    """Return the decision as the roles read it, with all refusals."""
    topology = _topology.decide(facts(given), observations(given.observed))
    poolers = _pooler_context.context(given, topology)
    settings = _server_settings(given) if _has_instance(given) else {}
    members = given.members
    databases = [member for member in members if DATABASE in member["duties"]]
    addresses = {member["name"]: member["address"] for member in databases}
    plain = topology.to_dict()
    return {
        "refusals": [
            *_platform.refusals(given.cluster, given.platforms, given.observed),
            *_addresses.refusals(members),
            *_libraries.refusals(members, given.observed, given.cluster["version"]),
            *topology.refusals,
            *_of_adoptions(given, topology),
            *_of_backups(given, topology),
            *_pooler_plan.refusals(poolers),
            *_host.refusals(host_inputs(given)),
        ],
        "cluster": given.cluster["name"],
        "durability": given.cluster["durability"],
        "replicated": len(databases) > 1,
        "primary": topology.primary,
        "primary_reason": topology.primary_reason,
        "members": members,
        "addresses": addresses,
        "targets": [
            {key: member[key] for key in ("name", "address", "port")}
            for member in databases
            if member["address"] and given.observed.get(member["name"])
        ],
        "recorders": [member["name"] for member in members if RECORDERS & set(member["duties"])],
        "hosts": plain["hosts"],
        "slots": plain["slots"],
        "announced": list(_announced(topology)),
        "left": [
            *plain["left"],
            *_addresses.left(addresses),
            *_backup_plan.left(given.backups),
            *_pooler_plan.left(poolers),
            *_host.left(host_inputs(given)),
        ],
        "synchronous": _synchronous(given, topology),
        "backup": _backup_plan.of_cluster(given.backups),
        "pools": bool(given.cluster.get("pools")),
        "rules_of_roles": _rules_of_roles.rules(given),
        "maps_of_roles": _rules_of_roles.maps(given),
        "database_bytes": _database_bytes(given, topology.primary),
        "platform": dict(given.platform),
        "instance": _instance(given),
        "settings": settings,
        "self": _own(given, topology, settings),
    }


def _announced(topology: _topology.Decision) -> Iterator[str]:
    """Yield what an operator may want to stop before it is done."""
    cloned = {name for name, host in topology.hosts.items() if host.action == CLONE}
    for finding in topology.findings:
        if finding.host in cloned:
            yield f"{finding.text} {finding.advice}"


def _of_adoptions(given: Given, topology: _topology.Decision) -> Iterator[str]:
    """Refuse to take over a cluster whose standbys would be cut off."""
    acted_on = {name for name, host in topology.hosts.items() if host.upstream and given.observed.get(name)}
    moving = [given.member(name)["address"] for name in acted_on]
    for name, host in topology.hosts.items():
        if host.action == ADOPT:
            yield from _adoption.refusals(name, given.observed[name] or {}, _rules(given, name), moving)


def _of_backups(given: Given, topology: _topology.Decision) -> Iterator[str]:
    """Refuse what backups forbid, and to take a repository out without the operator's word."""
    bootstraps = any(host.action == BOOTSTRAP for host in topology.hosts.values())
    yield from _backup_plan.refusals(given.backups, bootstraps, None if bootstraps else _system(given, topology))
    leaving = _backup_plan.newly_suspended(given.backups)
    if leaving and given.confirm != given.cluster["name"]:
        yield (
            f"postgresql_backup_suspended_repositories takes out {', '.join(leaving)}: from then on no WAL and no "
            f"backup goes there, and nothing from then until its next full backup can be restored from it. To go on, "
            f"write -e confirm={given.cluster['name']}"
        )


def _system(given: Given, topology: _topology.Decision) -> str | None:
    seen = given.observed.get(topology.primary or "") or {}
    found = seen.get("server") or seen.get("control") or {}
    return found.get("system_identifier")


def _rules(given: Given, name: str) -> list[_hba.Rule]:
    addresses = {member["name"]: member["address"] for member in given.members if DATABASE in member["duties"]}
    return _adoption.rules_of(given.cluster, given.member(name), addresses, _rules_of_roles.rules(given))


def _consequences(given: Given, action: str) -> list[dict[str, str]]:
    """Return what taking the host's cluster over changes beside the files."""
    if action != ADOPT:
        return []
    wanted = {name: line["value"] for name, line in _server_settings(given).items()}
    return _adoption.consequences(given.seen, wanted, _rules(given, given.host), given.cluster["version"])


def conninfo(given: Given, upstream: str) -> str:
    """Return how a standby reaches the host that it follows: verified TLS, its own certificate, no secret.

    Keywords are those of PostgreSQL's documentation, "Parameter Key Words"; the value has no quotes, because it stands
    in quotes itself.
    """
    own, other = given.member(given.host), given.member(upstream)
    folder = given.own["postgresql_certificates_directory"]
    # The certificate names the member by its inventory name, and the address spares a name service.
    host = (
        f"host={other['name']} hostaddr={other['address']}" if is_ip(other["address"]) else f"host={other['address']}"
    )
    return (
        f"{host} port={other['port']} user={REPLICATOR} application_name={own['member_name']} sslmode=verify-full "
        f"sslrootcert={folder}/ca.crt sslcert={folder}/server.crt sslkey={folder}/server.key "
        "ssl_min_protocol_version=TLSv1.2 connect_timeout=5 keepalives_idle=5 keepalives_interval=2 keepalives_count=3 "
        f"tcp_user_timeout=6000 options=-cwal_sender_timeout={_timeout(own, other)}"
    )


def _receiver_timeout(given: Given, upstream: str) -> str:
    """Return after how long without a message a standby gives up its connection; what the user set stands elsewhere."""
    if RECEIVER_TIMEOUT in given.own["postgresql_server_parameters"]:
        return ""
    return _timeout(given.member(given.host), given.member(upstream))


def _timeout(own: Json, other: Json) -> str:
    return TIMEOUT if own["region"] == other["region"] else DISTANT_TIMEOUT


def host_inputs(given: Given) -> _host.Inputs:
    """Return what the role host goes by."""
    member, buffers = given.member(given.host), 0
    if member["host"]["huge_pages"] != _kernel.OFF and _has_instance(given):
        buffers = _units.parse_integer(_server_settings(given)["shared_buffers"]["value"].strip("'"), "8kB") * 8192
    return _host.Inputs(given.cluster, given.members, given.host, given.observed, buffers)


def _has_instance(given: Given) -> bool:
    return DATABASE in given.member(given.host)["duties"] and bool(given.seen)


def _own(given: Given, topology: _topology.Decision, settings: Mapping[str, Json]) -> dict[str, Any]:
    """Return what the host itself is and does."""
    member, seen = given.member(given.host), given.seen
    decided = topology.hosts.get(given.host)
    server = seen.get("server") or {}
    upstream = decided.upstream if decided and given.member(decided.upstream or given.host)["address"] else None
    action = decided.action if decided else NONE
    unit = seen.get("unit", {})
    to_enable = bool(server and not unit.get("enabled") and not unit.get("masked"))
    return {
        "name": given.host,
        "member_name": member["member_name"],
        "duties": member["duties"],
        "address": member["address"],
        "role": decided.role if decided else "none",
        "action": action,
        "reason": decided.reason if decided else "is no database host",
        "upstream": upstream,
        "conninfo": conninfo(given, upstream) if upstream else "",
        "clone_from": 0 if given.own["postgresql_server_wal_directory"] else _backup_plan.clone_from(given.backups),
        "restore_command": _backup_plan.restore_command(given.cluster),
        "receiver_timeout": _receiver_timeout(given, upstream) if upstream else "",
        "running": bool(server),
        "stale": seen.get("stale", []),
        "unit_stale": bool(unit.get("needs_daemon_reload")),
        "to_enable": to_enable,
        "pending": server.get("pending", {}),
        "pending_after_reload": _pending_after_reload(given, server, settings) if server else {},
        # What is on disk is what the server works with, whatever older file was kept.
        "files_in_force": bool(server) and not seen.get("stale") and not server.get("pending"),
        "minima": {name: int(server["settings"][name]["value"]) for name in STANDBY_MINIMA} if server else {},
        "missing_packages": _missing_packages(given),
        "project_key_needed": bool(seen) and _platform.lacks_project_key(given.cluster, member, seen),
        "service_needed": bool(
            action in {BOOTSTRAP, START, ADOPT}
            or seen.get("stale")
            or server.get("pending")
            or unit.get("needs_daemon_reload")
            or to_enable
        ),
        "adoption": _consequences(given, action),
        "accounts_needed": _accounts_needed(given, action),
        "candidates": _candidates_beside(given),
        "watch_wanted": given.cluster["durability"] == PREFERRED,
        "watch_running": unit.get("watch", {}).get("active") == "active",
        "stale_set": _stale_set(seen, action),
        "is_recorder": bool(RECORDERS & set(member["duties"])),
        "drop_slots": list(topology.slots.drop.get(given.host, ())),
        "former_slots": _former_slots(given, action, decided.role if decided else "none"),
        "create_slots": list(topology.slots.create) if given.host == topology.primary else [],
        "backup": _backup_plan.of_host(given.backups),
        "host": _host.decide(host_inputs(given)),
        "pooler": _pooler_plan.of_host(_pooler_context.context(given, topology)),
    }


def _former_slots(given: Given, action: str, role: str) -> list[str]:
    """Return the members' slots that a stopped server kept as a primary, which would keep WAL for nobody."""
    if action not in {START, ADOPT} or role == PRIMARY or given.seen.get("server"):
        return []
    members = {member["member_name"] for member in given.members if DATABASE in member["duties"]}
    return [name for name in given.seen.get("data", {}).get("slots", []) if name in members]


def _pending_after_reload(given: Given, server: Json, settings: Mapping[str, Json]) -> dict[str, dict[str, str]]:
    wanted = {name: line["value"] for name, line in settings.items()}
    version = given.cluster["version"]
    folder = f"/etc/postgresql/{version}/{given.cluster['name']}"
    files = (f"{folder}/postgresql.conf", f"{folder}/conf.d/10-server.conf")
    return _in_force.pending_after_reload(wanted, server, files, version)


def _accounts_needed(given: Given, action: str) -> bool:
    """Say whether a role that services log in as may be amiss; what a stopped server holds is not seen."""
    seen = (given.seen.get("server") or {}).get("services")
    return action in {BOOTSTRAP, START, ADOPT} or bool(_service_roles.changes(seen, Services.of(given.cluster)))


def _missing_packages(given: Given) -> list[str]:
    if not given.seen:
        return []
    duties = set(given.member(given.host)["duties"])
    packages = given.platform["packages"] if DATABASE in duties else []
    wanted = [name.format(version=given.cluster["version"]) for name in packages]
    wanted += given.member(given.host)["extension_packages"] if DATABASE in duties else []
    if given.cluster.get("repositories") and duties & RECORDERS:
        wanted.append(_backup_plan.PACKAGE)
    if _pooler_plan.wanted(given.cluster, duties):
        wanted.append(_pooler_plan.PACKAGE)
    missing = [name for name in wanted if name not in given.seen["packages"]]
    return missing + _host.missing_packages(host_inputs(given))


def _candidates_beside(given: Given) -> list[str]:
    """Return who may be synchronous if this host is the primary: the answer of a timer that outlives a failover."""
    databases = facts(given).databases
    own = databases.get(given.host)
    if own is None:
        return []
    return [member.member_name for member in databases.values() if member != own and member.is_candidate_for(own)]


def _synchronous(given: Given, topology: _topology.Decision) -> dict[str, Any]:
    """Return what becomes of the synchronous set in this run.

    The topology lets in who streams now. A standby that this run makes, starts or gives a slot will stream in a moment;
    it is waited for, and enters then.
    """
    decided = topology.synchronous
    return {
        **asdict(decided),
        "act": decided.changed or bool(decided.coming),
        "keep": list(decided.keep),
        "enter": sorted({*decided.enters, *decided.coming}),
        "behind": list(decided.behind),
        "meanwhile": list(decided.meanwhile),
        "entry": _entry(given, topology),
    }


def _entry(given: Given, topology: _topology.Decision) -> dict[str, Any]:
    """Return the line of the journal that tells of the set as it is; who writes it says when and why."""
    leader = given.observed.get(topology.primary or "") or {}
    server = leader.get("server") or {}
    moment = datetime.fromtimestamp(leader.get("clock", {}).get("now", 0), timezone.utc)
    return {
        "event": _journal.SYNCHRONOUS,
        "operation": "site",
        "primary": topology.primary,
        "durability": given.cluster["durability"],
        "to": sorted(StandbyNames.parse(topology.synchronous.live).names),
        "time": moment.isoformat(timespec="microseconds"),
        "timeline": Observation.from_json(leader).timeline,
        "lsn": server.get("lsn"),
    }


def _stale_set(seen: Json, action: str) -> str:
    """Return the set that a standby keeps of the primary that it once was: promoted, commits would wait for that."""
    server, data = seen.get("server"), seen.get("data", {})
    if server:
        return server["settings"][SYNCHRONOUS_SET]["value"] if server["in_recovery"] else ""
    becomes_standby = action == CLONE or (action in {START, ADOPT} and data.get("standby_signal"))
    return str(data.get("synchronous_set") or "") if becomes_standby else ""


def _database_bytes(given: Given, primary: str | None) -> int:
    server = (given.observed.get(primary or "") or {}).get("server") or {}
    return int(server.get("database_bytes") or 0)


def _instance(given: Given) -> dict[str, Any]:
    """Return the arguments that every operation on the host's instance takes."""
    wal = given.own["postgresql_server_wal_directory"]
    return {
        "version": given.cluster["version"],
        "cluster": given.cluster["name"],
        "port": given.cluster["port"],
        "data_directory": given.own["postgresql_server_data_directory"],
        **({"wal_directory": wal} if wal else {}),
    }


def _server_settings(given: Given) -> dict[str, dict[str, str]]:
    own, version = given.own, given.cluster["version"]
    address = given.member(given.host)["address"]
    preload = own["postgresql_server_preload_libraries"]
    server = _settings.Owned(
        cluster=given.cluster["name"],
        listen_addresses=own["postgresql_server_listen_addresses"] or ["localhost", address],
        port=given.cluster["port"],
        certificates=own["postgresql_certificates_directory"],
        preload=preload,
        archive_command=_backup_plan.archive_command(given.cluster) or _settings.NO_ARCHIVE,
    )
    inputs = _settings.tuning_inputs(given.member(given.host), given.cluster, given.observed)
    tuned = _tuning.tuned(inputs)
    # It depends on whom a standby follows, so it stands beside that, in the file of the role replication.
    tuned.pop(RECEIVER_TIMEOUT)
    if given.member(given.host)["host"]["huge_pages"] == _kernel.ON:
        tuned["huge_pages"] = _tuning.Tuned(_kernel.ON, "postgresql_host_huge_pages")
    lines = _settings.assemble(server, tuned, own["postgresql_server_parameters"], version)
    return {name: asdict(line) for name, line in lines.items()}
