# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the hosts of a cluster restart for settings that wait for it.

A standby does not start with less than its primary has of five parameters (Hot Standby: Administrator's Overview in
PostgreSQL's documentation), so they are raised on standbys first and lowered on the primary first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA

NONE = "none"
STANDBY = "standby"
PRIMARY = "primary"
AFTER_PRIMARY = "after_primary"
HELD = "held"


@dataclass(frozen=True)
class Waiting:
    """A setting that waits for a restart: what runs and what the files say."""

    running: str
    configured: str


@dataclass(frozen=True)
class Running:
    """A database host whose server answers.

    Attributes:
        waiting: settings that wait for a restart, by name.
        minima: the running values of STANDBY_MINIMA.
    """

    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    minima: Mapping[str, int] = field(default_factory=dict)

    def raised(self, name: str) -> int | None:
        """The value that a parameter of STANDBY_MINIMA is to be raised to."""
        wanted = self.wanted(name)
        return wanted if wanted > self.minima[name] else None

    def wanted(self, name: str) -> int:
        """The value of a parameter of STANDBY_MINIMA after a restart."""
        return int(self.waiting[name].configured) if name in self.waiting else self.minima[name]


@dataclass(frozen=True)
class Plan:
    """What a host does.

    Attributes:
        phase: none, standby, primary, after_primary, or held.
        standby_needs: what a standby has to have replayed before it restarts, by parameter.
        reason: why it is held.
    """

    phase: str
    standby_needs: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


def plan(host: str, hosts: Mapping[str, Running], databases: list[str], primary: str | None, allowed: bool) -> Plan:
    """Return what a host does; every host computes the same picture.

    Args:
        host: the host in question.
        hosts: the database hosts whose servers answer in this run, by name.
        databases: names of all database hosts.
        primary: name of the primary, None when it is unknown.
        allowed: whether the primary may restart.
    """
    own = hosts.get(host)
    if own is None or not own.waiting:
        return Plan(NONE)
    if primary is None or primary not in hosts:
        return Plan(HELD, reason="the primary did not answer")
    if host == primary:
        return _plan_primary(hosts, databases, primary, allowed)
    return _plan_standby(own, hosts, databases, primary, allowed)


def order(hosts: Mapping[str, Running], databases: list[str], primary: str | None, allowed: bool) -> list[str]:
    """Return which hosts restart, one after the other; the arguments are those of plan.

    Among the standbys the order is that of databases.
    """
    phases = {host: plan(host, hosts, databases, primary, allowed).phase for host in databases}
    return [host for phase in (STANDBY, PRIMARY, AFTER_PRIMARY) for host in databases if phases[host] == phase]


def _plan_primary(hosts: Mapping[str, Running], databases: list[str], primary: str, allowed: bool) -> Plan:
    if not allowed:
        return Plan(HELD, reason="postgresql_server_restart is false")
    own = hosts[primary]
    for name in STANDBY_MINIMA:
        wanted = own.raised(name)
        behind = [host for host in databases if wanted is not None and _stays_below(hosts.get(host), name, wanted)]
        if behind:
            return Plan(HELD, reason=f"{', '.join(behind)} would still run with less {name} than {wanted}")
    if _waits_for_primary(own, hosts, primary):
        return Plan(HELD, reason=MIXED)
    return Plan(PRIMARY)


def _plan_standby(
    own: Running, hosts: Mapping[str, Running], databases: list[str], primary: str, allowed: bool
) -> Plan:
    first = hosts[primary]
    lowered = [name for name in STANDBY_MINIMA if own.wanted(name) < first.minima[name]]
    if not lowered:
        return Plan(STANDBY)
    decided = _plan_primary(hosts, databases, primary, allowed)
    if decided.phase != PRIMARY or any(own.wanted(name) < first.wanted(name) for name in lowered):
        return Plan(HELD, reason=decided.reason or f"{primary} has more {', '.join(lowered)}, and keeps it")
    return Plan(AFTER_PRIMARY, {name: first.wanted(name) for name in STANDBY_MINIMA})


MIXED = "one parameter is raised and another lowered, of those that a standby must not have lower: do it in two runs"


def _stays_below(standby: Running | None, name: str, value: int) -> bool:
    return standby is None or standby.wanted(name) < value


def _waits_for_primary(own: Running, hosts: Mapping[str, Running], primary: str) -> bool:
    """Whether a standby could go neither before the primary, which lowers, nor after it, which raises."""
    raises = [name for name in STANDBY_MINIMA if own.raised(name) is not None]
    standbys = [running for host, running in hosts.items() if host != primary]
    return any(
        any(standby.minima[name] < own.wanted(name) for name in raises)
        and any(standby.wanted(name) < own.minima[name] for name in STANDBY_MINIMA)
        for standby in standbys
    )
