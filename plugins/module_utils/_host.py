# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role host does on one host: its firewall, its kernel's settings, its files. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _firewall,
    _host_files,
    _kernel,
    _volumes,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._firewall import Opening
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, POOLER, REPOSITORY, is_ip
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed

Json = Mapping[str, Any]

SSH_PORT = 22  # where no SSH server is to be seen: the run came another way
PACKAGE = "nftables"


@dataclass(frozen=True)
class Inputs:
    """All that is known about a host and its cluster.

    Attributes:
        cluster: what preflight returned; `backup_port` in it is the port of pgBackRest, 0 without repositories.
        members: the members with their addresses.
        name: the host in question.
        observed: what was seen on each member.
        shared_buffers: of the host's server, in bytes; 0 where there is none.
    """

    cluster: Json
    members: Sequence[Json]
    name: str
    observed: Mapping[str, Json | None]
    shared_buffers: int = 0

    @property
    def member(self) -> Json:
        """The host as the inventory states it."""
        return next(member for member in self.members if member["name"] == self.name)

    @property
    def wanted(self) -> Json:
        """Its variables of the role host."""
        found: Json = self.member["host"]
        return found

    @property
    def seen(self) -> Json:
        """What was seen of its guard; nothing for a host that was not observed."""
        found: Json = (self.observed.get(self.name) or {}).get("guard", {})
        return found


def decide(inputs: Inputs) -> dict[str, Any]:
    """Return what the role does on the host; a host at rest has nothing to act upon."""
    if not inputs.seen:
        return {"act": False, "findings": []}
    rules = _firewall.render(firewall(inputs)) if inputs.wanted["firewall"] else ""
    kernel = _kernel.plan(_settings(inputs), inputs.seen["kernel"])
    texts = _host_files.contents(inputs.cluster["name"], kernel.settable, bool(rules))
    files = _host_files.differ(texts, inputs.seen["files"])
    reason = _firewall_reason(inputs, rules, files)
    return {
        "act": bool(reason or files or kernel.differing),
        "files": _host_files.managed(texts) if files else [],
        "kernel": {setting.name: setting.value for setting in kernel.differing},
        "firewall": {"rules": rules, "reason": reason},
        "findings": [*_findings(inputs, reason, files, kernel)],
    }


def missing_packages(inputs: Inputs) -> list[str]:
    """Return what is to be installed on the host before its firewall can be loaded."""
    installed = (inputs.observed[inputs.name] or {}).get("packages", {})
    return [PACKAGE] if inputs.seen and inputs.wanted["firewall"] and PACKAGE not in installed else []


def firewall(inputs: Inputs) -> _firewall.Firewall:
    """Return who may reach the host."""
    members = _member_addresses(inputs)
    return _firewall.Firewall(inputs.cluster["name"], members, _openings(inputs, _firewall.addresses(members)))


def refusals(inputs: Inputs) -> Iterator[str]:
    """Refuse what would leave a host unreachable, unguarded or without its server; the answer of every host alike."""
    for member in inputs.members:
        seen = (inputs.observed.get(member["name"]) or {}).get("guard", {})
        yield from _locked_out(member, seen)
        yield from _no_huge_pages(member, seen)
    yield from _loopback_names(inputs)
    yield from _volumes.refusals(inputs.members, inputs.observed)


def left(inputs: Inputs) -> Iterator[str]:
    """Yield what is not done, and why; hosts that are alike are named together."""
    alike: dict[str, list[str]] = {}
    for member in inputs.members:
        if names := _unsettable(member, (inputs.observed.get(member["name"]) or {}).get("guard", {})):
            alike.setdefault(", ".join(names), []).append(member["name"])
    for what, hosts in alike.items():
        yield (
            f"settings of the kernel: {listed(hosts)} may not change {what} (a container): "
            "set them on the machine below"
        )


def _unsettable(member: Json, seen: Json) -> list[str]:
    """Return the settings that differ on a database host and that it may not set."""
    if not seen or DATABASE not in member["duties"]:
        return []
    names = [setting.name for setting in _kernel.plan(_kernel.FIXED, seen["kernel"]).fixed]
    pages = member["host"]["huge_pages"] == _kernel.TRY and not seen["kernel"][_kernel.HUGE_PAGES]["writable"]
    return names + [_kernel.HUGE_PAGES] * pages


def _member_addresses(inputs: Inputs) -> dict[str, list[str]]:
    """Return the addresses that each member connects from.

    A name stands for what it leads to on this host and for what the member itself was seen with. Who has neither now
    keeps what the rules let in before.
    """
    former = inputs.seen["firewall"]["members"]
    found: dict[str, list[str]] = {}
    for member in inputs.members:
        name, address = member["name"], member["address"]
        if is_ip(address):
            found[name] = [address]
            continue
        seen = (inputs.observed.get(name) or {}).get("host", {})
        known = {*inputs.seen["resolved"].get(address, ()), seen.get("ipv4"), seen.get("ipv6")} - {None}
        found[name] = sorted(str(item) for item in known) or former.get(name, [])
    return found


