# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order hosts get a newer minor version, and when none does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _minor
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from ansible_collections.steadfast.postgresql.plugins.module_utils._minor import Begun, Cluster, Host, Package, Plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._restart import Running, Waiting

MINIMA = dict.fromkeys(STANDBY_MINIMA, 100)
OLD, NEW = "16.14-1.pgdg13+1", "16.15-1.pgdg13+1"
BOTH = ("postgresql-16", "postgresql-client-16")


def host(name: str, installed: str = OLD, candidate: str = NEW, **changes: Any) -> Host:
    packages = {each: Package(installed, candidate, installed != candidate) for each in BOTH}
    return Host(
        **{
            "packages": packages,
            "running": Running({}, MINIMA),
            "streams_to": frozenset({"db2", "db3"}) if name == "db1" else frozenset(),
            "member_name": name,
            **changes,
        }
    )


def cluster(allowed: bool = True, hosts: dict[str, Host] | None = None, **changes: Any) -> Cluster:
    whole = Cluster(
        name="main",
        version="16",
        hosts={name: host(name) for name in ("db1", "db2", "db3")} | (hosts or {}),
        databases=["db3", "db1", "db2"],
        primary="db1",
        synchronous=frozenset({"db2"}),
        allowed=allowed,
    )
    return replace(whole, **changes)


def done(name: str, **changes: Any) -> Host:
    return host(name, NEW, NEW, **changes)


def waits(**settings: tuple[int, int]) -> Running:
    waiting = {name: Waiting(str(now), str(then)) for name, (now, then) in settings.items()}
    return Running(waiting, MINIMA)


NEW_ON_ALL = {name: done(name) for name in ("db1", "db2", "db3")}
WANTED = {"postgresql-16": NEW, "postgresql-client-16": NEW}


@pytest.mark.parametrize(
    ("given", "order", "install"),
    [
        pytest.param(cluster(), ["db3", "db2", "db1"], ["db3", "db2", "db1"], id="all of them"),
        pytest.param(cluster(False), ["db3", "db2"], ["db3", "db2"], id="the primary may not restart"),
        pytest.param(cluster(hosts=NEW_ON_ALL), [], [], id="nothing newer"),
        pytest.param(cluster(hosts={"db3": done("db3")}), ["db2", "db1"], ["db2", "db1"], id="killed after the first"),
        pytest.param(
            cluster(hosts={"db3": done("db3", is_replaced=True)}),
            ["db3", "db2", "db1"],
            ["db2", "db1"],
            id="killed before the first restarted",
        ),
        pytest.param(
            cluster(hosts={"db3": done("db3", is_replaced=True, is_interrupted=True)}),
            ["db3", "db2", "db1"],
            ["db3", "db2", "db1"],
            id="killed while dpkg worked",
        ),
        pytest.param(
            cluster(hosts=NEW_ON_ALL | {"db2": done("db2", is_interrupted=True)}), [], [], id="some other package"
        ),
        pytest.param(
            cluster(False, hosts=NEW_ON_ALL | {"db1": host("db1")}), [], [], id="the primary alone, and it may not"
        ),
        pytest.param(cluster(hosts=NEW_ON_ALL | {"db1": host("db1")}), ["db1"], ["db1"], id="the primary alone"),
        pytest.param(
            cluster(hosts={"db2": host("db2", running=waits(work_mem=(1, 2)))}),
            ["db3", "db2", "db1"],
            ["db3", "db2", "db1"],
            id="a setting comes into force by the way",
        ),
    ],
)
def test_the_order(given: Cluster, order: list[str], install: list[str]) -> None:
    plan = _minor.plan(given)
    assert (plan.refusals, list(plan.order), list(plan.install)) == ((), order, install)
    assert {name: dict(plan.packages[name]) for name in order if given.hosts[name].newer} == {
        name: WANTED for name in order if given.hosts[name].newer
    }


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        pytest.param(
            cluster(),
            [
                "One after the other, each proven before the next: db3, then db2, then db1.",
                f"db3: postgresql-16 {OLD} -> {NEW}; postgresql-client-16 {OLD} -> {NEW}; its server restarts.",
                f"db2: postgresql-16 {OLD} -> {NEW}; postgresql-client-16 {OLD} -> {NEW}; its server restarts.",
                "Commits wait for the seconds in which db2 restarts: nobody else of the synchronous set streams.",
                f"db1: postgresql-16 {OLD} -> {NEW}; postgresql-client-16 {OLD} -> {NEW}; its server restarts.",
                "db1 is the primary: nothing is written for the seconds in which it restarts.",
            ],
            id="all of them",
        ),
        pytest.param(
            cluster(
                False,
                synchronous=frozenset({"db2", "db3"}),
                hosts={
                    "db2": done("db2", is_replaced=True, is_interrupted=True),
                    "db3": done("db3"),
                },
            ),
            [
                "One after the other, each proven before the next: db2.",
                "db2: what dpkg left unfinished is completed; its server restarts, which runs a program that was "
                "replaced.",
                "db1, the primary, stays as it is: its restart ends all connections. When it suits, run again with -e "
                "postgresql_server_restart=true.",
            ],
            id="two candidates, killed, the primary held",
        ),
        pytest.param(
            cluster(False, hosts=NEW_ON_ALL | {"db1": host("db1")}),
            [
                "db1, the primary, stays as it is: its restart ends all connections. When it suits, run again with -e "
                "postgresql_server_restart=true."
            ],
            id="only the primary is left",
        ),
        pytest.param(
            cluster(hosts=NEW_ON_ALL),
            [f"Nothing is newer than what runs: db1 {NEW}, db2 {NEW}, db3 {NEW}."],
            id="nothing newer",
        ),
    ],
)
def test_what_the_operator_reads(given: Cluster, lines: list[str]) -> None:
    assert list(_minor.plan(given).lines) == lines


