# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring systemd units into their states, many in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, run

STARTED, STOPPED, RELOADED, RESTARTED, ANY = "started", "stopped", "reloaded", "restarted", "any"
STATES = (STARTED, STOPPED, RELOADED, RESTARTED, ANY)
LIMIT = 90  # seconds for systemctl to return


@dataclass(frozen=True)
class Unit:
    """A unit and what is wanted of it.

    Attributes:
        name: with its suffix.
        state: started, stopped, reloaded or restarted, of which the last two start a unit that does not run; any leaves
            it as it is.
        enabled: whether it starts with the host; None leaves that alone.
    """

    name: str
    state: str
    enabled: bool | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Unit:
        """Return the unit that an entry of a module's arguments names."""
        return cls(given["name"], given["state"], given["enabled"])


@dataclass(frozen=True)
class Seen:
    """How systemd sees a unit."""

    active: bool
    enabled: bool


def converge(units: Sequence[Unit], daemon_reload: bool, check_mode: bool) -> list[dict[str, str]]:
    """Bring units into their states and return what changed, or would.

    Args:
        units: what is wanted.
        daemon_reload: whether systemd reads its files again first.
        check_mode: only say what would change.
    """
    if daemon_reload and not check_mode:
        run(["systemctl", "daemon-reload"])
    seen = {unit.name: _seen(unit.name) for unit in units}
    changes = []
    for verb, names in _verbs(units, seen):
        changes += [change("service", name, _before(verb, seen[name]), _after(verb)) for name in names]
        if not check_mode:
            run(["systemctl", verb, "--quiet", *names], timeout=LIMIT)
    return changes


def _verbs(units: Sequence[Unit], seen: Mapping[str, Seen]) -> list[tuple[str, list[str]]]:
    """Return what systemctl is told, each verb once, in an order that never starts what is about to be stopped."""
    wanted: dict[str, list[str]] = {verb: [] for verb in ("stop", "disable", "enable", "start", "reload", "restart")}
    for unit in units:
        active, enabled = seen[unit.name].active, seen[unit.name].enabled
        if unit.state == ANY:
            verb = ""
        elif unit.state == STOPPED:
            verb = "stop" if active else ""
        elif not active:
            verb = "start"
        else:
            verb = {RELOADED: "reload", RESTARTED: "restart"}.get(unit.state, "")
        if verb:
            wanted[verb].append(unit.name)
        if unit.enabled is not None and unit.enabled != enabled:
            wanted["enable" if unit.enabled else "disable"].append(unit.name)
    return [(verb, names) for verb, names in wanted.items() if names]


def _before(verb: str, seen: Seen) -> str:
    if verb in {"enable", "disable"}:
        return "enabled" if seen.enabled else "disabled"
    return "running" if seen.active else "stopped"


def _after(verb: str) -> str:
    words = {"stop": STOPPED, "start": STARTED, "reload": RELOADED, "restart": RESTARTED}
    return words.get(verb, f"{verb}d")


def _seen(name: str) -> Seen:
    text = run(["systemctl", "show", "--property=ActiveState,UnitFileState", name])
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Seen(
        found.get("ActiveState") in {"active", "reloading", "activating"}, found.get("UnitFileState") == "enabled"
    )
