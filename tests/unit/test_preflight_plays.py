# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight end to end, by ansible-playbook: what it reads, who says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ALONE, PLAY, POINTER, THREE, Checkout

VAULT = str(Path(sys.executable).with_name("ansible-vault"))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_all_mistakes_in_one_list(checkout: Checkout) -> None:
    inventory = (
        THREE.replace("postgresql_initial_primary: db1", "postgresql_initial_primary: db9")
        .replace("db1: {", "db1: {postgresql_address: 192.0.2.1, postgresql_server_wal_directory: wal, ")
        .replace(
            "db3: {postgresql_region", "db3: {postgresql_version: 15, postgresql_address: 192.0.2.1, postgresql_regoin"
        )
        .replace("{ops1: }", "{ops1: {postgresql_prot: 1, postgresql_port: many}}")
        + """
    postgresql_administrators:
      - {name: postgres, pasword: hunter2hunter2}
    postgresql_server_hba_rules: [{comment: x, databases: [all], users: [all], addresses: [10.0.0.0/8], method: md5}]
    postgresql_application_networks: [ten]
    postgresql_server_parameters:
      {max_connections: 50, reserved_connections: 47, shared_bufers: 1GB, work_mem: 1gb, wal_level: full}
    postgresql_server_restart: maybe
    postgresql_horoscope: []
"""
    )
    run = checkout.play(inventory)
    assert run.mistakes("db1") == [
        "all hosts: postgresql_administrators[0].name: postgres is reserved; write another name",
        "all hosts: postgresql_administrators[0].password: is missing; write a text",
        "all hosts: postgresql_administrators[0].pasword: is no key here; write password",
        "all hosts: postgresql_application_networks[0]: 'ten' is no network; "
        "write an address with a prefix length, such as 10.20.0.0/16",
        "all hosts: postgresql_horoscope: is no variable of this collection; remove it or give it another name",
        "all hosts: postgresql_management_networks: is empty, but postgresql_administrators log in from there only; "
        "write their networks, such as [10.0.0.0/24]",
        'all hosts: postgresql_server_restart: "maybe" is not true or false; write true or false',
        "cluster main: postgresql_initial_primary: db9 is no database host of the cluster; write one of db1, db2, db3",
        "db1, db2, db3: postgresql_server_hba_rules[0].method: md5 is broken; write scram-sha-256, cert or reject",
        "db1, db2, db3: postgresql_server_parameters.reserved_connections: superuser_reserved_connections 3 + "
        "reserved_connections 47 reserve 50 of max_connections 50, a reserve of connections that leaves none; "
        "write less than 50 for both together, or more max_connections",
        "db1, db2, db3: postgresql_server_parameters.shared_bufers: is no parameter of PostgreSQL 16; "
        "write shared_buffers",
        'db1, db2, db3: postgresql_server_parameters.wal_level: "full" is not one of its values; '
        "write one of minimal, replica, logical",
        'db1, db2, db3: postgresql_server_parameters.work_mem: "1gb" has the unknown unit gb; write 1GB',
        "db1, db3: postgresql_address: 192.0.2.1 is the address of several hosts; write each host's own",
        'db1: postgresql_server_wal_directory: "wal" is not absolute; write a path that begins with /',
        "db3: postgresql_region: is missing, and the cluster has 3 database hosts; "
        "write the region where the host stands, such as eu-west",
        "db3: postgresql_regoin: is no variable of this collection; write postgresql_region",
        "db3: postgresql_version: 15 is unknown; write one of 16, 17",
        'ops1: postgresql_port: "many" is not a whole number; write a whole number',
        "ops1: postgresql_prot: is no variable of this collection; write postgresql_port",
    ]
    assert run.results["db1"]["msg"].splitlines()[0] == (
        "Cluster main: 20 mistakes in the inventory; no host was touched."
    )
    assert {run.results[host]["msg"] for host in ("db2", "db3", "ops1")} == {POINTER.format("main", "db1")}
    assert "hunter2" not in run.output


