# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observations as instance_info returns them, and a decision in few words, for the tables of the topology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import Cluster, Member
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import Observation
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames

ID = "7300000000000000001"
OTHER_ID = "7300000000000000002"
DIRECTORY = "/var/lib/postgresql/16/main"

DB1 = Member("db1", frozenset({"database", "pooler"}), "eu-west", "eu-west-1a", "10.0.0.1")
DB2 = Member("db2", frozenset({"database", "pooler"}), "eu-west", "eu-west-1b", "10.0.0.2")
DB3 = Member("db3", frozenset({"database", "pooler"}), "us-west", "us-west-2a", "10.0.0.3")
DB4 = Member("db4", frozenset({"database", "pooler"}), "eu-west", "eu-west-1c", "10.0.0.4")
OPS1 = Member("ops1", frozenset({"repository"}), "eu-west", "eu-west-1a", "10.0.0.9")
ADDRESSES = {member.name: member.address for member in (DB1, DB2, DB3, DB4, OPS1)}


def cluster(*members: Member, **facts: Any) -> Cluster:
    """Three database hosts and a repository host, unless members are given."""
    return Cluster(**{"members": members or (DB1, DB2, DB3, OPS1), "initial_primary": "db1", **facts})


def repository(**changes: Any) -> dict[str, Any]:
    """A host that is no database host."""
    clock = {"sent": 1000.0, "received": 1000.4, "now": 1000.2}
    return {"clock": clock, "host": {"ipv4": "10.0.0.9", "ipv6": None}, "libc": "2.41"} | changes


def clock(offset: float) -> dict[str, Any]:
    """The clock of a host that is ahead of the controller by this many seconds, give or take 0.2 s."""
    return {"sent": 1000.0, "received": 1000.4, "now": 1000.2 + offset}


def empty(**changes: Any) -> dict[str, Any]:
    """A database host without a cluster; changes to data and unit are merged in."""
    data = {"directory": DIRECTORY, "state": "absent", "version": None, "incomplete": False, "standby_signal": False}
    unit = {"active": "inactive", "masked": False, "clone": {"active": "inactive"}}
    return repository() | {
        "data": data | {"auto_conf": {}} | changes.pop("data", {}),
        "unit": unit | changes.pop("unit", {}),
        "marker": None,
        "control": None,
        "server": None,
        **changes,
    }


def stopped(state: str = "shut down", timeline: int = 1, lsn: str = "0/5000028", **changes: Any) -> dict[str, Any]:
    """A host with a cluster of ours that does not run."""
    identifier = changes.pop("identifier", ID)
    control = {"system_identifier": identifier, "state": state, "timeline": timeline, "checkpoint_lsn": lsn}
    data = {"state": "cluster", "version": "16"} | changes.pop("data", {})
    return empty(data=data, **({"marker": {"system_identifier": identifier}, "control": control} | changes))


def stopped_standby(lsn: str = "0/5000000", **changes: Any) -> dict[str, Any]:
    """A host with a standby of ours that does not run."""
    data = {"standby_signal": True} | changes.pop("data", {})
    return stopped(changes.pop("state", "shut down in recovery"), lsn=lsn, data=data, **changes)


