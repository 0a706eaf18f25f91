# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which logins have another password than they should, and what the server gets instead of it: a verifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.steadfast.postgresql.plugins.module_utils import _scram
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import RoleState


def stale(passwords: Mapping[str, str], roles: Mapping[str, RoleState]) -> list[str]:
    """Return the logins that are missing or have another password, by their verifiers."""
    known = [name for name in passwords if name in roles]
    right = _each(lambda name: _scram.matches(passwords[name], roles[name].verifier), known)
    good = {name for name, matches in zip(known, right, strict=True) if matches}
    return [name for name in passwords if name not in good]


def refused(
    passwords: Mapping[str, str], roles: Mapping[str, RoleState], logs_in: Callable[[str, str], bool]
) -> list[str]:
    """Return the logins that are missing or have another password, by trying to log in."""
    known = [name for name in passwords if name in roles]
    right = _each(lambda name: logs_in(name, passwords[name]), known)
    good = {name for name, matches in zip(known, right, strict=True) if matches}
    return [name for name in passwords if name not in good]


def verifiers(passwords: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return a verifier of the password of each login."""
    return dict(zip(names, _each(lambda name: _scram.verifier(passwords[name]), names), strict=True))


def _each(function: Callable[[str], object], names: Sequence[str]) -> list:  # type: ignore[type-arg]
    """Call a function for each name; hashing thousands of passwords keeps every core busy for its while."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(function, names, chunksize=1))
