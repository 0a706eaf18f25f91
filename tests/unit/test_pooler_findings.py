# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator is told of poolers, in the exact words; and the pools on the screen."""

from __future__ import annotations

from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _pooler_findings,
    _pooler_plan,
    _pooler_summary,
)
from pooled import READERS, SHOP, at_work, context, database, draining, figures, process
from situations import healthy, primary

SITE = "Run site.yml, which sets it right."
SLOW = "Look for slow transactions; if there are none, give it a larger size in pool, a total over all poolers."


def told(seen: dict[str, Any], *entries: dict[str, Any], hosts: Any = None) -> list[tuple[str, str, str]]:
    found = _pooler_findings.findings(context("db1", hosts, *(entries or (SHOP,)), seen=seen))
    return [(finding.severity, finding.text, finding.advice) for finding in found]


def with_pool(**changes: Any) -> dict[str, Any]:
    return at_work(processes={"1": process(shop=database(**changes))})


OF_READERS = {"shop": database(figures=figures(10))}
BOTH = {"1": process(shop_ro=database(host="10.0.0.2", figures=figures(4, 100)), **OF_READERS)}
SATURATED = "The pool shop on db1 is saturated: "
CASES = [
    pytest.param(at_work(), [], id="at rest"),
    pytest.param(with_pool(busy=12, waiting=3, longest_wait=0.9), [], id="busy"),
    pytest.param(
        with_pool(busy=13, waiting=1, longest_wait=0.2),
        [("warning", f"{SATURATED}13 of 16 server connections work, 1 client waits, the longest for 0.2 s.", SLOW)],
        id="saturated",
    ),
    pytest.param(
        with_pool(busy=2, waiting=7, longest_wait=1.25),
        [("warning", f"{SATURATED}2 of 16 server connections work, 7 clients wait, the longest for 1.2 s.", SLOW)],
        id="clients wait",
    ),
    pytest.param(
        _pooler_plan.NOT_SEEN,
        [
            (
                "error",
                "No pooler serves on db1: none of its processes runs.",
                "Look at systemctl status 'pgbouncer@*' on db1; run site.yml.",
            )
        ],
        id="down",
    ),
    pytest.param(
        at_work(processes={"1": {"active": True, "answers": False, "error": "it does not answer in time"}}),
        [
            (
                "error",
                "The pooler on db1 does not answer: it does not answer in time.",
                "Look at journalctl -u pgbouncer@1.service on db1.",
            )
        ],
        id="silent",
    ),
    pytest.param(
        with_pool(host="10.0.0.2"),
        [("error", "The pooler on db1 leads shop to 10.0.0.2, and db1 is the primary.", SITE)],
        id="astray",
    ),
    pytest.param(
        with_pool(figures=figures(60)),
        [
            (
                "warning",
                "The pool shop on db1 has pool_size 60, max_db_connections 60, and its share is pool_size 16, "
                "max_db_connections 16.",
                SITE,
            )
        ],
        id="another size",
    ),
    pytest.param(
        with_pool(figures=figures(clients=0)),
        [
            (
                "warning",
                "The pool shop on db1 has max_db_client_connections 0, and its share is max_db_client_connections 333.",
                SITE,
            )
        ],
        id="any number of clients",
    ),
    pytest.param(
        at_work(writable=["/etc/pgbouncer/steadfast/hba.conf"]),
        [
            (
                "error",
                "Others than root may write what the pooler on db1 reads: /etc/pgbouncer/steadfast/hba.conf.",
                SITE,
            )
        ],
        id="others may write",
    ),
    pytest.param(
        with_pool(paused=True),
        [
            (
                "error",
                "Pools on db1 are paused, so clients wait: shop.",
                "When nobody moves the primary at this moment, run on db1: sudo /usr/local/lib/steadfast/pooler resume",
            )
        ],
        id="paused",
    ),
    pytest.param(
        at_work(processes={"1": {**process(), "databases": {}}}),
        [("error", "The pooler on db1 lacks pools: shop.", SITE)],
        id="lacks a pool",
    ),
    pytest.param(
        at_work(stale={"reload": ["/etc/pgbouncer/steadfast/hba.conf"], "restart": []}),
        [("error", "The pooler on db1 has not read what changed: /etc/pgbouncer/steadfast/hba.conf.", SITE)],
        id="not reloaded",
    ),
    pytest.param(
        at_work(stale={"reload": [], "restart": ["/usr/sbin/pgbouncer"]}),
        [
            (
                "warning",
                "The pooler on db1 runs without what only a start takes over: /usr/sbin/pgbouncer.",
                SITE,
            )
        ],
        id="not started anew",
    ),
    pytest.param(
        at_work(units={}),
        [("error", "The pooler on db1 does not start with the host: the process that serves is not enabled.", SITE)],
        id="not enabled",
    ),
    pytest.param(
        draining() | {"stale": {"reload": [], "restart": ["/usr/sbin/pgbouncer"]}},
        [
            (
                "warning",
                "The pooler on db1 runs without what only a start takes over: /usr/sbin/pgbouncer.",
                "Run site.yml once the clients of the former process have left.",
            ),
            (
                "info",
                "A former process of the pooler on db1 still has clients, who cannot be paused.",
                "It goes with the last of them; systemctl stop pgbouncer@1.service on db1 sends them away.",
            ),
        ],
        id="waits for the former one",
    ),
]


