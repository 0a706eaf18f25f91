# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgBackRest's configuration on each kind of host, as sections of options; option names are those of its manual.

What is secret is apart, in a file of its own, so that a diff can show the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import HOME, POSIX, S3, Repository

Json = Mapping[str, Any]
Sections = dict[str, dict[str, str | list[str]]]

SERVER_USER, REPOSITORY_USER = "postgres", "pgbackrest"
DATABASE_ROLE = "pgbackrest"
"""The role that backups log in as, over the socket; it is no superuser."""

PACKAGE_STATE = "/var/lib/pgbackrest"
CONFIGURATION = "/etc/pgbackrest"
SPOOL = "/var/spool/pgbackrest"


@dataclass(frozen=True)
class Host:
    """A host that pgBackRest runs on or talks to."""

    name: str
    address: str
    data_directory: str = ""


@dataclass(frozen=True)
class Site:
    """What the configuration of every host is made of.

    Attributes:
        stanza: name of the cluster.
        own: the host in question.
        repository: the repository host.
        databases: the database hosts, in a stable order; it numbers pgN.
        repositories: those that are not suspended are written.
        port: of pgBackRest's servers.
        postgresql_port: of the instances.
        certificates: folder of ca.crt, server.crt and server.key on this host.
        processes: how many work at once on this host.
    """

    stanza: str
    own: Host
    repository: Host
    databases: Sequence[Host]
    repositories: Sequence[Repository]
    port: int
    postgresql_port: int
    certificates: str
    processes: int = 1

    @property
    def live(self) -> list[Repository]:
        """The repositories that are not suspended."""
        return [repository for repository in self.repositories if not repository.suspended]

    @property
    def holds_data(self) -> bool:
        """Whether this host is a database host."""
        return any(host.name == self.own.name for host in self.databases)

    @property
    def keeps_backups(self) -> bool:
        """Whether this host is the repository host."""
        return self.own.name == self.repository.name

    @property
    def peers(self) -> list[str]:
        """The hosts whose pgBackRest reaches this one's."""
        databases = [host.name for host in self.databases] if self.keeps_backups else []
        return [name for name in dict.fromkeys([*databases, self.repository.name]) if name != self.own.name]

    @property
    def user(self) -> str:
        """The operating-system user of pgBackRest on this host: the server's, where it reads a data directory."""
        return SERVER_USER if self.holds_data else REPOSITORY_USER


def sections(site: Site) -> Sections:
    """Return the configuration of a host, without secrets."""
    shared: dict[str, str | list[str]] = {
        "compress-type": "zst",
        "lock-path": f"{HOME if site.keeps_backups else PACKAGE_STATE}/lock",
        "log-path": "/var/log/pgbackrest",
        "log-level-console": "warn",
        # What other users than the server's print goes to the journal; the package's folder is the server's.
        "log-level-file": "info" if site.user == SERVER_USER else "off",
        "process-max": str(site.processes),
        **_server(site),
    }
    for repository in site.live:
        shared |= {f"repo{repository.number}-{name}": value for name, value in _repository(site, repository)}
    found: Sections = {"global": dict(sorted(shared.items()))}
    if site.keeps_backups:
        found["global"] |= {"backup-standby": "prefer", "start-fast": "y"}
    if site.holds_data:
        found |= _archiving()
    found[site.stanza] = _stanza(site)
    return found


def secrets(site: Site, given: Sequence[Json]) -> Sections:
    """Return the passphrases and keys that a host needs: a directory of the repository host is opened there alone.

    Args:
        site: the host and its cluster.
        given: the list of repositories of the inventory, with their secrets.
    """
    named = {item["name"]: item for item in given}
    found: dict[str, str | list[str]] = {}
    for repository in site.live:
        if repository.type == POSIX and not site.keeps_backups:
            continue
        item, prefix = named[repository.name], f"repo{repository.number}"
        found[f"{prefix}-cipher-pass"] = item["passphrase"]
        if repository.type == S3:
            found |= {f"{prefix}-s3-key": item["s3"]["key"], f"{prefix}-s3-key-secret": item["s3"]["key_secret"]}
    return {"global": found} if found else {}


def render(found: Sections) -> str:
    """Write sections as a configuration file; an option with several values is written once for each."""
    return "\n\n".join("\n".join([f"[{section}]", *_lines(options)]) for section, options in found.items()) + "\n"