WRONG_DB3 = THREE.replace("postgresql_zone: 2a", "postgresql_zone: 2a, postgresql_zoen: 2b")


ZOEN = "db3: postgresql_zoen: is no variable of this collection; write postgresql_zone"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--limit", "db2"), {"db2": ZOEN}),
        (("--limit", "ops1,db2"), {"db2": ZOEN, "ops1": POINTER.format("main", "db2")}),
        (("--check", "--diff", "--limit", "db1"), {"db1": ZOEN}),
        (("--forks", "1", "--limit", "db1,db2"), {"db1": ZOEN, "db2": POINTER.format("main", "db1")}),
    ],
)
def test_members_outside_the_limit_are_checked(
    options: tuple[str, ...], expected: dict[str, str], checkout: Checkout
) -> None:
    run = checkout.play(WRONG_DB3, *options)
    assert {host: text.removeprefix("- ") for host, text in run.refused().items()} == expected


def test_one_host_says_it_although_the_play_loses_it_meanwhile(checkout: Checkout) -> None:
    hosts = "".join(f"\n    db{n}: {{postgresql_region: r, postgresql_zone: z{n}}}" for n in range(4, 10))
    run = checkout.play(
        WRONG_DB3.replace("  vars: {postgresql_initial", f"{hosts}\n  vars: {{postgresql_initial"), "-f1"
    )
    assert [host for host, found in run.results.items() if ZOEN in found["msg"]] == ["db1"]
    assert len(run.refused()) == 10


def test_an_unreachable_member_is_checked_and_the_next_one_speaks(checkout: Checkout) -> None:
    book = PLAY.replace(
        "  tasks:",
        "  tasks:\n    - name: Touch\n      ansible.builtin.raw: 'true'\n",
    )
    inventory = (
        THREE.replace(
            "db1: {", "db1: {postgresql_zoen: x, ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1, "
        )
        + "    ansible_connection: local\n"
    )
    run = checkout.play(inventory, book=book)
    assert "UNREACHABLE" in run.output
    assert run.mistakes("db2") == ["db1: postgresql_zoen: is no variable of this collection; write postgresql_zone"]
    assert {run.results[host]["msg"] for host in ("db3", "ops1")} == {POINTER.format("main", "db2")}


TWO_CLUSTERS = """
all:
  vars: {postgresql_certificates_ca_passphrase: correct horse battery}
  children:
    postgresql: {hosts: {a1: , b1: , b2: , c1: }}
    pgbackrest: {hosts: {a2: }}
    pgbouncer: {hosts: {b3: }}
    a: {hosts: {a1: , a2: }, vars: {postgresql_cluster_name: a}}
    b: {hosts: {b1: , b2: , b3: }, vars: {postgresql_cluster_name: b, postgresql_port: 5433}}
"""


def test_several_clusters_in_one_inventory(checkout: Checkout) -> None:
    run = checkout.play(TWO_CLUSTERS)
    assert {host: len(run.mistakes(host)) for host in ("b1",)} == {"b1": 3}
    assert set(run.refused()) == {"b1", "b2", "b3"}
    assert {run.results[host]["msg"] for host in ("b2", "b3")} == {POINTER.format("b", "b1")}
    members = {
        host: [(member["name"], member["duties"]) for member in run.results[host]["cluster"]["members"]]
        for host in ("a1", "a2", "c1")
    }
    assert members["a1"] == members["a2"]
    assert members == {
        "a1": [("a1", ["database", "pooler"]), ("a2", ["repository", "migrations", "drill"])],
        "a2": members["a1"],
        "c1": [("c1", ["database", "pooler"])],
    }
    assert [run.results[host]["cluster"]["name"] for host in ("a1", "c1")] == ["a", "main"]
    assert run.results["a2"]["duties"] == ["repository", "migrations", "drill"]


