# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the role host."""

from __future__ import annotations

import re

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _host_files, _kernel

UNIT = "/etc/systemd/system/steadfast-firewall-main.service"
TEXTS = _host_files.contents("main", _kernel.FIXED, firewall=True)


def test_paths_are_those_that_are_observed() -> None:
    assert list(TEXTS) == _host_files.paths("main")
    assert _host_files.unit("main") == UNIT


@pytest.mark.parametrize("text", TEXTS.values())
def test_every_file_says_whose_it_is(text: str) -> None:
    lines = text.splitlines()
    assert lines[0].lstrip("#/ ") == "Ansible managed"
    assert lines[2].lstrip("#/ ").startswith("By the role host of steadfast.postgresql: ")


def test_what_is_not_updated_by_a_timer() -> None:
    # As unattended-upgrades takes them: regular expressions for the beginning of a package's name.
    patterns = re.findall(r'^  "(.*)";$', TEXTS[_host_files.UPGRADES], re.MULTILINE)
    names = [
        "postgresql-16",
        "postgresql-client-16",
        "postgresql-common",
        "pgbackrest",
        "pgbouncer",
        "libpq5",
        "openssl",
    ]
    assert [name for name in names if any(re.match(pattern, name) for pattern in patterns)] == names[:5]
    assert "Unattended-Upgrade::Package-Blacklist {\n" in TEXTS[_host_files.UPGRADES]


def test_what_is_not_restarted_by_needrestart() -> None:
    text = TEXTS[_host_files.NEEDRESTART]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [
        "$nrconf{override_rc}->{qr(^postgresql)} = 0;",
        "$nrconf{override_rc}->{qr(^pgbackrest)} = 0;",
        "$nrconf{override_rc}->{qr(^pgbouncer)} = 0;",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Before=network-pre.target shutdown.target",
        "After=nftables.service",
        "ExecStart=/usr/sbin/nft -f /etc/steadfast/firewall_main.nft",
        "ExecStop=-/usr/sbin/nft delete table inet steadfast_main",
        "WantedBy=sysinit.target",
    ],
)
def test_the_unit(line: str) -> None:
    assert line in TEXTS[UNIT].splitlines()


def test_files_that_are_not_wanted_are_absent() -> None:
    texts = _host_files.contents("main", (), firewall=False)
    entries = {entry["path"]: entry for entry in _host_files.managed(texts)}
    assert entries[_host_files.SYSCTL] == {"path": _host_files.SYSCTL, "state": "absent"}
    assert entries[UNIT] == {"path": UNIT, "state": "absent"}
    assert entries[_host_files.UPGRADES]["state"] == "present"
    assert entries["/etc/needrestart/conf.d"] == {"path": "/etc/needrestart/conf.d", "state": "directory"}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"/a": _host_files.fingerprint("x")}, []),
        ({"/a": _host_files.fingerprint("y")}, ["/a"]),
        ({"/a": _host_files.fingerprint("x", owner=1)}, ["/a"]),
        ({"/a": _host_files.fingerprint("x", group=1)}, ["/a"]),
        ({"/a": _host_files.fingerprint("x", mode=0o666)}, ["/a"]),
        ({"/a": ""}, ["/a"]),
        ({}, ["/a"]),
        ({"/a": _host_files.fingerprint("x"), "/b": _host_files.fingerprint("x")}, ["/b"]),
    ],
)
def test_files_that_differ(seen: dict[str, str], expected: list[str]) -> None:
    assert _host_files.differ({"/a": "x", "/b": ""}, seen) == expected
