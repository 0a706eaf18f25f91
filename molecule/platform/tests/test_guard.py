"""The hosts are guarded: who may reach which port, what another user of a host can open, what nobody can lock out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab

DATABASES = ["db1", "db2", "db3"]
MEMBERS = {"db1": "10.89.20.11", "db2": "10.89.20.12", "db3": "10.89.20.13", "ops1": "10.89.20.14"}
INSIDE, OUTSIDE = "10.89.20.15", "198.51.100.15"  # the spare host, in the application networks and in none
STRAY = 9999  # a program that nobody declared
TABLE = "nft list table inet steadfast_main"

# An answer is an answer, be it a refusal: only silence shows that nothing is let in.
SCAN = """
import errno, json, resource, selectors, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
source, hosts, ports = sys.argv[1], sys.argv[2].split(","), [*range(1, 1025), *map(int, sys.argv[3].split(","))]
answers = {host: set() for host in hosts}
for host in hosts:
    waiting, deadline = selectors.DefaultSelector(), time.monotonic() + 2
    for port in set(ports):
        probe = socket.socket()
        probe.bind((source, 0))
        probe.setblocking(False)
        if probe.connect_ex((host, port)) not in (0, errno.EINPROGRESS):
            answers[host].add(port)
        waiting.register(probe, selectors.EVENT_WRITE, port)
    while (left := deadline - time.monotonic()) > 0:
        for key, _ in waiting.select(left):
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED):
                answers[host].add(key.data)
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
print(json.dumps({host: sorted(found) for host, found in answers.items()}))
"""

# Everything below the folders that opens for the user nobody, files and sockets.
OPENS = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for top in sys.argv[1:]:
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            try:
                if os.path.exists(path) and not os.path.isfile(path):
                    socket.socket(socket.AF_UNIX).connect(path)
                else:
                    open(path).close()
                print(path)
            except OSError:
                pass
"""
FOLDERS = (
    "/var/lib/postgresql /run/postgresql /var/log/postgresql /etc/postgresql /etc/ssl/postgresql /etc/steadfast "
    "/var/lib/steadfast /etc/pgbackrest /srv/pgbackrest /var/spool/pgbackrest /var/log/pgbackrest /var/lib/pgbackrest"
)


@pytest.fixture
def outsider(lab: Lab) -> Iterator[None]:
    """Give the spare host an address outside all networks, to which every member has a way back."""
    lab.shell("solo1", f"ip address add {OUTSIDE}/32 dev eth0")
    for host in MEMBERS:
        listen = f"systemd-run --quiet --unit=stray --collect python3 -m http.server {STRAY}"
        lab.shell(host, f"ip route add {OUTSIDE}/32 via {INSIDE} && {listen}")
    lab.wait(lambda: all(str(STRAY) in lab.shell(host, "ss -Hltn") for host in MEMBERS), 10)
    yield
    for host in MEMBERS:
        lab.shell(host, f"systemctl stop stray; ip route del {OUTSIDE}/32")
    lab.shell("solo1", f"ip address del {OUTSIDE}/32 dev eth0")


def answering(lab: Lab, source: str) -> dict[str, list[int]]:
    """Ask every member at the ports that anything might listen on, from an address of the spare host."""
    listening = {
        line.split()[3].rpartition(":")[2] for host in MEMBERS for line in lab.shell(host, "ss -Hltn").splitlines()
    }
    ports = ",".join(sorted({*listening, "5432", "6432", "8432"}))
    found: dict[str, list[int]] = json.loads(
        lab.shell("solo1", f"python3 - {source} {','.join(MEMBERS.values())} {ports}", stdin=SCAN)
    )
    return {host: found[address] for host, address in MEMBERS.items()}


def test_who_reaches_which_port(lab: Lab, outsider: None) -> None:
    assert answering(lab, OUTSIDE) == {host: [22] for host in MEMBERS}
    assert answering(lab, INSIDE) == {host: [22, 5432, 6432] for host in DATABASES} | {"ops1": [22]}


@pytest.mark.parametrize("host", MEMBERS)
def test_another_user_of_a_host_opens_nothing(lab: Lab, host: str) -> None:
    opened = lab.shell(host, f"python3 - {FOLDERS}", stdin=OPENS).splitlines()
    certificates = ["/etc/ssl/postgresql/main/ca.crt", "/etc/ssl/postgresql/main/server.crt"]
    # Every client gets to see those; a number and our own records tell nobody anything.
    harmless = (
        "/run/postgresql/16-main.pid",
        "/var/lib/steadfast/main/",
        "/etc/pgbackrest/steadfast.json",
        "/etc/pgbackrest/offsite.crt",
    )
    assert sorted(path for path in opened if not path.startswith(harmless)) == certificates


def streams(lab: Lab) -> str:
    return lab.sql("db1", "SELECT application_name, pid FROM pg_stat_replication ORDER BY 1")


def test_a_table_that_was_taken_away_comes_back(lab: Lab) -> None:
    rules, before = lab.shell("db2", TABLE), streams(lab)
    lab.shell("db2", "nft add table inet other && nft delete table inet steadfast_main")
    lab.shell("ops1", "nft add rule inet steadfast_main input tcp dport 9999 accept")
    run = lab.playbook("playbooks/check_cluster.yml", expect=2)
    assert "error: The firewall of db2 was taken away. Run site.yml, which sets it right." in run.output
    assert (
        "error: The firewall of ops1 is not the one that was confirmed last. Run site.yml, which sets it right."
        in run.output
    )
    predicted = lab.playbook("site.yml", "--check", "--diff").changes
    run = lab.playbook("site.yml")
    assert [change.split(": ")[:2] for change in run.changes] == [
        ["db2", "firewall inet steadfast_main"],
        ["ops1", "firewall inet steadfast_main"],
    ]
    assert run.changes == predicted
    assert lab.shell("db2", TABLE) == rules
    # The rules of others stay, and so do connections that were open before.
    lab.shell("db2", "nft delete table inet other")
    assert streams(lab) == before


def test_rules_that_lock_out_are_taken_back(lab: Lab) -> None:
    rules = lab.shell("ops1", TABLE)
    locked = {"postgresql_host_ssh_networks": ["192.0.2.0/24"], "__postgresql_host_take_back_after": 8}
    run = lab.playbook("site.yml", "--limit", "ops1", "--tags", "host", "-e", json.dumps(locked), expect=2)
    assert "no new SSH connection to the host with the new rules, which are taken back within 8 s" in run.output
    assert "UNREACHABLE" not in run.output
    lab.wait(lambda: lab.shell("ops1", TABLE, check=False) == rules, 30)
    assert lab.shell("ops1", "systemctl list-units --all --plain --no-legend steadfast-firewall-back-*") == ""


def test_the_rules_are_there_when_a_host_starts(lab: Lab) -> None:
    rules = lab.shell("ops1", TABLE)
    lab.stop("ops1")
    lab.start("ops1")
    assert lab.shell("ops1", TABLE) == rules
    assert lab.shell("ops1", "systemctl is-active steadfast-firewall-main") == "active"


def test_timers_do_not_update_the_servers(lab: Lab) -> None:
    shown = lab.shell("db1", "apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert [line.split()[1] for line in shown.splitlines()[1:]] == ['"^postgresql";', '"^pgbackrest";', '"^pgbouncer";']
    lab.shell("db1", "perl -c /etc/needrestart/conf.d/steadfast-postgresql.conf")