def test_several_clusters_have_a_list_each(checkout: Checkout) -> None:
    run = checkout.play(
        TWO_CLUSTERS.replace("postgresql_cluster_name: a}", "postgresql_cluster_name: a, postgresql_x: 1}")
    )
    assert run.mistakes("a1") == [
        "all hosts: postgresql_x: is no variable of this collection; remove it or give it another name"
    ]
    assert len(run.mistakes("b1")) == 3


def test_a_host_without_groups_is_a_cluster_of_its_own(checkout: Checkout) -> None:
    run = checkout.play(ALONE, "-e", "postgresql_hosts=all")
    assert run.results["pg"]["duties"] == ["database", "pooler"]
    assert run.results["pg"]["cluster"]["initial_primary"] == "pg"
    assert run.results["pg"]["cluster"]["durability"] == "asynchronous"
    own = run.results["pg"]["own"]
    assert own["postgresql_server_data_directory"] == "/var/lib/postgresql/16/main"
    assert "postgresql_certificates_ca_passphrase" not in own
    assert "postgresql_administrators" not in own


STRAY = (
    "postgresql_cluster_name: other hosts are the cluster main too, but this one is in none of the groups postgresql, "
    "pgbackrest, pgbouncer; add it to one, or give it a postgresql_cluster_name of its own"
)


@pytest.mark.parametrize(
    ("inventory", "expected"),
    [
        (ALONE.replace("pg: ", "pg: , pg2: "), {"pg": f"- all hosts: {STRAY}", "pg2": POINTER.format("main", "pg")}),
        (ALONE.replace("pg: ", "pg: , pg2: {postgresql_cluster_name: two}"), {}),
    ],
)
def test_hosts_without_groups_share_no_name(inventory: str, expected: dict[str, str], checkout: Checkout) -> None:
    assert checkout.play(inventory, "-e", "postgresql_hosts=all").refused() == expected


def test_a_host_without_group_beside_the_cluster(checkout: Checkout) -> None:
    run = checkout.play(THREE + "  hosts: {new: }\n", "-e", "postgresql_hosts=all")
    assert list(run.spoken().values()) == [[f"new: {STRAY}"]]


BARE = THREE.replace("  vars: {postgresql_initial_primary: db1}\n", "")


@pytest.mark.parametrize(
    "book",
    [
        PLAY.replace("  tasks:", "  vars: {postgresql_initial_primary: db1}\n  tasks:"),
        PLAY + "      vars: {postgresql_initial_primary: db1}\n",
        PLAY.replace("  tasks:", "  vars_files: [more.yml]\n  tasks:"),
        PLAY.replace(
            "  tasks:",
            "  tasks:\n    - name: Set\n      ansible.builtin.set_fact: {postgresql_initial_primary: db1}\n",
        ),
        PLAY.replace("  tasks:", "  tasks:\n    - vars: {postgresql_initial_primary: db1}\n      block:").replace(
            "    - name: Check the inventory\n      steadfast.postgresql.preflight:\n      register",
            "        - name: Check the inventory\n          steadfast.postgresql.preflight:\n          register",
        ),
    ],
    ids=["play", "task", "file", "fact", "block"],
)
def test_variables_of_the_play_hold_for_every_member(book: str, checkout: Checkout) -> None:
    checkout.folder.joinpath("more.yml").write_text("postgresql_initial_primary: db1\n")
    run = checkout.play(BARE, book=book)
    assert run.refused() == {}
    assert {found["cluster"]["initial_primary"] for found in run.results.values() if "cluster" in found} == {"db1"}


def test_extra_variables_hold_for_every_member(checkout: Checkout) -> None:
    run = checkout.play(
        BARE,
        "--limit",
        "db2",
        "-e",
        "postgresql_initial_primary=db1 postgresql_port=5433 postgresql_server_restart=yes",
    )
    assert run.results["db2"]["cluster"]["port"] == 5433
    assert run.results["db2"]["own"]["postgresql_server_restart"] is True


