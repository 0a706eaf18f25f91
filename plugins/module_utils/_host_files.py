# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the role host, whole: the decision compares them with what was seen, so a host at rest is left alone.

Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _kernel

SYSCTL = "/etc/sysctl.d/60-steadfast-postgresql.conf"
UPGRADES = "/etc/apt/apt.conf.d/52steadfast-postgresql"
NEEDRESTART = "/etc/needrestart/conf.d/steadfast-postgresql.conf"
FIREWALL_FOLDER = "/etc/steadfast"

_HEADER = "{mark} Ansible managed\n{mark}\n{mark} By the role host of steadfast.postgresql: {what}\n"
_PACKAGES = ("postgresql", "pgbackrest", "pgbouncer")
_UPGRADES = """
Unattended-Upgrade::Package-Blacklist {
%s
};
"""
_UNIT = """
[Unit]
Description=Firewall of the PostgreSQL cluster {cluster}
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
# The distribution's rules may flush all tables, ours with them.
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {rules}
ExecReload=/usr/sbin/nft -f {rules}
# A stop takes the rules away; where the distribution's stop has flushed them there is nothing to take.
ExecStop=-/usr/sbin/nft delete table inet steadfast_{cluster}

[Install]
WantedBy=sysinit.target
"""


def rules(cluster: str) -> str:
    """Path of the rules that are loaded at boot: the last that were proven."""
    return f"{FIREWALL_FOLDER}/firewall_{cluster}.nft"


def unit_name(cluster: str) -> str:
    """Name of the unit that loads them."""
    return f"steadfast-firewall-{cluster}.service"


def unit(cluster: str) -> str:
    """Path of that unit."""
    return f"/etc/systemd/system/{unit_name(cluster)}"


def enabled(cluster: str) -> str:
    """Path of the link that makes it start with the host."""
    return f"/etc/systemd/system/sysinit.target.wants/{unit_name(cluster)}"


def paths(cluster: str) -> list[str]:
    """Paths whose state the observation tells."""
    return [SYSCTL, UPGRADES, NEEDRESTART, unit(cluster)]


def contents(cluster: str, settings: Sequence[_kernel.Setting], firewall: bool) -> dict[str, str]:
    """Return the text of each file by its path; of one that is not wanted, nothing."""
    kernel = _header("settings of the kernel, each with its reason.") + _kernel.render(settings)
    upgrades = _header("these are updated by a playbook, one host after the other, never by a timer.", "//")
    blacklist = "\n".join(f'  "^{name}";' for name in _PACKAGES)
    restarts = _header("what a restart interrupts is restarted by a playbook, one host after the other.")
    loader = _header("loads the rules before there is a network.")
    return {
        SYSCTL: kernel if settings else "",
        UPGRADES: upgrades + _UPGRADES % blacklist,
        NEEDRESTART: restarts + "\n" + "".join(f"$nrconf{{override_rc}}->{{qr(^{name})}} = 0;\n" for name in _PACKAGES),
        unit(cluster): loader + _UNIT.format(cluster=cluster, rules=rules(cluster)) if firewall else "",
    }


def managed(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the entries of managed_files."""
    folders = [{"path": path, "state": "directory"} for path in ("/etc/needrestart", "/etc/needrestart/conf.d")]
    return folders + [
        {"path": path, "state": "present", "content": text} if text else {"path": path, "state": "absent"}
        for path, text in texts.items()
    ]


def fingerprint(text: str, owner: int = 0, group: int = 0, mode: int = 0o644) -> str:
    """Return what is compared of a file; nothing for one that is not there."""
    return f"{owner}:{group}:{mode:04o}:{hashlib.sha256(text.encode()).hexdigest()}" if text else ""


def differ(texts: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Return the paths whose file is another than it should be."""
    return [path for path, text in texts.items() if seen.get(path, "") != fingerprint(text)]


def _header(what: str, mark: str = "#") -> str:
    return _HEADER.format(mark=mark, what=what)