def _lines(options: Mapping[str, str | list[str]]) -> Iterator[str]:
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            yield f"{name}={one}"


def _server(site: Site) -> dict[str, str | list[str]]:
    """Return how this host serves others, and to whom: by the common names of their certificates, for this stanza."""
    if not site.peers:
        return {}
    return {
        "tls-server-address": "*",
        "tls-server-auth": [f"{name}={site.stanza}" for name in site.peers],
        "tls-server-ca-file": f"{site.certificates}/ca.crt",
        "tls-server-cert-file": f"{site.certificates}/server.crt",
        "tls-server-key-file": f"{site.certificates}/server.key",
    }


def _reached(site: Site, prefix: str, address: str) -> dict[str, str]:
    """Return how another host is reached: over TLS, with this host's certificate."""
    return {
        f"{prefix}host": address,
        f"{prefix}host-ca-file": f"{site.certificates}/ca.crt",
        f"{prefix}host-cert-file": f"{site.certificates}/server.crt",
        f"{prefix}host-key-file": f"{site.certificates}/server.key",
        f"{prefix}host-port": str(site.port),
        f"{prefix}host-type": "tls",
    }


def _repository(site: Site, repository: Repository) -> Iterator[tuple[str, str]]:
    """Yield the options of a repository, as this host sees it."""
    if repository.type == POSIX and not site.keeps_backups:
        # Where it lies and how it is encrypted is the repository host's own affair.
        yield from _reached(site, "", site.repository.address).items()
        yield "host-user", SERVER_USER if _is_database(site, site.repository) else REPOSITORY_USER
        return
    yield "path", repository.path
    yield "cipher-type", "aes-256-cbc"
    if site.keeps_backups:
        yield from {"block": "y", "bundle": "y"}.items()
        yield from {"retention-full": str(repository.retention_days), "retention-full-type": "time"}.items()
        if not repository.point_in_time:
            # Each full keeps the WAL that makes it consistent; only the newest one keeps all that followed.
            yield from {"retention-archive": "1", "retention-archive-type": "full"}.items()
    if repository.type == S3:
        yield from _s3(repository.name, repository.s3)


def _s3(name: str, given: Json) -> Iterator[tuple[str, str]]:
    yield "type", S3
    yield from ((f"s3-{key}", str(given[key])) for key in ("bucket", "endpoint", "region"))
    yield "s3-uri-style", given.get("uri_style") or "host"
    if given.get("port"):
        yield "storage-port", str(given["port"])
    if given.get("ca"):
        yield "storage-ca-file", authority_file(name)


def authority_file(name: str) -> str:
    """Where a host keeps the CA of a repository's object storage."""
    return f"{CONFIGURATION}/{name}.crt"


def _is_database(site: Site, host: Host) -> bool:
    return any(database.name == host.name for database in site.databases)


def _archiving() -> Sections:
    """Return how a database host pushes and fetches WAL.

    The setting that drops WAL when a repository is down (archive-push-queue-max) is left out on purpose. One that is
    silent is tried several times before it counts as down: with the default timeout of a minute for each, that takes
    minutes in which nothing is said.
    """
    return {
        "global:archive-push": {"archive-async": "y", "io-timeout": "15", "spool-path": SPOOL},
        # A promotion waits for a restore_command that hangs, and large queues make single calls slow.
        "global:archive-get": {
            "archive-async": "y",
            "archive-get-queue-max": "128MiB",
            "io-timeout": "10",
            "spool-path": SPOOL,
        },
    }


def _stanza(site: Site) -> dict[str, str | list[str]]:
    """Return the data directories of the stanza: all of them on the repository host, its own on a database host."""
    found: dict[str, str | list[str]] = {}
    # A host's own data directory is the first, so that commands on it need no number.
    own_first = sorted(site.databases, key=lambda host: host.name != site.own.name)
    for number, host in enumerate(own_first, 1):
        own = host.name == site.own.name
        if not own and not (site.keeps_backups and host.address):
            continue
        prefix = f"pg{number}-"
        found |= {f"{prefix}path": host.data_directory, f"{prefix}port": str(site.postgresql_port)}
        found |= {f"{prefix}user": DATABASE_ROLE, f"{prefix}database": "postgres"}
        if not own:
            found |= _reached(site, prefix, host.address) | {f"{prefix}host-user": SERVER_USER}
    return found
