# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of the verification, each with its exact words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import situations
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision, _topology, _verify
from ansible_collections.steadfast.postgresql.plugins.module_utils._verify import Picture
from situations import all_empty, healthy, primary, slot
from whole import DAY, NOW, setting


def judged(hosts: Any, **changes: Any) -> list[str]:
    """Verify a platform; changes are those of the picture."""
    given = whole.given("db1", hosts)
    return verified(given, **changes)


def verified(given: _decision.Given, **changes: Any) -> list[str]:
    topology = _topology.decide(_decision.facts(given), _decision.observations(given.observed))
    picture = Picture(
        cluster="main",
        primary=topology.primary,
        durability=given.cluster["durability"],
        databases=["db1", "db2", "db3"],
        seen={name: seen for name, seen in given.observed.items() if seen},
        now=NOW,
    )
    findings = _verify.verify(replace(picture, **changes), topology)
    return [f"{found.severity} {found.host}: {found.text} {found.advice}" for found in findings]


def at(host: str, part: str | None, **values: Any) -> _decision.Given:
    """A converged platform whose host was seen otherwise, in one part of its observation."""
    given = whole.given("db1")
    seen = given.observed[host]
    assert seen is not None
    (seen[part] if part else seen).update(values)
    return given


def test_a_converged_platform_has_no_findings():
    assert judged(healthy()) == []


def disk(available: int) -> dict[str, Any]:
    return {"mount": "/data", "bytes": 1000, "available": available, "rotational": False}


DISK = "Make room, or enlarge it."
SERVER_LOG = "Look at systemctl status and the server's log on db3."
BAD_LINE = {"file": "/etc/postgresql/16/main/pg_hba.conf", "line": 7, "error": "invalid IP mask"}
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
        pytest.param("db2", "server", {"hba_errors": [BAD_LINE]}, BAD_LINE_TEXT, id="rule"),
        pytest.param("db2", "server", {"file_errors": [BAD_LINE | {"name": "x"}]}, BAD_LINE_TEXT, id="setting"),
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
            "error db3: db3 is on timeline 2, and db1 on 1. "
            "If it does not follow within a minute, run rejoin_standby for db3.",
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
def test_findings_of_a_host(host, part, values, finding):
    given = at(host, part, **values)
    said = verified(given)
    assert (finding in said) if finding else said == []


def test_a_server_that_does_not_answer():
    hosts = healthy(db3=situations.stopped_standby())
    given = whole.given("db1", hosts)
    given.observed["db3"]["server_error"] = "psql ended with status 2: no such socket"
    text = f"error db3: No server answers on db3: psql ended with status 2: no such socket. {SERVER_LOG}"
    assert text in verified(given)
    assert f"error db3: No server answers on db3: it does not run. {SERVER_LOG}" in judged(hosts)


def test_an_unknown_host_is_named_once():
    assert [text for text in judged(healthy(db3=None)) if "db3" in text] == [
        "warning db3: db3 was not observed: it is unreachable, or outside --limit. "
        "Nothing that depends on it was changed. Run site.yml again once it answers."
    ]


def without(**changes: Any) -> Any:
    return healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **changes))


STREAM_ADVICE = "The server's log on db3 says what its WAL receiver meets."


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        pytest.param(
            {"replication": {"db3": {"state": "catchup"}}},
            f"error db3: db3 does not stream from db1: catchup. {STREAM_ADVICE}",
            id="catches up",
        ),
        pytest.param(
            {"replication": {"db3": {"state": "streaming", "tls": None}}},
            "error db3: db3 streams from db1 without TLS. Run site.",
            id="without TLS",
        ),
        pytest.param(
            {"slots": {"db3": slot(active=False)}},
            "error db3: db3 streams without its slot on db1. Run site.",
            id="slot not in use",
        ),
    ],
)
def test_a_standby_that_does_not_stream_as_it_should(changes, finding):
    assert finding in judged(without(**changes))


