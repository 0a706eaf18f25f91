# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instance_info saw on one host, as typed values with the questions that decisions ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._record import Record

STANDBY_STATES = frozenset({"shut down in recovery", "in archive recovery"})
PRIMARY_STATES = frozenset({"in production", "shut down", "shutting down", "in crash recovery"})
BUSY_STATES = frozenset({"active", "activating", "reloading"})
CONNINFO_HOST = re.compile(r"(?:^|\s)host(?:addr)?\s*=\s*'?([^'\s]+)")
AUTO_CONF = "postgresql.auto.conf"
SYNCHRONOUS_SET = "synchronous_standby_names"

Json = Mapping[str, Any]


def parse_lsn(text: str | None) -> int:
    """Return the byte position that "16/B374D848" stands for; 0 for none."""
    if not text:
        return 0
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    """Return a byte position as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True)
class Clock:
    """When an observation was asked for and received (controller) and made (host), in epoch seconds."""

    sent: float
    received: float
    now: float

    @property
    def earliest(self) -> float:
        """The least that the host's clock may be ahead of the controller's, in seconds."""
        return self.now - self.received

    @property
    def latest(self) -> float:
        """The most that the host's clock may be ahead of the controller's, in seconds."""
        return self.now - self.sent


@dataclass(frozen=True)
class Data:
    """The data directory: absent, empty, cluster, or foreign (other files); and what the file of the set says."""

    directory: str = ""
    state: str = ""
    version: str | None = None
    incomplete: bool = False
    standby_signal: bool = False
    auto_conf: frozenset[str] = frozenset()
    synchronous_set: str = ""


@dataclass(frozen=True)
class Control:
    """The control data; it lags behind what a running server says."""

    system_identifier: str
    state: str
    timeline: int
    lsn: int


@dataclass(frozen=True)
class Unit:
    """The instance's service."""

    active: str = "inactive"
    masked: bool = False
    clone: str = "inactive"


@dataclass(frozen=True)
class Slot:
    """A physical replication slot."""

    active: bool
    wal_status: str
    retained_bytes: int


@dataclass(frozen=True)
class Receiver:
    """A standby's WAL receiver."""

    status: str
    sender_host: str
    timeline: int


@dataclass(frozen=True)
class Server:
    """What a running server says about itself.

    Attributes:
        in_recovery: it is a standby.
        system_identifier: of its cluster.
        timeline: the one that it writes or replays.
        lsn: the furthest WAL that it has, replayed or not, in bytes.
        forks: by parent timeline, where the current one left it, in bytes.
        locale_provider: of template1.
        locale: of template1.
        settings: values of its settings by name.
        auto_settings: names of those that ALTER SYSTEM set.
        slots: its physical slots by name.
        replication: state of its WAL senders by application_name.
        receiver: its WAL receiver.
    """

    in_recovery: bool
    system_identifier: str
    timeline: int
    lsn: int
    forks: Mapping[int, int] = field(default_factory=dict)
    locale_provider: str = "libc"
    locale: str = "C.UTF-8"
    settings: Mapping[str, str] = field(default_factory=dict)
    auto_settings: frozenset[str] = frozenset()
    slots: Mapping[str, Slot] = field(default_factory=dict)
    replication: Mapping[str, str] = field(default_factory=dict)
    receiver: Receiver | None = None


@dataclass(frozen=True)
class Elsewhere:
    """A server that runs otherwise than the inventory says: on another port, or from another directory."""

    port: int
    wanted_port: int
    directory: str


@dataclass(frozen=True)
class Observation:
    """What was seen on one host; a host that is no database host has no data, control, unit or server.

    `record` is what its journal last says about the synchronous set, `journal_error` why it cannot be read.
    """

    clock: Clock | None = None
    libc: str = ""
    addresses: tuple[str, ...] = ()
    data: Data = Data()
    marker: str | None = None
    control: Control | None = None
    unit: Unit = Unit()
    server: Server | None = None
    elsewhere: Elsewhere | None = None
    record: Record | None = None
    journal_error: str = ""

    @classmethod
    def from_json(cls, seen: Json) -> Observation:
        """Build the view from the `instance` that instance_info returns; what is missing counts as not seen."""
        host = _part(seen, "host")
        return cls(
            clock=_clock(_part(seen, "clock")),
            libc=seen.get("libc") or "",
            addresses=tuple(host[kind] for kind in ("ipv4", "ipv6") if host.get(kind)),
            data=_data(_part(seen, "data")),
            marker=_part(seen, "marker").get("system_identifier"),
            control=_control(_part(seen, "control")),
            unit=_unit(_part(seen, "unit")),
            server=_server(_part(seen, "server")),
            elsewhere=Elsewhere(**seen["elsewhere"]) if seen.get("elsewhere") else None,
            record=_record(_part(seen, "journal")),
            journal_error=_part(seen, "journal").get("error") or "",
        )

    @property
    def is_active(self) -> bool:
        """Its service runs, whether the server answers or not."""
        return self.server is not None or self.unit.active in BUSY_STATES

    @property
    def is_empty(self) -> bool:
        """There is no cluster: nothing is overwritten by a new one or a clone, and none runs from elsewhere."""
        return self.data.state in {"absent", "empty"} and self.control is None and not self.is_active

    @property
    def has_foreign_files(self) -> bool:
        """The data directory holds files that are no cluster, and none runs from elsewhere."""
        return self.data.state == "foreign" and not self.is_active

    @property
    def holds_data(self) -> bool:
        """There is, or may be, a cluster."""
        return not self.is_empty and not self.has_foreign_files

    @property
    def runs_as_primary(self) -> bool:
        """A server answers and takes writes."""
        return self.server is not None and not self.server.in_recovery

    @property
    def runs_as_standby(self) -> bool:
        """A server answers and replays."""
        return self.server is not None and self.server.in_recovery

    @property
    def is_stopped(self) -> bool:
        """There is a cluster and no server answers: it is stopped, or starting."""
        return self.holds_data and self.server is None

    @property
    def is_stopped_standby(self) -> bool:
        """Once started it replays: standby.signal decides that, whatever it was before."""
        return self.is_stopped and self.data.standby_signal

    @property
    def is_standby(self) -> bool:
        """It replays, or would once started."""
        return self.runs_as_standby or self.is_stopped_standby

    @property
    def is_fenced(self) -> bool:
        """Somebody saw to it that it does not start."""
        return self.server is None and self.unit.masked

    @property
    def is_stopped_primary(self) -> bool:
        """It took writes when it last ran, and would again."""
        would_write = self.is_stopped and not self.data.standby_signal
        return would_write and self.control is not None and self.control.state in PRIMARY_STATES

    @property
    def is_starting(self) -> bool:
        """Its service runs, or is about to, though no server answers."""
        return self.is_stopped and self.is_active

    @property
    def system_identifier(self) -> str:
        """Identifier of the cluster that it holds; "" where it cannot be read."""
        known = self.server or self.control
        return known.system_identifier if known else ""

    @property
    def timeline(self) -> int:
        """Timeline of its last WAL; 0 where it cannot be read."""
        known = self.server or self.control
        return known.timeline if known else 0

    @property
    def lsn(self) -> int:
        """The furthest WAL that it is known to have, in bytes."""
        known = self.server or self.control
        return known.lsn if known else 0

    @property
    def forks(self) -> Mapping[int, int]:
        """Where its timeline left its parents; empty where no server tells."""
        return self.server.forks if self.server else {}

    @property
    def slots(self) -> Mapping[str, Slot]:
        """Its physical slots; empty where no server tells."""
        return self.server.slots if self.server else {}

    @property
    def auto_settings(self) -> frozenset[str]:
        """Names of the settings that postgresql.auto.conf holds."""
        return self.data.auto_conf | (self.server.auto_settings if self.server else frozenset())

    @property
    def senders(self) -> frozenset[str]:
        """Hosts that a standby is told to follow, or else the one that it receives from."""
        if self.server is None:
            return frozenset()
        told = CONNINFO_HOST.findall(self.setting("primary_conninfo"))
        heard = [self.server.receiver.sender_host] if self.server.receiver else []
        return frozenset(told or heard)

    @property
    def streaming(self) -> frozenset[str]:
        """The application_names that it streams to, in lower case as the synchronous set compares them."""
        senders = self.server.replication if self.server else {}
        return frozenset(name.lower() for name, state in senders.items() if state == "streaming")

    @property
    def synchronous_set(self) -> str:
        """The set that is in force, or will be once the server is started."""
        return self.setting(SYNCHRONOUS_SET) if self.server else self.data.synchronous_set

    def setting(self, name: str) -> str:
        """Return the value of a setting of the server; "" where it does not tell."""
        return self.server.settings.get(name, "") if self.server else ""

    def receives_on(self, timeline: int) -> bool:
        """Whether it streams this timeline now."""
        receiver = self.server.receiver if self.server else None
        return receiver is not None and receiver.status == "streaming" and receiver.timeline == timeline


def _part(seen: Json, key: str) -> Json:
    return seen.get(key) or {}


def _clock(seen: Json) -> Clock | None:
    read = [seen.get(key) for key in ("sent", "received", "now")]
    sent, received, now = (float(value) if value is not None else None for value in read)
    return None if sent is None or received is None or now is None else Clock(sent, received, now)


def _data(seen: Json) -> Data:
    return Data(
        directory=seen.get("directory") or "",
        state=seen.get("state") or "",
        version=seen.get("version"),
        incomplete=bool(seen.get("incomplete")),
        standby_signal=bool(seen.get("standby_signal")),
        auto_conf=frozenset(_part(seen, "auto_conf")),
        synchronous_set=seen.get("synchronous_set") or "",
    )


def _control(seen: Json) -> Control | None:
    if not seen:
        return None
    return Control(
        system_identifier=str(seen.get("system_identifier") or ""),
        state=seen.get("state") or "",
        timeline=max(seen.get("timeline") or 0, seen.get("minimum_recovery_timeline") or 0),
        lsn=max(parse_lsn(seen.get("checkpoint_lsn")), parse_lsn(seen.get("minimum_recovery_lsn"))),
    )


def _unit(seen: Json) -> Unit:
    return Unit(
        active=seen.get("active") or "unknown",
        masked=bool(seen.get("masked")),
        clone=_part(seen, "clone").get("active") or "inactive",
    )


def _server(seen: Json) -> Server | None:
    if not seen:
        return None
    settings: Mapping[str, Json] = _part(seen, "settings")
    return Server(
        in_recovery=bool(seen["in_recovery"]),
        system_identifier=str(seen["system_identifier"]),
        timeline=int(seen["timeline"]),
        lsn=max(parse_lsn(seen.get(key)) for key in ("lsn", "receive_lsn", "flush_lsn")),
        forks={entry["timeline"]: parse_lsn(entry["switch_lsn"]) for entry in seen.get("history") or []},
        locale_provider=seen.get("locale_provider") or "",
        locale=seen.get("locale") or "",
        settings={name: str(setting.get("value") or "") for name, setting in settings.items()},
        auto_settings=frozenset(
            name for name, setting in settings.items() if (setting.get("sourcefile") or "").endswith(AUTO_CONF)
        ),
        slots={name: _slot(slot) for name, slot in _part(seen, "slots").items()},
        replication={name: sender.get("state") or "" for name, sender in _part(seen, "replication").items()},
        receiver=_receiver(_part(seen, "receiver")),
    )


def _slot(seen: Json) -> Slot:
    return Slot(bool(seen.get("active")), seen.get("wal_status") or "", int(seen.get("retained_bytes") or 0))


def _record(seen: Json) -> Record | None:
    entry = seen.get("synchronous_set")
    return Record.from_json(entry) if entry else None


def _receiver(seen: Json) -> Receiver | None:
    if not seen:
        return None
    return Receiver(seen.get("status") or "", seen.get("sender_host") or "", int(seen.get("timeline") or 0))
