# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools that applications declare: figures are totals over all poolers, each of which gets its share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import (
    ABSENT,
    APPLICATIONS,
    UNLIMITED,
    logins_of,
)

Json = Mapping[str, Any]

TRANSACTION, SESSION = "transaction", "session"
CONSOLE = "pgbouncer"
"""The database by which PgBouncer itself is administered."""
LOGIN = "steadfast_login"
"""The database of PgBouncer by which it asks the server for verifiers."""
LOGIN_SIZE = 2
"""Server connections that each pooler takes for that, on each server that it points to."""
READ_ONLY = "_ro"


@dataclass(frozen=True)
class Account:
    """A role that logs in.

    Attributes:
        name: of the role.
        limit: its connection limit; None for none.
        session: whether it depends on the state of its session.
        place: of its declaration, below that of its application.
    """

    name: str
    limit: int | None = None
    session: bool = False
    place: str = ""


@dataclass(frozen=True)
class Limits:
    """What a pool may open: the total of all poolers, or the share of one.

    Attributes:
        size: server connections for each account.
        reserve: more of them, once a client has waited.
        database: server connections for all accounts together.
        clients: that may be connected.
    """

    size: int
    reserve: int
    database: int
    clients: int

    @classmethod
    def of(cls, given: Json) -> Limits:
        """Return the totals that an application declares."""
        size, reserve = given["size"], given["reserve"]
        database = given["max_database_connections"] or size + reserve
        return cls(size, reserve, database, given["max_client_connections"])

    def share(self, poolers: int) -> Limits:
        """Return what one of the poolers gets."""
        return Limits(*(total // poolers for total in (self.size, self.reserve, self.database, self.clients)))

    def opens(self, accounts: int = 1) -> int:
        """Return how many server connections so many accounts may have at once."""
        return min(self.database, accounts * (self.size + self.reserve))


@dataclass(frozen=True)
class Pool:
    """What clients connect to.

    Attributes:
        name: the database that clients name.
        database: the database of the server.
        mode: transaction or session.
        totals: over all poolers.
        read_only: whether it leads to a standby.
    """

    name: str
    database: str
    mode: str
    totals: Limits
    read_only: bool = False


@dataclass(frozen=True)
class Application:
    """What poolers have to know of an application.

    Attributes:
        name: of the application.
        database: of the server.
        accounts: the roles that log in as the application; with a pool they do so through it.
        migrator: the role that migrates; it logs in to the server itself, never through a pool.
        pools: one, with readers on standbys two, or none.
        networks: from where its clients come, in CIDR notation; nothing stands for those of the cluster.
        place: of its declaration.
    """

    name: str
    database: str
    accounts: tuple[Account, ...] = ()
    migrator: str = ""
    pools: tuple[Pool, ...] = ()
    networks: tuple[str, ...] = ()
    place: str = ""


def applications(given: Sequence[Json | None]) -> list[Application]:
    """Return the applications that are to be there; an entry with a mistake is passed over.

    Args:
        given: the list of the inventory, converted; None for an entry whose types are wrong.
    """
    found = ((f"{APPLICATIONS}[{index}]", item) for index, item in enumerate(given))
    return [
        _application(place, item)
        for place, item in found
        if item is not None and item.get("name") and item.get("state") != ABSENT
    ]


def from_plain(item: Json) -> Application:
    """Return an application that was written as plain data."""
    return Application(
        **{
            **item,
            "accounts": tuple(Account(**account) for account in item["accounts"]),
            "pools": tuple(Pool(**{**pool, "totals": Limits(**pool["totals"])}) for pool in item["pools"]),
            "networks": tuple(item["networks"]),
        }
    )


def pooled(found: Sequence[Application]) -> list[Application]:
    """Return the applications that have a pool."""
    return [application for application in found if application.pools]


def _application(place: str, item: Json) -> Application:
    database = item.get("database") or item["name"]
    migrator = (item.get("migrator") or {}).get("name") or f"{database}_migrator"
    return Application(
        name=item["name"],
        database=database,
        accounts=tuple(_accounts(item.get("accounts") or [])),
        migrator=migrator,
        pools=tuple(_pools(database, item.get("pool") or {})),
        networks=tuple(item.get("networks") or ()),
        place=place,
    )


def _pools(database: str, given: Json) -> list[Pool]:
    figures = {**given, **(given.get("read_only") or {})}
    if not given or None in [*given.values(), *figures.values()]:
        return []  # none, or a mistake of its own
    found = [Pool(database, database, given["mode"], Limits.of(given))]
    if given.get("read_only"):
        found.append(Pool(f"{database}{READ_ONLY}", database, given["mode"], Limits.of(given["read_only"]), True))
    return found


def _accounts(given: Sequence[Json | None]) -> list[Account]:
    """Return the logins: two for an account that alternates, of which one is in use."""
    found = []
    for index, item in enumerate(given):
        if item is None or not item.get("name"):
            continue
        given_limit = item.get("connection_limit")
        limit = None if given_limit in {None, UNLIMITED} else given_limit
        session, place = bool(item.get("session")), f"accounts[{index}]"
        found += [Account(name, limit, session, place) for name in logins_of(item)]
    return found
