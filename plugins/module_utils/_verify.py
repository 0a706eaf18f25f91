# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge an observation: is what the platform promises in force? Pure; every finding names a host and a way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters
from ansible_collections.steadfast.postgresql.plugins.module_utils._findings import ERROR, INFO, WARNING, Finding
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ASYNCHRONOUS, member_name
from ansible_collections.steadfast.postgresql.plugins.module_utils._settings import NO_ARCHIVE
from ansible_collections.steadfast.postgresql.plugins.module_utils._standbys import NONE
from ansible_collections.steadfast.postgresql.plugins.module_utils._topology import Decision

Json = Mapping[str, Any]

# pg_settings shows these as they are on the connection that asks: over the local socket, with options of ours.
OF_A_CONNECTION = {
    "application_name",
    "lock_timeout",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
}
# So archive_command shows while archive_mode, which is judged by itself, is off.
NO_COMMAND = "(disabled)"
DAY = 86400
EXPIRY_WARNING_DAYS = 14
LAG_WARNING_BYTES = 256 << 20
DISK_WARNING, DISK_ERROR = 0.15, 0.05  # share of a file system that is free


@dataclass(frozen=True)
class Picture:
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
        probes: answers to connection probes: source, target, probe, passed, words.
        now: epoch seconds.
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
    probes: Sequence[Json] = ()
    now: float = 0.0

    def server(self, host: str | None) -> Json | None:
        """What a host's server said."""
        return (self.seen.get(host or "") or {}).get("server")


