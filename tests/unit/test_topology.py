# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is the primary, and what is refused."""

from __future__ import annotations

import json

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    ALONE,
    NO_PROMISE,
    UNSEEN,
    Situation,
    cluster,
    empty,
    healthy,
    moved,
    observe,
    old_primary,
    outcome,
    primary,
    repository,
    standby,
    stopped,
    stopped_standby,
)

LIVE_PRIMARY = [
    Situation(
        "a converged platform",
        healthy(),
        {
            "primary": "db1",
            "reason": "db1 runs as the primary",
            "hosts": {"db1": "primary none None", "db2": "synchronous none db1", "db3": "asynchronous none db1"},
            "reasons": {"db1": "db1 runs as the primary", "db2": "follows db1", "db3": "follows db1"},
            "candidates": ["db2"],
            "acts": False,
        },
    ),
    Situation(
        "the live primary wins over the initial one",
        moved(),
        {
            "primary": "db2",
            "findings": [
                "info db2: db2 is the primary, not the initial primary db1.",
                old_primary("db1"),
                "warning db2: db2 runs degraded: its synchronous set is empty, no candidate (db1) streams.",
            ],
            "advice": [
                "That is in order: the initial primary counts only where no host holds a cluster.",
                "Clone it again (docs/runbooks/clone_again.md).",
                "Acknowledged commits can be lost with db2 until one streams; site.yml restores the set then.",
            ],
            "flags": ["degraded"],
            "hosts": {"db1": "unknown none None", "db2": "primary none None", "db3": "asynchronous none db2"},
        },
    ),
    Situation(
        "two primaries",
        healthy(db2=primary(timeline=2, lsn="0/6000028")),
        {
            "primary": None,
            "refusals": [
                "2 hosts run as primary: db1 (timeline 1, LSN 0/5000000) and db2 (timeline 2, LSN 0/6000028). Decide "
                "whose writes are kept; on every other one run systemctl mask --now postgresql@16-main, then clone "
                "it again (docs/runbooks/clone_again.md)."
            ],
            "hosts": dict.fromkeys(("db1", "db2", "db3"), "unknown none None"),
        },
    ),
    Situation(
        "an old primary is about to be a second one",
        moved(db1=stopped("in production", unit={"active": "activating"})),
        {
            "primary": "db2",
            "refusals": [
                "db1 is starting and would be a second primary beside db2. Run systemctl mask --now "
                "postgresql@16-main on db1, then clone it again (docs/runbooks/clone_again.md)."
            ],
            "hosts": {"db1": "unknown none None", "db2": "primary none None", "db3": "asynchronous none None"},
        },
    ),
    Situation(
        "an old primary is masked but starting all the same",
        moved(db1=stopped("in production", unit={"active": "active", "masked": True})),
        {
            "refusals": [
                "db1 is starting and would be a second primary beside db2. Run systemctl mask --now "
                "postgresql@16-main on db1, then clone it again (docs/runbooks/clone_again.md)."
            ]
        },
    ),
]

