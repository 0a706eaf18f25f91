# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of PgBouncer on one host: settings, pools and units, each as a whole text. Pure.

Options: https://www.pgbouncer.org/config.html. Nothing here is secret: the verifiers of accounts stay in the server,
and PgBouncer logs in there with the certificate of its host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _pools
from ansible_collections.steadfast.postgresql.plugins.module_utils._pools import Application, Pool

FOLDER = "/etc/pgbouncer/steadfast"
SETTINGS = f"{FOLDER}/pgbouncer.ini"
PRIMARY, STANDBY = f"{FOLDER}/primary.ini", f"{FOLDER}/standby.ini"
RULES = f"{FOLDER}/hba.conf"
RELOADED = [SETTINGS, PRIMARY, STANDBY, RULES]
RUN = "/run/pgbouncer"
PROGRAM = "/usr/local/lib/steadfast/pooler"
UNITS = "/etc/systemd/system"
TEMPLATE = f"{UNITS}/pgbouncer@.service"
PACKAGED = "pgbouncer.service"
MASK: dict[str, Any] = {"path": f"{UNITS}/{PACKAGED}", "state": "link", "target": "/dev/null"}
"""The package's own unit never runs: it would start with the package's settings as soon as that is installed."""
PROCESSES = (1, 2)
"""One of them serves. The other one takes its place where the program has to start anew: then both have the port, and
the former goes once its last client has left."""

ROLE = "pgbouncer"
"""The role that poolers log in as, to ask for the verifiers of others."""
USER = "pgbouncer"
"""The operating-system user of PgBouncer. It is not that of the server, whose user is its superuser."""
LOGIN_READ_ONLY = f"{_pools.LOGIN}{_pools.READ_ONLY}"

HEAD = "# Ansible managed\n# By the role pooler of steadfast.postgresql{what}.\n"
# Clients of the console and requests to cancel a query count as clients too.
CLIENTS_BESIDES = 50
QUERY = "SELECT name, verifier FROM pgbouncer.verifier_of($1)"

UNIT = """
# A start takes over from the process that serves: "systemctl start pgbouncer@2" beside pgbouncer@1 cuts no client.
[Unit]
Description=PgBouncer of PostgreSQL {cluster}, process %i
Documentation=https://www.pgbouncer.org/
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
# Not notify: PgBouncer says that it stops when it begins to wait for its last client, and would be killed soon after.
Type=exec
User={user}
RuntimeDirectory=pgbouncer/%i
RuntimeDirectoryMode=0750
ExecStartPre=/usr/bin/touch {run}/%i/loaded
ExecStart=/usr/sbin/pgbouncer {folder}/%i.ini
ExecStartPost=+{program} take_over %i
ExecReload=+{program} reload %i
# A stop lets transactions end and sends clients away. To wait for the clients is what take_over asks the former for.
KillSignal=SIGINT
TimeoutStopSec=10
Restart=on-failure
RestartSec=1
LimitNOFILE=65536
NoNewPrivileges=true
ProtectHome=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Site:
    """What the files of a host are made of.

    Attributes:
        cluster: name of the cluster.
        address: of this host.
        port: of the poolers.
        server_port: of the servers.
        certificates: folder of ca.crt, server.crt and server.key on this host.
        poolers: how many hosts pool.
        applications: those with a pool.
        networks: from where applications come that name no networks of their own.
        primary: address of the host that takes writes.
        standby: address of the host that readers are led to.
    """

    cluster: str
    address: str
    port: int
    server_port: int
    certificates: str
    poolers: int
    applications: Sequence[Application]
    networks: Sequence[str]
    primary: str
    standby: str

    @property
    def clients(self) -> int:
        """How many clients this host's share is."""
        pools = (pool for application in self.applications for pool in application.pools)
        return sum(pool.totals.share(self.poolers).clients for pool in pools)


def process_file(number: int) -> str:
    """Return the path of what only one of the processes has."""
    return f"{FOLDER}/{number}.ini"


def unit(number: int) -> str:
    """Return the name of the unit that runs a process."""
    return f"pgbouncer@{number}.service"


def socket_directory(number: int) -> str:
    """Return where the console of a process listens."""
    return f"{RUN}/{number}"


def own_files() -> list[str]:
    """Return the paths that go with the last pool."""
    return [TEMPLATE, MASK["path"], *RELOADED, *map(process_file, PROCESSES)]


def contents(site: Site) -> dict[str, str]:
    """Return the text of each file by its path."""
    found = {
        SETTINGS: _settings(site),
        PRIMARY: _databases(site, read_only=False),
        STANDBY: _databases(site, read_only=True),
        RULES: HEAD.format(what=": who may log in from where") + "\n" + _hba.render(rules(site)),
        TEMPLATE: _unit(site),
    }
    return found | {process_file(number): _process(site, number) for number in PROCESSES}


