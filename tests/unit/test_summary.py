# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen at the end of a run, line by line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _summary
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, INFO, WARNING, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._verify import Outcome
from situations import healthy, moved, primary, stopped_standby

CLIENT = {"user": "ada", "sslrootcert": "/ca/main/ca.crt"}
SET = {"kind": "slot", "name": "db2", "from": "absent", "to": "present"}


@pytest.mark.parametrize(
    ("changes", "predicted", "lines"),
    [
        ({}, False, ["Nothing was changed."]),
        ({"db1": [], "db2": []}, True, ["Nothing to change."]),
        ({"db1": [SET, SET], "db2": []}, False, ["2 changes were made:"] + 2 * ["  db1: slot db2: absent -> present"]),
        (
            {"db1": [SET], "db2": [SET]},
            True,
            [
                "2 changes would be made:",
                "  db1: slot db2: absent -> present",
                "  db2: slot db2: absent -> present",
            ],
        ),
    ],
)
def test_changes(changes: dict[str, Any], predicted: bool, lines: list[str]) -> None:
    assert _summary.changes(changes, predicted) == lines


def outcome(hosts: Any, primary: str | None = "db1") -> Outcome:
    seen = {name: seen for name, seen in whole.platform(hosts).items() if seen}
    return Outcome("main", primary, "required", ["db1", "db2", "db3"], seen)


def screen(hosts: Any, primary: str | None = "db1", findings: tuple[Finding, ...] = ()) -> list[str]:
    members = whole.given("db1", hosts).members
    return _summary.screen(outcome(hosts, primary), members, findings, "16", CLIENT)


LAGGING = {"state": "streaming", "lag_bytes": 2048, "replay_lag_seconds": 0.0134}
CONNECT = (
    '  psql "host=db1,db2,db3 hostaddr=10.0.0.1,10.0.0.2,10.0.0.3 port=5432 dbname=postgres user=ada '
    'sslrootcert=/ca/main/ca.crt sslmode=verify-full target_session_attrs=read-write"'
)


def test_screen_at_rest() -> None:
    first = primary("db2", "db3", synchronous='ANY 1 ("db2")', replication={"db3": LAGGING})
    role, stream = "repository, migrations, drill", "streaming TLSv1.3"
    assert screen(healthy(db1=first)) == [
        "PostgreSQL 16, cluster main, durability required",
        "",
        f"  host  {'role':29}  place               server        timeline  lag            stream",
        f"  db1   {'primary':29}  eu-west eu-west-1a  takes writes  1",
        f"  db2   {'synchronous standby':29}  eu-west eu-west-1b  replays       1         0 B, 0 ms      {stream}",
        f"  db3   {'asynchronous standby':29}  us-west us-west-2a  replays       1         2048 B, 13 ms  {stream}",
        f"  ops1  {role}  eu-west eu-west-1a",
        "",
        "Encryption at rest:",
        "  db1, db2 and db3: data and write-ahead log on an encrypted volume (aes-xts-plain64)",
        "",
        "Connect over TLS, from a network that the inventory names:",
        CONNECT,
        "",
        "Verified: everything is as declared.",
    ]


def cells(hosts: Any, primary: str | None = "db1") -> dict[str, list[str]]:
    """The rows of the table by host, without their padding."""
    lines = screen(hosts, primary)
    table = lines[3 : lines.index("", 3)]
    return {line.split()[0]: [cell.strip() for cell in line.strip().split("  ") if cell] for line in table}


@pytest.mark.parametrize(
    ("hosts", "leader", "host", "row"),
    [
        pytest.param(healthy(db3=None), "db1", "db3", ["asynchronous standby", "unknown"], id="unknown"),
        pytest.param(
            healthy(db3=stopped_standby()),
            "db1",
            "db3",
            ["asynchronous standby", "down"],
            id="down, and its stream not noticed",
        ),
        pytest.param(healthy(db1=primary("db2"), db3=stopped_standby()), "db1", "db3", ["standby", "down"], id="down"),
        pytest.param(moved(), "db2", "db1", ["standby", "down"], id="old primary"),
        pytest.param(moved(), "db2", "db2", ["primary", "takes writes", "2"], id="moved"),
        pytest.param(healthy(db1=None), None, "db1", ["standby", "unknown"], id="no primary is known"),
        pytest.param(
            healthy(db1=primary("db2", "db3", replication={"db2": {"state": "catchup", "tls": None}})),
            "db1",
            "db2",
            ["asynchronous standby", "replays", "1", "0 B, 0 ms", "catchup plain"],
            id="plain",
        ),
        pytest.param(
            healthy(db1=primary("db2", replication={"db2": {"state": "streaming", "sync_state": "sync"}})),
            "db1",
            "db2",
            ["synchronous standby", "replays", "1", "0 B, 0 ms", "streaming TLSv1.3"],
            id="FIRST",
        ),
    ],
)
def test_rows(hosts: dict[str, Any], leader: str | None, host: str, row: list[str]) -> None:
    found = cells(hosts, leader)[host]
    assert [found[1], *found[3:]] == row


