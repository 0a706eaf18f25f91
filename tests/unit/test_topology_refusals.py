# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What puts a cluster in danger, so that nothing is done: data, histories, settings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    ALONE,
    DB1,
    DIRECTORY,
    ID,
    NO_PROMISE,
    OTHER_ID,
    UNSEEN,
    Situation,
    cluster,
    empty,
    healthy,
    moved,
    observe,
    outcome,
    primary,
    setting,
    standby,
    stopped,
    stopped_standby,
)

ADOPTED = f'info : postgresql_adopt is "{ID}", and there is nothing left to adopt.'


def adopting(adopt: str) -> Any:
    return cluster(DB1, initial_primary="", durability="asynchronous", adopt=adopt)


IDENTIFIERS = [
    Situation(
        "a cluster that is not ours runs",
        {"db1": primary(marker=None)},
        {
            "primary": "db1",
            "refusals": [
                f"db1: {DIRECTORY} holds the cluster {ID}, which this collection did not make. To take it over write "
                f'postgresql_adopt: "{ID}" and run with --check --diff first.'
            ],
        },
        ALONE,
    ),
    Situation(
        "a cluster that is not ours is stopped",
        {"db1": stopped(marker=None)},
        {
            "refusals": [
                f"db1: {DIRECTORY} holds the cluster {ID}, which this collection did not make. To take it over write "
                f'postgresql_adopt: "{ID}" and run with --check --diff first.'
            ],
        },
        ALONE,
    ),
    Situation(
        "the marker names another cluster than the one that is there",
        {"db1": primary(marker={"system_identifier": OTHER_ID})},
        {
            "refusals": [
                f"db1: {DIRECTORY} holds the cluster {ID}, whose marker names the cluster {OTHER_ID}. To take it "
                "over write "
                f'postgresql_adopt: "{ID}" and run with --check --diff first.'
            ],
        },
        ALONE,
    ),
    Situation(
        "another cluster is to be adopted",
        {"db1": primary(marker=None)},
        {
            "refusals": [
                f'db1: postgresql_adopt is "{OTHER_ID}", but {DIRECTORY} holds the cluster {ID}. If that is the '
                f'one to take over, write postgresql_adopt: "{ID}".'
            ],
        },
        adopting(OTHER_ID),
    ),
    Situation(
        "the cluster is to be adopted",
        {"db1": primary(marker=None)},
        {
            "primary": "db1",
            "actions": {"db1": "adopt"},
            "reasons": {"db1": f"takes over the cluster {ID}"},
            "findings": [NO_PROMISE],
        },
        adopting(ID),
    ),
    Situation(
        "the cluster is to be adopted and is stopped",
        {"db1": stopped(marker=None)},
        {"primary": "db1", "actions": {"db1": "adopt"}, "findings": [NO_PROMISE]},
        adopting(ID),
    ),
    Situation(
        "the cluster is adopted already",
        {"db1": primary()},
        {
            "findings": [ADOPTED, NO_PROMISE],
            "advice": [
                "Remove postgresql_adopt from the inventory. The configuration that was replaced is kept in "
                f"/var/lib/steadfast/main/adopted-{ID}.",
                "The last acknowledged commits can be lost with the primary.",
            ],
        },
        adopting(ID),
    ),
    Situation(
        "a whole cluster is to be adopted",
        healthy(
            db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', marker=None),
            db2=standby(marker=None),
            db3=stopped_standby(marker=None),
        ),
        {
            "actions": {"db1": "adopt", "db2": "adopt", "db3": "adopt"},
            "hosts": {"db1": "primary adopt None", "db2": "synchronous adopt db1", "db3": "asynchronous adopt db1"},
            "reasons": {
                "db1": f"takes over the cluster {ID}",
                "db2": f"holds the cluster {ID} without its marker",
                "db3": f"holds the cluster {ID} without its marker",
            },
        },
        cluster(adopt=ID),
    ),
    Situation(
        "a standby that was made by hand is a copy of our cluster",
        healthy(db2=standby(marker=None)),
        {"actions": {"db2": "adopt"}},
    ),
    Situation(
        "a primary whose marker is gone is vouched for by its standbys",
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', marker=None)),
        {"actions": {"db1": "adopt"}},
    ),
    Situation(
        "hosts hold different clusters",
        healthy(db2=standby(identifier=OTHER_ID)),
        {
            "primary": "db1",
            "refusals": [
                f"The hosts hold different clusters, by system identifier: {ID} on db1 and db3 and {OTHER_ID} on "
                "db2. None can follow another. Stop the wrong one and move its data directory away by hand: it is "
                "cloned again then."
            ],
            "hosts": {"db1": "primary none None", "db2": "synchronous none None", "db3": "asynchronous none None"},
        },
    ),
    Situation(
        "a host holds a foreign cluster beside ours",
        healthy(db3=stopped(identifier=OTHER_ID, marker=None)),
        {
            "refusals": [
                f"The hosts hold different clusters, by system identifier: {ID} on db1 and db2 and {OTHER_ID} on "
                "db3. None can follow another. Stop the wrong one and move its data directory away by hand: it is "
                "cloned again then."
            ],
        },
    ),
    Situation(
        "data of another major version",
        {"db1": primary(data={"version": "15"})},
        {
            "refusals": [
                f'db1: {DIRECTORY} holds data of version 15, but postgresql_version is "16". site.yml never '
                'upgrades: write postgresql_version: "15".'
            ],
        },
        ALONE,
    ),
    Situation(
        "a version that cannot be read is no other version",
        {"db1": primary(data={"version": None})},
        {"findings": [NO_PROMISE]},
        ALONE,
    ),
    Situation(
        "the server runs from another directory",
        {"db1": primary(data={"state": "absent", "version": None})},
        {
            "refusals": [
                f"db1: postgresql@16-main runs, but {DIRECTORY} holds no cluster. Write the directory that it runs "
                "from as postgresql_server_data_directory; if that is gone, stop the service."
            ],
        },
        ALONE,
    ),
    Situation(
        "a server that does not answer runs from another directory",
        healthy(db3=empty(unit={"active": "active"})),
        {
            "primary": "db1",
            "refusals": [
                f"db3: postgresql@16-main runs, but {DIRECTORY} holds no cluster. Write the directory that it runs "
                "from as postgresql_server_data_directory; if that is gone, stop the service.",
                "db3 is starting and would be a second primary beside db1. Run systemctl mask --now "
                "postgresql@16-main on db3, then clone it again (docs/runbooks/clone_again.md).",
            ],
        },
    ),
]

