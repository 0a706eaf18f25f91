# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge an observation: is what the platform promises in force? Pure; every finding names a host and a way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _foreign_settings,
    _in_force,
    _parameters,
    _rotation,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._authority import State
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import (
    ERROR,
    INFO,
    UNKNOWN_PRIMARY,
    WARNING,
    Finding,
    failed_before,
    failed_unseen,
    not_observed,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import (
    ADMINISTRATOR_GROUPS,
    ASYNCHRONOUS,
    member_name,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import identifier
from ansible_collections.steadfast.postgresql.plugins.module_utils._settings import NO_ARCHIVE
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import NONE, PRIMARY
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import Decision

Json = Mapping[str, Any]

# pg_settings shows these as they are on the connection that asks: over the local socket, with options of ours.
OF_A_CONNECTION = {
    "application_name",
    "lc_messages",
    "lock_timeout",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
}
# So archive_command shows while archive_mode, which is judged by itself, is off.
NO_COMMAND = "(disabled)"
DAY = 86400
# Findings of check_archive that lose nothing yet.
MAY_WAIT = {"archive_late", "backup_late", "emergency_file", "suspended", "wal_disk", "wal_gap_before"}
BACKUP_ADVICE = "The runbooks say what to look at and what to run: docs/runbooks."
EXPIRY_WARNING_DAYS = 14
LAG_WARNING_BYTES = 256 << 20
CONNECTION_ADVICE = (
    "Plaintext and TLS 1.1 have to be refused by the server, verified TLS and the login of a standby have to succeed."
)
PROBE_ADVICE = {
    "write": "The server's log there says why.",
    "replay": "The server's log there says why; SELECT pg_wal_replay_resume() there ends a pause.",
    "isolation": (
        "Somebody, or a migration, gave or took that right: \\dp and \\du+ show it. Run apply_databases; what it only "
        "reports, end by hand."
    ),
}
BACKEND_OOM_SCORE = 0  # what the file environment of the instance gives to every child of the server
DISK_WARNING, DISK_ERROR = 0.15, 0.05  # share of a file system that is free


@dataclass(frozen=True)
class Outcome:
    """What was decided and what was then seen.

    Attributes:
        cluster: name of the cluster.
        primary: inventory name of the primary, None when unknown.
        durability: required, preferred or asynchronous.
        databases: names of the database hosts.
        seen: the last observation of each host that answered, by name.
        wanted: the settings that each such host was given, by host and name.
        held: why a host's restart was held back, by host.
        left: what the run did not touch because something is not known.
        shortages: hosts whose memory is too small for their connections, with what would fit.
        administrators: names of postgresql_administrators.
        failed: hosts that were observed when the run began, and failed since.
        refusals: why nothing was changed, where the playbook went on to look.
        probes: answers to probes: source, target, probe, passed, words.
        authority: what the controller knows of the cluster's CA.
        now: epoch seconds.
        guards: what the role host would still do on each host that answered, by severity and text.
        poolers: what is to be known of the poolers.
        pools: the pools, each with what it may open, and how clients connect to it, as lines.
        of_databases: what was found in the applications' databases.
        of_services: what was found of the roles that services log in as.
    """

    cluster: str
    primary: str | None
    durability: str
    databases: Sequence[str]
    seen: Mapping[str, Json]
    wanted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    left: Sequence[str] = ()
    shortages: Mapping[str, str] = field(default_factory=dict)
    administrators: Sequence[str] = ()
    failed: Sequence[str] = ()
    refusals: Sequence[str] = ()
    probes: Sequence[Json] = ()
    authority: State | None = None
    now: float = 0.0
    guards: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    poolers: Sequence[Finding] = ()
    pools: Sequence[str] = ()
    of_databases: Sequence[Finding] = ()
    of_services: Sequence[Finding] = ()

    def server(self, host: str | None) -> Json | None:
        """What a host's server said."""
        return (self.seen.get(host or "") or {}).get("server")


def verify(outcome: Outcome, decision: Decision) -> list[Finding]:
    """Return all findings, the worst first.

    Args:
        outcome: what was seen.
        decision: what the topology makes of it; a converged cluster leaves it nothing to do.
    """
    found = [*(_of_decision(outcome, finding) for finding in decision.findings), *_undone(outcome, decision)]
    for host in outcome.databases:
        found += _host(outcome, host)
    found += _unprotected(outcome)
    found += _primary(outcome)
    found += _backups(outcome)
    found += [Finding(WARNING, host, f"{host}: {text}.", "") for host, text in outcome.shortages.items()]
    found += [*_probes(outcome), *outcome.of_databases, *outcome.of_services, *outcome.poolers]
    for host, undone in outcome.guards.items():
        found += [
            Finding(item["severity"], host, item["text"], "Run site.yml, which sets it right.") for item in undone
        ]
    found += [Finding(WARNING, "", *texts) for texts in _rotation.findings(outcome.authority, outcome.now)]
    order = {ERROR: 0, WARNING: 1, INFO: 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _of_decision(outcome: Outcome, finding: Finding) -> Finding:
    """Put right what a decision says of a host that failed meanwhile: it was reached."""
    name = finding.host
    unseen = [host for host in outcome.databases if host not in outcome.seen]
    # One that was not reached either may be the dead primary.
    if unseen and set(unseen) <= set(outcome.failed) and finding.text.startswith(UNKNOWN_PRIMARY):
        return failed_unseen(unseen)
    return failed_before(name) if name in outcome.failed and finding == not_observed(name) else finding


def _host(outcome: Outcome, host: str) -> Iterator[Finding]:
    seen = outcome.seen.get(host)
    if seen is None:
        return  # the topology's findings name it
    yield from _disks(host, seen)
    server = seen.get("server")
    if server is None and seen["unit"]["masked"]:
        return  # fenced, which the topology's findings say
    if server is None:
        why = seen.get("server_error") or "it does not run"
        text = f"No server answers on {host}: {why}."
        yield Finding(ERROR, host, text, f"Look at systemctl status and the server's log on {host}.")
        return
    yield from _files(host, server, seen["stale"])
    yield from _service(host, seen["unit"])
    yield from _settings(outcome, host, server)
    yield from _foreign_settings.findings(host, server)
    yield from _waiting(outcome, host, server)
    yield from _certificate(outcome, host, seen)
    if host != outcome.primary:
        yield from _standby(outcome, host, server)


def _disks(host: str, seen: Json) -> Iterator[Finding]:
    for name, disk in seen.get("disks", {}).items():
        free = disk["available"] / disk["bytes"]
        if free < DISK_WARNING:
            severity = ERROR if free < DISK_ERROR else WARNING
            text = f"Only {free:.0%} of {host}'s {name} disk ({disk['mount']}) is free."
            yield Finding(severity, host, text, "Make room, or enlarge it.")


def _files(host: str, server: Json, stale: Sequence[str]) -> Iterator[Finding]:
    for error in [*server["file_errors"], *server["rule_errors"]]:
        text = f"{host} has a bad line in its configuration: {error}."
        yield Finding(ERROR, host, text, "The server would not start with it: correct it, or run site.")
    if stale:
        text = f"The server on {host} has not read what changed since its last load: {', '.join(stale)}."
        yield Finding(ERROR, host, text, "Run site, which makes it read them.")


def _service(host: str, unit: Json) -> Iterator[Finding]:
    if unit["needs_daemon_reload"]:
        text = f"systemd on {host} works with a former version of the server's unit."
        yield Finding(ERROR, host, text, "Run site, which makes it read the unit again.")
    if not unit["enabled"]:
        text = f"The server on {host} does not start with the host: its service is not enabled."
        yield Finding(ERROR, host, text, "Unmask its service there, then run site." if unit["masked"] else "Run site.")
    yield from _oom(host, unit.get("oom"))


def _oom(host: str, oom: Json | None) -> Iterator[Finding]:
    """Judge what the kernel ends first when memory runs out: a backend, not the server."""
    if oom is None:
        return
    if oom["server"] != oom["unit"] and (oom["may_protect"] or oom["unit"] > oom["server"]):
        text = f"The server on {host} runs with the OOM score adjustment {oom['server']}, its unit says {oom['unit']}."
        yield Finding(WARNING, host, text, f"It was started before that changed: {_by_hand(host)}")
    if oom["child"] not in {None, BACKEND_OOM_SCORE}:
        text = (
            f"What the server on {host} starts has the OOM score adjustment {oom['child']}, not {BACKEND_OOM_SCORE}, "
            "so one session that takes all memory can end it all."
        )
        yield Finding(WARNING, host, text, f"The file environment beside its configuration says so: {_by_hand(host)}")


def _by_hand(host: str) -> str:
    return f"restart the service on {host} when it suits."


def _unprotected(outcome: Outcome) -> Iterator[Finding]:
    """Name the hosts, containers as a rule, that may not protect any of their services."""
    scores = {host: outcome.seen.get(host, {}).get("unit", {}).get("oom") for host in outcome.databases}
    hosts = [host for host, oom in scores.items() if oom and not oom["may_protect"] and oom["unit"] < oom["server"]]
    if hosts:
        text = f"The kernel does not let {listed(hosts)} protect the server from the OOM killer."
        advice = "Where memory runs out, all sessions can end; give such a container the capability SYS_RESOURCE."
        yield Finding(INFO, "", text, advice)


def _settings(outcome: Outcome, host: str, server: Json) -> Iterator[Finding]:
    version = server["version"].split(".")[0]
    for name, wanted in outcome.wanted.get(host, {}).items():
        found = _in_force.running(server, name, version)
        if found is None or name in OF_A_CONNECTION:
            continue
        value = _in_force.with_unit(found)
        if value == NO_COMMAND:
            continue
        if _parameters.same_value(name, wanted, value, version):
            continue
        if found["pending_restart"]:
            why = outcome.held.get(host, "postgresql_server_restart is false")
            text = f"{host} runs with {name} {value}, and {wanted} waits for a restart ({why})."
            yield Finding(WARNING, host, text, "Run site with -e postgresql_server_restart=true when it suits.")
        else:
            place = found["sourcefile"] or found["source"]
            text = f"{host} runs with {name} {value} by {place}, not with {wanted}."
            yield Finding(ERROR, host, text, "Remove what overrides it, then run site.")


def _waiting(outcome: Outcome, host: str, server: Json) -> Iterator[Finding]:
    """Say what waits for a restart besides the settings that are wanted: one that is wanted no more, or a file."""
    wanted = outcome.wanted.get(host, {})
    for name, item in server["pending"].items():
        if name not in wanted:
            why = outcome.held.get(host, "postgresql_server_restart is false")
            text = f"{host} runs with {name} {item['running']}, and {item['configured']} waits for a restart ({why})."
            yield Finding(WARNING, host, text, "Run site with -e postgresql_server_restart=true when it suits.")


def _certificate(outcome: Outcome, host: str, seen: Json) -> Iterator[Finding]:
    certificate = seen.get("certificates")
    if not certificate:
        yield Finding(ERROR, host, f"{host} has no certificate.", "Run site.")
        return
    days = (certificate["not_after"] - outcome.now) / DAY
    if days < EXPIRY_WARNING_DAYS:
        text = f"The certificate of {host} {f'expires in {days:.0f} days' if days > 0 else 'has expired'}."
        yield Finding(WARNING if days > 0 else ERROR, host, text, "Run site, which renews it, or replace your own one.")
    if not (certificate["key_matches"] and certificate["ca_signed"]):
        yield Finding(ERROR, host, f"The certificate of {host} does not fit its key or its CA.", "Run site.")


def _standby(outcome: Outcome, host: str, server: Json) -> Iterator[Finding]:
    primary = outcome.server(outcome.primary)
    if primary is None:
        return
    member = member_name(host)
    stream = primary["replication"].get(member)
    if stream is None or stream["state"] != "streaming":
        state = stream["state"] if stream else "not connected"
        text = f"{host} does not stream from {outcome.primary}: {state}."
        yield Finding(ERROR, host, text, f"The server's log on {host} says what its WAL receiver meets.")
        return
    if not str(stream["tls"] or "").startswith("TLS"):
        yield Finding(ERROR, host, f"{host} streams from {outcome.primary} without TLS.", "Run site.")
    if server["timeline"] != primary["timeline"]:
        text = f"{host} is on timeline {server['timeline']}, and {outcome.primary} on {primary['timeline']}."
        yield Finding(
            ERROR, host, text, "If it does not follow within a minute, clone it again (docs/runbooks/clone_again.md)."
        )
    if int(stream["lag_bytes"] or 0) > LAG_WARNING_BYTES:
        text = f"{host} is {int(stream['lag_bytes']) >> 20} MiB behind {outcome.primary}."
        yield Finding(WARNING, host, text, "Look at its load and at the network between them.")
    slot = primary["slots"].get(member)
    if slot is None or not slot["active"]:
        yield Finding(ERROR, host, f"{host} streams without its slot on {outcome.primary}.", "Run site.")


def _primary(outcome: Outcome) -> Iterator[Finding]:
    host, server = outcome.primary, outcome.server(outcome.primary)
    if host is None or server is None:
        return  # the topology's findings say so
    if outcome.durability != ASYNCHRONOUS:
        for setting in server["weak_commits"]:
            text = f"Commits of {setting} wait for no standby, so they can be lost with {host}."
            yield Finding(ERROR, host, text, "Reset synchronous_commit there (ALTER ROLE or ALTER DATABASE ... RESET).")
    yield from _former_administrators(outcome, host, server)
    if not any(found["name"] == "archive_failing" for found in outcome.seen[host].get("archive_findings", [])):
        yield from _archive(host, server)


def _former_administrators(outcome: Outcome, host: str, server: Json) -> Iterator[Finding]:
    """Name the logins with an administrator's rights that the inventory does not name (any more)."""
    for name, role in server["roles"].items():
        has_rights = set(ADMINISTRATOR_GROUPS) <= set(role["groups"])
        if has_rights and role["login"] and not role["superuser"] and name not in outcome.administrators:
            quoted = identifier(name)
            text = f"The role {quoted} is an administrator who is not in postgresql_administrators, and may log in."
            advice = f"Name it there, or run on {host}: ALTER ROLE {quoted} NOLOGIN PASSWORD NULL;"
            yield Finding(WARNING, host, text, f"{advice} it is dropped only by hand: DROP ROLE {quoted};")


def _archive(host: str, server: Json) -> Iterator[Finding]:
    command = server["settings"].get("archive_command", {}).get("value", "")
    if command in {NO_ARCHIVE, NO_COMMAND}:
        text = f"There is no archive of {host}'s WAL: no moment of the past can be restored."
        yield Finding(WARNING, host, text, "Back the cluster up before it holds anything of value.")
        return
    archiver = server["archiver"]
    if (archiver["last_failed_at"] or 0) > (archiver["last_archived_at"] or 0):
        text = f"Archiving fails on {host}: {archiver['waiting']} segments wait, last {archiver['last_failed']}."
        yield Finding(ERROR, host, text, "The server's log says why.")


def _backups(outcome: Outcome) -> Iterator[Finding]:
    """Say what check_archive found on the hosts."""
    for host, seen in outcome.seen.items():
        for found in seen.get("archive_findings", []):
            severity = WARNING if found["name"] in MAY_WAIT else ERROR
            yield Finding(severity, host, f"{host}: {found['text']}.", BACKUP_ADVICE)


def _undone(outcome: Outcome, decision: Decision) -> Iterator[Finding]:
    for text in dict.fromkeys([*outcome.refusals, *decision.refusals]):
        yield Finding(ERROR, "", text, "")
    for name, host in decision.hosts.items():
        if host.action != NONE:
            # That of a primary is a sentence, that of a standby what the host is or has.
            reason = host.reason if host.role == PRIMARY else f"it {host.reason}"
            yield Finding(ERROR, name, f"{name} still has to {host.action}: {reason}.", "Run site.")
    if decision.slots.create and outcome.server(decision.primary):
        text = f"{decision.primary} lacks slots: {', '.join(decision.slots.create)}."
        yield Finding(ERROR, str(decision.primary), text, "Run site.")
    for name, slots in decision.slots.drop.items():
        # One that is made again is lacking, which is said already.
        if left := [slot for slot in slots if name != decision.primary or slot not in decision.slots.create]:
            text = f"{name} has slots that keep WAL for nobody: {', '.join(left)}."
            yield Finding(WARNING, name, text, "Run site, which drops them.")
    if decision.synchronous.changed:
        wanted = decision.synchronous.wanted or "empty"
        text = f"The synchronous set of {decision.primary} is to become {wanted}."
        yield Finding(WARNING, str(decision.primary), text, "Run site.")


def _probes(outcome: Outcome) -> Iterator[Finding]:
    sources: dict[tuple[str, str, str], list[str]] = {}
    for probe in outcome.probes:
        if not probe["passed"]:
            sources.setdefault((probe["target"], probe["probe"], probe["words"]), []).append(probe["source"])
    for (host, name, words), hosts in sources.items():
        text = {
            "write": f"{host} did not take a write: {words}.",
            "isolation": f"The accounts of {host} are not kept apart: {words}.",
            "replay": f"A write on {outcome.primary} did not arrive on {host}: {words}.",
        }.get(name, f"{host} fails the probe {name} from {listed(hosts)}: {words}.")
        yield Finding(ERROR, host, text, PROBE_ADVICE.get(name, CONNECTION_ADVICE))
