# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known to be wrong in the variables of the role host; and these variables as the decision reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba_check
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, shown

Values = Mapping[str, Any]

PREFIX = "postgresql_host_"
SSH_NETWORKS = f"{PREFIX}ssh_networks"
OPEN_PORTS = f"{PREFIX}open_ports"
NAMES = ("firewall", "ssh_networks", "open_ports", "huge_pages", "encryption")
# It stands in quotes in a rule, of which nftables takes 128 bytes.
_COMMENT = re.compile(r'[^"\\\n\t\r]{1,100}')


def mistakes(values: Values) -> Iterator[Mistake]:
    """Yield what is wrong; a variable that is not there was already found to be wrong."""
    yield from _networks(SSH_NETWORKS, values.get(SSH_NETWORKS, []))
    for index, given in enumerate(values.get(OPEN_PORTS, [])):
        if given is not None:
            yield from _open_port(f"{OPEN_PORTS}[{index}]", given)


def resolved(values: Values) -> dict[str, Any]:
    """Return the variables without their common prefix."""
    return {name: values[f"{PREFIX}{name}"] for name in NAMES}


def _open_port(path: str, given: Values) -> Iterator[Mistake]:
    comment, port, networks = (given.get(key) for key in ("comment", "port", "networks"))
    if comment is not None and not (_COMMENT.fullmatch(comment) and comment.isascii()):
        text = "is no comment of a rule; write 1 to 100 letters, digits and signs without quotes and backslashes"
        yield Mistake(f"{path}.comment", f"{shown(comment)} {text}")
    if port is not None and port not in range(1, 65536):
        yield Mistake(f"{path}.port", f"{port} is no port; write 1 to 65535")
    if networks == []:
        yield Mistake(f"{path}.networks", "is empty; write from where the port is reached, such as [10.20.0.0/16]")
    elif networks is not None:
        yield from _networks(f"{path}.networks", networks)


def _networks(variable: str, networks: list[Any]) -> Iterator[Mistake]:
    given = [network for network in networks if network is not None]
    for line in _hba_check.check_networks(variable, given):
        name, _, text = line.partition(": ")
        yield Mistake(name, text)