HISTORIES = [
    Situation(
        "a standby is on a later timeline",
        healthy(db2=standby(timeline=2, lsn="0/6000000")),
        {
            "refusals": [
                "db2 is on a later timeline than the primary: timeline 2, LSN 0/6000000; db1 is on timeline 1, LSN "
                "0/5000000. If db1 is an old primary that came back, stop and mask it and promote db2 "
                "(docs/runbooks/move_primary.md); otherwise clone db2 again (docs/runbooks/clone_again.md), which "
                "gives up what only db2 has."
            ],
        },
    ),
    Situation(
        "a stopped primary is on a later timeline",
        healthy(db2=stopped(timeline=2)),
        {
            "refusals": [
                "db2 is on a later timeline than the primary: timeline 2, LSN 0/5000028; db1 is on timeline 1, LSN "
                "0/5000000. If db1 is an old primary that came back, stop and mask it and promote db2 "
                "(docs/runbooks/move_primary.md); otherwise clone db2 again (docs/runbooks/clone_again.md), which "
                "gives up what only db2 has."
            ],
        },
    ),
    Situation(
        "a fenced host on a later timeline is no danger",
        healthy(db3=stopped(timeline=2, unit={"masked": True})),
        {"findings": ["error db3: db3 is fenced: its service is masked, so it is not started."]},
    ),
    Situation(
        "a standby has WAL from behind the fork",
        moved(db3=standby("10.0.0.1", lsn="0/5000001")),
        {
            "refusals": [
                "db3 has diverged from the primary: timeline 1, LSN 0/5000001; db2 is on timeline 2, LSN 0/6000000 "
                "and left timeline 1 at 0/5000000. It is not wiped: clone it again (docs/runbooks/clone_again.md)."
            ],
        },
    ),
    Situation(
        "a stopped standby has WAL from behind the fork",
        moved(db3=stopped_standby(lsn="0/5000001")),
        {
            "refusals": [
                "db3 has diverged from the primary: timeline 1, LSN 0/5000001; db2 is on timeline 2, LSN 0/6000000 "
                "and left timeline 1 at 0/5000000. It is not wiped: clone it again (docs/runbooks/clone_again.md)."
            ],
        },
    ),
    Situation(
        "two histories with one timeline number",
        moved(db3=standby("10.0.0.1", timeline=2, history={1: "0/4000000"})),
        {
            "refusals": [
                "db3 has diverged from the primary: timeline 2, LSN 0/5000000; db2 is on timeline 2, LSN 0/6000000. "
                "It is not wiped: clone it again (docs/runbooks/clone_again.md)."
            ],
        },
    ),
    Situation(
        "a standby's timeline is none of the primary's",
        moved(db2=primary(timeline=3, history={1: "0/5000000"}), db1=empty(), db3=standby(timeline=2)),
        {
            "refusals": [
                "db3 has diverged from the primary: timeline 2, LSN 0/5000000; db2 is on timeline 3, LSN 0/5000000. "
                "It is not wiped: clone it again (docs/runbooks/clone_again.md)."
            ],
        },
    ),
]

