# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that an instance last worked with, beside those that it has to accept still (managed_files keeps them)."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import Instance

UNTIL_RELOAD = ".before-reload"
UNTIL_RESTART = ".before-restart"
BOTH = (UNTIL_RELOAD, UNTIL_RESTART)


def kept(instance: Instance, *until: str) -> list[Path]:
    """Return the files that are kept until the server was reloaded or restarted."""
    folders = [instance.configuration, instance.configuration / "conf.d", instance.drop_ins]
    return sorted(path for folder in folders for ending in until for path in folder.glob(f"*{ending}"))


def put_back(instance: Instance, *until: str) -> list[Path]:
    """Put the kept files in their places again; returns these."""
    return [path.replace(path.with_suffix("")) for path in kept(instance, *until)]


def accept(instance: Instance, *until: str) -> None:
    """Forget the kept files, now that the server works with the new ones."""
    for path in kept(instance, *until):
        path.unlink()
