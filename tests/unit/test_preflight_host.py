# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in the variables of the role host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _preflight, _preflight_host
from preflight_members import platform

PORT = {"comment": "agent", "port": 9100, "protocol": "tcp", "networks": ["10.7.0.0/16"]}
COMMENT = "is no comment of a rule; write 1 to 100 letters, digits and signs without quotes and backslashes"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"ssh_networks": ["10.9.0.0/24", "2001:db8::/32"], "open_ports": [PORT]}, []),
        (
            {"ssh_networks": ["10.9.0.1"]},
            ["postgresql_host_ssh_networks[0]: 10.9.0.1 has no prefix length; write 10.9.0.1/32 for this one host"],
        ),
        ({"ssh_networks": [None], "open_ports": [None]}, []),
        ({"open_ports": [PORT | {"port": 0}]}, ["postgresql_host_open_ports[0].port: 0 is no port; write 1 to 65535"]),
        (
            {"open_ports": [PORT, PORT | {"networks": []}]},
            [
                "postgresql_host_open_ports[1].networks: is empty; write from where the port is reached, such as "
                "[10.20.0.0/16]"
            ],
        ),
        (
            {"open_ports": [PORT | {"networks": ["10.7.0.0"]}]},
            [
                "postgresql_host_open_ports[0].networks[0]: 10.7.0.0 has no prefix length; write 10.7.0.0/32 for this "
                "one host"
            ],
        ),
        (
            {"open_ports": [PORT | {"comment": 'a "b"'}]},
            [f'postgresql_host_open_ports[0].comment: "a \\"b\\"" {COMMENT}'],
        ),
        ({"open_ports": [PORT | {"comment": ""}]}, [f'postgresql_host_open_ports[0].comment: "" {COMMENT}']),
        ({"open_ports": [{"comment": None, "port": None, "networks": None}]}, []),
    ],
)
def test_mistakes(values: dict[str, Any], expected: list[str]) -> None:
    given = {f"postgresql_host_{name}": value for name, value in values.items()}
    assert [f"{found.variable}: {found.text}" for found in _preflight_host.mistakes(given)] == expected


def test_they_are_in_the_list_of_the_cluster() -> None:
    members = platform(db2={"postgresql_host_ssh_networks": ["x"]})
    assert _preflight.mistakes("main", members) == [
        "db2: postgresql_host_ssh_networks[0]: 'x' is no network; write an address with a prefix length, such as "
        "10.20.0.0/16"
    ]


def test_the_decision_reads_them_without_their_prefix() -> None:
    cluster = _preflight.resolve("main", platform(db1={"postgresql_host_firewall": False}))
    assert [member["host"]["firewall"] for member in cluster["members"]] == [False, True, True, True]
    assert cluster["members"][1]["host"] == {
        "firewall": True,
        "ssh_networks": [],
        "open_ports": [],
        "huge_pages": "off",
        "encryption": "observed",
    }
