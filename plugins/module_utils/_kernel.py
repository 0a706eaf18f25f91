# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the kernel that a database host is given, each with its reason. Pure.

vm.overcommit_memory stays as it is: 2, which PostgreSQL's documentation speaks of, limits every program on the host by
its swap, and what it is to prevent, the OOM killer choosing the server, the unit of the server prevents already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

HUGE_PAGES = "vm.nr_hugepages"
TRY, ON, OFF = "try", "on", "off"
# What shared memory holds beside the buffers: locks, WAL buffers, statistics; a few percent, and never nothing.
_BESIDE_SHARE, _BESIDE_BYTES = 0.05, 64 << 20


@dataclass(frozen=True)
class Setting:
    """A setting of the kernel.

    Attributes:
        name: as sysctl spells it.
        value: as /proc/sys shows it.
        reason: in a few words.
    """

    name: str
    value: str
    reason: str


FIXED = (
    Setting("vm.swappiness", "1", "shared buffers are not swapped out to make room for cached files"),
    Setting("vm.dirty_background_bytes", str(64 << 20), "writing begins early, so that a checkpoint's fsync is short"),
    Setting("vm.dirty_bytes", str(512 << 20), "and never gigabytes at once, however large the memory is"),
    Setting("net.ipv4.tcp_keepalive_time", "60", "programs that set none notice a dead peer in 2 minutes, not 2 hours"),
    Setting("net.ipv4.tcp_keepalive_intvl", "10", "see tcp_keepalive_time"),
    Setting("net.ipv4.tcp_keepalive_probes", "6", "see tcp_keepalive_time"),
)
NAMES = (*(setting.name for setting in FIXED), HUGE_PAGES)


@dataclass(frozen=True)
class Plan:
    """What becomes of the settings on a host.

    Attributes:
        settable: those that the host may set; its file holds them.
        differing: of these, those whose live value is another.
        fixed: those that differ and that the host may not set, as in a container.
    """

    settable: Sequence[Setting]
    differing: Sequence[Setting]
    fixed: Sequence[Setting]


def huge_pages(shared_buffers: int, page_bytes: int) -> Setting:
    """Return how many huge pages a server's shared memory takes (all in bytes)."""
    needed = shared_buffers + max(_BESIDE_BYTES, int(shared_buffers * _BESIDE_SHARE))
    return Setting(HUGE_PAGES, str(-(-needed // page_bytes)), "the server's shared memory, postgresql_host_huge_pages")


def plan(wanted: Sequence[Setting], seen: Mapping[str, Json]) -> Plan:
    """Compare what is wanted with the live values, each of them {value, writable}."""
    settable = [setting for setting in wanted if seen.get(setting.name, {}).get("writable")]
    differing = [setting for setting in wanted if not _holds(setting, seen.get(setting.name, {}).get("value"))]
    return Plan(
        settable=settable,
        differing=[setting for setting in differing if setting in settable],
        fixed=[setting for setting in differing if setting not in settable],
    )


def render(settings: Sequence[Setting]) -> str:
    """Return the file in sysctl.d."""
    lines = [line for setting in settings for line in (f"\n# {setting.reason}", f"{setting.name} = {setting.value}")]
    return "\n".join(lines) + "\n"


def _holds(setting: Setting, live: str | None) -> bool:
    """Whether the live value will do: more huge pages are somebody else's."""
    if setting.name == HUGE_PAGES and live is not None:
        return int(live) >= int(setting.value)
    return live == setting.value