def settings(site: Site) -> dict[str, str]:
    """Return what a reload takes over."""
    certificate = {
        "cert_file": f"{site.certificates}/server.crt",
        "key_file": f"{site.certificates}/server.key",
        "protocols": "secure",
    }
    return {
        "auth_type": "hba",
        "auth_hba_file": RULES,
        "auth_user": ROLE,
        "auth_dbname": _pools.LOGIN,
        "auth_query": QUERY,
        "client_tls_sslmode": "require",
        **{f"client_tls_{name}": value for name, value in certificate.items()},
        "server_tls_sslmode": "verify-full",
        "server_tls_ca_file": f"{site.certificates}/ca.crt",
        **{f"server_tls_{name}": value for name, value in certificate.items()},
        "max_client_conn": str(site.clients + CLIENTS_BESIDES),
        "max_prepared_statements": "200",
        # Drivers of Java send it, and it only rounds what is printed.
        "ignore_startup_parameters": "extra_float_digits",
        # With the default of 15 s clients would wait so long after the pools were led to a server that answers.
        "server_login_retry": "1",
        "server_connect_timeout": "3",
        "tcp_keepalive": "1",
        "tcp_keepidle": "5",
        "tcp_keepintvl": "2",
        "tcp_keepcnt": "3",
        "tcp_user_timeout": "5000",
        "log_stats": "0",
    }


def rules(site: Site) -> list[_hba.Rule]:
    """Return who may log in: accounts of applications from their networks, and PgBouncer's own user to its console."""
    console = _hba.Rule("The console, over the socket", (_pools.CONSOLE,), (USER,), "peer", "local")
    return [
        console,
        *(
            _hba.Rule(
                f"Application {application.name}",
                tuple(_hba.literal(pool.name) for pool in application.pools),
                tuple(_hba.literal(account.name) for account in application.accounts),
                "scram-sha-256",
                addresses=tuple(application.networks or site.networks),
            )
            for application in site.applications
            if application.accounts
        ),
    ]


def databases(site: Site, read_only: bool) -> dict[str, dict[str, str]]:
    """Return the databases that clients name, with how each is reached; all of a file lead to one server."""
    reached = {"host": site.standby if read_only else site.primary, "port": str(site.server_port)}
    login = LOGIN_READ_ONLY if read_only else _pools.LOGIN
    pools = [pool for application in site.applications for pool in application.pools if pool.read_only == read_only]
    found = {login: {**reached, "dbname": "postgres", "pool_mode": _pools.TRANSACTION, **_login_limits()}}
    if read_only and not pools:
        return {}
    return found | {pool.name: {**reached, **_pool(pool, site.poolers), "auth_dbname": login} for pool in pools}


def figures(pool: Pool, poolers: int) -> dict[str, int]:
    """Return what one of the poolers may open for a pool, by the names of the options."""
    share = pool.totals.share(poolers)
    return {
        "pool_size": share.size,
        "reserve_pool": share.reserve,
        "max_db_connections": share.database,
        "max_db_client_connections": share.clients,
    }


def _login_limits() -> dict[str, str]:
    return {"pool_size": str(_pools.LOGIN_SIZE), "max_db_connections": str(_pools.LOGIN_SIZE)}


def _pool(pool: Pool, poolers: int) -> dict[str, str]:
    limits = {name: str(figure) for name, figure in figures(pool, poolers).items()}
    return {"dbname": pool.database, "pool_mode": pool.mode, **limits}


def _settings(site: Site) -> str:
    head = HEAD.format(what=": what a reload takes over")
    return head + "\n[pgbouncer]\n" + _text([*_lines(settings(site))])


def _process(site: Site, number: int) -> str:
    """Return what only a start takes over; a query is cancelled at whichever of the processes the request arrives.

    The section goes on after the settings: a second one of its name would begin with the defaults again.
    """
    options = {
        "listen_addr": ",".join(dict.fromkeys(["127.0.0.1", site.address])),
        "listen_port": str(site.port),
        "so_reuseport": "1",
        "unix_socket_dir": socket_directory(number),
        "unix_socket_mode": "0700",
        "peer_id": str(number),
    }
    peers = [f"{process} = host={socket_directory(process)} port={site.port}" for process in PROCESSES]
    head = HEAD.format(what=f": what only a start of process {number} takes over")
    pools = [f"%include {PRIMARY}", f"%include {STANDBY}"]
    return head + "\n" + _text([f"%include {SETTINGS}", *_lines(options), "", *pools, "", "[peers]", *peers])


def _databases(site: Site, read_only: bool) -> str:
    who = "what leads to a standby" if read_only else "what leads to the primary"
    lines = [
        f"{name} = {' '.join(f'{key}={value}' for key, value in options.items())}"
        for name, options in databases(site, read_only).items()
    ]
    return HEAD.format(what=f": {who}; the program {PROGRAM} rewrites the host") + "\n[databases]\n" + _text(lines)


def _unit(site: Site) -> str:
    text = UNIT.format(cluster=site.cluster, user=USER, run=RUN, folder=FOLDER, program=PROGRAM)
    return HEAD.format(what="") + text.lstrip("\n")


def _lines(options: dict[str, str]) -> Iterator[str]:
    yield from (f"{name} = {value}" for name, value in options.items())


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
