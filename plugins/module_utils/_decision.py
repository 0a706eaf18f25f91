# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host does in a run: the decision about its cluster, seen from that host, as its roles read it.

Pure: the action plugin `decide` hands over what preflight returned and what was observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _platform, _settings, _topology, _tuning
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import (
    DATABASE,
    PREFERRED,
    REPLICATOR,
    STANDBY_MINIMA,
    Cluster,
    Member,
    is_ip,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import Observation
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import ADOPT, BOOTSTRAP, NONE, START
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames

Json = Mapping[str, Any]

RECORDERS = {DATABASE, "repository"}
# A WAL sender or receiver that hears nothing for so long counts as dead; another region is farther away.
TIMEOUT, DISTANT_TIMEOUT = "6s", "30s"
SYNCHRONOUS_SET = "synchronous_standby_names"
RECEIVER_TIMEOUT = "wal_receiver_timeout"


@dataclass(frozen=True)
class Given:
    """All that a decision is made of.

    Attributes:
        host: inventory name of the host in question.
        cluster: what preflight returned about the cluster.
        own: the host's own variables.
        observed: what instance_info saw on each member; None for a host that was not observed.
        platforms: the data of every known distribution, by key.
    """

    host: str
    cluster: Json
    own: Json
    observed: Mapping[str, Json | None]
    platforms: Mapping[str, Json]

    @property
    def platform(self) -> Json:
        """The data of the host's distribution; nothing for one that is refused anyway."""
        return self.platforms.get(_platform.key(self.seen), {"packages": []}) if self.seen else {"packages": []}

    @property
    def seen(self) -> Json:
        """What was seen on the host itself."""
        return self.observed[self.host] or {}

    @property
    def members(self) -> list[Json]:
        """The members with the addresses that were observed where the inventory names none; "" for an unknown one."""
        return [member | {"address": self._address(member), "port": self.cluster["port"]} for member in self._declared]

    @property
    def _declared(self) -> list[dict[str, Any]]:
        return list(self.cluster["members"])

    def _address(self, member: Json) -> str:
        host = (self.observed.get(member["name"]) or {}).get("host", {})
        return str(member["address"] or host.get("ipv4") or host.get("ipv6") or "")

    def member(self, name: str) -> Json:
        """Return a member by its name."""
        return next(member for member in self.members if member["name"] == name)


def decide(given: Given) -> dict[str, Any]:
    """Return the decision as the roles read it, with all refusals."""
    topology = _topology.decide(facts(given), observations(given.observed))
    members = given.members
    databases = [member for member in members if DATABASE in member["duties"]]
    addresses = {member["name"]: member["address"] for member in databases}
    plain = topology.to_dict()
    return {
        "refusals": [
            *_platform.refusals(given.cluster, given.platforms, given.observed),
            *_addresses(members),
            *topology.refusals,
        ],
        "cluster": given.cluster["name"],
        "durability": given.cluster["durability"],
        "replicated": len(databases) > 1,
        "primary": topology.primary,
        "primary_reason": topology.primary_reason,
        "members": members,
        "addresses": addresses,
        # A rule for a member whose address is not known would be lost: the files that hold rules stay as they are.
        "addresses_known": all(addresses.values()),
        "targets": [
            {key: member[key] for key in ("name", "address", "port")} for member in databases if member["address"]
        ],
        "recorders": [member["name"] for member in members if RECORDERS & set(member["duties"])],
        "hosts": plain["hosts"],
        "slots": plain["slots"],
        "left": plain["left"],
        "synchronous": _synchronous(given, topology),
        "database_bytes": _database_bytes(given, topology.primary),
        "platform": dict(given.platform),
        "instance": _instance(given),
        "settings": _server_settings(given) if _has_instance(given) else {},
        "self": _own(given, topology),
    }


def facts(given: Given) -> Cluster:
    """Return what the inventory states about the cluster, as the topology reads it."""
    cluster = given.cluster
    return Cluster(
        members=tuple(Member.from_json(member) for member in given.members),
        initial_primary=cluster["initial_primary"],
        name=cluster["name"],
        version=cluster["version"],
        durability=cluster["durability"],
        adopt=cluster["adopt"],
        locale=cluster["locale"],
        locale_provider=cluster["locale_provider"],
    )


def observations(observed: Mapping[str, Json | None]) -> dict[str, Observation | None]:
    """Return the typed view of what was seen."""
    return {name: Observation.from_json(seen) if seen else None for name, seen in observed.items()}


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


def _has_instance(given: Given) -> bool:
    return DATABASE in given.member(given.host)["duties"] and bool(given.seen)


def _own(given: Given, topology: _topology.Decision) -> dict[str, Any]:
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
        "receiver_timeout": _receiver_timeout(given, upstream) if upstream else "",
        "running": bool(server),
        "stale": seen.get("stale", []),
        "unit_stale": bool(unit.get("needs_daemon_reload")),
        "to_enable": to_enable,
        "pending": server.get("pending", {}),
        "minima": {name: int(server["settings"][name]["value"]) for name in STANDBY_MINIMA} if server else {},
        "missing_packages": _missing_packages(given),
        "service_needed": bool(
            action in {BOOTSTRAP, START, ADOPT}
            or seen.get("stale")
            or server.get("pending")
            or unit.get("needs_daemon_reload")
            or to_enable
        ),
        "accounts_needed": _accounts_needed(given, action),
        "candidates": _candidates_beside(given),
        "watch_wanted": given.cluster["durability"] == PREFERRED,
        "watch_running": unit.get("watch", {}).get("active") == "active",
        # A standby that was primary once keeps a set, and would make commits wait for it when it is promoted.
        "set_is_stale": bool(server and server["in_recovery"] and server["settings"][SYNCHRONOUS_SET]["value"]),
        "drop_slots": list(topology.slots.drop.get(given.host, ())),
        "create_slots": list(topology.slots.create) if given.host == topology.primary else [],
    }


