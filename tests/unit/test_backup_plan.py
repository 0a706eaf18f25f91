# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host does for backups, and what backups forbid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _backup_plan, _decision
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import Given
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import Repository
from situations import ID, OTHER_ID, all_empty, healthy

LOCAL = {
    "number": 1,
    "name": "local",
    "type": "posix",
    "path": "/srv/pgbackrest/main/local",
    "retention_days": 14,
    "point_in_time": True,
    "schedule": {"full": "*-*-* 02:00:00 UTC"},
    "s3": {},
    "suspended": False,
    "seal": "seal of local",
}
OFFSITE = LOCAL | {
    "number": 2,
    "name": "offsite",
    "type": "s3",
    "path": "/main/offsite",
    "s3": {"bucket": "b", "endpoint": "s3.example.com", "region": "us-west-2", "ca": "ca.crt"},
    "seal": "seal of offsite",
}
KEPT = [f"/srv/pgbackrest{path}" for path in ("", "/lock", "/main", "/main/local")]
SERVICE, CHECK = "pgbackrest.service", "steadfast-check-archive.timer"
KEEPERS_TIMERS = [
    "steadfast-backup-local-full.timer",
    "steadfast-backup-offsite-full.timer",
    "steadfast-check-repositories.timer",
    "steadfast-verify-repositories.timer",
]
RUNS = {"active": True, "enabled": True}
EMERGENCY = {"path": "/var/lib/postgresql/16/main.emergency", "bytes": 64 << 20}
WHOLE = {"answers": True, "error": "", "stanza": True, "systems": [ID], "full": 500}
NOTHING = {"answers": True, "error": "", "stanza": False, "systems": [], "full": None}
SILENT = {"answers": False, "error": "no route", "stanza": False, "systems": [], "full": None}


def seen(units: list[str], **changes: Any) -> dict[str, Any]:
    """What instance_info says of backups on a host."""
    found = {"user": True, "units": dict.fromkeys(units, RUNS), "stale": [], "check": None, "repositories": {}}
    return found | {"emergency_file": EMERGENCY} | changes


def given(
    host: str = "db1",
    hosts: Mapping[str, Any] | None = None,
    repositories: tuple[dict[str, Any], ...] = (LOCAL, OFFSITE),
    infos: tuple[Any, ...] = (WHOLE, WHOLE),
    *,
    keeper: Mapping[str, Any] | None = None,
    database: Mapping[str, Any] | None = None,
    **more: Any,
) -> Given:
    """A platform with backups; at rest unless something else is said of the repository host or the databases'."""
    found = whole.given(host, hosts, cluster=whole.cluster(repositories=list(repositories), backup_port=8432), **more)
    for name, observed in found.observed.items():
        if observed is None:
            continue
        if name == "ops1":
            held = {
                str(number): {"place": Repository(**repository).place, "seal": repository["seal"]} | info
                for number, (repository, info) in enumerate(zip(repositories, infos, strict=False), 1)
            }
            backup = seen([SERVICE, *KEEPERS_TIMERS], repositories=held, **(keeper or {}))
        else:
            backup = seen([SERVICE, CHECK], **(database or {}))
        whole.seen(found, name)["backup"] = backup
    return found


def decide(*arguments: Any, **more: Any) -> dict[str, Any]:
    return _decision.decide(given(*arguments, **more))


def test_without_repositories_nothing_is_done() -> None:
    decision = whole.decide("db1")
    assert decision["self"]["backup"] == {"duties": []}
    assert decision["backup"] == {"stanza": "main", "repository": "", "repositories": []}
    assert decision["settings"]["archive_command"]["value"] == "'/bin/true'"
    assert (decision["rules_of_roles"], decision["self"]["restore_command"]) == ([], "")


@pytest.mark.parametrize(
    ("host", "duties", "user", "directories"),
    [
        ("db1", ["database"], "postgres", ["/var/lib/pgbackrest/lock"]),
        ("ops1", ["repository"], "pgbackrest", KEPT),
    ],
)
def test_at_rest(host: str, duties: list[str], user: str, directories: list[str]) -> None:
    decision = decide(host)
    own = decision["self"]["backup"]
    expected = {
        "duties": duties,
        "user": user,
        "serves": True,
        "user_missing": False,
        "service_needed": False,
        "obsolete_files": [],
        "emergency": {},
        "directories": directories,
    }
    assert {name: own[name] for name in expected} == expected
    assert decision["refusals"] == []
    assert (decision["backup"]["owed"], decision["backup"]["without_stanza"]) == ([], [])


