# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen at the end of a run: changes, topology, how to connect, findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _volumes
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, is_ip, member_name
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._verify import PROBE_ADVICE, Outcome

Json = Mapping[str, Any]
HEADINGS = ("host", "role", "place", "server", "timeline", "lag", "stream")


def changes(by_host: Mapping[str, Sequence[Json]], predicted: bool) -> list[str]:
    """List what was changed, or would be."""
    count = sum(len(found) for found in by_host.values())
    if not count:
        return ["Nothing to change." if predicted else "Nothing was changed."]
    verb = "would be" if predicted else "was" if count == 1 else "were"
    lines = [f"{count} {'change' if count == 1 else 'changes'} {verb} made:"]
    for host, found in by_host.items():
        lines += [f"  {host}: {item['kind']} {item['name']}: {item['from']} -> {item['to']}" for item in found]
    return lines


def screen(
    outcome: Outcome, members: Sequence[Json], findings: Sequence[Finding], version: str, client: Mapping[str, str]
) -> list[str]:
    """Return the topology as a table, the connection string, what was tried and left, and the findings.

    Args:
        outcome: what was seen.
        members: the members with their addresses.
        findings: what the operator should know, the worst first.
        version: major version.
        client: keywords of the connection string that name a user and the CA's file on the controller.
    """
    head = f"PostgreSQL {version}, cluster {outcome.cluster}, durability {outcome.durability}"
    lines = [head, "", *topology(outcome, members), *_at_rest(outcome)]
    if outcome.server(outcome.primary):
        connect = f'  psql "{conninfo(members, client)}"'
        lines += ["", "Connect over TLS, from a network that the inventory names:", connect]
    lines += pools(outcome)
    if outcome.probes:
        lines += ["", "Tried:", *_probes(outcome.probes)]
    if outcome.left:
        lines += ["", "Left as it is:", *(f"  {what}" for what in outcome.left)]
    lines += ["", *_findings(findings)]
    return lines


def pools(outcome: Outcome) -> list[str]:
    """Return what the pools may open and how clients connect to them, where there are any."""
    return ["", "Pools, of which each pooler has its share:", *(f"  {line}" for line in outcome.pools)] * bool(
        outcome.pools
    )


def _at_rest(outcome: Outcome) -> list[str]:
    volumes = {
        host: outcome.seen[host]["volumes"] for host in outcome.databases if "volumes" in outcome.seen.get(host, {})
    }
    return ["", "Encryption at rest:", *_volumes.lines(volumes)] if volumes else []


def topology(outcome: Outcome, members: Sequence[Json]) -> list[str]:
    """Return who is who, as a table."""
    return _table([HEADINGS, *(_row(outcome, member) for member in members)])


def conninfo(members: Sequence[Json], client: Mapping[str, str]) -> str:
    """Return a connection string that finds the primary wherever it is."""
    databases = [member for member in members if DATABASE in member["duties"] and member["address"]]
    named = all(is_ip(member["address"]) for member in databases)
    keywords = {
        "host": ",".join(member["name"] if named else member["address"] for member in databases),
        # The names are those of the certificates; the addresses spare the client a name service that knows them.
        **({"hostaddr": ",".join(member["address"] for member in databases)} if named else {}),
        "port": databases[0]["port"],
        "dbname": "postgres",
        **client,
        "sslmode": "verify-full",
        "target_session_attrs": "read-write",
    }
    return " ".join(f"{name}={value}" for name, value in keywords.items())


def _row(outcome: Outcome, member: Json) -> tuple[str, ...]:
    name = member["name"]
    place = " ".join(filter(None, (member["region"], member["zone"])))
    if DATABASE not in member["duties"]:
        return (name, ", ".join(member["duties"]), place, "", "", "", "")
    server = outcome.server(name)
    if server is None:
        return (name, _role(outcome, name), place, "unknown" if name not in outcome.seen else "down", "", "", "")
    stream = (outcome.server(outcome.primary) or {}).get("replication", {}).get(member_name(name))
    state = "takes writes" if not server["in_recovery"] else "replays"
    return (name, _role(outcome, name), place, state, str(server["timeline"]), *_stream(stream))


def _stream(stream: Json | None) -> tuple[str, str]:
    if stream is None:
        return ("", "")
    seconds = stream["replay_lag_seconds"] or 0
    return (
        f"{int(stream['lag_bytes'] or 0)} B, {seconds * 1000:.0f} ms",
        f"{stream['state']} {stream['tls'] or 'plain'}",
    )


def _role(outcome: Outcome, name: str) -> str:
    if name == outcome.primary:
        return "primary"
    stream = (outcome.server(outcome.primary) or {}).get("replication", {}).get(member_name(name))
    if stream and stream["sync_state"] in {"sync", "quorum"}:
        return "synchronous standby"
    return "asynchronous standby" if stream else "standby"


def _probes(probes: Sequence[Json]) -> Iterator[str]:
    """Say of each probe against which hosts, from which, and how often it passed."""
    for name in dict.fromkeys(probe["probe"] for probe in probes):
        answers = [probe for probe in probes if probe["probe"] == name]
        passed = sum(answer["passed"] for answer in answers)
        targets, sources = (listed(sorted({answer[key] for answer in answers})) for key in ("target", "source"))
        origin = "" if name in PROBE_ADVICE else f", from {sources}"
        yield f"  {name}: {passed} of {len(answers)} passed, on {targets}{origin}"


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return ["Verified: everything is as declared."]
    errors = sum(finding.severity == ERROR for finding in findings)
    head = f"{errors} of {len(findings)} findings are errors:" if errors else "Verified, with findings:"
    return [head, *(f"  {line(finding)}" for finding in findings)]


def line(finding: Finding) -> str:
    """Write a finding in one line."""
    return " ".join(f"{finding.severity}: {finding.text} {finding.advice}".split())


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    every = list(rows)
    widths = [max(len(row[column]) for row in every) for column in range(len(HEADINGS))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every
    ]