@pytest.mark.parametrize(("behind", "said"), [(256 << 20, False), ((256 << 20) + 1, True), (None, False)])
def test_a_standby_that_lags(behind, said):
    finding = "warning db3: db3 is 256 MiB behind db1. Look at its load and at the network between them."
    found = judged(without(replication={"db3": {"state": "streaming", "lag_bytes": behind}}))
    assert found == ([finding] if said else [])


def test_a_fenced_host_is_named_once():
    hosts = healthy(db3=situations.stopped_standby(unit={"masked": True}))
    about = [text for text in judged(hosts) if text.split()[1] == "db3:"]
    assert len(about) == 1
    assert about[0].startswith("warning db3: db3 is fenced: its service is masked, so it is not started.")


def test_memory_that_is_too_small():
    text = "max_connections 200 do not fit into 512MB of memory; write 60 or less, or give the host more"
    assert judged(healthy(), shortages={"db2": text}) == [f"warning db2: db2: {text}. "]


def test_a_standby_that_is_not_connected():
    hosts = healthy(db1=primary("db2", synchronous='ANY 1 ("db2")', slots={"db3": slot(active=False)}))
    assert f"error db3: db3 does not stream from db1: not connected. {STREAM_ADVICE}" in judged(hosts)


def test_a_standby_without_a_slot():
    hosts = healthy(db1=primary("db2", synchronous='ANY 1 ("db2")', replication={"db3": {"state": "streaming"}}))
    assert judged(hosts) == [
        "error db1: db1 lacks slots: db3. Run site.",
        "error db3: db3 streams without its slot on db1. Run site.",
    ]


def test_standbys_are_not_judged_without_their_primary():
    hosts = healthy(db1=None)
    assert not [text for text in judged(hosts) if "stream" in text and text.startswith("error db")]


def test_there_is_no_archive():
    given = at("db1", None)
    given.observed["db1"]["server"]["settings"]["archive_command"] = setting("/bin/true")
    given.observed["db1"]["server"]["archiver"] |= {"last_failed_at": NOW}
    assert verified(given) == [
        "warning db1: There is no archive of db1's WAL: no moment of the past can be restored. "
        "Back the cluster up before it holds anything of value."
    ]


def test_weak_commits_are_the_promise_where_it_is_asynchronous():
    given = at("db1", "server", weak_commits=["role app: synchronous_commit=off"])
    found = verified(given, durability="asynchronous")
    assert not [text for text in found if "synchronous_commit" in text]


def running(name: str, found: dict[str, Any] | None, wanted: str, **changes: Any) -> list[str]:
    """Findings about one setting of db2."""
    given = whole.given("db1")
    if found is not None:
        given.observed["db2"]["server"]["settings"][name] = found
    return verified(given, wanted={"db2": {name: wanted}}, **changes)


PLACE = "/etc/postgresql/16/main/conf.d/10-server.conf"
OVERRIDDEN = "Remove what overrides it, then run site."
RESTART = "Run site with -e postgresql_server_restart=true when it suits."


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("work_mem", setting("8192", unit="kB"), "8MB"),
        ("max_wal_size", setting("4096", unit="MB"), "4GB"),
        ("shared_buffers", setting("262144", unit="8kB"), "'2GB'"),
        ("jit", setting("on"), "yes"),
        ("log_line_prefix", setting("it's %m"), "'it''s %m'"),
        ("max_slot_wal_keep_size", setting("-1", unit="MB"), "-1"),
        ("autovacuum_vacuum_cost_delay", setting("0.5", unit="ms"), "500us"),
        # What the connection that asks has differently.
        ("tcp_keepalives_idle", setting("0", unit="s"), "10s"),
        ("statement_timeout", None, "1min"),
        # Not seen, because no file sets it, and wanted as it is by default.
        ("work_mem", None, "4MB"),
        ("pg_stat_statements.track", None, "all"),
        ("app.tenant", None, "x"),
    ],
)
def test_a_setting_in_force(name, found, wanted):
    assert running(name, found, wanted) == []