IN_AUTO_CONF = setting("1GB", f"{DIRECTORY}/postgresql.auto.conf")
SETTINGS = [
    Situation(
        "somebody's ALTER SYSTEM on a running server",
        {
            "db1": primary(
                data={"auto_conf": {"synchronous_standby_names": "db9"}},
                server={"settings": {"work_mem": IN_AUTO_CONF}},
            )
        },
        {
            "refusals": [
                f"db1: {DIRECTORY}/postgresql.auto.conf sets synchronous_standby_names and work_mem, which wins "
                "over every file of the collection. Run there: ALTER SYSTEM RESET synchronous_standby_names; "
                "ALTER SYSTEM RESET work_mem; SELECT pg_reload_conf();"
            ],
        },
        ALONE,
    ),
    Situation(
        "somebody's ALTER SYSTEM on a stopped server",
        healthy(db2=stopped_standby(data={"auto_conf": {"primary_conninfo": "host=db9"}})),
        {
            "refusals": [
                f"db2: {DIRECTORY}/postgresql.auto.conf sets primary_conninfo, which wins over every file of the "
                "collection. Remove it from that file, since the server is stopped."
            ],
        },
    ),
    Situation(
        "somebody's two ALTER SYSTEM on a stopped server",
        healthy(db2=stopped_standby(data={"auto_conf": {"work_mem": "1GB", "primary_conninfo": "host=db9"}})),
        {
            "refusals": [
                f"db2: {DIRECTORY}/postgresql.auto.conf sets primary_conninfo and work_mem, which wins over every "
                "file of the collection. Remove them from that file, since the server is stopped."
            ],
        },
    ),
    Situation(
        "an ALTER SYSTEM that is allowed",
        {"db1": primary(data={"auto_conf": {"log_min_duration_statement": "250"}})},
        {"findings": [NO_PROMISE]},
        cluster(
            DB1,
            initial_primary="",
            durability="asynchronous",
            auto_conf_allowed=frozenset({"log_min_duration_statement"}),
        ),
    ),
]


@pytest.mark.parametrize("row", IDENTIFIERS + HISTORIES + SETTINGS, ids=lambda row: row.name)
def test_refusals(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome


def test_all_dangers_are_listed_together() -> None:
    seen = healthy(
        db1=primary(marker=None, data={"version": "15"}),
        db2=primary(marker=None),
        db3=standby(marker=None, data={"auto_conf": {"work_mem": "1GB"}}),
    )
    refusals = decide(cluster(), observe(seen)).refusals
    assert [refusal.split(":")[0] for refusal in refusals] == [
        "2 hosts run as primary",
        "db1",
        "db2",
        "db3",
        "db1",
        "db3",
    ]


def test_no_refusal_without_what_could_be_seen() -> None:
    decided = decide(cluster(), {})
    assert decided.refusals == ()
    assert decided.unknown == ("db1", "db2", "db3", "ops1")
    assert outcome(decided.to_dict(), {})["findings"][:4] == [UNSEEN[name] for name in decided.unknown]


def test_commits_that_wait_are_named_in_spite_of_a_refusal() -> None:
    alone = primary("db3", synchronous='ANY 1 ("db2")')
    overridden = standby(data={"auto_conf": {"work_mem": "1GB"}})
    decision = decide(cluster(), observe(healthy(db1=alone, db2=None, db3=overridden)))
    assert decision.refusals
    assert (decision.primary, decision.acts) == ("db1", False)
    assert (decision.synchronous.live, decision.synchronous.waits) == ('ANY 1 ("db2")', True)
    assert any(finding.text.startswith("Commits wait on db1") for finding in decision.findings)


@pytest.mark.parametrize(
    ("elsewhere", "text"),
    [
        (
            {"port": 5432, "wanted_port": 5433, "directory": DIRECTORY},
            "On db1 the server runs on port 5432, and postgresql_port is 5433. Write 5432; or, to move it, run "
            "systemctl stop postgresql@16-main on every database host, then site.yml.",
        ),
        (
            {"port": 5432, "wanted_port": 5432, "directory": "/srv/main"},
            "On db1 the server on port 5432 runs from /srv/main. Write that as postgresql_server_data_directory, with "
            "the postgresql_cluster_name that it has; or write another postgresql_port.",
        ),
    ],
)
def test_a_server_that_runs_elsewhere(elsewhere: dict[str, Any], text: str) -> None:
    hosts = {"db1": empty(elsewhere=elsewhere, unit={"active": "active"}), "db2": empty(), "db3": empty()}
    decision = decide(cluster(), observe(hosts))
    assert text in decision.refusals
    assert not decision.acts
