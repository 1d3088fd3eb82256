"""Splits an interval into stored days, hours and minutes.

Days and hours are stored in UTC, with minutes within each hour. An interval consists of whole UTC
days, hours at both ends, and the minutes of partial hours. At an end in the later half of a UTC day
that is over, the whole day is added and its other hours are subtracted: a local day in Berlin is
read as a UTC day plus one hour before it and minus one hour at its end, instead of 24 hours.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start
from dmstats.history.calendar import MINUTE_MS
from dmstats.history.comparison import Interval

Counts = tuple[int, int]
"""DMs sent and received."""
ZERO: Counts = (0, 0)


NONE = range(0)
HALF_DAY_MS = DAY_MS // 2


@dataclass(frozen=True, slots=True)
class Parts:
    """The starts of the days, hours and minutes of one interval (ms); ``less`` are the hours to
    subtract."""

    days: range
    hours: tuple[range, range]
    minutes: tuple[range, range]
    less: tuple[range, range] = (NONE, NONE)


@dataclass(slots=True)
class RequiredBuckets:
    """The starts of the documents to read (ms); ``minutes`` has hours whose minutes are needed."""

    days: set[int] = field(default_factory=set)
    hours: set[int] = field(default_factory=set)
    minutes: set[int] = field(default_factory=set)

    @property
    def documents(self) -> int:
        """The maximum number of documents."""
        return len(self.days) + len(self.hours) + len(self.minutes)


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """Stored counts by start (ms); ``minutes`` by the start of the minute. Missing ones are 0.
    ``over_ms`` as for :func:`split`."""

    days: Mapping[int, Counts] = field(default_factory=dict)
    hours: Mapping[int, Counts] = field(default_factory=dict)
    minutes: Mapping[int, Counts] = field(default_factory=dict)
    over_ms: int = 0

    def of(self, interval: Interval) -> Counts:
        """The DMs of ``interval``, whose buckets must have been read."""
        parts = split(interval, self.over_ms)
        sent = received = 0
        found = (
            (self.days, (parts.days,), 1), (self.hours, parts.hours, 1),
            (self.minutes, parts.minutes, 1), (self.hours, parts.less, -1),
        )  # fmt: skip
        for counts, ranges, sign in found:
            for starts in ranges:
                for pair in map(counts.get, starts):
                    if pair:
                        sent += sign * pair[0]
                        received += sign * pair[1]
        return max(0, sent), max(0, received)


def split(interval: Interval, over_ms: int = 0) -> Parts:
    """The parts of ``interval``, which starts and ends at full minutes. Hours are subtracted only
    from days that end by ``over_ms``: the counts of others may change between two reads."""
    start, end = interval
    first_hour, last_hour = _up(start, HOUR_MS), hour_start(end)
    if first_hour > last_hour:  # within one hour
        return Parts(NONE, (NONE, NONE), (range(start, end, MINUTE_MS), NONE))
    minutes = (range(start, first_hour, MINUTE_MS), range(last_hour, end, MINUTE_MS))
    first_day = _nearest_day(first_hour, over_ms, _up(first_hour, DAY_MS))
    last_day = _nearest_day(last_hour, over_ms, day_start(last_hour))
    around = abs(first_day - first_hour) + abs(last_day - last_hour)
    if first_day >= last_day or last_hour - first_hour <= around:
        return Parts(NONE, (range(first_hour, last_hour, HOUR_MS), NONE), minutes)
    hours = (range(first_hour, first_day, HOUR_MS), range(last_day, last_hour, HOUR_MS))
    less = (range(first_day, first_hour, HOUR_MS), range(last_hour, last_day, HOUR_MS))
    return Parts(range(first_day, last_day, DAY_MS), hours, minutes, less)


def required_buckets(
    intervals: Iterable[Interval], since_ms: int | None = 0, over_ms: int = 0
) -> RequiredBuckets:
    """The buckets to read for ``intervals``, except those before ``since_ms`` (None: none);
    ``over_ms`` as for :func:`split`."""
    found = RequiredBuckets()
    if since_ms is None:
        return found
    first = day_start(since_ms)
    for interval in intervals:
        parts = split(interval, over_ms)
        found.days.update(_since(parts.days, first))
        for hours in (*parts.hours, *parts.less):
            found.hours.update(_since(hours, first))
        for minutes in parts.minutes:  # each within one hour
            if minutes and minutes.start >= first:
                found.minutes.add(hour_start(minutes.start))
    return found


def _since(starts: range, first: int) -> range:
    """Those of ``starts`` that are not before ``first``."""
    return starts[bisect_left(starts, first) :]


def _nearest_day(hour: int, over_ms: int, otherwise: int) -> int:
    """The start of a day nearest to ``hour``; ``otherwise`` if the day of ``hour`` is not over."""
    day = day_start(hour)
    if day + DAY_MS > over_ms:
        return otherwise
    return day + DAY_MS if hour - day > HALF_DAY_MS else day


def _up(ms: int, step: int) -> int:
    return -(-ms // step) * step
