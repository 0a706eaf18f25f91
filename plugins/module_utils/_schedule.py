# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a backup runs: the part of systemd's calendar events (systemd.time(7)) whose rhythm can be judged.

`[WEEKDAYS] [YEARS-MONTHS-DAYS] HOURS:MINUTES [UTC]`, or one of the words hourly, daily, weekly and monthly. Years are
`*`; everything else is `*`, a number, a list (`1,15`), a range (`Mon..Fri`, `8..17`) or a repetition (`0/6`). Times are
in UTC: a repository serves hosts in several zones, and no hour is left out or repeated when clocks change.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WORDS = {
    "hourly": "*-*-* *:00",
    "daily": "*-*-* 00:00",
    "weekly": "Mon *-*-* 00:00",
    "monthly": "*-*-01 00:00",
}
EXAMPLE = "such as daily, 'Sun 02:00', 'Mon..Sat 02:00' or '*-*-01 03:30'"

# Two leap years, so that whatever a calendar does is seen.
_FIRST_DAY, _DAYS = date(2024, 1, 1), 5 * 366
_MINUTES_A_DAY = 24 * 60
_EVENT = re.compile(
    r"(?:(?P<weekdays>[A-Za-z.,]+)\s+)?(?:\*-(?P<months>[\d*,./]+)-(?P<days>[\d*,./]+)\s+)?"
    r"(?P<hours>[\d*,./]+):(?P<minutes>[\d*,./]+)(?::00)?(?:\s+UTC)?"
)


class ScheduleError(ValueError):
    """A text is no calendar event that this file understands."""


@dataclass(frozen=True)
class Schedule:
    """When something happens, in UTC.

    Attributes:
        weekdays: 0 (Monday) to 6.
        months: 1 to 12.
        days: of the month, 1 to 31.
        hours: 0 to 23.
        minutes: 0 to 59.
        text: the calendar event as systemd reads it.
    """

    weekdays: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    hours: frozenset[int]
    minutes: frozenset[int]
    text: str

    @property
    def times(self) -> list[int]:
        """The minutes of a day, counted from midnight, on days when it happens."""
        return sorted(hour * 60 + minute for hour in self.hours for minute in self.minutes)

    def longest_gap(self) -> timedelta | None:
        """The longest time from one event to the next; None when it does not happen again within four years."""
        events = list(self._events())
        gaps = [later - earlier for earlier, later in itertools.pairwise(events)]
        return timedelta(minutes=max(gaps)) if gaps else None

    def _events(self) -> Iterator[int]:
        """Yield the events of five years, as minutes from their beginning."""
        for number in range(_DAYS):
            day = _FIRST_DAY + timedelta(days=number)
            if day.weekday() in self.weekdays and day.month in self.months and day.day in self.days:
                yield from (number * _MINUTES_A_DAY + time for time in self.times)


def parse(text: str) -> Schedule:
    """Read a calendar event.

    Raises:
        ScheduleError: it is none, or of a kind whose rhythm is not judged here.
    """
    found = _EVENT.fullmatch(WORDS.get(text.strip().lower(), text.strip()))
    if not found:
        raise ScheduleError(f"is no calendar event; write one, {EXAMPLE}")
    weekdays, months, days = found["weekdays"] or "*", found["months"] or "*", found["days"] or "*"
    date_text = f"*-{months}-{days}"
    return Schedule(
        weekdays=_numbers(_weekday_numbers(weekdays), 0, 6, "weekday"),
        months=_numbers(months, 1, 12, "month"),
        days=_numbers(days, 1, 31, "day"),
        hours=_numbers(found["hours"], 0, 23, "hour"),
        minutes=_numbers(found["minutes"], 0, 59, "minute"),
        text=f"{'' if weekdays == '*' else weekdays + ' '}{date_text} {found['hours']}:{found['minutes']}:00 UTC",
    )


def _weekday_numbers(text: str) -> str:
    """Write weekdays, also whole words, as numbers from 0."""

    def number(word: re.Match[str]) -> str:
        short = word[0][:3].title()
        names = {"Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday"}
        names |= {"Sat": "Saturday", "Sun": "Sunday"}
        if short not in names or word[0].title() not in {short, names[short]}:
            raise ScheduleError(f"{word[0]} is no weekday; write {', '.join(WEEKDAYS)}")
        return str(WEEKDAYS.index(short))

    return re.sub(r"[A-Za-z]+", number, text)


def _numbers(text: str, least: int, most: int, what: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found |= _part(part, least, most, what)
    return frozenset(found)


def _part(text: str, least: int, most: int, what: str) -> set[int]:
    match = re.fullmatch(r"(\*|\d+)(?:\.\.(\d+))?(?:/(\d+))?", text)
    if not match or (match[1] == "*" and (match[2] or match[3])):
        raise ScheduleError(f"{text} is no {what}; write one, {EXAMPLE}")
    if match[1] == "*":
        return set(range(least, most + 1))
    first = int(match[1])
    last = int(match[2]) if match[2] else most if match[3] else first
    step = int(match[3] or 1)
    if not least <= first <= last <= most or step < 1:
        wrong = [text, str(least), str(most)]
        if what == "weekday":
            wrong = [re.sub(r"\d", lambda digit: WEEKDAYS[int(digit[0])], word) for word in wrong]
        raise ScheduleError("{} is no {what} from {} to {}; write one, {}".format(*wrong, EXAMPLE, what=what))
    return set(range(first, last + 1, step))
