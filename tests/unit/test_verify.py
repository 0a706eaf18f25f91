# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of the verification, each with its exact words."""

from __future__ import annotations

from typing import Any

import pytest
import situations
import whole
from situations import healthy
from verification import at, judged, verified
from whole import DAY, NOW


def test_a_converged_platform_has_no_findings() -> None:
    assert judged(healthy()) == []


def disk(available: int) -> dict[str, Any]:
    return {"mount": "/data", "bytes": 1000, "available": available, "rotational": False}


DISK = "Make room, or enlarge it."
SERVER_LOG = "Look at systemctl status and the server's log on db3."
BAD_LINE = "/etc/postgresql/16/main/pg_hba.conf line 7: invalid IP mask"
BAD_LINE_TEXT = (
    "error db2: db2 has a bad line in its configuration: /etc/postgresql/16/main/pg_hba.conf line 7: invalid IP mask. "
    "The server would not start with it: correct it, or run site."
)
CERTIFICATE = {"not_after": NOW + 300 * DAY, "key_matches": True, "ca_signed": True}
RENEW = "Run site, which renews it, or replace your own one."
MISFIT = "error db2: The certificate of db2 does not fit its key or its CA. Run site."


@pytest.mark.parametrize(
    ("host", "part", "values", "finding"),
    [
        pytest.param("db2", "disks", {"data": disk(151)}, None, id="room enough"),
        pytest.param(
            "db2",
            "disks",
            {"wal": disk(149)},
            f"warning db2: Only 15% of db2's wal disk (/data) is free. {DISK}",
            id="disk fills",
        ),
        pytest.param("db2", "disks", {"data": disk(150)}, None, id="room just enough"),
        pytest.param(
            "db2",
            "disks",
            {"data": disk(50)},
            f"warning db2: Only 5% of db2's data disk (/data) is free. {DISK}",
            id="disk all but full",
        ),
        pytest.param(
            "db2",
            "disks",
            {"data": disk(49)},
            f"error db2: Only 5% of db2's data disk (/data) is free. {DISK}",
            id="disk full",
        ),
        pytest.param("db2", "server", {"rule_errors": [BAD_LINE]}, BAD_LINE_TEXT, id="rule"),
        pytest.param("db2", "server", {"file_errors": [BAD_LINE]}, BAD_LINE_TEXT, id="setting"),
        pytest.param(
            "db2",
            None,
            {"stale": ["/etc/postgresql/16/main/pg_hba.conf", "/etc/ssl/postgresql/main/server.crt"]},
            "error db2: The server on db2 has not read what changed since its last load: "
            "/etc/postgresql/16/main/pg_hba.conf, /etc/ssl/postgresql/main/server.crt. "
            "Run site, which makes it read them.",
            id="files not read",
        ),
        pytest.param(
            "db2",
            "unit",
            {"needs_daemon_reload": True},
            "error db2: systemd on db2 works with a former version of the server's unit. "
            "Run site, which makes it read the unit again.",
            id="unit not read",
        ),
        pytest.param(
            "db2",
            "unit",
            {"enabled": False},
            "error db2: The server on db2 does not start with the host: its service is not enabled. Run site.",
            id="not enabled",
        ),
        pytest.param(
            "db2",
            "unit",
            {"enabled": False, "masked": True},
            "error db2: The server on db2 does not start with the host: its service is not enabled. "
            "Unmask its service there, then run site.",
            id="masked",
        ),
        pytest.param(
            "db2", None, {"certificates": None}, "error db2: db2 has no certificate. Run site.", id="no certificate"
        ),
        pytest.param("db2", "certificates", {"not_after": NOW + 14 * DAY}, None, id="two weeks left"),
        pytest.param(
            "db2",
            "certificates",
            {"not_after": NOW + 13 * DAY},
            f"warning db2: The certificate of db2 expires in 13 days. {RENEW}",
            id="certificate ends soon",
        ),
        pytest.param(
            "db2",
            "certificates",
            {"not_after": NOW},
            f"error db2: The certificate of db2 has expired. {RENEW}",
            id="certificate has expired",
        ),
        pytest.param("db2", "certificates", {"key_matches": False}, MISFIT, id="key of another"),
        pytest.param("db2", "certificates", {"ca_signed": False}, MISFIT, id="CA of another"),
        pytest.param(
            "db3",
            "server",
            {"timeline": 2},
            "error db3: db3 is on timeline 2, and db1 on 1. If it does not follow within a minute, clone it again "
            "(docs/runbooks/clone_again.md).",
            id="timeline",
        ),
        pytest.param(
            "db1",
            "server",
            {"weak_commits": ["role app database shop: synchronous_commit=off"]},
            "error db1: Commits of role app database shop: synchronous_commit=off wait for no standby, so they can be "
            "lost with db1. Reset synchronous_commit there (ALTER ROLE or ALTER DATABASE ... RESET).",
            id="weak commits",
        ),
        pytest.param("db2", "server", {"weak_commits": ["role app: synchronous_commit=off"]}, None, id="standby"),
        pytest.param(
            "db1",
            "server",
            {
                "archiver": {
                    "waiting": 3,
                    "last_failed": "000000010000000000000007",
                    "last_failed_at": 9.0,
                    "last_archived_at": 8.0,
                }
            },
            "error db1: Archiving fails on db1: 3 segments wait, last 000000010000000000000007. "
            "The server's log says why.",
            id="archive fails",
        ),
        pytest.param(
            "db1",
            "server",
            {
                "archiver": {
                    "waiting": 1,
                    "last_failed": "0000000100000000000000F7",
                    "last_failed_at": 9.0,
                    "last_archived_at": None,
                }
            },
            "error db1: Archiving fails on db1: 1 segments wait, last 0000000100000000000000F7. "
            "The server's log says why.",
            id="archive never worked",
        ),
        pytest.param(
            "db1",
            "server",
            {
                "archiver": {
                    "waiting": 0,
                    "last_failed": "000000010000000000000007",
                    "last_failed_at": 8.0,
                    "last_archived_at": 9.0,
                }
            },
            None,
            id="archive works again",
        ),
    ],
)
def test_findings_of_a_host(host: str, part: str | None, values: dict[str, Any], finding: str | None) -> None:
    given = at(host, part, **values)
    said = verified(given)
    assert (finding in said) if finding else said == []


