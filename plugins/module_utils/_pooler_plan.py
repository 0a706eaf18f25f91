# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host does as a pooler: the part of the decision that the role pooler reads. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _pooler_files
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import ABSENT
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, POOLER
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_files import (
    PACKAGED,
    PROCESSES,
    ROLE,
    Site,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools import (
    READ_ONLY,
    Application,
    from_plain,
)

Json = Mapping[str, Any]

PACKAGE = "pgbouncer"
LEAST_VERSION = (1, 24)
MAP = "pooler"
NOT_SEEN: Json = {
    "user": False,
    "units": {},
    "current": None,
    "processes": {},
    "stale": {"reload": [], "restart": []},
    "targets": {},
    "files": [],
    "writable": [],
}


@dataclass(frozen=True)
class Context:
    """What the plan is made of.

    Attributes:
        host: inventory name of the host in question.
        cluster: what preflight returned.
        members: the members with their addresses.
        own: the host's own variables.
        observed: what was seen on each member; None for one that was not.
        primary: inventory name of the primary, None when unknown.
        standbys: names of the standbys that follow it, or will at the end of this run.
    """

    host: str
    cluster: Json
    members: Sequence[Json]
    own: Json
    observed: Mapping[str, Json | None]
    primary: str | None = None
    standbys: Sequence[str] = ()

    @property
    def pools(self) -> Json:
        """What preflight says of pools; nothing where no application has one."""
        found: Json = self.cluster.get("pools") or {}
        return found

    @property
    def applications(self) -> list[Application]:
        """The applications with a pool."""
        return [from_plain(item) for item in self.pools.get("applications", [])]

    @property
    def poolers(self) -> list[Json]:
        """The members that pool."""
        return [member for member in self.members if POOLER in member["duties"]]

    @property
    def replicated(self) -> bool:
        """Whether there is to be a standby."""
        return sum(DATABASE in member["duties"] for member in self.members) > 1

    @property
    def seen(self) -> Json:
        """What was seen of the pooler on the host."""
        found: Json = (self.observed.get(self.host) or {}).get("pooler") or NOT_SEEN
        return found

    def member(self, name: str) -> Json:
        """Return a member by its name."""
        return next(member for member in self.members if member["name"] == name)


def to_observe(cluster: Json, duties: Sequence[str]) -> dict[str, Any]:
    """Return what instance_info looks at on a host with these duties; a former pooler is looked at on every host."""
    return {"port": cluster["pools"]["port"] if wanted(cluster, duties) else 0}


def wanted(cluster: Json, duties: Collection[str]) -> bool:
    """Whether a host with these duties pools."""
    return bool(cluster.get("pools")) and POOLER in duties


def targets(context: Context) -> dict[str, str]:
    """Return the address that each of the two files leads to; where nobody knows the primary, the one that it has."""
    former = context.seen["targets"]
    if context.primary is None or not context.member(context.primary)["address"]:
        return {name: former.get(name, "") for name in ("primary", "standby")}
    reader = context.member(_reader(context) or context.primary)
    primary = context.member(context.primary)["address"]
    return {"primary": primary, "standby": reader["address"] or primary}


def of_host(context: Context) -> dict[str, Any]:
    """Return what the host itself has and does as a pooler."""
    member = context.member(context.host)
    if context.observed.get(context.host) is None:
        return {"act": "none", "before_packages": []}
    if not wanted(context.cluster, member["duties"]):
        return _retired(context)
    where = targets(context)
    if not where["primary"]:
        return {"act": "none", "before_packages": []}  # said in left
    seen = context.seen
    files = _pooler_files.contents(site(context))
    live = serving(seen)
    return {
        "act": "pool",
        "user": _pooler_files.USER,
        "user_missing": not seen["user"],
        "files": [
            {"path": _pooler_files.FOLDER, "state": "directory"},
            *({"path": path, "content": text} for path, text in files.items()),
        ],
        "before_packages": [_pooler_files.MASK],
        "reload_files": _pooler_files.RELOADED,
        "restart_files": [_pooler_files.TEMPLATE, *(_pooler_files.process_file(number) for number in PROCESSES)],
        "live": live,
        "port": context.pools["port"],
        "draining": draining(seen),
        "stale": seen["stale"],
        "units": seen["units"],
        "service_needed": bool(
            live is None or seen["stale"]["reload"] or seen["stale"]["restart"] or _amiss(seen, live)
        ),
    }


def units(plan: Json, changed: Sequence[str], new_certificate: bool) -> dict[str, Any]:
    """Return what the module services is told: the units, and whether systemd reads its files again.

    Args:
        plan: what of_host returned.
        changed: paths of the files that this run has written.
        new_certificate: whether this run has written the host's certificate.
    """
    restart = {*plan["stale"]["restart"], *(set(changed) & set(plan["restart_files"]))}
    reload = bool(plan["stale"]["reload"] or set(changed) & set(plan["reload_files"]) or new_certificate)
    live: int | None = plan["live"]
    serves = live or _enabled(plan["units"]) or PROCESSES[0]
    if live and restart and not plan["draining"]:
        # It takes over as it starts. While a former process still drains there is no place to start another one in.
        serves, reload = other(live), False
    found = [_served(serves, reload and live is not None, True)]
    found += [_served(number, True, None) for number in plan["draining"] if reload]
    if plan["units"].get(_pooler_files.unit(other(serves)), {}).get("enabled"):
        found.append({"name": _pooler_files.unit(other(serves)), "state": "any", "enabled": False})
    if plan["units"].get(PACKAGED, {}).get("active"):
        found.append({"name": PACKAGED, "state": "stopped", "enabled": None})
    return {"units": found, "daemon_reload": _pooler_files.TEMPLATE in {*changed, *restart}}


def other(number: int) -> int:
    """Return the process that takes the place of another."""
    return next(process for process in PROCESSES if process != number)


def site(context: Context) -> Site:
    """Return what the files of the host are made of."""
    where = targets(context)
    return Site(
        cluster=context.cluster["name"],
        address=context.member(context.host)["address"],
        port=context.pools["port"],
        server_port=context.cluster["port"],
        certificates=context.own["postgresql_certificates_directory"],
        poolers=len(context.poolers),
        applications=context.applications,
        networks=context.cluster["application_networks"],
        primary=where["primary"],
        standby=where["standby"],
    )


def left(context: Context) -> Iterator[str]:
    """Yield what is not configured, because nobody knows where the primary is."""
    lost = [
        member["name"]
        for member in context.poolers
        if context.pools
        and context.observed.get(member["name"])
        and not targets(on(context, member["name"]))["primary"]
    ]
    if lost:
        yield (
            f"pools: are not set up on {', '.join(lost)}, because the primary is not known; run site.yml once it "
            "answers"
        )


def refusals(context: Context) -> Iterator[str]:
    """Refuse a PgBouncer that cannot do the work, and to take a pool away from clients whose database is to go."""
    yield from _still_used(context)
    for member in context.poolers if context.pools else []:
        installed = (context.observed.get(member["name"]) or {}).get("packages", {}).get(PACKAGE)
        if installed and version(installed) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            yield (
                f"{member['name']}: has pgbouncer {installed}, which has no limit of clients for each pool and sends "
                f"clients away when it restarts; install {least} or later, such as that of the PostgreSQL project"
            )


def _still_used(context: Context) -> Iterator[str]:
    """Refuse to drop a database that clients use through a pooler: without their pool nothing would hold it."""
    leader = (context.observed.get(context.primary or "") or {}).get("server") or {}
    kept = {pool.name for application in context.applications for pool in application.pools}
    for application in context.cluster.get("applications") or ():
        database = application.get("database") or application["name"]
        # Pools of a database that has gone hold nothing; where the primary was not seen, it may be there.
        if application.get("state") != ABSENT or database not in leader.get("databases", [database]):
            continue
        clients = [*_clients(context, {database, f"{database}{READ_ONLY}"} - kept)]
        if clients:
            yield (
                f"{application['name']} is to be removed, and clients are connected to it through the poolers: "
                f"{listed(clients)}; stop the application, and run again"
            )


def _clients(context: Context, pools: Collection[str]) -> Iterator[str]:
    """Yield who is connected to pools, and where; PgBouncer's own requests are none."""
    for host, observed in context.observed.items():
        processes = ((observed or {}).get("pooler") or NOT_SEEN)["processes"].values()
        found: Counter[str] = Counter()
        for process in processes:
            for name in pools:
                found.update(process["databases"].get(name, {}).get("clients", {}))
        yield from (f"{user} {number} on {host}" for user, number in sorted(found.items()) if number and user != ROLE)


def hba_rules(cluster: Json, members: Sequence[Json]) -> list[dict[str, Any]]:
    """Return the rules by which servers let poolers in: each by its certificate, and applications' accounts behind it.

    Args:
        cluster: what preflight returned.
        members: the members with their addresses.
    """
    poolers = [member for member in members if wanted(cluster, member["duties"])]
    addresses = sorted({_hba.host_network(member["address"]) for member in poolers if member["address"]})
    if not addresses:
        return []
    log_in = {
        "comment": "Poolers ask for verifiers, by their certificates",
        "databases": ["postgres"],
        "users": [ROLE],
        "addresses": addresses,
        "method": "cert",
        "options": {"map": MAP},
    }
    return [
        log_in,
        *(
            {
                "comment": f"Application {application.name}, through a pooler",
                "databases": [_hba.literal(application.database)],
                "users": [_hba.literal(account.name) for account in application.accounts],
                "addresses": addresses,
                "method": "scram-sha-256",
                # Not whoever has the pooler's address: it shows a certificate of the cluster besides.
                "options": {"clientcert": "verify-ca"},
            }
            for application in map(from_plain, cluster["pools"]["applications"])
            if application.accounts
        ),
    ]


def ident_maps(cluster: Json, members: Sequence[Json]) -> list[dict[str, str]]:
    """Return the lines by which the certificate of each pooler stands for the role of poolers; likewise."""
    names = sorted(str(member["name"]) for member in members if wanted(cluster, member["duties"]))
    return [{"comment": f"The pooler on {name}", "map": MAP, "system_user": name, "role": ROLE} for name in names]


def version(text: str) -> tuple[int, ...]:
    """Return the upstream version of a package, epoch and revision left out."""
    upstream = text.rpartition(":")[2].partition("-")[0].partition("+")[0]
    return tuple(int(part) for part in upstream.split(".") if part.isdigit())


def _reader(context: Context) -> str | None:
    """Return the standby that readers are led to: the host's own, else one of its region, else any."""
    own = context.member(context.host)

    def distance(name: str) -> tuple[bool, bool, str]:
        return name != context.host, context.member(name)["region"] != own["region"], name

    return min((name for name in context.standbys if context.member(name)["address"]), key=distance, default=None)


def _retired(context: Context) -> dict[str, Any]:
    """Return how a pooler goes that has no pools any more, or whose host is to pool no more."""
    seen = context.seen
    if not seen["files"]:
        return {"act": "none", "before_packages": []}
    names = [name for name, unit in seen["units"].items() if unit["active"] or unit["enabled"]]
    return {
        "act": "retire",
        "before_packages": [],
        "units": [{"name": name, "state": "stopped", "enabled": False} for name in names],
        "files": [{"path": path, "state": "absent"} for path in seen["files"]],
    }


def serving(seen: Json) -> int | None:
    """Return the process that serves: the one that took over last and answers."""
    current = seen["current"]
    return current if current and seen["processes"].get(str(current), {}).get("active") else None


def draining(seen: Json) -> list[int]:
    """Return the processes that only wait for their last client."""
    return [
        number
        for number in PROCESSES
        if number != serving(seen) and seen["processes"].get(str(number), {}).get("active")
    ]


def _enabled(seen: Mapping[str, Json]) -> int | None:
    return next((number for number in PROCESSES if seen.get(_pooler_files.unit(number), {}).get("enabled")), None)


def _amiss(seen: Json, live: int) -> bool:
    """Whether another unit than the one that serves starts with the host, or the package's own is at work."""
    state = seen["units"]
    enabled = [name for name, unit in state.items() if unit["enabled"]]
    return enabled != [_pooler_files.unit(live)] or state.get(PACKAGED, {}).get("active", False)


def _served(number: int, reload: bool, enabled: bool | None) -> dict[str, Any]:
    return {"name": _pooler_files.unit(number), "state": "reloaded" if reload else "started", "enabled": enabled}


def on(context: Context, host: str) -> Context:
    return Context(**{**vars(context), "host": host})
