# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`site.yml` itself on an inventory that is wrong in every way, and on hosts that nobody reaches."""

from __future__ import annotations

import datetime
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificate_factory import Made, make, make_ca, write
from checkout import POINTER, ROOT, THREE, Checkout

SITE = ROOT / "site.yml"
BEGINS = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
ENDED = datetime.datetime(2020, 2, 1, tzinfo=datetime.timezone.utc)
ENDS = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)


class Port:
    """A port of this machine where every host of an inventory seems to be; it hangs up on everybody."""

    def __init__(self) -> None:
        self.callers = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        threading.Thread(target=self._hang_up, daemon=True).start()

    def _hang_up(self) -> None:
        try:
            while True:
                self._socket.accept()[0].close()
                self.callers += 1
        except OSError:
            pass  # the end of the test

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def way(self) -> str:
        """The variables that lead Ansible here, for the end of an inventory with `all: vars:`."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
        words = ("ansible_host: 127.0.0.1", f"ansible_port: {self.number}", f"ansible_ssh_common_args: {options}")
        return "".join(f"    {word}\n" for word in words)


@pytest.fixture
def port() -> Iterator[Port]:
    listening = Port()
    yield listening
    listening.close()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def files(checkout: Checkout) -> set[str]:
    """Return what the folder of the inventory holds, without what Ansible keeps for itself."""
    found = {str(path.relative_to(checkout.folder)) for path in checkout.folder.rglob("*")}
    return {name for name in found if not name.startswith("home")}


def provided(folder: Path, leaf: Made, key: Made, ca: Made) -> str:
    """Write a host's own certificate and say where it is."""
    folder.mkdir()
    return json.dumps(write(folder, certificate=leaf.pem, key=key.key_pem(), ca=ca.pem))


BAD = """
all:
  children:
    postgresql:
      hosts:
        db1: {{postgresql_address: 192.0.2.1, postgresql_certificates_provided: {mismatched}}}
        db2: {{postgresql_initial_primary: db2, postgresql_certificates_provided: {expired}}}
        db3: {{postgresql_initial_primary: db9, postgresql_certificates_provided: {unsigned}}}
        db-4: {{postgresql_prot: 5433}}
        db.4: {{postgresql_server_wal_directory: /var/lib/postgresql/16/main}}
    pgbackrest:
      hosts:
        ops1: {{postgresql_address: 192.0.2.1, postgresql_version: "15"}}
  vars:
    postgresql_initial_primary: db1
    postgresql_region: eu-west
    postgresql_zone: eu-west-1a
    postgresql_replication_durability: required
    postgresql_application_networks: [10.0.0.0, ten]
    postgresql_management_networks: [10.20.0.0/16]
    postgresql_administrators: [{{name: ada, pasword: hunter2hunter2}}]
    postgresql_certificates_ca_passphrase: correct horse battery
    postgresql_server_parameters:
      work_memm: 4MB
      checkpoint_timeout: 5s
      shared_buffers: 1gb
      wal_level: full
      max_connections: 50
      reserved_connections: 47
    postgresql_server_hba_rules:
      - {{comment: Reports, databases: [all], users: [all], addresses: [10.20.0.0/16], method: trust}}
      - {{comment: Old, databases: [all], users: [all], addresses: [10.20.0.0/16], method: md5}}
      - {{coment: New, databases: [all], users: [all], addresses: [10.20.0.0/16], method: cert}}
{way}"""


