# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What taking over a cluster that others configured changes for those who use it: settings, rules, clients.

The collection writes the configuration whole, so what its inventory does not say is gone afterwards. All of that is
told as changes, in check mode too. A standby or subscriber that could not connect again is a refusal: its stream goes
on until it breaks once, which may be weeks later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _parameters
from ansible_collections.steadfast.postgresql.plugins.module_utils._hba import Rule
from ansible_collections.steadfast.postgresql.plugins.module_utils._hba_match import Client, admits
from ansible_collections.steadfast.postgresql.plugins.module_utils._in_force import OF_THE_LAYOUT, with_unit
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change

Json = Mapping[str, Any]
Changes = list[dict[str, str]]

IN_FILE = "configuration file"
# They can hold a password.
SECRET = frozenset({"primary_conninfo", "ssl_passphrase_command"})


def rules_of(cluster: Json, member: Json, addresses: Mapping[str, str], contributed: Sequence[Json] = ()) -> list[Rule]:
    """Return the rules that a member's pg_hba.conf gets."""
    networks = _hba.Networks(cluster["application_networks"], cluster["management_networks"], addresses)
    administrators = [{"name": name} for name in cluster["administrators"]]
    return _hba.build(networks, administrators, contributed, member["hba_rules"])


def consequences(seen: Json, wanted: Mapping[str, str], rules: Sequence[Rule], version: str) -> Changes:
    """Return what of the former configuration is changed or dropped, as elements of the list of changes.

    Args:
        seen: what was observed on the host.
        wanted: the settings that the host gets, by name.
        rules: the rules that it gets.
        version: major version.
    """
    former, server = seen.get("former"), seen.get("server")
    if not former or not server:
        return []
    return [
        *_settings(server["settings"], wanted, version),
        *_rules(former["rules"], rules),
        *(
            change("client", f"{client.user} of {client.address} in {client.database}", "let in", "refused")
            for client in _cut_off(former, rules)
            if not client.replication
        ),
    ]


def refusals(name: str, seen: Json, rules: Sequence[Rule], moving: Sequence[str]) -> Iterator[str]:
    """Yield which standbys and subscribers could not connect again.

    Args:
        name: inventory name of the host that is taken over.
        seen: what was observed on it.
        rules: the rules that it gets.
        moving: addresses of the members that this run points to their primary anew.
    """
    for client in _cut_off(seen.get("former") or {}, rules):
        if client.replication and client.address not in moving:
            database = client.database or "replication"
            yield (
                f'{name}: taking the cluster over would cut off "{client.name}" of {client.address}, which replicates '
                f"as the role {client.user} {'over' if client.tls else 'without'} TLS: no rule would let it in again. "
                f"Write a rule for it in postgresql_server_hba_rules (databases: [{database}], users: [{client.user}])"
                f"{'' if client.tls else ' and make it use TLS'}, make its host a member of the cluster, or end it."
            )


def _settings(former: Mapping[str, Json], wanted: Mapping[str, str], version: str) -> Iterator[dict[str, str]]:
    catalogue = _parameters.catalogue(version)
    for name, setting in sorted(former.items()):
        # What a file in conf.d sets stays in force: the collection reads that folder too.
        if setting["source"] != IN_FILE or name in OF_THE_LAYOUT or "/conf.d/" in (setting["sourcefile"] or ""):
            continue
        value = with_unit(setting)
        known = catalogue.get(name)
        after = wanted.get(name) or (known.default if known else None)
        if after is not None and _parameters.same_value(name, str(after), value, version):
            continue
        before = "hidden" if name in SECRET else value or "empty"
        yield change("parameter", name, before, _plain(wanted.get(name, "not set")))


def _plain(value: str) -> str:
    """Return a value of postgresql.conf as pg_settings shows it."""
    return value[1:-1].replace("''", "'") or "empty" if value.startswith("'") else value


def _rules(former: Sequence[Json], rules: Sequence[Rule]) -> Iterator[dict[str, str]]:
    kept = {_worded(rule.type, rule.databases, rule.users, place, rule.method) for rule in rules for place in _of(rule)}
    for rule in former:
        place = _network(rule["address"], rule["netmask"])
        words = _worded(rule["type"], rule["database"], rule["user_name"], place, rule["method"])
        if words not in kept:
            yield change("rule", words, "in pg_hba.conf", "dropped")


def _of(rule: Rule) -> Sequence[str]:
    return rule.addresses or ("",)


def _worded(kind: str, databases: Sequence[str], users: Sequence[str], address: str, method: str) -> str:
    names = [",".join(name.strip('"') for name in part) for part in (databases, users)]
    return " ".join(filter(None, (kind, *names, address, method)))


def _network(address: str | None, netmask: str | None) -> str:
    """Return the address of a rule as pg_hba_file_rules shows it, in CIDR notation where it is one."""
    return str(ipaddress.ip_network(f"{address}/{_bits(netmask)}")) if address and netmask else address or ""


def _bits(netmask: str) -> int:
    return int(ipaddress.ip_address(netmask)).bit_count()


def _cut_off(former: Json, rules: Sequence[Rule]) -> list[Client]:
    clients = [Client(**seen) for seen in former.get("clients", ())]
    return [client for client in clients if not admits(rules, client)]