def test_files_of_the_controller_are_checked(checkout: Checkout) -> None:
    vault = checkout.folder / "vault"
    vault.write_text("of the test")
    command = [VAULT, "encrypt", "--vault-password-file", str(vault), "key.pem"]
    checkout.folder.joinpath("key.pem").write_text("no key")
    subprocess.run(command, cwd=checkout.folder, env=checkout.environment, capture_output=True, check=True)
    checkout.folder.joinpath("ca.pem").write_text("no certificate")
    files = {"certificate": "none.pem", "key": "key.pem", "ca": "ca.pem"}
    paths = json.dumps({option: f"{{{{ inventory_dir }}}}/{name}" for option, name in files.items()})
    inventory = ALONE.replace("pg: ", f"pg: {{postgresql_certificates_provided: {paths} }}")
    run = checkout.play(inventory, "-e", "postgresql_hosts=all", "--vault-password-file", str(vault))
    found = run.mistakes("pg")
    options = ("ca", "certificate", "key")
    assert [line.split(": ")[1] for line in found] == [f"postgresql_certificates_provided.{name}" for name in options]
    assert found[2].endswith("key.pem holds no private key in PEM form")


def test_a_value_that_ansible_vault_encrypted(checkout: Checkout) -> None:
    checkout.folder.joinpath("vault").write_text("of the test")
    command = [VAULT, "encrypt_string", "--vault-password-file", "vault"]
    done = subprocess.run(
        [*command, "--stdin-name", "postgresql_server_locale"],
        cwd=checkout.folder,
        env=checkout.environment,
        input="de_DE.UTF-8",
        capture_output=True,
        text=True,
        check=True,
    )
    encrypted = "".join(f"    {line}\n" for line in done.stdout.splitlines())
    run = checkout.play(THREE + encrypted, "--vault-password-file", "vault")
    assert run.results["ops1"]["own"]["postgresql_server_locale"] == "de_DE.UTF-8"


def test_what_cannot_be_evaluated_is_a_mistake(checkout: Checkout) -> None:
    inventory = THREE.replace("{ops1: }", "{ops1: {postgresql_address: '{{ nothing }}', postgresql_zone: '{{ a b }}'}}")
    encrypted = "    postgresql_adopt: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      6162\n"
    found = checkout.play(inventory + encrypted).mistakes("db1")
    assert [line.partition("; ")[2] for line in found] == ["correct what it refers to"] * 3
    assert found[0].startswith("all hosts: postgresql_adopt: cannot be evaluated: ")
    assert found[1] == (
        "ops1: postgresql_address: cannot be evaluated: 'nothing' is undefined; correct what it refers to"
    )
    assert found[2].startswith("ops1: postgresql_zone: cannot be evaluated: ")


def test_a_cluster_name_that_cannot_be_evaluated(checkout: Checkout) -> None:
    run = checkout.play(THREE + "    postgresql_cluster_name: '{{ nothing }}'\n")
    assert run.mistakes("db1")[0] == (
        "all hosts: postgresql_cluster_name: cannot be evaluated: 'nothing' is undefined; correct what it refers to"
    )
    assert set(run.refused()) == {"db1", "db2", "db3", "ops1"}


def test_values_refer_to_other_hosts_and_to_variables_of_the_member(checkout: Checkout) -> None:
    inventory = THREE + (
        "    postgresql_address: \"{{ '192.0.2.' ~ (groups['all'].index(inventory_hostname) + 1) }}\"\n"
        "    postgresql_server_locale: \"{{ hostvars['db1'].locale_of_all | default('C') }}\"\n"
    )
    run = checkout.play(inventory)
    addresses = [member["address"] for member in run.results["db3"]["cluster"]["members"]]
    assert len(set(addresses)) == 4
    assert run.results["db3"]["own"]["postgresql_address"] in addresses