HOSTS = ("db-4", "db.4", "db1", "db2", "db3", "ops1")
DATABASES = "db-4, db.4, db1, db2, db3: "
PRIMARY = "cluster main: postgresql_initial_primary: "
PROVIDED = "postgresql_certificates_provided"
EXPECTED = [
    "all hosts: postgresql_administrators[0].password: is missing; write a text",
    "all hosts: postgresql_administrators[0].pasword: is no key here; write password",
    "all hosts: postgresql_application_networks[0]: 10.0.0.0 has no prefix length; write 10.0.0.0/32 for this one host",
    "all hosts: postgresql_application_networks[1]: 'ten' is no network; "
    "write an address with a prefix length, such as 10.20.0.0/16",
    PRIMARY + "db9 is no database host of the cluster; write one of db1, db2, db3, db-4, db.4",
    PRIMARY + "the members name different ones: db1 on db1, db-4, db.4; db2 on db2; db9 on db3; "
    "write one for the whole cluster",
    "cluster main: postgresql_replication_durability: required needs a standby in the initial primary's region and "
    "another zone, but the initial primary db1 is in eu-west / eu-west-1a, and there is only "
    "db2 in eu-west / eu-west-1a, db3 in eu-west / eu-west-1a, db-4 in eu-west / eu-west-1a, "
    "db.4 in eu-west / eu-west-1a; put a standby into another zone of eu-west, or write asynchronous",
    DATABASES + "postgresql_server_hba_rules[0].method: trust asks for no proof at all; "
    "write scram-sha-256, cert or reject",
    DATABASES + "postgresql_server_hba_rules[1].method: md5 is broken; write scram-sha-256, cert or reject",
    DATABASES + "postgresql_server_hba_rules[2].coment: there is no such key; did you mean comment?",
    DATABASES + "postgresql_server_hba_rules[2].comment: is missing; "
    "a rule needs comment, databases, users, addresses and method",
    DATABASES + 'postgresql_server_parameters.checkpoint_timeout: "5s" is out of range; write a time from 30s to 1d',
    DATABASES + "postgresql_server_parameters.reserved_connections: superuser_reserved_connections 3 + "
    "reserved_connections 47 reserve 50 of max_connections 50, a reserve of connections that leaves none; "
    "write less than 50 for both together, or more max_connections",
    DATABASES + 'postgresql_server_parameters.shared_buffers: "1gb" has the unknown unit gb; write 1GB',
    DATABASES + 'postgresql_server_parameters.wal_level: "full" is not one of its values; '
    "write one of minimal, replica, logical",
    DATABASES + "postgresql_server_parameters.work_memm: is no parameter of PostgreSQL 16; write work_mem",
    "db-4, db.4: inventory name: in PostgreSQL all of them are db_4 (slot, application_name); rename all but one",
    "db-4: postgresql_prot: is no variable of this collection; write postgresql_port",
    "db.4: postgresql_server_wal_directory: /var/lib/postgresql/16/main is the data directory as well; "
    "write a directory outside, or remove the line to keep the write-ahead log with the data",
    "db1, ops1: postgresql_address: 192.0.2.1 is the address of several hosts; write each host's own",
    f"db1: {PROVIDED}.key: db1/key does not belong to db1/certificate; "
    "name the key that the certificate was issued for",
    f"db2: {PROVIDED}.certificate: db2/certificate expired on 2020-02-01 00:00 UTC; take one that is valid now",
    f"db3: {PROVIDED}.ca: no certificate in db3/ca signed db3/certificate; name a file with that of the CA that did",
    'ops1: postgresql_version: "15" is unknown; write one of 16, 17',
]


def test_every_mistake_is_in_one_list_and_no_host_is_called(checkout: Checkout, port: Port) -> None:
    dates: dict[str, Any] = {"begins": BEGINS, "ends": ENDS}
    ca, other = make_ca(**dates), make_ca("other CA", **dates)
    leaf = {name: make(name, ca, **dates) for name in ("db1", "db2", "db3")}
    expired = make("db2", ca, begins=BEGINS, ends=ENDED)
    certificates = {
        "mismatched": provided(checkout.folder / "db1", leaf["db1"], leaf["db2"], ca),
        "expired": provided(checkout.folder / "db2", expired, expired, ca),
        "unsigned": provided(checkout.folder / "db3", leaf["db3"], leaf["db3"], other),
    }
    inventory = BAD.format(**certificates, way=port.way)
    before = files(checkout)
    run = checkout.run(inventory, SITE)
    assert [line.replace(f"{checkout.folder}/", "") for line in run.mistakes("db1")] == EXPECTED
    assert {host for host, text in run.refused().items() if text == POINTER.format("main", "db1")} == {*HOSTS} - {"db1"}
    assert run.status == 2
    assert port.callers == 0
    assert files(checkout) == before | {"hosts.yml"}
    assert "hunter2" not in run.output


def test_without_any_host_the_run_says_so_and_leaves_nothing(checkout: Checkout, port: Port) -> None:
    run = checkout.run(THREE + port.way, SITE)
    assert run.output.count("UNREACHABLE!") == 4
    assert run.status == 4
    assert port.callers >= 4
    assert files(checkout) == {"hosts.yml"}
