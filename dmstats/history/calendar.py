"""Hours, days, weeks and months of a time zone; times are milliseconds since the epoch.

A day begins when its date begins in local time, so a day can have 23 or 25 hours, and an hour ends
early if the clocks change within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from dmstats.core.clock import DAY_MS, HOUR_MS, MILLISECOND, to_datetime, to_ms
from dmstats.core.time_zones import UTC_NAMES

MINUTE_MS = 60_000
MINUTE, HOUR, DAY, WEEK, MONTH = "minute", "hour", "day", "week", "month"
UNITS = (MINUTE, HOUR, DAY, WEEK, MONTH)
WEEK_STARTS = ("monday", "sunday", "saturday")
MAX_MS = {
    MINUTE: MINUTE_MS, HOUR: HOUR_MS, DAY: 26 * HOUR_MS, WEEK: 8 * DAY_MS, MONTH: 32 * DAY_MS,
}  # fmt: skip
"""The largest possible length of a bucket of each unit."""

_FIRST_WEEKDAY = {"monday": 0, "sunday": 6, "saturday": 5}


class Calendar:
    """The calendar of ``zone``; weeks begin on ``week_start``, one of :data:`WEEK_STARTS`."""

    def __init__(self, zone: ZoneInfo, week_start: str = "monday") -> None:
        self.zone = zone
        self.week_start = week_start
        self.is_utc = zone.key in UTC_NAMES

    def local(self, ms: int) -> datetime:
        """The local time."""
        return to_datetime(ms).astimezone(self.zone)

    def instant(self, wall: datetime) -> int:
        """The instant of the local time ``wall`` (its ``tzinfo`` is ignored).

        An ambiguous time is the first of the two, or with ``fold`` 1 the second. A skipped time is
        the moment at which the clocks are set forward.
        """
        aware = wall.replace(tzinfo=self.zone)
        ms = to_ms(aware)
        if self.local(ms) == aware:  # of the same zone: the two times of day are compared
            return ms
        return self._transition(ms - DAY_MS, ms + DAY_MS)

    def midnight(self, day: date) -> int:
        """When ``day`` begins."""
        return self.instant(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - a wall clock's

    def date_of(self, ms: int) -> date:
        """The local date."""
        return self.local(ms).date()

    def start(self, unit: str, ms: int) -> int:
        """The start of the bucket of ``unit`` that holds ``ms``."""
        if unit == MINUTE:
            return ms - ms % MINUTE_MS
        if unit == HOUR:
            return self._hour_start(ms)
        return self.midnight(self._first_date(unit, self.date_of(ms)))

    def after(self, unit: str, ms: int) -> int:
        """The end of the bucket of ``unit`` that holds ``ms``."""
        if unit == MINUTE:
            return ms - ms % MINUTE_MS + MINUTE_MS
        return next(self._ends(unit, ms))

    def edges(self, unit: str, from_ms: int, to_ms_: int) -> list[int]:
        """``from_ms``, every start of a bucket of ``unit`` in between, and ``to_ms_``."""
        return [from_ms, *self._starts(unit, from_ms, to_ms_), to_ms_]

    def _starts(self, unit: str, from_ms: int, to_ms_: int) -> Iterator[int]:
        if unit == MINUTE:
            yield from range(from_ms - from_ms % MINUTE_MS + MINUTE_MS, to_ms_, MINUTE_MS)
            return
        for end in self._ends(unit, from_ms):
            if end >= to_ms_:
                return
            yield end

    def _ends(self, unit: str, ms: int) -> Iterator[int]:
        """The ends of the bucket that holds ``ms`` and of all after it."""
        if unit == HOUR:
            while True:
                ms = self._hour_end(ms)
                yield ms
        day = self._first_date(unit, self.date_of(ms))
        while True:
            day = _next_date(unit, day)
            if (end := self.midnight(day)) > ms:  # a date that the zone skipped has length 0
                ms = end
                yield end

    def add_days(self, ms: int, days: int) -> int:
        """The same local time, ``days`` later (earlier if negative)."""
        return self._moved(ms, lambda wall: wall + timedelta(days=days))

    def add_months(self, ms: int, months: int) -> int:
        """The same day and local time in another month; if that has no such day, its end, which is
        the first moment of the following month."""
        return self._moved(ms, lambda wall: _months_later(wall, months))

    def _moved(self, ms: int, move: Callable[[datetime], datetime]) -> int:
        local = self.local(ms)
        wall = local.replace(tzinfo=None, fold=0)
        moved = move(wall)
        if local.fold:
            # The second occurrence of a repeated hour usually has no counterpart on the other day.
            # Then it is mapped to the end of the repeated hour there.
            again = self.instant(moved.replace(fold=1))
            if again != self.instant(moved):
                return again
            moved = move(self._repeat_end(ms, local))
        return self.instant(moved)

    def _repeat_end(self, ms: int, local: datetime) -> datetime:
        """The local time at which the clocks were set back, before the change."""
        first_pass = self.instant(local.replace(tzinfo=None, fold=0))
        change = self._transition(first_pass, ms)
        before = self.local(change - 1).utcoffset() or timedelta()
        return (to_datetime(change) + before).replace(tzinfo=None)

    def _hour_start(self, ms: int) -> int:
        offset = self._offset_ms(ms)
        start = ms - (ms + offset) % HOUR_MS
        return start if self._offset_ms(start) == offset else self._transition(start, ms)

    def _hour_end(self, ms: int) -> int:
        offset = self._offset_ms(ms)
        end = ms - (ms + offset) % HOUR_MS + HOUR_MS
        return end if self._offset_ms(end - 1) == offset else self._transition(ms, end)

    def _transition(self, from_ms: int, to_ms_: int) -> int:
        """The first moment with a new UTC offset between the two times."""
        before = self._offset_ms(from_ms)
        while to_ms_ - from_ms > 1:
            middle = (from_ms + to_ms_) // 2
            if self._offset_ms(middle) == before:
                from_ms = middle
            else:
                to_ms_ = middle
        return to_ms_

    def _offset_ms(self, ms: int) -> int:
        offset = self.local(ms).utcoffset() or timedelta()
        return offset // MILLISECOND

    def _first_date(self, unit: str, day: date) -> date:
        if unit == WEEK:
            return day - timedelta((day.weekday() - _FIRST_WEEKDAY[self.week_start]) % 7)
        return day.replace(day=1) if unit == MONTH else day


def _next_date(unit: str, first: date) -> date:
    if unit == MONTH:
        return date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first + timedelta(days=7 if unit == WEEK else 1)


def _months_later(wall: datetime, months: int) -> datetime:
    number = wall.year * 12 + wall.month - 1 + months
    first = datetime(number // 12, number % 12 + 1, 1)  # noqa: DTZ001 - a wall clock's
    moved = first + timedelta(days=wall.day - 1)
    if moved.month != first.month:  # the month has no such day
        return datetime(moved.year, moved.month, 1)  # noqa: DTZ001 - a wall clock's
    return moved.replace(hour=wall.hour, minute=wall.minute, second=wall.second)