def test_a_server_archives_with_pgbackrest() -> None:
    decision = decide("db1")
    command = "/usr/bin/pgbackrest --stanza=main archive-push %p"
    assert decision["settings"]["archive_command"]["value"] == f"'{command}'"
    assert decision["self"]["backup"]["check"]["archive_command"] == command
    assert decision["self"]["restore_command"] == '/usr/bin/pgbackrest --stanza=main archive-get %f "%p"'
    assert [rule["users"] for rule in decision["rules_of_roles"]] == [["pgbackrest"]]


@pytest.mark.parametrize(("host", "missing"), [("db1", ["pgbackrest"]), ("ops1", ["pgbackrest"])])
def test_packages(host: str, missing: list[str]) -> None:
    assert decide(host)["self"]["missing_packages"] == missing


@pytest.mark.parametrize(
    ("units", "changes", "needed", "obsolete"),
    [
        pytest.param([SERVICE, CHECK], {}, False, [], id="at rest"),
        pytest.param([SERVICE], {}, True, [], id="a timer is missing"),
        pytest.param([SERVICE, CHECK], {"stale": ["/etc/pgbackrest/pgbackrest.conf"]}, True, [], id="not read yet"),
        pytest.param(
            [SERVICE, CHECK, "steadfast-backup-old-full.timer"],
            {},
            True,
            ["/etc/systemd/system/steadfast-backup-old-full.timer"],
            id="a schedule that is no more",
        ),
    ],
)
def test_units(units: list[str], changes: dict[str, Any], needed: bool, obsolete: list[str]) -> None:
    found = given("db1")
    whole.seen(found, "db1")["backup"] = seen(units, **changes)
    own = _decision.decide(found)["self"]["backup"]
    assert own["service_needed"] is needed
    assert [file["path"] for file in own["obsolete_files"]] == obsolete
    assert {unit["name"] for unit in own["units"] if unit["state"] == "started"} == {CHECK}


@pytest.mark.parametrize(
    ("size", "there", "wanted"),
    [
        ("64MB", 64 << 20, {}),
        ("64MB", None, EMERGENCY),
        ("1MB", 64 << 20, EMERGENCY | {"bytes": 1 << 20}),
        ("0", 64 << 20, EMERGENCY | {"bytes": 0}),
        ("0", None, {}),
    ],
)
def test_emergency_file(size: str, there: int | None, wanted: dict[str, Any]) -> None:
    found = given("db1", own={"postgresql_backup_emergency_file": size})
    whole.seen(found, "db1")["backup"]["emergency_file"] = EMERGENCY | {"bytes": there}
    own = _decision.decide(found)["self"]["backup"]
    assert own["emergency"] == wanted
    assert own["check"]["emergency_file"] == ("" if size == "0" else EMERGENCY["path"])


@pytest.mark.parametrize(
    ("infos", "stanza", "owed", "silent", "clone_from"),
    [
        pytest.param((WHOLE, WHOLE), [], [], [], 1, id="at rest"),
        pytest.param((NOTHING, NOTHING), ["local", "offsite"], ["local", "offsite"], [], 0, id="fresh"),
        pytest.param((WHOLE, WHOLE | {"full": None}), [], ["offsite"], [], 1, id="no full in one"),
        pytest.param((WHOLE | {"full": None}, WHOLE), [], ["local"], [], 2, id="no full in the other"),
        pytest.param((WHOLE, SILENT), [], [], ["offsite"], 1, id="one does not answer"),
    ],
)
def test_first_backups(
    infos: tuple[Any, ...], stanza: list[str], owed: list[str], silent: list[str], clone_from: int
) -> None:
    decision = decide("db2", infos=infos)
    plan = decision["backup"]
    assert (plan["without_stanza"], [backup["repository"] for backup in plan["owed"]]) == (stanza, owed)
    assert list(plan["silent"]) == silent
    assert decision["self"]["clone_from"] == clone_from


def test_an_unseen_repository_host_owes_nothing() -> None:
    plan = decide("db1", healthy(ops1=None))["backup"]
    assert (plan["owed"], plan["without_stanza"]) == ([], [])


def test_a_host_with_wal_elsewhere_copies_the_primary() -> None:
    assert decide("db2", own={"postgresql_server_wal_directory": "/wal/main"})["self"]["clone_from"] == 0


GONE = OFFSITE | {"suspended": True}
TAKEN_OUT = {"check": {"repositories": [{"name": "local", "suspended": False}, {"name": "offsite", "suspended": True}]}}
IN = {"check": {"repositories": [{"name": "local", "suspended": False}, {"name": "offsite", "suspended": False}]}}
STATEMENT = (
    "postgresql_backup_suspended_repositories takes out offsite: from then on no WAL and no backup goes there, and "
    "nothing from then until its next full backup can be restored from it. To go on, write -e confirm=main"
)


