"""Which stored days, hours and minutes add up to a span of time.

Days and hours are stored in UTC, and each hour has its minutes. A span takes whole UTC days where
it holds some, the hours left over at its ends, and of those that it cuts, the minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start
from dmstats.history.calendar import MINUTE_MS
from dmstats.history.comparison import Span

Counts = tuple[int, int]
"""DMs sent and received."""
ZERO: Counts = (0, 0)


@dataclass(frozen=True, slots=True)
class Parts:
    """One span as starts of days, hours and minutes (ms)."""

    days: range
    hours: tuple[range, range]
    minutes: tuple[range, range]


@dataclass(slots=True)
class Wanted:
    """The starts of what has to be read (ms): ``minutes`` are hours with their minutes."""

    days: set[int] = field(default_factory=set)
    hours: set[int] = field(default_factory=set)
    minutes: set[int] = field(default_factory=set)

    @property
    def documents(self) -> int:
        """How many documents that is at most."""
        return len(self.days) + len(self.hours) + len(self.minutes)


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """What was read, by start (ms); ``minutes`` by the minute's own start. What is missing had no
    DMs."""

    days: Mapping[int, Counts] = field(default_factory=dict)
    hours: Mapping[int, Counts] = field(default_factory=dict)
    minutes: Mapping[int, Counts] = field(default_factory=dict)

    def of(self, span: Span) -> Counts:
        """The DMs of ``span``, which must have been among the wanted ones."""
        parts = split(span)
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


def split(span: Span) -> Parts:
    """The parts of ``span``, which begins and ends with a minute."""
    start, end = span
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


def wanted(spans: Iterable[Span], since_ms: int | None = 0) -> Wanted:
    """What has to be read for ``spans``; nothing of before ``since_ms`` (None: nothing at all)."""
    found = Wanted()
    if since_ms is None:
        return found
    first = day_start(since_ms)
    for span in spans:
        parts = split(span)
        found.days.update(at for at in parts.days if at >= first)
        for hours in parts.hours:
            found.hours.update(at for at in hours if at >= first)
        for minutes in parts.minutes:
            found.minutes.update(hour_start(at) for at in minutes if at >= first)
    return found


def _up(ms: int, step: int) -> int:
    return -(-ms // step) * step
