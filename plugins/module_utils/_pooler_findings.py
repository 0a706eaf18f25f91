# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator should know about the pooler of one host. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _pooler_files, _pooler_plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, INFO, WARNING, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_plan import Context

Json = Mapping[str, Any]

SATURATED = 0.8  # of the server connections that a pool may have
LONG_WAIT = 1.0  # seconds for which a client has waited
RUN_SITE = "Run site.yml, which sets it right."


def findings(context: Context) -> Iterator[Finding]:
    """Yield what is not as it should be with the pooler of the host that the context is seen from."""
    host, seen = context.host, context.seen
    if not _pooler_plan.wanted(context.cluster, context.member(host)["duties"]) or not context.observed.get(host):
        return
    live = _pooler_plan.serving(seen)
    if live is None:
        text = f"No pooler serves on {host}: none of its processes runs."
        yield Finding(ERROR, host, text, f"Look at systemctl status 'pgbouncer@*' on {host}; run site.yml.")
        return
    process = seen["processes"][str(live)]
    if not process["answers"]:
        text = f"The pooler on {host} does not answer: {process['error']}."
        yield Finding(ERROR, host, text, f"Look at journalctl -u {_pooler_files.unit(live)} on {host}.")
        return
    if not seen["units"].get(_pooler_files.unit(live), {}).get("enabled"):
        text = f"The pooler on {host} does not start with the host: the process that serves is not enabled."
        yield Finding(ERROR, host, text, RUN_SITE)
    if seen["writable"]:
        text = f"Others than root may write what the pooler on {host} reads: {', '.join(seen['writable'])}."
        yield Finding(ERROR, host, text, RUN_SITE)
    yield from _stale(host, seen)
    yield from _pools(context, process["databases"])
    yield from _draining(host, seen)


def _stale(host: str, seen: Json) -> Iterator[Finding]:
    if seen["stale"]["reload"]:
        text = f"The pooler on {host} has not read what changed: {', '.join(seen['stale']['reload'])}."
        yield Finding(ERROR, host, text, RUN_SITE)
    if seen["stale"]["restart"]:
        text = f"The pooler on {host} runs without what only a start takes over: {', '.join(seen['stale']['restart'])}."
        held = bool(_pooler_plan.draining(seen))
        advice = "Run site.yml once the clients of the former process have left." if held else RUN_SITE
        yield Finding(WARNING, host, text, advice)


def _pools(context: Context, databases: Mapping[str, Json]) -> Iterator[Finding]:
    host, where = context.host, _pooler_plan.targets(context)
    declared = {pool.name: pool.read_only for application in context.applications for pool in application.pools}
    yield from _astray(context, {name: databases[name]["host"] for name in declared if name in databases}, declared)
    if lacking := [name for name in declared if name not in databases]:
        yield Finding(ERROR, host, f"The pooler on {host} lacks pools: {listed(lacking)}.", RUN_SITE)
    if paused := [name for name, database in databases.items() if database["paused"]]:
        text = f"Pools on {host} are paused, so clients wait: {listed(paused)}."
        advice = f"When nobody moves the primary at this moment, run on {host}: sudo {_pooler_files.PROGRAM} resume"
        yield Finding(ERROR, host, text, advice)
    readers = [name for name, read_only in declared.items() if read_only]
    if readers and context.replicated and where["standby"] == where["primary"]:
        text = f"Readers on {host} are led to the primary, because no standby streams: {listed(readers)}."
        yield Finding(WARNING, host, text, "Bring a standby back; site.yml leads them there again.")
    for name, read_only in declared.items():
        if name in databases:
            yield from _load(host, name, databases[name], read_only)
    yield from _figures(context, databases)


def _astray(context: Context, hosts: Mapping[str, str], declared: Mapping[str, bool]) -> Iterator[Finding]:
    """Name the pools that lead elsewhere than they have to."""
    if context.primary is None:
        return
    host, where = context.host, _pooler_plan.targets(context)
    for read_only, target, words in (
        (False, where["primary"], f"{context.primary} is the primary"),
        (True, where["standby"], "readers belong to"),
    ):
        elsewhere: dict[str, list[str]] = {}
        for name, address in hosts.items():
            if declared[name] == read_only and address != target:
                elsewhere.setdefault(address, []).append(name)
        for address, names in elsewhere.items():
            right = words if not read_only else f"{words} {target}"
            text = f"The pooler on {host} leads {listed(names)} to {address}, and {right}."
            yield Finding(WARNING if read_only else ERROR, host, text, RUN_SITE)


def _figures(context: Context, databases: Mapping[str, Json]) -> Iterator[Finding]:
    """Name the pools that may open more or less than their share."""
    for pool in (pool for application in context.applications for pool in application.pools):
        live = databases.get(pool.name, {}).get("figures", {})
        planned = _pooler_files.figures(pool, len(context.poolers))
        others = [name for name, figure in planned.items() if name in live and live[name] != figure]
        if others:
            text = f"The pool {pool.name} on {context.host} has {listed(f'{name} {live[name]}' for name in others)}"
            share = listed(f"{name} {planned[name]}" for name in others)
            yield Finding(WARNING, context.host, f"{text}, and its share is {share}.", RUN_SITE)


def _load(host: str, name: str, database: Json, read_only: bool) -> Iterator[Finding]:
    share = database["busy"] / database["connections"] if database["connections"] else 0.0
    if share < SATURATED and database["longest_wait"] < LONG_WAIT:
        return
    waiting = database["waiting"]
    clients = f"{waiting} client{'s' * (waiting != 1)} wait{'s' * (waiting == 1)}"
    text = (
        f"The pool {name} on {host} is saturated: {database['busy']} of {database['connections']} server connections "
        f"work, {clients}, the longest for {database['longest_wait']:.1f} s."
    )
    where = "pool.read_only" if read_only else "pool"
    advice = (
        f"Look for slow transactions; if there are none, give it a larger size in {where}, a total over all poolers."
    )
    yield Finding(WARNING, host, text, advice)


def _draining(host: str, seen: Json) -> Iterator[Finding]:
    for number in _pooler_plan.draining(seen):
        unit = _pooler_files.unit(number)
        text = f"A former process of the pooler on {host} still has clients, who cannot be paused."
        yield Finding(
            INFO, host, text, f"It goes with the last of them; systemctl stop {unit} on {host} sends them away."
        )