STOPPED_CLUSTER = [
    Situation(
        "a lone instance of ours is stopped",
        {"db1": stopped()},
        {
            "primary": "db1",
            "reason": "db1 is stopped, and no other host was the primary since",
            "actions": {"db1": "start"},
            "findings": [NO_PROMISE],
        },
        ALONE,
    ),
    Situation(
        "the primary crashed and its standbys are on its timeline",
        healthy(db1=stopped("in production", lsn="0/4000028")),
        {"primary": "db1", "actions": {"db1": "start"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "the stopped primary is not the initial one",
        {"db1": stopped_standby(timeline=2), "db2": stopped(timeline=2), "db3": empty(), "ops1": repository()},
        {
            "primary": "db2",
            "actions": {"db1": "start", "db2": "start", "db3": "clone"},
            "create": ["db1", "db3"],
            "findings": ["info db2: db2 is the primary, not the initial primary db1."],
        },
    ),
    Situation(
        "a cleanly stopped primary: its standby is at the end of the shutdown checkpoint",
        healthy(db1=stopped(lsn="0/5000028"), db2=standby(lsn="0/50000A0")),
        {"actions": {"db1": "start"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "a standby of an earlier timeline does not keep the stopped primary down",
        healthy(db1=stopped(timeline=2), db2=standby(lsn="0/9000000")),
        {"actions": {"db1": "start"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "the primary is starting: it is waited for",
        healthy(db1=stopped("in crash recovery", unit={"active": "activating"})),
        {
            "primary": "db1",
            "actions": {"db1": "start"},
            "create": ["db2", "db3"],
            "findings": ["warning db1: db1 does not answer yet: its service is activating."],
            "advice": ["It is waited for; journalctl -u postgresql@16-main on db1 says what it does."],
        },
    ),
    Situation(
        "a standby is ahead of the stopped primary on its timeline",
        healthy(db1=stopped(lsn="0/5000028"), db2=standby(lsn="0/5002029")),
        {
            "refusals": [
                "db1 was the primary when it stopped (timeline 1, LSN 0/5000028), but db2 (timeline 1, LSN "
                "0/5002029) may have more. It is not started: promote the one that has most "
                "(docs/runbooks/move_primary.md), then clone db1 again."
            ]
        },
    ),
    Situation(
        "standbys are on a later timeline than the stopped primary",
        healthy(db1=stopped("in production"), db2=stopped_standby(timeline=2), db3=standby(timeline=3)),
        {
            "refusals": [
                "db1 was the primary when it stopped (timeline 1, LSN 0/5000028), but db2 (timeline 2, LSN "
                "0/5000000) and db3 (timeline 3, LSN 0/5000000) may have more. It is not started: promote the one "
                "that has most (docs/runbooks/move_primary.md), then clone db1 again."
            ]
        },
    ),
    Situation(
        "two hosts were primary",
        healthy(db1=stopped(), db2=stopped("in production", timeline=2)),
        {
            "refusals": [
                "No host runs as the primary, and 2 were when they stopped: db1 (timeline 1, LSN 0/5000028) and db2 "
                "(timeline 2, LSN 0/5000028). Run systemctl start postgresql@16-main on the one whose writes are "
                "kept, then site.yml again."
            ]
        },
    ),
    Situation(
        "only standbys are left",
        {"db1": empty(), "db2": standby(), "db3": stopped_standby(), "ops1": repository()},
        {
            "primary": None,
            "refusals": [
                "No host is the primary, though data exists: db2 (timeline 1, LSN 0/5000000) and db3 (timeline 1, "
                "LSN 0/5000000). site.yml never promotes: promote the standby that lacks nothing "
                "(docs/runbooks/move_primary.md)."
            ],
        },
    ),
    Situation(
        "a standby without its signal file is never started as a primary",
        {"db1": stopped("shut down in recovery")},
        {
            "refusals": [
                "No host is the primary, though data exists: db1 (timeline 1, LSN 0/5000028). site.yml never "
                "promotes: promote the standby that lacks nothing (docs/runbooks/move_primary.md)."
            ]
        },
        ALONE,
    ),
    Situation(
        "the stopped primary is fenced",
        healthy(db1=stopped(unit={"masked": True})),
        {
            "refusals": [
                "db1 was the primary (timeline 1, LSN 0/5000028) and its service is masked (fenced), so it is not "
                "started. Promote a standby (docs/runbooks/move_primary.md); or, if it is to go on, run systemctl "
                "unmask postgresql@16-main there."
            ]
        },
    ),
    Situation(
        "control data that cannot be read, and no primary",
        healthy(db1=stopped(control=None)),
        {
            "refusals": [
                "No host runs as the primary, and the control data on db1 cannot be read, so nothing is known of "
                "what is stored there. Install the package postgresql-16 there and run again."
            ]
        },
    ),
    Situation(
        "the primary is unknown",
        healthy(db1=None),
        {
            "primary": None,
            "reason": "no observed host runs as the primary, and db1 may",
            "findings": [
                UNSEEN["db1"],
                "warning : The primary is not known: no observed host runs as the primary, and db1 may.",
            ],
            "advice": [
                "Nothing that depends on it was changed. Run site.yml again once it answers.",
                "It lives, because db2 and db3 stream from it. Run site.yml with every database host.",
            ],
            "left": [
                "db1: not observed",
                "db2: keeps following whom it follows, because the primary is not known",
                "db3: keeps following whom it follows, because the primary is not known",
            ],
            "hosts": dict.fromkeys(("db1", "db2", "db3"), "unknown none None"),
        },
    ),
    Situation(
        "the primary is unknown, a standby is stopped",
        healthy(db1=None, db2=stopped_standby(), db3=empty()),
        {
            "actions": {"db2": "start"},
            "findings": [
                UNSEEN["db1"],
                "error : The primary is not known: no observed host runs as the primary, and db1 may.",
            ],
            "advice": [
                "Nothing that depends on it was changed. Run site.yml again once it answers.",
                "Standbys keep following whom they follow. Run site.yml with every database host; if the primary is "
                "dead, promote a standby (docs/runbooks/move_primary.md).",
            ],
            "left": ["db1: not observed", "db3: stays empty, because the primary is not known"],
            "hosts": {"db1": "unknown none None", "db2": "unknown start None", "db3": "unknown none None"},
            "reasons": {
                "db1": "not observed",
                "db2": "is a stopped standby; it follows whom it followed before",
                "db3": "stays empty, because the primary is not known",
            },
        },
    ),
    Situation(
        "a primary is stopped, and the others are unknown",
        {"db1": stopped(), "ops1": repository()},
        {
            "findings": [
                UNSEEN["db2"],
                UNSEEN["db3"],
                "error : The primary is not known: no observed host runs as the primary, and db2 and db3 may.",
                "error db1: db1 was a primary (timeline 1, LSN 0/5000028) and does not answer; it is not started, "
                "because db2 and db3 could not be observed and may be the primary now.",
            ],
            "advice": [
                "Nothing that depends on it was changed. Run site.yml again once it answers.",
                "Nothing that depends on it was changed. Run site.yml again once it answers.",
                "Standbys keep following whom they follow. Run site.yml with every database host; if the primary is "
                "dead, promote a standby (docs/runbooks/move_primary.md).",
                "Run site.yml with every database host. If no other can be the primary: systemctl start "
                "postgresql@16-main on db1.",
            ],
            "left": ["db2: not observed", "db3: not observed"],
        },
    ),
]


@pytest.mark.parametrize("row", LIVE_PRIMARY + STOPPED_CLUSTER, ids=lambda row: row.name)
def test_primary(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome


def test_a_decision_is_json() -> None:
    decided = decide(cluster(), observe(healthy(db2=None)))
    assert json.loads(json.dumps(decided.to_dict())) == decided.to_dict()