SETTLE = "come first ({}): run site.yml with -e postgresql_server_restart=true."


@pytest.mark.parametrize(
    ("given", "refusals"),
    [
        pytest.param(
            cluster(unseen=["ops1"], errors=["error: what follows from that"]),
            [
                "ops1 could not be observed (unreachable, or outside --limit), and a cluster is upgraded with all its "
                "members there: bring it back, or take it out of the inventory."
            ],
            id="unseen",
        ),
        pytest.param(
            cluster(errors=["error: Commits wait on db1."]),
            ["The cluster is not well, so none of its hosts restarts: error: Commits wait on db1."],
            id="unwell",
        ),
        pytest.param(
            cluster(hosts={"db2": host("db2", packages={"postgresql-16": Package(OLD, NEW, True, held=True)})}),
            ["db2: postgresql-16 is held. If it may be upgraded, run there: apt-mark unhold postgresql-16"],
            id="held",
        ),
        pytest.param(
            cluster(
                hosts=NEW_ON_ALL | {"db2": done("db2", packages={"postgresql-16": Package(NEW, NEW, False, True)})}
            ),
            [],
            id="held and nothing newer",
        ),
        pytest.param(
            cluster(hosts={"db2": host("db2", OLD, OLD)}),
            [
                f"The hosts would not have the same version afterwards: {NEW} on db1 and db3; {OLD} on db2. Give all "
                "of them the same package source, or wait until their mirrors agree."
            ],
            id="mirrors differ",
        ),
        pytest.param(
            cluster(hosts={name: host(name, OLD, "17.2-1") for name in ("db1", "db2", "db3")}),
            [
                f"{name}: {package} would become 17.2-1, and the major version 16 never changes: give the host the "
                "package source of that version."
                for name in ("db1", "db2", "db3")
                for package in BOTH
            ],
            id="another major version",
        ),
        pytest.param(
            cluster(hosts={"db2": host("db2", running=waits(max_connections=(100, 50)))}),
            [f"db2: settings that wait for a restart {SETTLE.format('db1 has more max_connections, and keeps it')}"],
            id="a setting that the standby may not lower",
        ),
        pytest.param(
            cluster(
                hosts={name: host(name, running=waits(max_connections=(100, 50))) for name in ("db1", "db2", "db3")}
            ),
            [
                f"{name}: settings that wait for a restart {SETTLE.format('they are lowered on the primary first')}"
                for name in ("db2", "db3")
            ],
            id="a setting that the primary lowers first",
        ),
    ],
)
def test_what_is_refused(given: Cluster, refusals: list[str]) -> None:
    plan = _minor.plan(given)
    assert list(plan.refusals) == refusals
    assert not refusals or plan == Plan(tuple(refusals))


def test_the_journal() -> None:
    plan = _minor.plan(cluster(False))
    assert plan.origin == (f"db2 {OLD}", f"db3 {OLD}")
    assert plan.target == (f"db2 {NEW}", f"db3 {NEW}")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param((f"db2 {NEW}",), (f"db2 {NEW}",), id="done but not said"),
        pytest.param(("db2 16.99",), (), id="somebody else went on"),
    ],
)
def test_what_an_earlier_run_could_not_say(target: tuple[str, ...], expected: tuple[str, ...]) -> None:
    begun = Begun((f"db2 {OLD}",), target)
    plan = _minor.plan(cluster(hosts=NEW_ON_ALL | {"db2": done("db2", begun=begun)}))
    assert (plan.order, plan.target, plan.origin) == ((), expected, begun.origin if expected else ())


def test_who_has_to_stream_after_a_turn() -> None:
    assert _minor.followers(cluster(), "db3") == ["db3"]
    assert _minor.followers(cluster(), "db1") == ["db2", "db3"]


@pytest.mark.parametrize(
    ("version", "major"), [("16.14-1.pgdg13+1", "16"), ("1:16.14-1", "16"), ("17~rc1-1", "17~rc1-1"), ("17.2", "17")]
)
def test_the_major_version_of_a_package(version: str, major: str) -> None:
    assert _minor.major_of(version) == major