def _accounts_needed(given: Given, action: str) -> bool:
    """Say whether the role that standbys log in as may be missing; what a stopped server holds is not seen."""
    server = given.seen.get("server") or {}
    replicated = len(facts(given).databases) > 1
    return action in {BOOTSTRAP, START, ADOPT} or (replicated and REPLICATOR not in server.get("roles", {REPLICATOR}))


def _missing_packages(given: Given) -> list[str]:
    if not _has_instance(given):
        return []
    wanted = [name.format(version=given.cluster["version"]) for name in given.platform["packages"]]
    return [name for name in wanted if name not in given.seen["packages"]]


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
    enter = sorted({*decided.enters, *decided.coming})
    live = sorted(StandbyNames.parse(decided.live).names)
    clock = (given.observed.get(topology.primary or "") or {}).get("clock", {})
    moment = datetime.fromtimestamp(clock.get("now", 0), timezone.utc).isoformat(timespec="seconds")
    entry = {"time": moment, "event": "synchronous set", "from": live, "by": "site"}
    return {
        **asdict(decided),
        "act": decided.changed or bool(decided.coming),
        "keep": list(decided.keep),
        "enter": enter,
        "weakens": decided.weakened,
        "entry": entry | {"to": sorted({*decided.keep, *enter})},
        "relax_entry": entry | {"to": [], "by": "relax_synchronous"},
    }


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
    )
    inputs = _settings.tuning_inputs(given.member(given.host), given.cluster, given.observed)
    tuned = _tuning.tuned(inputs)
    # It depends on whom a standby follows, so it stands beside that, in the file of the role replication.
    tuned.pop(RECEIVER_TIMEOUT)
    lines = _settings.assemble(server, tuned, own["postgresql_server_parameters"], version)
    return {name: asdict(line) for name, line in lines.items()}


def _addresses(members: Sequence[Json]) -> list[str]:
    """Refuse two members with one observed address."""
    holders: dict[str, list[str]] = {}
    for member in members:
        if member["address"]:
            holders.setdefault(member["address"], []).append(member["name"])
    return [
        f"{' and '.join(names)}: both have the address {address}; write postgresql_address for each of them"
        for address, names in holders.items()
        if len(names) > 1
    ]
