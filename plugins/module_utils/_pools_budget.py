# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everybody together may open on one server, which may be any database host, and what it takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils import _pools
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import APPLICATIONS
from ansible_collections.steadfast.postgresql.plugins.module_utils._arguments import Mistake, listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import NAME_LIMIT
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools import Account, Application, Pool

_IN_A_FILE = re.compile(r"[A-Za-z0-9_.-]+")
OF_AN_ADMINISTRATOR = 2
OF_A_MIGRATOR = 2
"""Flyway works on one connection and holds its lock on another."""
OF_BACKUPS = 4
"""pgBackRest asks the primary and a standby, and checks while it backs up."""


@dataclass(frozen=True)
class Cluster:
    """What besides the applications decides about the connections of a server.

    Attributes:
        poolers: how many hosts pool.
        max_connections: of the server that takes the fewest; None when it is a mistake of its own.
        reserved: by parameter, connections that nobody else gets.
        administrators: how many there are.
        backups: whether there are any.
    """

    poolers: int
    max_connections: int | None
    reserved: tuple[tuple[str, int], ...] = ()
    administrators: int = 0
    backups: bool = False


@dataclass(frozen=True)
class Item:
    """A part of the sum."""

    words: str
    connections: int


def items(applications: Sequence[Application], cluster: Cluster) -> list[Item]:
    """Return the parts of the sum. WAL senders are none of them: they have slots of their own."""
    found = [_of_pool(application, pool, cluster.poolers) for application in applications for pool in application.pools]
    found += [
        Item(account.name, account.limit)
        for application in applications
        for account in _in_use(application)
        if not application.pools and account.limit is not None
    ]
    found += _each("migrators", len(applications), OF_A_MIGRATOR)
    found += _each("administrators", cluster.administrators, OF_AN_ADMINISTRATOR)
    # Readers log in where their pool leads to, which may be the primary.
    kinds = {pool.read_only for application in applications for pool in application.pools}
    found += _each("log-ins of poolers", cluster.poolers * bool(kinds), _pools.LOGIN_SIZE * len(kinds))
    found += [Item("backups", OF_BACKUPS)] if cluster.backups else []
    found += [Item(name, number) for name, number in cluster.reserved if number]
    return found


def mistakes(applications: Sequence[Application], cluster: Cluster) -> Iterator[Mistake]:
    """Yield what is wrong with the pools, one by one and in their sum."""
    found = []
    for application in applications:
        found += [*_figures(application, cluster.poolers), *_sessions(application)]
        found += _limits(application, cluster.poolers)
    found += _names(applications)
    yield from found
    if any(application.pools for application in applications):
        yield from _unlimited(applications)
    if not found:
        yield from _sum(applications, cluster)


def need(application: Application, poolers: int) -> int:
    """Return how many connections the pools of an application may open for each of its accounts."""
    return sum(poolers * pool.totals.share(poolers).opens() for pool in application.pools)


def _of_pool(application: Application, pool: Pool, poolers: int) -> Item:
    each = pool.totals.share(poolers).opens(max(1, len(_in_use(application))))
    return Item(f"{pool.name} {_product(poolers, each)}", poolers * each)


def _in_use(application: Application) -> list[Account]:
    """Return one login of each account: of two that alternate one is in use."""
    return list({account.place: account for account in application.accounts}.values())


def _product(poolers: int, each: int) -> str:
    return f"({poolers} pooler{'s' * (poolers > 1)} x {each})"


def _each(words: str, count: int, number: int) -> list[Item]:
    return [Item(f"{words} ({count} x {number})", count * number)] if count else []


def _sum(applications: Sequence[Application], cluster: Cluster) -> Iterator[Mistake]:
    found = items(applications, cluster)
    total = sum(item.connections for item in found)
    if cluster.max_connections is None or total <= cluster.max_connections:
        return
    parts = listed(f"{item.words}: {item.connections}" for item in found)
    yield Mistake(
        APPLICATIONS,
        f"together {total} connections may be open on the primary, and max_connections is {cluster.max_connections} "
        f"[{parts}]; lower them, or write max_connections: {total} in postgresql_server_parameters",
    )


def _figures(application: Application, poolers: int) -> Iterator[Mistake]:
    for pool in application.pools:
        place, totals = f"{application.place}.pool" + ".read_only" * pool.read_only, pool.totals
        figures = {
            "size": totals.size,
            "max_database_connections": totals.database,
            "max_client_connections": totals.clients,
        }
        for name, total in figures.items():
            if total < poolers:
                yield Mistake(f"{place}.{name}", _too_few(total, poolers))
        if totals.reserve and totals.reserve < poolers:
            yield Mistake(f"{place}.reserve", f"{_too_few(totals.reserve, poolers)}, or 0")
        if totals.size > totals.database:
            text = f"{totals.database} is less than size, {totals.size}, which would never be reached; lower size"
            yield Mistake(f"{place}.max_database_connections", text)


def _too_few(total: int, poolers: int) -> str:
    if poolers == 1:
        return f"{total} is none; write at least 1"
    return f"{total} over {poolers} poolers leaves none for each; write at least {poolers}"


def _sessions(application: Application) -> Iterator[Mistake]:
    if not any(pool.mode == _pools.TRANSACTION for pool in application.pools):
        return
    for place in dict.fromkeys(account.place for account in application.accounts if account.session):
        yield Mistake(
            f"{application.place}.{place}.session",
            f"the account depends on the state of its session, and the pool of {application.name} is in transaction "
            "mode: after each transaction its server connection serves another client, with its settings, advisory "
            "locks, LISTEN and temporary tables; write pool.mode: session, or session: false once it needs none of "
            "these",
        )


def _limits(application: Application, poolers: int) -> Iterator[Mistake]:
    """Compare the connection limit of each account with what its pools would open for it."""
    for account in _in_use(application):
        wanted = need(application, poolers)
        if account.limit is None or wanted <= account.limit:
            continue
        parts = listed(
            f"{pool.name} {_product(poolers, pool.totals.share(poolers).opens())}" for pool in application.pools
        )
        yield Mistake(
            f"{application.place}.{account.place}.connection_limit",
            f"the pools may open {wanted} connections for {account.name} [{parts}], and the server takes "
            f"{account.limit}; write connection_limit: {wanted}, or a lower pool.size",
        )


def _names(applications: Sequence[Application]) -> Iterator[Mistake]:
    owners = dict.fromkeys((_pools.CONSOLE, _pools.LOGIN, f"{_pools.LOGIN}{_pools.READ_ONLY}"), "PgBouncer")
    for application in applications:
        for pool in application.pools:
            if pool.name in owners:
                text = f"clients would connect to the database {pool.name}, which is that of {owners[pool.name]}"
                yield Mistake(f"{application.place}.pool", f"{text}; give {application.name} another database")
            if not _IN_A_FILE.fullmatch(pool.name) or len(pool.name) > NAME_LIMIT:
                text = f"PgBouncer takes at most {NAME_LIMIT} of A-Z, a-z, 0-9 and _.- for a database, not {pool.name}"
                yield Mistake(f"{application.place}.pool", f"{text}; give {application.name} another database")
            owners[pool.name] = application.name


def _unlimited(applications: Sequence[Application]) -> Iterator[Mistake]:
    for application in applications:
        for place in dict.fromkeys(account.place for account in application.accounts if account.limit is None):
            if not application.pools:
                yield Mistake(
                    f"{application.place}.{place}.connection_limit",
                    "the account has no pool, and without a limit it may take the connections that the pools of others "
                    "count on; write how many it needs",
                )
