# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of one major version of PostgreSQL on a host: which are installed, which could be, and to install those.

Debian's packages stop every server of their major version before they are unpacked and start it afterwards, so that it
is away for as long as that takes, and for good when they are interrupted. Here they leave it alone: whoever installs
them restarts it when that is its turn.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, run, write_atomically

GUARD = Path("/usr/sbin/policy-rc.d")
MARK = "# Written by steadfast.postgresql"
LOCK_WAIT = 120  # seconds that another apt is waited for
LIMIT = 1800  # seconds for all packages
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    # Neither may needrestart restart a server on its own account.
    "NEEDRESTART_SUSPEND": "1",
}
SOURCE = Path("/etc/apt/sources.list.d/steadfast-postgresql.list")
ONE_SOURCE = (
    *("-o", f"Dir::Etc::SourceList={SOURCE}"),
    *("-o", "Dir::Etc::SourceParts=/dev/null"),
    *("-o", "APT::Get::List-Cleanup=0"),
)
APT = ("apt-get", "--quiet", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT}")
KEEP_FILES = ("--force-confdef", "--force-confold")
POLICY = re.compile(r"^(\S+):\n\s+Installed: (\S+)\n\s+Candidate: (\S+)", re.MULTILINE)
NONE = "(none)"


def look(version: str) -> dict[str, Any]:
    """Return each package of a major version, and whether dpkg was interrupted.

    The lists of the role's own package source are made fresh first; all lists where the distribution's is used.

    Raises:
        CommandError: a package source does not answer, or apt is not there.
    """
    # Without the mode a source that does not answer is only a warning, and old lists pass for new ones.
    own = ONE_SOURCE if SOURCE.exists() else ()
    run([*APT, "update", "-o", "APT::Update::Error-Mode=any", *own], timeout=LIMIT, env=ENVIRONMENT)
    names = _installed(version)
    held = set(run(["apt-mark", "showhold"]).split())
    found = POLICY.findall(run(["apt-cache", "policy", *names])) if names else []
    return {
        "packages": {
            name: {
                "installed": installed,
                "candidate": candidate,
                "newer": candidate != NONE and _is_newer(candidate, installed),
                "held": name in held,
            }
            for name, installed, candidate in found
        },
        "interrupted": bool(run(["dpkg", "--audit"]).strip()),
    }


def install(packages: Mapping[str, str], present: Mapping[str, str], check_mode: bool) -> list[dict[str, str]]:
    """Install versions of packages that are installed; returns the changes.

    Args:
        packages: the versions to install, by name.
        present: the installed ones, for the list of changes.
        check_mode: only say what would change.
    """
    changes = [change("package", name, present.get(name, "unknown"), new) for name, new in sorted(packages.items())]
    if not check_mode:
        with servers_left_alone():
            # Where a run was killed between unpacking and configuring.
            run(["dpkg", *KEEP_FILES, "--configure", "--pending"], timeout=LIMIT, env=ENVIRONMENT)
            wanted = [f"{name}={new}" for name, new in sorted(packages.items())]
            files = [word for option in KEEP_FILES for word in ("-o", f"Dpkg::Options::={option}")]
            options = ["--yes", "--only-upgrade", "--no-install-recommends", "--no-remove", *files]
            run([*APT, "install", *options, *wanted], timeout=LIMIT, env=ENVIRONMENT)
    return changes


@contextlib.contextmanager
def servers_left_alone(guard: Path = GUARD) -> Iterator[None]:
    """Keep the packages' scripts from stopping and starting servers of PostgreSQL, as long as this process lives.

    They ask policy-rc.d. The one that is put there lets everything pass once its writer has ended, so that it does no
    harm where the writer was killed; the administrator's own goes on being asked, and comes back.
    """
    aside = guard.with_name(f"{guard.name}.steadfast-aside")
    if guard.exists() and MARK not in guard.read_text(encoding="utf-8", errors="replace"):
        guard.rename(aside)
    write_atomically(guard, guard_script(os.getpid(), started(os.getpid()), aside), 0o755)
    try:
        yield
    finally:
        if aside.exists():
            aside.replace(guard)
        else:
            guard.unlink(missing_ok=True)


def guard_script(pid: int, start: str, aside: Path) -> str:
    """Write the policy-rc.d that holds while a process lives, told from a later one of its number by its start."""
    return f"""#!/bin/sh
{MARK} while it installs packages: 101 means "do not".
case "$*" in
  *postgresql*) [ "$(cut -d " " -f 22 /proc/{pid}/stat 2>/dev/null)" != "{start}" ] || exit 101 ;;
esac
[ ! -x {aside} ] || exec {aside} "$@"
exit 0
"""


def started(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was (proc(5), field 22 of stat)."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return stat.split(" ")[21]


def names_of(listing: str, version: str) -> list[str]:
    """Return the packages of a major version's server and programs that are installed, however badly.

    An extension has a version of its own and is none of them.
    """
    rows = (line.split("\t") for line in listing.splitlines())
    pattern = re.compile(rf"postgresql(-[a-z0-9]+)?-{re.escape(version)}")
    # The second letter of dpkg's state: n is not installed, c are configuration files alone.
    return sorted(name for state, name in rows if pattern.fullmatch(name) and state[1:2] not in {"n", "c", ""})


def _installed(version: str) -> list[str]:
    listing = run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${Package}\n", "postgresql*"])
    return names_of(listing, version)


def _is_newer(candidate: str, installed: str) -> bool:
    # dpkg says it by its exit status, and run would take 1 for a failure.
    words = 'dpkg --compare-versions "$1" gt "$2" && echo newer || true'
    return run(["sh", "-c", words, "sh", candidate, installed]).strip() == "newer"
