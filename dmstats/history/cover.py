"""Splits an interval into stored days, hours and minutes.

Days and hours are stored in UTC, with minutes within each hour. An interval consists of the whole
UTC days that it contains, the remaining hours at both ends, and the minutes of partial hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start
from dmstats.history.calendar import MINUTE_MS
from dmstats.history.comparison import Interval

Counts = tuple[int, int]
"""DMs sent and received."""
ZERO: Counts = (0, 0)


@dataclass(frozen=True, slots=True)
class Parts:
    """The starts of the days, hours and minutes of one interval (ms)."""

    days: range
    hours: tuple[range, range]
    minutes: tuple[range, range]


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
    """Stored counts by start (ms); ``minutes`` by the start of the minute. Missing ones are 0."""

    days: Mapping[int, Counts] = field(default_factory=dict)
    hours: Mapping[int, Counts] = field(default_factory=dict)
    minutes: Mapping[int, Counts] = field(default_factory=dict)

    def of(self, interval: Interval) -> Counts:
        """The DMs of ``interval``, whose buckets must have been read."""
        parts = split(interval)
        sent = received = 0
        found = (
            (self.days, (parts.days,)), (self.hours, parts.hours), (self.minutes, parts.minutes)
        )  # fmt: skip
        for counts, ranges in found:
            for starts in ranges:
                for at in starts:
                    if pair := counts.get(at):
                        sent += pair[0]
                        received += pair[1]
        return sent, received


def split(interval: Interval) -> Parts:
    """The parts of ``interval``, which starts and ends at full minutes."""
    start, end = interval
    first_hour, last_hour = _up(start, HOUR_MS), hour_start(end)
    if first_hour > last_hour:  # within one hour
        none = range(0)
        return Parts(none, (none, none), (range(start, end, MINUTE_MS), none))
    minutes = (range(start, first_hour, MINUTE_MS), range(last_hour, end, MINUTE_MS))
    first_day, last_day = _up(first_hour, DAY_MS), day_start(last_hour)
    if first_day >= last_day:
        return Parts(range(0), (range(first_hour, last_hour, HOUR_MS), range(0)), minutes)
    hours = (range(first_hour, first_day, HOUR_MS), range(last_day, last_hour, HOUR_MS))
    return Parts(range(first_day, last_day, DAY_MS), hours, minutes)


def required_buckets(intervals: Iterable[Interval], since_ms: int | None = 0) -> RequiredBuckets:
    """The buckets to read for ``intervals``, except those before ``since_ms`` (None: none)."""
    found = RequiredBuckets()
    if since_ms is None:
        return found
    first = day_start(since_ms)
    for interval in intervals:
        parts = split(interval)
        found.days.update(at for at in parts.days if at >= first)
        for hours in parts.hours:
            found.hours.update(at for at in hours if at >= first)
        for minutes in parts.minutes:
            found.minutes.update(hour_start(at) for at in minutes if at >= first)
    return found


def _up(ms: int, step: int) -> int:
    return -(-ms // step) * step
