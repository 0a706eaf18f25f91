# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set live settings of the kernel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, change

ROOT = Path("/proc/sys")


def converge(wanted: Mapping[str, str], exact: Collection[str], check_mode: bool) -> list[dict[str, str]]:
    """Set what differs and return what changed, or would.

    Args:
        wanted: values by the names of sysctl.
        exact: settings of which less than was asked is a failure.
        check_mode: only say what would change.

    Raises:
        CommandError: the kernel does not take a value, or takes only a part of it.
    """
    changes = []
    for name, value in wanted.items():
        path = ROOT / name.replace(".", "/")
        before = _value(path)
        if before == value:
            continue
        changes.append(change("kernel", name, before, value))
        if not check_mode:
            _set(name, path, value, name in exact)
    return changes


def _set(name: str, path: Path, value: str, exact: bool) -> None:
    try:
        path.write_text(value + "\n", encoding="ascii")
    except OSError as error:
        raise CommandError(f"{name} = {value}: {error.strerror}") from error
    taken = _value(path)
    if exact and taken != value:
        raise CommandError(f"{name}: the kernel took {taken} of {value}; its memory is in pieces: restart the host")


def _value(path: Path) -> str:
    return " ".join(path.read_text(encoding="ascii").split())
