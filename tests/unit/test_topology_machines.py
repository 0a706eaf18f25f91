# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a cluster that do not match: their C libraries and their clocks."""

from __future__ import annotations

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import decide
from situations import (
    ALONE,
    NO_PROMISE,
    Situation,
    all_empty,
    clock,
    cluster,
    empty,
    healthy,
    outcome,
    primary,
    repository,
    standby,
)

GERMAN = {"server": {"locale": "de_DE.UTF-8"}}
LIBRARIES = [
    Situation(
        "C libraries differ, and the order of texts depends on them",
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **GERMAN), db3=standby(libc="2.36")),
        {
            "refusals": [
                "The C libraries differ: 2.36 on db3 and 2.41 on db1 and db2. The locale de_DE.UTF-8 sorts by "
                "them, so text indexes break on a host with another release. Install one release of the "
                "distribution on all database hosts; a new cluster can use the locale C.UTF-8, or "
                "postgresql_server_locale_provider: icu."
            ],
        },
    ),
    Situation(
        "C libraries differ where a cluster is to be made",
        all_empty(db3=empty(libc="2.36")),
        {
            "refusals": [
                "The C libraries differ: 2.36 on db3 and 2.41 on db1 and db2. The locale de_DE.UTF-8 sorts by "
                "them, so text indexes break on a host with another release. Install one release of the "
                "distribution on all database hosts; a new cluster can use the locale C.UTF-8, or "
                "postgresql_server_locale_provider: icu."
            ],
        },
        cluster(locale="de_DE.UTF-8"),
    ),
    Situation(
        "C libraries differ, and the locale is C.UTF-8",
        healthy(db3=standby(libc="2.36")),
        {},
        cluster(locale="de_DE.UTF-8"),
    ),
    Situation(
        "C libraries differ, and ICU sorts",
        all_empty(db3=empty(libc="2.36")),
        {"actions": {"db1": "bootstrap", "db2": "clone", "db3": "clone"}, "create": ["db2", "db3"]},
        cluster(locale="de-DE", locale_provider="icu"),
    ),
    Situation(
        "a C library that was not seen is no other one",
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **GERMAN), db3=standby(libc="")),
        {},
    ),
    Situation(
        "one C library, and the order of texts depends on it",
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **GERMAN)),
        {},
    ),
    Situation(
        "the repository host's C library sorts nothing",
        healthy(db1=primary("db2", "db3", synchronous='ANY 1 ("db2")', **GERMAN), ops1=repository(libc="2.36")),
        {},
    ),
]

CLOCKS = [
    Situation(
        "clocks differ and a cluster is to be made",
        all_empty(db2=empty(clock=clock(2.5))),
        {
            "primary": "db1",
            "refusals": [
                "The clock of db2 is at least 2.1 s ahead of that of db1, and db1, db2 and db3 are to be made. Set "
                "both by a time service (systemd-timesyncd, chrony) first."
            ],
            "hosts": {"db1": "primary none None", "db2": "synchronous none None", "db3": "asynchronous none None"},
        },
    ),
    Situation(
        "clocks differ and a standby is to be cloned",
        healthy(db3=empty(clock=clock(-1.5))),
        {
            "refusals": [
                "The clock of db1 is at least 1.1 s ahead of that of db3, and db3 is to be made. Set both by a "
                "time service (systemd-timesyncd, chrony) first."
            ],
        },
    ),
    Situation(
        "clocks differ and nothing is made",
        healthy(ops1=repository(clock=clock(60))),
        {
            "findings": ["warning ops1: The clock of ops1 is at least 59.6 s ahead of that of db1."],
            "advice": ["Set both by a time service (systemd-timesyncd, chrony): no instance is made before that."],
        },
    ),
    Situation(
        "clocks may differ by no more than a second for certain",
        all_empty(db2=empty(clock=clock(1.375))),
        {"actions": {"db1": "bootstrap", "db2": "clone", "db3": "clone"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "a clock that was not read",
        all_empty(db2=empty(clock={"now": 5000.0})),
        {"actions": {"db1": "bootstrap", "db2": "clone", "db3": "clone"}, "create": ["db2", "db3"]},
    ),
    Situation(
        "no clock was read",
        {"db1": primary(clock=None)},
        {"findings": [NO_PROMISE]},
        ALONE,
    ),
]


@pytest.mark.parametrize("row", LIBRARIES + CLOCKS, ids=lambda row: row.name)
def test_machines(row: Situation) -> None:
    assert outcome(decide(row.facts, row.observed).to_dict(), row.outcome) == row.outcome