def verify(picture: Picture, decision: Decision) -> list[Finding]:
    """Return all findings, the worst first.

    Args:
        picture: what was seen.
        decision: what the topology makes of it; a converged cluster leaves it nothing to do.
    """
    found = [*decision.findings, *_undone(decision)]
    for host in picture.databases:
        found += _host(picture, host)
    found += _primary(picture)
    found += [Finding(WARNING, host, f"{host}: {text}.", "") for host, text in picture.shortages.items()]
    found += _probes(picture)
    order = {ERROR: 0, WARNING: 1, INFO: 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _host(picture: Picture, host: str) -> Iterator[Finding]:
    seen = picture.seen.get(host)
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
    yield from _files(host, server)
    yield from _settings(picture, host, server)
    yield from _certificate(picture, host, seen)
    if host != picture.primary:
        yield from _standby(picture, host, server)


def _disks(host: str, seen: Json) -> Iterator[Finding]:
    for name, disk in seen.get("disks", {}).items():
        free = disk["available"] / disk["bytes"]
        if free < DISK_WARNING:
            severity = ERROR if free < DISK_ERROR else WARNING
            text = f"Only {free:.0%} of {host}'s {name} disk ({disk['mount']}) is free."
            yield Finding(severity, host, text, "Make room, or enlarge it.")


def _files(host: str, server: Json) -> Iterator[Finding]:
    for error in [*server["file_errors"], *server["hba_errors"]]:
        text = f"{host} has a bad line in its configuration: {error['file']} line {error['line']}: {error['error']}."
        yield Finding(ERROR, host, text, "The server would not start with it: correct it, or run site.")


def _settings(picture: Picture, host: str, server: Json) -> Iterator[Finding]:
    running, version = server["settings"], server["version"].split(".")[0]
    for name, wanted in picture.wanted.get(host, {}).items():
        found = running.get(name) or _by_default(name, version)
        if found is None or name in OF_A_CONNECTION:
            continue
        value = with_unit(found)
        if value == NO_COMMAND:
            continue
        if _parameters.same_value(name, wanted, value, version):
            continue
        if found["pending_restart"]:
            why = picture.held.get(host, "postgresql_server_restart is false")
            text = f"{host} runs with {name} {value}, and {wanted} waits for a restart ({why})."
            yield Finding(WARNING, host, text, "Run site with -e postgresql_server_restart=true when it suits.")
        else:
            place = found["sourcefile"] or found["source"]
            text = f"{host} runs with {name} {value} by {place}, not with {wanted}."
            yield Finding(ERROR, host, text, "Remove what overrides it, then run site.")


def _by_default(name: str, version: str) -> Json | None:
    """Return what a server runs with that was not seen: an observation leaves out what no file sets.

    It leaves out the parameters of a library that is not loaded as well, so these are not judged.
    """
    known = None if "." in name else _parameters.catalogue(version).get(name)
    if known is None:
        return None
    unsaid = {"source": "default", "sourcefile": None, "pending_restart": False}
    return {"value": known.default, "unit": known.unit, **unsaid}


def with_unit(found: Json) -> str:
    """Write a value of pg_settings, which counts in its unit (8kB, ms), as a setting with that unit."""
    value, unit = str(found["value"]), found["unit"]
    if not unit or float(value) <= 0:
        return value
    factor = unit.rstrip("kMGTBmsinhd")
    return f"{int(value) * int(factor)}{unit[len(factor) :]}" if factor else f"{value}{unit}"


def _certificate(picture: Picture, host: str, seen: Json) -> Iterator[Finding]:
    certificate = seen.get("certificates")
    if not certificate:
        yield Finding(ERROR, host, f"{host} has no certificate.", "Run site.")
        return
    days = (certificate["not_after"] - picture.now) / DAY
    if days < EXPIRY_WARNING_DAYS:
        text = f"The certificate of {host} {f'expires in {days:.0f} days' if days > 0 else 'has expired'}."
        yield Finding(WARNING if days > 0 else ERROR, host, text, "Run site, which renews it, or replace your own one.")
    if not (certificate["key_matches"] and certificate["ca_signed"]):
        yield Finding(ERROR, host, f"The certificate of {host} does not fit its key or its CA.", "Run site.")


def _standby(picture: Picture, host: str, server: Json) -> Iterator[Finding]:
    primary = picture.server(picture.primary)
    if primary is None:
        return
    member = member_name(host)
    stream = primary["replication"].get(member)
    if stream is None or stream["state"] != "streaming":
        state = stream["state"] if stream else "not connected"
        text = f"{host} does not stream from {picture.primary}: {state}."
        yield Finding(ERROR, host, text, f"The server's log on {host} says what its WAL receiver meets.")
        return
    if not str(stream["tls"] or "").startswith("TLS"):
        yield Finding(ERROR, host, f"{host} streams from {picture.primary} without TLS.", "Run site.")
    if server["timeline"] != primary["timeline"]:
        text = f"{host} is on timeline {server['timeline']}, and {picture.primary} on {primary['timeline']}."
        yield Finding(ERROR, host, text, f"If it does not follow within a minute, run rejoin_standby for {host}.")
    if int(stream["lag_bytes"] or 0) > LAG_WARNING_BYTES:
        text = f"{host} is {int(stream['lag_bytes']) >> 20} MiB behind {picture.primary}."
        yield Finding(WARNING, host, text, "Look at its load and at the network between them.")
    slot = primary["slots"].get(member)
    if slot is None or not slot["active"]:
        yield Finding(ERROR, host, f"{host} streams without its slot on {picture.primary}.", "Run site.")


def _primary(picture: Picture) -> Iterator[Finding]:
    host, server = picture.primary, picture.server(picture.primary)
    if host is None or server is None:
        return  # the topology's findings say so
    if picture.durability != ASYNCHRONOUS:
        for setting in server["weak_commits"]:
            text = f"Commits of {setting} wait for no standby, so they can be lost with {host}."
            yield Finding(ERROR, host, text, "Reset synchronous_commit there (ALTER ROLE or ALTER DATABASE ... RESET).")
    yield from _archive(host, server)


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


def _undone(decision: Decision) -> Iterator[Finding]:
    for text in decision.refusals:
        yield Finding(ERROR, "", text, "")
    for name, host in decision.hosts.items():
        if host.action != NONE:
            yield Finding(ERROR, name, f"{name} still has to {host.action}: it {host.reason}.", "Run site.")
    if decision.slots.create:
        text = f"{decision.primary} lacks slots: {', '.join(decision.slots.create)}."
        yield Finding(ERROR, str(decision.primary), text, "Run site.")
    if decision.synchronous.changed:
        wanted = decision.synchronous.wanted or "empty"
        text = f"The synchronous set of {decision.primary} is to become {wanted}."
        yield Finding(WARNING, str(decision.primary), text, "Run site.")


def _probes(picture: Picture) -> Iterator[Finding]:
    for probe in picture.probes:
        if not probe["passed"]:
            text = f"{probe['target']} fails the probe {probe['probe']} from {probe['source']}: {probe['words']}."
            advice = "Plaintext and TLS 1.1 have to be refused by the server, verified TLS has to succeed."
            yield Finding(ERROR, probe["target"], text, advice)
