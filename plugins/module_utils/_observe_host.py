# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host is, without changing it: hardware, packages, disks, the instance's unit."""

from __future__ import annotations

import grp
import os
import platform
import socket
import subprocess
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _openpgp
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance, run

PACKAGES = ("openssl", "postgresql*", "libpq5", "pgbackrest*", "pgbouncer*", "ssl-cert", "python3-psycopg2", "nftables")
PROC = Path("/proc")
CAP_SYS_RESOURCE = 24  # capabilities(7): only with it an OOM score goes below what it was
GROUPS = {"ssl-cert", "postgres"}
PROJECT_KEY = Path("/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc")
# Addresses of documentation networks (RFC 5737, RFC 3849): a route to them is the default route.
ANYWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def host() -> dict[str, Any]:
    """Return the host's distribution, hardware, default addresses and groups."""
    release = _release()
    ipv4, ipv6 = (_default_address(family, target) for family, target in ANYWHERE)
    return {
        "hostname": socket.gethostname(),
        "distribution": release.get("ID", "").capitalize(),
        "distribution_version": release.get("VERSION_ID", ""),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": _machine_memory(),
        "cgroup_memory_bytes": _cgroup_memory(),
        "ipv4": ipv4,
        "ipv6": ipv6,
        "groups": sorted({group.gr_name for group in grp.getgrall()} & GROUPS),
    }


def libc() -> str:
    """Return the C library's version: text indexes depend on its collations."""
    return platform.libc_ver()[1]


def packages() -> dict[str, str]:
    """Return the versions of the installed packages that the platform is made of."""
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Package}|${Version}\n", *PACKAGES]
    try:
        # Status 1 says that a pattern matched nothing, which is an answer.
        listed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout
    except FileNotFoundError:
        return {}  # another distribution, which the decision refuses by its name
    rows = (line.split("|") for line in listed.splitlines())
    return {name: version for state, name, version in rows if state.startswith("ii")}


def epoch(shown: str) -> float:
    """Read a time as systemctl shows it with --timestamp=us+utc; of a unit that never ran it shows nothing.

    Raises:
        ValueError: it is no time.
    """
    moment = datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S.%f UTC")
    return moment.replace(tzinfo=timezone.utc).timestamp()


def project_key() -> dict[str, str] | None:
    """Return the fingerprint of the PostgreSQL project's key, or what is wrong with the file; None where it is not."""
    try:
        return {"fingerprint": _openpgp.fingerprint(PROJECT_KEY.read_text(encoding="ascii"))}
    except FileNotFoundError:
        return None
    except ValueError as error:
        return {"error": str(error)}


def disks(places: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Return size, free room (bytes) and kind of the file systems that hold the given places."""
    return {name: _disk(path) for name, path in places.items()}


def unit(instance: Instance) -> dict[str, Any]:
    """Return the state of the instance's unit, of the one that clones it, and of the watch over its set."""
    properties = "ActiveState,UnitFileState,LoadState,NRestarts,NeedDaemonReload,MainPID,OOMScoreAdjust"
    try:
        units = [instance.unit, clone_unit(instance), watch_unit(instance)]
        shown = run(["systemctl", "show", f"--property={properties}", *units])
    except CommandError:
        return {"active": "unknown", "enabled": False, "masked": False, "restarts": 0, "needs_daemon_reload": False}
    own, clone, watch = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n"))
    return {
        "active": own["ActiveState"],
        "enabled": own["UnitFileState"] == "enabled",
        "masked": own["LoadState"] == "masked",
        "restarts": int(own["NRestarts"] or 0),
        "needs_daemon_reload": own["NeedDaemonReload"] == "yes",
        "oom": _oom(int(own["OOMScoreAdjust"] or 0), own["MainPID"]),
        "clone": {"active": clone["ActiveState"]},
        "watch": {"active": watch["ActiveState"]},
    }


def clone_unit(instance: Instance) -> str:
    """Name the transient unit that clones the instance."""
    return f"steadfast-clone-{instance.version}-{instance.cluster}.service"


def watch_unit(instance: Instance) -> str:
    """Name the timer that watches over the synchronous standby where durability is "preferred"."""
    return f"steadfast-watch-{instance.version}-{instance.cluster}.timer"


def _oom(promised: int, pid: str) -> dict[str, Any] | None:
    """Return the OOM score adjustments of the unit, of its server and of the server's oldest child; None if it is down.

    A server never lets go of its oldest child (the checkpointer or the logger), while a backend may be just starting.
    """
    try:
        children = (PROC / pid / "task" / pid / "children").read_text(encoding="ascii").split()
        return {
            "unit": promised,
            "server": _oom_score(pid),
            "child": _oom_score(children[0]) if children else None,
            "may_protect": bool(_capabilities() >> CAP_SYS_RESOURCE & 1),
        }
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended meanwhile


def _oom_score(pid: str) -> int:
    return int((PROC / pid / "oom_score_adj").read_text(encoding="ascii"))


def _capabilities() -> int:
    """Return what the init process may do, as a bit mask: it lowers the scores of the services that it starts."""
    status = (PROC / "1" / "status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("CapEff:")), 16)


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _default_address(family: socket.AddressFamily, target: str) -> str | None:
    """Return the address that the host would send from; connecting a datagram socket sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _machine_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise CommandError("/proc/meminfo has no MemTotal")


def _cgroup_memory() -> int | None:
    """Return the memory limit of the host's own cgroup, version 2 or 1; None where there is none."""
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    text = next((path.read_text(encoding="ascii").strip() for path in limits if path.exists()), "max")
    # Version 1 says "no limit" by a number beyond any machine's memory.
    return int(text) if text != "max" and int(text) < _machine_memory() else None


def _disk(path: Path) -> dict[str, Any]:
    place = _nearest(path)
    room = os.statvfs(place)
    return {
        "mount": str(_mount(place)),
        "bytes": room.f_frsize * room.f_blocks,
        "available": room.f_frsize * room.f_bavail,
        "rotational": _rotational(place.stat().st_dev),
    }


def _nearest(path: Path) -> Path:
    return next(place for place in _upwards(path) if place.exists())


def _mount(path: Path) -> Path:
    return next(place for place in _upwards(path) if place.is_mount())


def _upwards(path: Path) -> Iterable[Path]:
    return (path, *path.parents)


def _rotational(device: int) -> bool | None:
    """Say whether a disk turns; None where the kernel does not tell (overlay, network)."""
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    # A partition's queue is that of the disk above it.
    queues = [block / "queue/rotational", block.resolve().parent / "queue/rotational"]
    return next((path.read_text(encoding="ascii").strip() == "1" for path in queues if path.exists()), None)