OLD_SCORE = (
    "warning db2: The server on db2 runs with the OOM score adjustment {}, its unit says {}. "
    "It was started before that changed: restart the service on db2 when it suits."
)
OLD_CHILD = (
    "warning db2: What the server on db2 starts has the OOM score adjustment -900, not 0, so one session that takes "
    "all memory can end it all. The file environment beside its configuration says so: "
    "restart the service on db2 when it suits."
)
POWERLESS = (
    "info : The kernel does not let db2 protect the server from the OOM killer. "
    "Where memory runs out, all sessions can end; give such a container the capability SYS_RESOURCE."
)


@pytest.mark.parametrize(
    ("oom", "finding"),
    [
        pytest.param(None, None, id="ended meanwhile"),
        pytest.param({}, None, id="as promised"),
        pytest.param({"child": None}, None, id="no child yet"),
        pytest.param({"server": 0}, OLD_SCORE.format(0, -900), id="started before"),
        pytest.param({"server": -1000}, OLD_SCORE.format(-1000, -900), id="more than promised"),
        pytest.param({"server": 0, "may_protect": False}, POWERLESS, id="powerless"),
        pytest.param({"unit": 300, "server": 0, "may_protect": False}, OLD_SCORE.format(0, 300), id="raised since"),
        pytest.param({"unit": 300, "server": 300, "may_protect": False}, None, id="raised"),
        pytest.param({"child": -900}, OLD_CHILD, id="backends are protected too"),
    ],
)
def test_what_the_kernel_ends_first(oom: dict[str, Any] | None, finding: str | None) -> None:
    given = at("db2", None)
    unit = whole.seen(given, "db2")["unit"]
    unit["oom"] = oom if oom is None else unit["oom"] | oom
    assert verified(given) == ([finding] if finding else [])


def test_hosts_that_protect_nothing_are_named_together() -> None:
    given = at("db2", None)
    for host in ("db1", "db2", "db3"):
        whole.seen(given, host)["unit"]["oom"] = {"unit": -900, "server": 0, "child": 0, "may_protect": False}
    assert verified(given) == [POWERLESS.replace("db2", "db1, db2 and db3")]


def role(**changes: Any) -> dict[str, Any]:
    rights = ["pg_monitor", "pg_read_all_data", "pg_signal_backend"]
    return {"superuser": False, "replication": False, "login": True, "groups": rights, **changes}


LEFT = (
    'warning db1: The role "Bob" is an administrator who is not in postgresql_administrators, and may log in. Name it '
    'there, or run on db1: ALTER ROLE "Bob" NOLOGIN PASSWORD NULL; it is dropped only by hand: DROP ROLE "Bob";'
)