def _running(server: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    settings = {name: setting(value) for name, value in changes.pop("settings", {}).items()}
    identifier = changes.pop("identifier", ID)
    common = {
        "system_identifier": identifier,
        "history": [{"timeline": number, "switch_lsn": lsn} for number, lsn in changes.pop("history", {}).items()],
        "locale_provider": "libc",
        "locale": "C.UTF-8",
        "settings": settings,
        "slots": {},
        "replication": {},
        "receiver": None,
    }
    unit = {"active": "active"} | changes.pop("unit", {})
    seen = stopped(timeline=server["timeline"], identifier=identifier, unit=unit, data=changes.pop("data", {}))
    return seen | {"server": common | server | changes.pop("server", {})} | changes


def setting(value: str, sourcefile: str | None = "/etc/postgresql/16/main/postgresql.conf") -> dict[str, Any]:
    """A setting as pg_settings shows it."""
    return {"value": value, "unit": None, "source": "configuration file", "sourcefile": sourcefile}


def slot(active: bool = True, wal_status: str = "reserved", retained_bytes: int = 0) -> dict[str, Any]:
    """A physical slot."""
    return {"active": active, "wal_status": wal_status, "retained_bytes": retained_bytes}


def primary(*standbys: str, **changes: Any) -> dict[str, Any]:
    """A host that runs as primary, with a slot and a stream for each standby."""
    server = {
        "in_recovery": False,
        "timeline": changes.pop("timeline", 1),
        "lsn": changes.pop("lsn", "0/5000000"),
        "slots": {name: slot() for name in standbys} | changes.pop("slots", {}),
        "replication": {name: {"state": "streaming"} for name in standbys} | changes.pop("replication", {}),
    }
    names = changes.pop("synchronous", "")
    return _running(server, {"settings": {"synchronous_standby_names": names}, **changes})


def standby(of: str = "10.0.0.1", **changes: Any) -> dict[str, Any]:
    """A host that runs as standby and streams from an address."""
    timeline = changes.pop("timeline", 1)
    receiver = {"status": "streaming", "sender_host": of, "timeline": timeline}
    server = {
        "in_recovery": True,
        "timeline": timeline,
        "lsn": changes.pop("lsn", "0/5000000"),
        "slots": changes.pop("slots", {}),
        "receiver": changes.pop("receiver", receiver),
    }
    conninfo = changes.pop("conninfo", f"host={of} port=5432 user=replicator")
    return _running(server, {"settings": {"primary_conninfo": conninfo}, "data": {"standby_signal": True}, **changes})


def all_empty(**changes: Any) -> dict[str, Any]:
    """Four fresh hosts; changes replace a host's observation."""
    return {"db1": empty(), "db2": empty(), "db3": empty(), "ops1": repository()} | changes


def healthy(**changes: Any) -> dict[str, Any]:
    """A converged platform; changes replace a host's observation."""
    first = primary("db2", "db3", synchronous='ANY 1 ("db2")')
    return {"db1": first, "db2": standby(), "db3": standby(), "ops1": repository()} | changes


def moved(**changes: Any) -> dict[str, Any]:
    """The platform after db2 was promoted by hand and db3 pointed to it; db1 is stopped."""
    first = primary("db3", timeline=2, lsn="0/6000000", history={1: "0/5000000"})
    follower = standby("10.0.0.2", timeline=2, lsn="0/6000000", history={1: "0/5000000"})
    return {"db1": stopped(), "db2": first, "db3": follower, "ops1": repository()} | changes


ALONE = cluster(DB1, initial_primary="", durability="asynchronous")
NO_PROMISE = "info : Commits wait for no standby: postgresql_replication_durability is asynchronous."
UNSEEN = {
    name: f"warning {name}: {name} was not observed: it is unreachable, or outside --limit." for name in ADDRESSES
}


def old_primary(host: str) -> str:
    """The finding about a primary that stopped while db2 is the primary."""
    at = "timeline 1, LSN 0/5000028"
    return f"error {host}: {host} was a primary ({at}) and is stopped; beside db2 it is not started."


@dataclass(frozen=True)
class Situation:
    """One row: what is observed, and what the decision says about it (see outcome)."""

    name: str
    seen: Mapping[str, Any]
    outcome: Mapping[str, Any]
    facts: Cluster = field(default_factory=cluster)

    @property
    def observed(self) -> dict[str, Observation | None]:
        """The observations as decide takes them; a journal that is not given tells of the set that is in force."""
        return observe(with_journals(self.seen, self.facts.durability))


def journal(*to: str, **entry: Any) -> dict[str, Any]:
    """What a host's journal last says about the synchronous set."""
    return {"synchronous_set": {"to": list(to), "durability": "required", "timeline": 1, **entry}, "error": None}


def with_journals(seen: Mapping[str, Any], durability: str = "required") -> dict[str, Any]:
    """Add to each host that comes without a journal one that tells of the primary's set."""
    leaders = [one["server"] for one in seen.values() if one and one.get("server") and not one["server"]["in_recovery"]]
    if not leaders:
        return dict(seen)
    names = leaders[0]["settings"].get("synchronous_standby_names", {"value": ""})["value"]
    members = sorted(StandbyNames.parse(names).names)
    entry = {"journal": journal(*members, durability=durability, timeline=leaders[0]["timeline"])}
    return {name: one and entry | dict(one) for name, one in seen.items()}


def observe(seen: Mapping[str, Any]) -> dict[str, Observation | None]:
    """Parse observations; None stays unknown."""
    return {name: None if one is None else Observation.from_json(one) for name, one in seen.items()}


def outcome(decided: Mapping[str, Any], also: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decision does and says, without what is quiet; keys of `also` are always there.

    `hosts` shows each host as "role action upstream", `reasons` why; `advice` what the findings advise.
    """
    hosts = decided["hosts"]
    synchronous = decided["synchronous"]
    said = {
        "refusals": decided["refusals"],
        "actions": {name: host["action"] for name, host in hosts.items() if host["action"] != "none"},
        "create": decided["slots"]["create"],
        "drop": decided["slots"]["drop"],
        "set": synchronous["wanted"] if synchronous["changed"] else "",
        "enters": synchronous["enters"],
        "leaves": synchronous["leaves"],
        "flags": [flag for flag in ("weakened", "strengthened", "waits", "degraded") if synchronous[flag]],
        "findings": [f"{found['severity']} {found['host']}: {found['text']}" for found in decided["findings"]],
        "left": decided["left"],
    }
    asked = {
        "primary": decided["primary"],
        "reason": decided["primary_reason"],
        "hosts": {name: f"{host['role']} {host['action']} {host['upstream']}" for name, host in hosts.items()},
        "reasons": {name: host["reason"] for name, host in hosts.items()},
        "advice": [found["advice"] for found in decided["findings"]],
        "candidates": synchronous["candidates"],
        "coming": synchronous["coming"],
        "keep": synchronous["keep"],
        "meanwhile": synchronous["meanwhile"],
        "behind": synchronous["behind"],
        "acts": decided["acts"],
    }
    return {key: value for key, value in said.items() if value} | {key: asked[key] for key in also if key in asked}
