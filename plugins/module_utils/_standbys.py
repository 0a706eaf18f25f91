# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with each database host once it is known who the primary is, or that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import obstacle
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS
from ansible_collections.steadfast.postgresql.plugins.module_utils._observation import BUSY_STATES, Observation
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import Picture, can_follow, listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._primary import LIVE, NEW, STOPPED, Choice

PRIMARY = "primary"
SYNCHRONOUS = "synchronous"
UNKNOWN = "unknown"

BOOTSTRAP = "bootstrap"
CLONE = "clone"
START = "start"
ADOPT = "adopt"
REPOINT = "repoint"
NONE = "none"

BECOMES_PRIMARY = {LIVE: NONE, STOPPED: START, NEW: BOOTSTRAP}


@dataclass(frozen=True)
class HostDecision:
    """What is done with one database host.

    Attributes:
        role: primary, synchronous (what a standby may be where it stands), asynchronous, or unknown.
        action: bootstrap, clone, start, adopt, repoint or none. `start` also waits for one that is starting;
            `adopt` writes the marker and then does what start and repoint do.
        reason: why, a phrase.
        upstream: the host to follow; None for the primary and where the one that is followed stays as it is.
        left: something was left undone because of what is not known.
    """

    role: str
    action: str
    reason: str
    upstream: str | None = None
    left: bool = False


def decide_host(picture: Picture, choice: Choice, name: str) -> HostDecision:
    """Decide one database host; whether the cluster is in danger is decided elsewhere."""
    if choice.refusals:
        return HostDecision(UNKNOWN, NONE, choice.reason)
    if name in picture.unknown_hosts:
        return HostDecision(UNKNOWN, NONE, "not observed", left=True)
    if name == choice.name:
        return _primary(picture, choice, name)
    found = obstacle(picture, name, choice.name)
    if found:
        return HostDecision(UNKNOWN, NONE, found.text)
    if choice.name is None:
        return _beside_nobody(picture.hosts[name])
    return _standby(picture, choice.name, name)


def _primary(picture: Picture, choice: Choice, name: str) -> HostDecision:
    if picture.needs_marker(name):
        return HostDecision(PRIMARY, ADOPT, f"takes over the cluster {picture.hosts[name].system_identifier}")
    return HostDecision(PRIMARY, BECOMES_PRIMARY[choice.status], choice.reason)


def _beside_nobody(seen: Observation) -> HostDecision:
    if seen.is_stopped_standby:
        return HostDecision(UNKNOWN, START, "is a stopped standby; it follows whom it followed before")
    if seen.is_empty:
        return HostDecision(UNKNOWN, NONE, "stays empty, because the primary is not known", left=True)
    return HostDecision(UNKNOWN, NONE, "keeps following whom it follows, because the primary is not known", left=True)


def _standby(picture: Picture, primary: str, name: str) -> HostDecision:
    seen = picture.hosts[name]
    role = _role(picture, primary, name)
    if seen.is_empty:
        return HostDecision(role, CLONE, _reason_to_clone(seen), primary)
    if picture.needs_marker(name):
        return HostDecision(role, ADOPT, f"holds the cluster {seen.system_identifier} without its marker", primary)
    if seen.is_stopped_standby:
        return HostDecision(role, START, "is a stopped standby", primary)
    if seen.senders & picture.addresses(primary):
        return HostDecision(role, NONE, f"follows {primary}", primary)
    if not can_follow(seen, picture.hosts[primary]):
        # A primary that runs tells where it left older timelines, and this is a refusal then.
        return HostDecision(role, NONE, f"is re-pointed once {primary} runs", left=True)
    followed = listed(sorted(seen.senders)) if seen.senders else "nobody"
    return HostDecision(role, REPOINT, f"follows {followed} instead of {primary}", primary)


def _role(picture: Picture, primary: str, name: str) -> str:
    cluster = picture.cluster
    databases = cluster.databases
    if cluster.durability != ASYNCHRONOUS and databases[name].is_candidate_for(databases[primary]):
        return SYNCHRONOUS
    return ASYNCHRONOUS


def _reason_to_clone(seen: Observation) -> str:
    if seen.unit.clone in BUSY_STATES:
        return "is being cloned already"
    if seen.data.incomplete:
        return "holds a clone that was interrupted"
    return "holds no cluster"