@pytest.mark.parametrize(
    ("host", "found", "finding"),
    [
        pytest.param("db1", role(), LEFT, id="left"),
        pytest.param("db1", role(login=False), None, id="locked out"),
        pytest.param("db1", role(superuser=True), None, id="superuser"),
        pytest.param("db1", role(groups=["pg_monitor"]), None, id="monitoring"),
        # A standby has the roles of its primary, which are named once.
        pytest.param("db2", role(), None, id="standby"),
    ],
)
def test_a_former_administrator(host: str, found: dict[str, Any], finding: str | None) -> None:
    given = at(host, "server", roles=whole.ROLES | {"Bob": found})
    assert verified(given) == ([finding] if finding else [])


def test_a_server_that_does_not_answer() -> None:
    hosts = healthy(db3=situations.stopped_standby())
    given = whole.given("db1", hosts)
    whole.seen(given, "db3")["server_error"] = "psql ended with status 2: no such socket"
    text = f"error db3: No server answers on db3: psql ended with status 2: no such socket. {SERVER_LOG}"
    assert text in verified(given)
    assert f"error db3: No server answers on db3: it does not run. {SERVER_LOG}" in judged(hosts)


def test_an_unknown_host_is_named_once() -> None:
    assert [text for text in judged(healthy(db3=None)) if "db3" in text] == [
        "warning db3: db3 was not observed: it is unreachable, or outside --limit. "
        "Nothing that depends on it was changed. Run site.yml again once it answers."
    ]


def test_a_host_that_failed_is_not_called_unreachable() -> None:
    assert [text for text in judged(healthy(db3=None), failed=["db3"]) if "db3" in text] == [
        "warning db3: db3 failed in this run, and was not observed in the end. "
        "Its failed task says why. Run site.yml again once that is mended."
    ]


def test_memory_that_is_too_small() -> None:
    text = "max_connections 200 do not fit into 512MB of memory; write 60 or less, or give the host more"
    assert judged(healthy(), shortages={"db2": text}) == [f"warning db2: db2: {text}. "]


PROBE = {"source": "ops1", "target": "db1", "probe": "plaintext", "words": "it goes on without TLS"}


def test_probes() -> None:
    failed, passed = PROBE | {"passed": False}, PROBE | {"passed": True, "target": "db2"}
    other = failed | {"words": "no answer: timed out", "source": "db3"}
    advice = "Plaintext and TLS 1.1 have to be refused by the server, "
    advice += "verified TLS and the login of a standby have to succeed."
    assert judged(healthy(), probes=[failed, passed, other, failed | {"source": "db2"}]) == [
        f"error db1: db1 fails the probe plaintext from ops1 and db2: it goes on without TLS. {advice}",
        f"error db1: db1 fails the probe plaintext from db3: no answer: timed out. {advice}",
    ]


def test_a_write_that_is_not_taken() -> None:
    probe = {"source": "db1", "target": "db1", "probe": "write", "passed": False, "words": "read only"}
    assert judged(healthy(), probes=[probe]) == [
        "error db1: db1 did not take a write: read only. The server's log there says why."
    ]


def test_a_write_that_does_not_arrive() -> None:
    probe = {"source": "db3", "target": "db3", "probe": "replay", "passed": False, "words": "replay is paused"}
    assert judged(healthy(), probes=[probe, probe | {"passed": True, "target": "db2", "source": "db2"}]) == [
        "error db3: A write on db1 did not arrive on db3: replay is paused. "
        "The server's log there says why; SELECT pg_wal_replay_resume() there ends a pause."
    ]


def test_the_worst_comes_first() -> None:
    given = at("db3", "disks", data=disk(100))
    whole.seen(given, "db2")["certificates"] = None
    found = verified(given, primary="db1", durability="asynchronous")
    assert [text.split()[0] for text in found] == ["error", "warning"]
    moved = judged(situations.moved())
    assert [text.split()[0] for text in moved] == sorted((text.split()[0] for text in moved), key=_order)


def _order(severity: str) -> int:
    return ["error", "warning", "info"].index(severity)


def test_an_archive_that_fails_is_said_once() -> None:
    given = at(
        "db1",
        "server",
        archiver={"waiting": 3, "last_failed": "7", "last_failed_at": 9.0, "last_archived_at": 8.0},
    )
    assert verified(given) == ["error db1: Archiving fails on db1: 3 segments wait, last 7. The server's log says why."]
    whole.seen(given, "db1")["archive_findings"] = [{"name": "archive_failing", "text": "archiving fails: 3 segments"}]
    assert [text.partition(".")[0] for text in verified(given)] == ["error db1: db1: archiving fails: 3 segments"]