@pytest.mark.parametrize(
    ("name", "found", "wanted", "finding"),
    [
        pytest.param(
            "work_mem",
            setting("16384", unit="kB"),
            "8MB",
            f"error db2: db2 runs with work_mem 16384kB by {PLACE}, not with 8MB. {OVERRIDDEN}",
            id="another value",
        ),
        pytest.param(
            "jit",
            setting("on", source="database", sourcefile=None),
            "off",
            f"error db2: db2 runs with jit on by database, not with off. {OVERRIDDEN}",
            id="not by a file",
        ),
        pytest.param(
            "work_mem",
            None,
            "8MB",
            f"error db2: db2 runs with work_mem 4096kB by default, not with 8MB. {OVERRIDDEN}",
            id="no file sets it",
        ),
        pytest.param(
            "shared_buffers",
            setting("16384", unit="8kB", pending_restart=True),
            "2GB",
            "warning db2: db2 runs with shared_buffers 131072kB, and 2GB waits for a restart "
            f"(postgresql_server_restart is false). {RESTART}",
            id="waits for a restart",
        ),
        pytest.param(
            "ssl_ciphers",
            setting("''"),
            "'HIGH'",
            f"error db2: db2 runs with ssl_ciphers '' by {PLACE}, not with 'HIGH'. {OVERRIDDEN}",
            id="text",
        ),
    ],
)
def test_a_setting_that_is_not_in_force(name, found, wanted, finding):
    assert running(name, found, wanted) == [finding]


def test_why_a_setting_waits():
    found = setting("100", pending_restart=True)
    assert running("max_connections", found, "50", held={"db2": "db1 has more max_connections, and keeps it"}) == [
        "warning db2: db2 runs with max_connections 100, and 50 waits for a restart "
        f"(db1 has more max_connections, and keeps it). {RESTART}"
    ]


@pytest.mark.parametrize(
    ("hosts", "finding"),
    [
        pytest.param(
            all_empty(),
            "error db2: db2 still has to clone: it holds no cluster. Run site.",
            id="action",
        ),
        pytest.param(all_empty(), "error db1: db1 lacks slots: db2, db3. Run site.", id="slots"),
        pytest.param(
            healthy(db1=primary("db2", "db3")),
            'warning db1: The synchronous set of db1 is to become ANY 1 ("db2"). Run site.',
            id="set",
        ),
    ],
)
def test_what_is_left_to_do(hosts, finding):
    assert finding in judged(hosts)


def test_a_set_that_is_to_be_empty():
    given = whole.given("db1", cluster=whole.cluster(durability="asynchronous"))
    assert "warning db1: The synchronous set of db1 is to become empty. Run site." in verified(given)


def test_refusals_are_findings():
    found = judged(healthy(db2=primary()))
    assert found[0].startswith("error : 2 hosts run as primary: db1 ")


PROBE = {"source": "ops1", "target": "db1", "probe": "plaintext", "words": "it goes on without TLS"}


def test_probes():
    assert judged(healthy(), probes=[PROBE | {"passed": False}, PROBE | {"passed": True, "target": "db2"}]) == [
        "error db1: db1 fails the probe plaintext from ops1: it goes on without TLS. "
        "Plaintext and TLS 1.1 have to be refused by the server, verified TLS has to succeed."
    ]


def test_the_worst_comes_first():
    given = at("db3", "disks", data=disk(100))
    given.observed["db2"]["certificates"] = None
    found = verified(given, primary="db1", durability="asynchronous")
    assert [text.split()[0] for text in found] == ["error", "warning"]
    moved = judged(situations.moved())
    assert [text.split()[0] for text in moved] == sorted((text.split()[0] for text in moved), key=_order)


def _order(severity: str) -> int:
    return ["error", "warning", "info"].index(severity)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("16384", "8kB", "131072kB"),
        ("2", "16MB", "32MB"),
        ("200", "ms", "200ms"),
        ("15", "min", "15min"),
        ("1.5", "ms", "1.5ms"),
        ("0", "8kB", "0"),
        ("-1", "kB", "-1"),
        ("on", None, "on"),
    ],
)
def test_with_unit(value, unit, text):
    assert _verify.with_unit({"value": value, "unit": unit}) == text