@pytest.mark.parametrize(("seen", "expected"), CASES)
def test_findings(seen: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert told(seen) == expected


def test_readers_elsewhere_than_they_belong() -> None:
    astray = {"1": process(shop_ro=database(host="10.0.0.3", figures=figures(4, 100)), **OF_READERS)}
    assert told(at_work(processes=BOTH), READERS) == []
    assert told(at_work(processes=astray), READERS) == [
        ("warning", "The pooler on db1 leads shop_ro to 10.0.0.3, and readers belong to 10.0.0.2.", SITE)
    ]


def test_readers_on_the_primary() -> None:
    lone = healthy(db1=primary(), db2=None, db3=None)
    seen = at_work(processes={"1": process(shop_ro=database(host="10.0.0.1", figures=figures(4, 100)), **OF_READERS)})
    assert told(seen, READERS, hosts=lone) == [
        (
            "warning",
            "Readers on db1 are led to the primary, because no standby streams: shop_ro.",
            "Bring a standby back; site.yml leads them there again.",
        )
    ]


def test_of_a_host_that_does_not_pool_nothing_is_said() -> None:
    found = context("db1", None, SHOP)
    assert list(_pooler_findings.findings(_pooler_plan.on(found, "ops1"))) == []
    assert list(_pooler_findings.findings(context("db1", none=True, seen=at_work()))) == []


def test_the_pools_on_the_screen() -> None:
    assert _pooler_summary.lines(context("db1", None, READERS), "/ca/ca.crt") == [
        "shop     transaction  10 of 30 connections an account  10 of 30 together  333 of 1000 clients",
        "shop_ro  transaction  4 of 12 connections an account   4 of 12 together   100 of 300 clients",
        "61 of 200 connections may be open on the primary [shop (3 poolers x 10): 30, shop_ro (3 poolers x 4): 12, "
        "migrators (1 x 2): 2, administrators (1 x 2): 2, log-ins of poolers (3 x 4): 12, "
        "superuser_reserved_connections: 3]",
        'psql "host=db1,db2 hostaddr=10.0.0.1,10.0.0.2 port=6432 dbname=shop user=shop_app connect_timeout=3 '
        'sslmode=verify-full sslrootcert=/ca/ca.crt"',
    ]
    assert _pooler_summary.lines(context("db1", none=True), "/ca/ca.crt") == []


def test_a_pooler_that_is_known_by_a_name() -> None:
    members = (whole.member("db1", "eu-west", address="db1.example.com"),)
    shown = _pooler_summary.lines(context("db1", {"db1": primary()}, SHOP, members=members), "/ca/ca.crt")[-1]
    assert 'psql "host=db1.example.com port=6432' in shown
