"""Calendar events: what they say to systemd, how far apart they are, and what is no event."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _schedule

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

EVENTS = [
    ("hourly", "*-*-* *:00:00 UTC", HOUR),
    ("daily", "*-*-* 00:00:00 UTC", DAY),
    ("Weekly", "Mon *-*-* 00:00:00 UTC", 7 * DAY),
    ("monthly", "*-*-01 00:00:00 UTC", 31 * DAY),
    ("02:00", "*-*-* 02:00:00 UTC", DAY),
    ("02:00 UTC", "*-*-* 02:00:00 UTC", DAY),
    ("02:00:00", "*-*-* 02:00:00 UTC", DAY),
    ("*-*-* 02:30", "*-*-* 02:30:00 UTC", DAY),
    ("Sun 02:00", "Sun *-*-* 02:00:00 UTC", 7 * DAY),
    ("sunday 02:00", "sunday *-*-* 02:00:00 UTC", 7 * DAY),
    ("Mon..Sat 02:00", "Mon..Sat *-*-* 02:00:00 UTC", 2 * DAY),
    ("Mon,Thu 02:00", "Mon,Thu *-*-* 02:00:00 UTC", 4 * DAY),
    ("*:15", "*-*-* *:15:00 UTC", HOUR),
    ("0/6:00", "*-*-* 0/6:00:00 UTC", 6 * HOUR),
    ("8..18:00", "*-*-* 8..18:00:00 UTC", 14 * HOUR),
    ("8..18/2:00", "*-*-* 8..18/2:00:00 UTC", 14 * HOUR),
    ("02,14:00,30", "*-*-* 02,14:00,30:00 UTC", 11.5 * HOUR),
    ("*-*-01,15 03:00", "*-*-01,15 03:00:00 UTC", 17 * DAY),
    ("*-01,07-01 03:00", "*-01,07-01 03:00:00 UTC", 184 * DAY),
    ("*-02-29 03:00", "*-02-29 03:00:00 UTC", (4 * 365 + 1) * DAY),
    ("*-02-30 03:00", "*-02-30 03:00:00 UTC", None),
    ("Mon *-*-01 03:00", "Mon *-*-01 03:00:00 UTC", 427 * DAY),
]

NONE = "is no calendar event; write one, such as daily, 'Sun 02:00', 'Mon..Sat 02:00' or '*-*-01 03:30'"
EXAMPLE = "write one, such as daily, 'Sun 02:00', 'Mon..Sat 02:00' or '*-*-01 03:30'"
REFUSED = [
    ("", NONE),
    ("every day", NONE),
    ("2 Uhr", NONE),
    ("2026-01-01 02:00", NONE),
    ("02:00 Europe/Berlin", NONE),
    ("25:00", f"25 is no hour from 0 to 23; {EXAMPLE}"),
    ("02:60", f"60 is no minute from 0 to 59; {EXAMPLE}"),
    ("Foo 02:00", "Foo is no weekday; write Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
    ("Mondays 02:00", "Mondays is no weekday; write Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
    ("Sat..Mon 02:00", f"Sat..Mon is no weekday from Mon to Sun; {EXAMPLE}"),
    ("*-13-01 02:00", f"13 is no month from 1 to 12; {EXAMPLE}"),
    ("*-*-00 02:00", f"00 is no day from 1 to 31; {EXAMPLE}"),
    ("0/0:00", f"0/0 is no hour from 0 to 23; {EXAMPLE}"),
    ("*/2:00", f"*/2 is no hour; {EXAMPLE}"),
    (",:00", f" is no hour; {EXAMPLE}"),
]


@pytest.mark.parametrize(("text", "event", "gap"), EVENTS)
def test_events(text: str, event: str, gap: timedelta | None) -> None:
    schedule = _schedule.parse(text)
    assert (schedule.text, schedule.longest_gap()) == (event, gap)


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_is_no_event(text: str, words: str) -> None:
    with pytest.raises(_schedule.ScheduleError) as error:
        _schedule.parse(text)
    assert str(error.value) == words