def test_nothing_to_connect_to_without_a_primary() -> None:
    assert not [line for line in screen(healthy(db1=None), None) if "Connect" in line or "psql" in line]


@pytest.mark.parametrize(
    ("addresses", "start"),
    [
        (("10.0.0.1", "10.0.0.2"), "host=db1,db2 hostaddr=10.0.0.1,10.0.0.2 port=5432 "),
        (("10.0.0.1", ""), "host=db1 hostaddr=10.0.0.1 port=5432 "),
        (("fd00::1", "10.0.0.2"), "host=db1,db2 hostaddr=fd00::1,10.0.0.2 port=5432 "),
        (("db1.example.com", "10.0.0.2"), "host=db1.example.com,10.0.0.2 port=5432 "),
    ],
)
def test_connection_string(addresses: tuple[str, str], start: str) -> None:
    names = (whole.DB1, whole.DB2)
    members = [member | {"address": address, "port": 5432} for member, address in zip(names, addresses, strict=True)]
    members.append(whole.OPS1 | {"address": "10.0.0.9", "port": 5432})
    assert _summary.conninfo(members, {}) == (
        f"{start}dbname=postgres sslmode=verify-full target_session_attrs=read-write"
    )


NOTE = Finding(INFO, "", "It is so.", "Let it be.")
WARN = Finding(WARNING, "db1", "It fills.", "")
FAIL = Finding(ERROR, "db2", "It is down.", "Start it.")


@pytest.mark.parametrize(
    ("findings", "lines"),
    [
        ((NOTE,), ["Verified, with findings:", "  info: It is so. Let it be."]),
        (
            (replace(WARN, text="It says:\n  no\n."),),
            ["Verified, with findings:", "  warning: It says: no ."],
        ),
        (
            (FAIL, WARN, NOTE),
            [
                "1 of 3 findings are errors:",
                "  error: It is down. Start it.",
                "  warning: It fills.",
                "  info: It is so. Let it be.",
            ],
        ),
    ],
)
def test_findings(findings: tuple[Any, ...], lines: list[str]) -> None:
    assert screen(healthy(), findings=findings)[-len(lines) - 1 :] == ["", *lines]


def test_durability_and_cluster_stand_in_the_head() -> None:
    members = whole.given("db1").members
    seen = replace(outcome(healthy()), cluster="shop", durability="preferred")
    assert _summary.screen(seen, members, (), "17", {})[0] == "PostgreSQL 17, cluster shop, durability preferred"


def probe(name: str, target: str, source: str, *, passed: bool = True) -> dict[str, Any]:
    return {"probe": name, "target": target, "source": source, "passed": passed, "words": ""}


def test_probes_are_listed() -> None:
    probes = [probe("plaintext", target, source) for source in ("db1", "ops1") for target in ("db1", "db2")]
    probes += [probe("write", "db1", "db1"), probe("replay", "db3", "db3", passed=False), probe("replay", "db2", "db2")]
    seen = replace(outcome(healthy()), probes=probes, left=["db9: not observed"])
    lines = _summary.screen(seen, whole.given("db1").members, (), "16", {})
    start = lines.index("Tried:")
    assert lines[start - 1 : start + 6] == [
        "",
        "Tried:",
        "  plaintext: 4 of 4 passed, on db1 and db2, from db1 and ops1",
        "  write: 1 of 1 passed, on db1",
        "  replay: 1 of 2 passed, on db2 and db3",
        "",
        "Left as it is:",
    ]


def test_nothing_is_said_of_probes_that_were_not_made() -> None:
    assert "Tried:" not in screen(healthy())