def _openings(inputs: Inputs, members: Sequence[str]) -> list[Opening]:
    cluster, duties, wanted = inputs.cluster, inputs.member["duties"], inputs.wanted
    people = {
        "members": members,
        "applications": cluster["application_networks"],
        "administrators": cluster["management_networks"],
    }
    found = [Opening("SSH", inputs.seen["ssh"]["ports"] or [SSH_PORT], wanted["ssh_networks"] or None)]
    if DATABASE in duties:
        found += [Opening(f"PostgreSQL: {who}", [cluster["port"]], where) for who, where in people.items()]
    if POOLER in duties and cluster.get("pools"):
        found += [Opening(f"PgBouncer: {who}", [cluster["pools"]["port"]], where) for who, where in people.items()]
    if cluster.get("backup_port") and {DATABASE, REPOSITORY} & set(duties):
        found.append(Opening("pgBackRest: members", [cluster["backup_port"]], members))
    found += [
        Opening(given["comment"], [given["port"]], given["networks"], given["protocol"])
        for given in wanted["open_ports"]
    ]
    return found


def _firewall_reason(inputs: Inputs, rules: str, files: Sequence[str]) -> str:
    """Say why the firewall has to be acted upon; nothing where it is in force, and will be after a restart."""
    seen = inputs.seen["firewall"]
    if not rules:
        return "is not wanted any more" if seen["live"] or seen["file"] or seen["enabled"] else ""
    expected, record = _firewall.fingerprint(rules), seen["record"] or {}
    if not seen["live"]:
        return "is not there" if not seen["file"] else "was taken away"
    if seen["live"] != record.get("live"):
        return "is not the one that was confirmed last"
    if not (seen["file"] == record.get("rules") == expected):
        return "does not say what the inventory says"
    if not seen["enabled"] or _host_files.unit(inputs.cluster["name"]) in files:
        return "is not loaded when the host starts"
    return ""


def _settings(inputs: Inputs) -> list[_kernel.Setting]:
    if DATABASE not in inputs.member["duties"]:
        return []
    wanted = [*_kernel.FIXED]
    pages = inputs.wanted["huge_pages"] != _kernel.OFF and inputs.shared_buffers
    if pages and inputs.seen["huge_page_bytes"]:
        wanted.append(_kernel.huge_pages(inputs.shared_buffers, inputs.seen["huge_page_bytes"]))
    return wanted


def _findings(inputs: Inputs, reason: str, files: Sequence[str], kernel: _kernel.Plan) -> Iterator[dict[str, str]]:
    """Yield what a verification says of a host that still has something to do."""
    host = inputs.name
    if reason:
        yield {"severity": "error", "text": f"The firewall of {host} {reason}."}
    if files:
        yield {"severity": "warning", "text": f"{host} has other files than declared: {', '.join(files)}."}
    for setting in kernel.differing:
        value = inputs.seen["kernel"][setting.name]["value"]
        yield {
            "severity": "warning",
            "text": f"The kernel of {host} has {setting.name} {value}, not {setting.value}.",
        }


def _locked_out(member: Json, seen: Json) -> Iterator[str]:
    networks, client = member["host"]["ssh_networks"], seen.get("ssh", {}).get("client", "")
    if member["host"]["firewall"] and networks and is_ip(client) and not _firewall.holds(networks, client):
        yield (
            f"{member['name']}: this run comes from {client}, which is in no network of postgresql_host_ssh_networks "
            f"({', '.join(networks)}); add its network, or the firewall would lock the run out"
        )


def _no_huge_pages(member: Json, seen: Json) -> Iterator[str]:
    if member["host"]["huge_pages"] != _kernel.ON or not seen or DATABASE not in member["duties"]:
        return
    if not seen["kernel"][_kernel.HUGE_PAGES]["writable"] or not seen["huge_page_bytes"]:
        yield (
            f"{member['name']}: postgresql_host_huge_pages is on, but the host cannot reserve huge pages "
            f"({_kernel.HUGE_PAGES} is read-only, as in a container); reserve them on the machine below and write try "
            "or off"
        )


def _loopback_names(inputs: Inputs) -> Iterator[str]:
    """Refuse a name that leads a peer to the peer itself; on the member itself the server would listen there alone."""
    for member in inputs.members:
        address, owner = member["address"], member["name"]
        for host in inputs.members:
            seen = (inputs.observed.get(host["name"]) or {}).get("guard", {})
            own = host["name"] == owner
            if own and (host["listen_addresses"] or DATABASE not in host["duties"]):
                continue
            for found in filter(_is_loopback, seen.get("resolved", {}).get(address, ())):
                yield (
                    f"{host['name']}: {address}, the postgresql_address of {owner}, leads to {found} there, which is "
                    f"{host['name']} alone; take the name out of that line of its /etc/hosts, or write as "
                    f"postgresql_address of {owner} what leads to it from every member"
                )


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
