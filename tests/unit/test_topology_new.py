# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of which no host holds anything yet."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    ALONE,
    DIRECTORY,
    ID,
    NO_PROMISE,
    UNSEEN,
    Situation,
    all_empty,
    cluster,
    empty,
    outcome,
    primary,
    repository,
)

NEW = {"db1": "bootstrap", "db2": "clone", "db3": "clone"}

NEW_CLUSTER = [
    Situation(
        "all hosts are empty",
        all_empty(),
        {
            "primary": "db1",
            "reason": "no database host holds a cluster, and db1 is the initial primary",
            "actions": NEW,
            "create": ["db2", "db3"],
            "hosts": {"db1": "primary bootstrap None", "db2": "synchronous clone db1", "db3": "asynchronous clone db1"},
            "acts": True,
        },
    ),
    Situation(
        "the initial primary is another one",
        all_empty(),
        {
            "primary": "db3",
            "actions": {"db1": "clone", "db2": "clone", "db3": "bootstrap"},
            "create": ["db1", "db2"],
            "hosts": {
                "db1": "asynchronous clone db3",
                "db2": "asynchronous clone db3",
                "db3": "primary bootstrap None",
            },
        },
        cluster(initial_primary="db3"),
    ),
    Situation(
        "one host alone is its own initial primary",
        {"db1": empty()},
        {"primary": "db1", "actions": {"db1": "bootstrap"}, "findings": [NO_PROMISE]},
        ALONE,
    ),
    Situation(
        "an empty directory is as good as none",
        all_empty(db1=empty(data={"state": "empty"}), db2=empty(data={"state": "empty"})),
        {"actions": NEW, "create": ["db2", "db3"]},
    ),
    Situation(
        "the bootstrap was interrupted before its rename",
        all_empty(db1=empty(data={"incomplete": True}, marker={"system_identifier": ID})),
        {"actions": NEW, "create": ["db2", "db3"]},
    ),
    Situation(
        "a standby's host is unknown",
        all_empty(db2=None),
        {
            "primary": None,
            "refusals": [
                "db1: no cluster is made, because db2 could not be observed (unreachable, or outside --limit) and may "
                "hold it. Run site.yml with every database host; one that is gone for good is taken out of the group "
                "postgresql."
            ],
            "reason": "no primary can be chosen: see the refusals",
            "reasons": dict.fromkeys(("db1", "db2", "db3"), "nothing is done: see the refusals"),
            "findings": [UNSEEN["db2"]],
            "acts": False,
        },
    ),
    Situation(
        "the initial primary is unknown",
        all_empty(db1=None, db2=None),
        {
            "primary": None,
            "findings": [
                UNSEEN["db1"],
                UNSEEN["db2"],
                "error : The primary is not known: no observed host holds a cluster, and the initial primary db1 was "
                "not observed.",
            ],
            "left": [
                "db1: not observed",
                "db2: not observed",
                "db3: stays empty, because the primary is not known",
            ],
            "hosts": dict.fromkeys(("db1", "db2", "db3"), "unknown none None"),
        },
    ),
    Situation(
        "only the repository host is observed",
        {"ops1": repository()},
        {
            "findings": [
                UNSEEN["db1"],
                UNSEEN["db2"],
                UNSEEN["db3"],
                "warning : The primary is not known: no observed host holds a cluster, and the initial primary db1 was "
                "not observed.",
            ],
            "left": ["db1: not observed", "db2: not observed", "db3: not observed"],
        },
    ),
    Situation(
        "the repository host is unknown",
        all_empty(ops1=None),
        {"actions": NEW, "create": ["db2", "db3"], "findings": [UNSEEN["ops1"]], "left": ["ops1: not observed"]},
    ),
    Situation(
        "a host that is no member is not looked at",
        all_empty(stranger=primary()),
        {"actions": NEW, "create": ["db2", "db3"]},
    ),
    Situation(
        "a data directory holds other files",
        all_empty(db3=empty(data={"state": "foreign"})),
        {
            "refusals": [
                f"db3: {DIRECTORY} holds files that are no cluster. Move them away by hand, or name another "
                "directory in postgresql_server_data_directory."
            ]
        },
    ),
    Situation(
        "a host's cluster is gone, perhaps it is not mounted",
        all_empty(db1=empty(data={"state": "empty"}, marker={"system_identifier": ID})),
        {
            "refusals": [
                f"db1: /var/lib/steadfast/main/instance.json says that the host holds the cluster {ID}, but "
                f"{DIRECTORY} is empty. Mount its file system, or write the version and the directory that it has; "
                "if that data is given up, remove the marker by hand."
            ]
        },
    ),
    Situation(
        "an interrupted clone with a marker: there was a primary",
        all_empty(db2=empty(data={"incomplete": True}, marker={"system_identifier": ID})),
        {
            "refusals": [
                f"db2: /var/lib/steadfast/main/instance.json says that the host holds the cluster {ID}, but "
                f"{DIRECTORY} is absent. Mount its file system, or write the version and the directory that it has; "
                "if that data is given up, remove the marker by hand."
            ]
        },
    ),
    Situation(
        "there is nothing to adopt",
        all_empty(),
        {
            "refusals": [
                f'postgresql_adopt is "{ID}", but no database host holds a cluster. Look at '
                "postgresql_server_data_directory and at what is mounted there; for a new cluster remove "
                "postgresql_adopt."
            ]
        },
        cluster(adopt=ID),
    ),
    Situation(
        "the initial primary is fenced",
        all_empty(db1=empty(unit={"masked": True})),
        {
            "refusals": [
                "db1: its service is masked (fenced), so no cluster is made. Run systemctl unmask postgresql@16-main "
                "there if it may run."
            ]
        },
    ),
    Situation(
        "the initial primary is no database host",
        all_empty(),
        {
            "refusals": [
                'postgresql_initial_primary is "ops1", which is no database host of the cluster main: write one of '
                "db1, db2, db3."
            ]
        },
        cluster(initial_primary="ops1"),
    ),
    Situation(
        "the initial primary is not named",
        all_empty(),
        {
            "refusals": [
                'postgresql_initial_primary is "", which is no database host of the cluster main: write one of '
                "db1, db2, db3."
            ]
        },
        cluster(initial_primary=""),
    ),
]


@pytest.mark.parametrize("row", NEW_CLUSTER, ids=lambda row: row.name)
def test_new_cluster(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome
