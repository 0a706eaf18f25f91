# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd units of backups: pgBackRest's server, the timers of the schedules, and the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE, REPOSITORY

HEAD = "# Ansible managed\n# By the role backup of steadfast.postgresql.\n"
SERVICE = "pgbackrest.service"
BACKUP = "steadfast-backup@.service"

SERVER = """
# It stands in for the unit of the same name that the package brings, whose start takes three seconds.
[Unit]
Description=pgBackRest server of PostgreSQL {cluster}
Documentation=https://pgbackrest.org/
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User={user}
ExecStart=/usr/bin/pgbackrest server --tls-server-port={port}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""

# Idle, because a backup or a check that takes longer disturbs less than one that takes the disk from queries.
WORK = """
[Unit]
Description={description}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
User={user}
ExecStart={command}
IOSchedulingClass=idle
Nice=10
"""

# Made up for after an outage. The delay is the same each time, so that the rhythm stays.
TIMER = """
[Unit]
Description={description}

[Timer]
Unit={unit}
OnCalendar={event}
Persistent={persistent}
RandomizedDelaySec={delay}
FixedRandomDelay=true
AccuracySec=1

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Check:
    """A look at something, again and again.

    Attributes:
        name: of its service and timer, without their suffixes.
        duty: what check_archive is asked to look at.
        event: when, as systemd's calendar event.
        delay: seconds by which it is spread at most.
        description: what it does.
    """

    name: str
    duty: str
    event: str
    delay: int
    description: str


# Verifying reads everything, so it takes as long as a restore.
CHECKS = {
    DATABASE: (Check("steadfast-check-archive", DATABASE, "*-*-* *:*:00", 10, "Look at the archiver"),),
    REPOSITORY: (
        Check("steadfast-check-repositories", REPOSITORY, "*-*-* *:0/5:00", 60, "Look at the repositories"),
        Check("steadfast-verify-repositories", "verify", "Sun *-*-* 06:00:00 UTC", 3600, "Verify the repositories"),
    ),
}


@dataclass(frozen=True)
class Schedule:
    """One kind of backup into one repository: which, and when as systemd's calendar event."""

    repository: str
    kind: str
    event: str

    @property
    def instance(self) -> str:
        """What the service is called with."""
        return f"{self.repository}-{self.kind}"

    @property
    def timer(self) -> str:
        """The unit that starts it."""
        return f"steadfast-backup-{self.instance}.timer"


def units(
    cluster: str, user: str, port: int, duties: Sequence[str], schedules: Sequence[Schedule]
) -> Mapping[str, str]:
    """Return the text of every unit that a host has for backups, by its name.

    Args:
        cluster: name of the cluster.
        user: operating-system user of pgBackRest on the host.
        port: of pgBackRest's server; 0 where nobody reaches it.
        duties: of the host, database and repository.
        schedules: of all repositories; they run on the repository host.
    """
    found = {SERVICE: SERVER.format(cluster=cluster, user=user, port=port)} if port else {}
    for duty in duties:
        for check in CHECKS.get(duty, ()):
            found |= _check(cluster, user, check)
    if REPOSITORY in duties:
        found[BACKUP] = WORK.format(
            description=f"Backup %i of PostgreSQL {cluster}", user=user, command="/usr/local/lib/steadfast/backup %i"
        )
        found |= {schedule.timer: _timer(cluster, schedule) for schedule in schedules}
    return {name: HEAD + text.lstrip("\n") for name, text in found.items()}


def running(duties: Sequence[str], schedules: Sequence[Schedule], serves: bool) -> list[str]:
    """Return the units that run and start with the host; the others are started by these."""
    timers = [f"{check.name}.timer" for duty in duties for check in CHECKS.get(duty, ())]
    timers += [schedule.timer for schedule in schedules] if REPOSITORY in duties else []
    return [*([SERVICE] if serves else []), *timers]


def _check(cluster: str, user: str, check: Check) -> dict[str, str]:
    command = f"/usr/local/lib/steadfast/check_archive {check.duty} /etc/pgbackrest/steadfast.json"
    about = f"{check.description} of PostgreSQL {cluster}"
    timer = TIMER.format(
        description=f"{about}, again and again",
        unit=f"{check.name}.service",
        event=check.event,
        persistent="false",
        delay=check.delay,
    )
    return {
        f"{check.name}.service": WORK.format(description=about, user=user, command=command),
        f"{check.name}.timer": timer,
    }


def _timer(cluster: str, schedule: Schedule) -> str:
    return TIMER.format(
        description=f"Start of the {schedule.kind} backup into {schedule.repository} of PostgreSQL {cluster}",
        unit=f"steadfast-backup@{schedule.instance}.service",
        event=schedule.event,
        persistent="true",
        delay=120,
    )