@pytest.mark.parametrize(
    ("keeper", "confirm", "refusals"),
    [
        pytest.param(IN, "", [STATEMENT], id="without a word"),
        pytest.param(IN, "other", [STATEMENT], id="for another cluster"),
        pytest.param(IN, "main", [], id="stated"),
        pytest.param(TAKEN_OUT, "", [], id="it is out"),
        pytest.param({}, "", [], id="never in"),
    ],
)
def test_taking_a_repository_out_needs_a_word(keeper: dict[str, Any], confirm: str, refusals: list[str]) -> None:
    found = given("db1", repositories=(LOCAL, GONE), keeper=keeper)
    assert _decision.decide(replace(found, confirm=confirm))["refusals"] == refusals


def test_the_database_hosts_remember_what_the_repository_host_had() -> None:
    out = given("db1", healthy(ops1=None), repositories=(LOCAL, GONE), database=IN)
    assert _decision.decide(out)["refusals"] == [STATEMENT]
    stated = _decision.decide(replace(out, confirm="main"))
    assert "repository offsite: is suspended, and gets no WAL and no backups until it is back" in stated["left"]
    assert decide("db1", healthy(ops1=None), repositories=(LOCAL, GONE), database=TAKEN_OUT)["refusals"] == []

    back = decide("db1", infos=(WHOLE, WHOLE | {"full": 500}), database=TAKEN_OUT)
    assert [backup["repository"] for backup in back["backup"]["owed"]] == ["offsite"]
    assert back["self"]["backup"]["check"]["returned"] == {"offsite": 1000}


@pytest.mark.parametrize(
    ("keeper", "full", "owed"),
    [
        pytest.param(TAKEN_OUT, 500, ["offsite"], id="it comes back"),
        pytest.param(TAKEN_OUT, 2000, [], id="it has a newer one"),
        pytest.param(
            {"check": {"former": ["offsite"], "repositories": []}}, 500, ["offsite"], id="it was removed and is back"
        ),
        pytest.param(
            {"check": {"returned": {"offsite": 900}, **IN["check"]}}, 500, ["offsite"], id="killed after that"
        ),
        pytest.param({"check": {"returned": {"offsite": 900}, **IN["check"]}}, 901, [], id="made since"),
    ],
)
def test_a_repository_that_returns_owes_a_full_backup(keeper: dict[str, Any], full: int, owed: list[str]) -> None:
    decision = decide("ops1", keeper=keeper, infos=(WHOLE, WHOLE | {"full": full}))
    assert [backup["repository"] for backup in decision["backup"]["owed"]] == owed
    assert decision["self"]["backup"]["check"]["returned"]["offsite"] in {900, 1000}


def test_a_repository_that_is_removed_is_remembered() -> None:
    assert decide("ops1", repositories=(LOCAL,), keeper=IN)["self"]["backup"]["check"]["former"] == ["offsite"]
    own = decide("ops1", repositories=(LOCAL, OFFSITE), keeper={"check": {"former": ["offsite"]}})["self"]["backup"]
    assert own["check"]["former"] == []


def test_a_suspended_repository_is_in_no_configuration() -> None:
    own = decide("ops1", repositories=(LOCAL, GONE), keeper=TAKEN_OUT)["self"]["backup"]
    assert "repo1-path=/srv/pgbackrest/main/local" in own["configuration"]
    assert "repo2" not in own["configuration"]
    assert [item["suspended"] for item in own["check"]["repositories"]] == [False, True]


NEW_CLUSTER = "no new cluster is made"
OTHERS = (
    "repository {} on ops1 holds backups of the system {}, and {}. To get that data back restore it "
    "(docs/runbooks/lost_cluster.md); to begin anew write another postgresql_cluster_name, or another path for {}"
)


