# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools on the screen at the end of a run: what each may open, how it adds up, how clients connect. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import is_ip
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_plan import Context
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools import Application, Pool

Json = Mapping[str, Any]


def lines(context: Context, authority: str) -> list[str]:
    """Return the pools, the sum that they are a part of, and a connection string for each application.

    Args:
        context: the poolers.
        authority: file of the CA on the controller.
    """
    return [*plan(context), *(conninfo(context, application, authority) for application in context.applications)]


def plan(context: Context) -> list[str]:
    """Return the pools with each pooler's share, and the sum that they are a part of."""
    if not context.pools:
        return []
    poolers = len(context.poolers)
    pools = [pool for application in context.applications for pool in application.pools]
    return [*_aligned([_row(pool, poolers) for pool in pools]), _sum(context.pools)]


def conninfo(context: Context, application: Application, authority: str) -> str:
    """Return how clients in the primary's region connect: by all poolers of that region, in turn."""
    poolers = [pooler for pooler in context.poolers if pooler["address"]]
    region = context.member(context.primary)["region"] if context.primary else ""
    near = [pooler for pooler in poolers if pooler["region"] == region] or poolers
    named = all(is_ip(pooler["address"]) for pooler in near)
    keywords = {
        "host": ",".join(pooler["name"] if named else pooler["address"] for pooler in near),
        # The names are those of the certificates; the addresses spare the client a name service that knows them.
        **({"hostaddr": ",".join(pooler["address"] for pooler in near)} if named else {}),
        "port": context.pools["port"],
        "dbname": application.pools[0].name,
        **({"user": application.accounts[0].name} if application.accounts else {}),
        # A pooler on the primary's host dies with it; then the next one answers.
        "connect_timeout": 3,
        "sslmode": "verify-full",
        "sslrootcert": authority,
    }
    return f'psql "{" ".join(f"{name}={value}" for name, value in keywords.items())}"'


def _row(pool: Pool, poolers: int) -> tuple[str, ...]:
    share, totals = pool.totals.share(poolers), pool.totals
    return (
        pool.name,
        pool.mode,
        f"{share.size} of {totals.size} connections an account",
        f"{share.database} of {totals.database} together",
        f"{share.clients} of {totals.clients} clients",
    )


def _sum(pools: Json) -> str:
    total = sum(item["connections"] for item in pools["budget"])
    parts = listed(f"{item['words']}: {item['connections']}" for item in pools["budget"])
    return f"{total} of {pools['max_connections']} connections may be open on the primary [{parts}]"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