@pytest.mark.parametrize(
    ("hosts", "infos", "refusals"),
    [
        pytest.param(all_empty(), (NOTHING, NOTHING), [], id="fresh"),
        pytest.param(
            all_empty(),
            (WHOLE, NOTHING),
            [OTHERS.format("local", ID, NEW_CLUSTER, "local")],
            id="all hosts lost, backups there",
        ),
        pytest.param(
            all_empty(),
            (NOTHING, SILENT),
            [
                "repository offsite does not answer and may hold backups of main: no new cluster is made (no route)",
            ],
            id="nobody knows what it holds",
        ),
        pytest.param(
            {**all_empty(), "ops1": None},
            (),
            [
                "ops1 could not be observed, and its repositories may hold backups of main: no new cluster is made. "
                "Run again when it is reachable"
            ],
            id="no repository host",
        ),
        pytest.param(
            healthy(),
            (WHOLE | {"systems": [OTHER_ID]}, WHOLE),
            [OTHERS.format("local", OTHER_ID, f"the cluster here is {ID}", "local")],
            id="backups of another cluster",
        ),
        pytest.param(healthy(), (WHOLE, SILENT), [], id="one does not answer"),
        pytest.param(
            healthy(),
            (WHOLE, WHOLE | {"seal": "another"}),
            [
                "the passphrase of the repository offsite is another one than its backups are encrypted with. Write "
                "the former one; for a new one give the repository another path as well (docs/runbooks/passphrase.md)"
            ],
            id="another passphrase",
        ),
        pytest.param(
            healthy(),
            (WHOLE | {"seal": "another", "place": ["/srv/former", "", ""]}, WHOLE),
            [],
            id="another passphrase for another path",
        ),
        pytest.param(
            healthy(),
            (WHOLE, WHOLE | {"seal": "another", "place": ["/main/offsite", "former", "s3.example.com"]}),
            [],
            id="another passphrase for another bucket",
        ),
        pytest.param(healthy(), (WHOLE | {"seal": ""}, WHOLE), [], id="no passphrase there"),
        pytest.param(healthy(), (NOTHING | {"seal": "another"}, WHOLE), [], id="another one where nothing is"),
    ],
)
def test_refusals(hosts: Mapping[str, Any], infos: tuple[Any, ...], refusals: list[str]) -> None:
    assert decide("db1", hosts, infos=infos)["refusals"] == refusals


def test_the_site_survives_a_task_variable() -> None:
    own = decide("ops1")["self"]["backup"]
    assert _backup_plan.site_from(own["site"]).repository.name == "ops1"


ANOTHER = LOCAL | {"name": "another", "path": "/srv/another", "seal": "seal of another"}


def test_a_repository_is_known_by_its_place() -> None:
    # The configuration of the hosts has never had the other.
    infos = ({**WHOLE, "place": ["/srv/pgbackrest/main/local", "", ""], "seal": "seal of local"},)
    decision = decide("ops1", repositories=(ANOTHER | {"number": 2}, LOCAL), infos=infos)
    assert decision["refusals"] == []
    assert [backup["repository"] for backup in decision["backup"]["owed"]] == ["another"]
    assert decision["backup"]["without_stanza"] == ["another"]


def test_a_repository_keeps_its_number() -> None:
    infos = ({**WHOLE, "place": ["/srv/pgbackrest/main/local", "", ""], "seal": "seal of local"},)
    assert decide("ops1", repositories=(ANOTHER, LOCAL | {"number": 2}), infos=infos)["refusals"] == [
        "repository local is repo1 on ops1 and would become repo2, and WAL archived while the hosts change would be "
        "missing in one of them. Write number: 1 for local in postgresql_backup_repositories"
    ]


@pytest.mark.parametrize(
    ("written", "expected", "left"),
    [
        pytest.param({"ops1": "10.0.0.9"}, "repo1-host=10.0.0.9\n", [], id="a run wrote it down"),
        pytest.param(
            {},
            "",
            [
                "pgbackrest.conf: is not written on the database hosts, because the address of ops1 is not known; run "
                "site.yml once it answers, or write postgresql_address for ops1"
            ],
            id="nobody knows it",
        ),
    ],
)
def test_where_a_repository_host_is_that_does_not_answer(
    written: dict[str, str], expected: str, left: list[str]
) -> None:
    known = given("db1", healthy(ops1=None))
    whole.seen(known, "db1")["backup"] |= {"check": {"addresses": written}}
    decision = _decision.decide(known)
    assert expected in decision["self"]["backup"].get("configuration", "")
    assert decision["left"] == ["ops1: not observed", *left]
    assert bool(decision["self"]["backup"]["duties"]) is bool(expected)


def test_a_database_host_that_nobody_knows_is_in_no_configuration() -> None:
    own = decide("ops1", healthy(db3=None))["self"]["backup"]
    assert "pg2-host=10.0.0.2" in own["configuration"]
    assert "pg3-" not in own["configuration"]
    assert own["check"]["addresses"] == {"db1": "10.0.0.1", "db2": "10.0.0.2", "ops1": "10.0.0.9"}


def test_on_a_host_alone_nobody_is_served() -> None:
    alone = whole.member("db1", duties=["database", "repository"])
    known = whole.given(
        "db1", {"db1": healthy()["db1"]}, cluster=whole.cluster(alone, repositories=[LOCAL], backup_port=8432)
    )
    own = _decision.decide(known)["self"]["backup"]
    assert own["serves"] is False
    assert SERVICE not in [path.rpartition("/")[2] for path in (unit["path"] for unit in own["unit_files"])]
    assert SERVICE not in [unit["name"] for unit in own["units"]]
    assert "tls-server" not in own["configuration"]
