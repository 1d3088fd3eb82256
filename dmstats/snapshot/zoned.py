"""A snapshot's figures for today, the month and the last days in a zone other than UTC; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dmstats.core.clock import rfc3339
from dmstats.db.dashboard.history import pair
from dmstats.db.dashboard.readings import Readings
from dmstats.db.documents import Hour
from dmstats.history.calendar import DAY, MINUTE_MS, MONTH, Calendar
from dmstats.history.comparison import Interval
from dmstats.history.cover import Counts, RangeCounts, RequiredBuckets
from dmstats.history.cover import required_buckets as required_for
from dmstats.snapshot.previous_period import history_start

DAYS = 30

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparedIntervals:
    """The intervals of the figures, up to and including the current minute; ``..._before`` is the
    same part of the previous day or month."""

    today: Interval
    today_before: Interval
    month: Interval
    month_before: Interval
    days: tuple[Interval, ...]

    @classmethod
    def at(cls, now_ms: int, calendar: Calendar) -> ComparedIntervals:
        """The intervals at ``now_ms``."""
        minute = now_ms - now_ms % MINUTE_MS
        end = minute + MINUTE_MS
        today, month = calendar.start(DAY, now_ms), calendar.start(MONTH, now_ms)
        yesterday, last_month = calendar.add_days(today, -1), calendar.add_months(month, -1)
        starts = calendar.edges(DAY, calendar.add_days(today, 1 - DAYS), end)
        return cls(
            (today, end),
            (yesterday, min(calendar.add_days(minute, -1) + MINUTE_MS, today)),
            (month, end),
            # The whole month if it has no such day.
            (last_month, min(calendar.add_months(minute, -1) + MINUTE_MS, month)),
            tuple(pairwise(starts)),
        )


def required_buckets(now_ms: int, calendar: Calendar) -> RequiredBuckets:
    """The buckets that a refresh must read: about 50 days, 800 hours and, if days begin within an
    hour, the minutes of 40 hours. None in UTC, whose days are read anyway."""
    if calendar.is_utc:
        return RequiredBuckets()
    intervals = ComparedIntervals.at(now_ms, calendar)
    return required_for(
        (
            intervals.today,
            intervals.today_before,
            intervals.month,
            intervals.month_before,
            *intervals.days,
        )
    )


def figures(readings: Readings, now_ms: int, calendar: Calendar) -> Figures:
    """``month``, ``today`` and ``days`` for the snapshot."""
    intervals = ComparedIntervals.at(now_ms, calendar)
    counted = RangeCounts(
        {at: pair(day) for at, day in readings.days.items()},
        {at: pair(hour) for at, hour in readings.hour_counts.items()},
        _minutes(readings.hours),
    )
    since = history_start(readings)

    def before(interval: Interval) -> Figures | None:
        unknown = not readings.totals.counting or (since is not None and interval[0] < since)
        return None if unknown else _pair(counted.of(interval))

    return {
        "month": {
            "month": calendar.local(now_ms).strftime("%Y-%m"),
            **_pair(counted.of(intervals.month)),
            "before": before(intervals.month_before),
        },
        "today": {**_pair(counted.of(intervals.today)), "before": before(intervals.today_before)},
        "days": [
            {"at": rfc3339(interval[0]), **_pair(counted.of(interval))}
            for interval in intervals.days
        ],
    }


def _minutes(hours: Mapping[int, Hour]) -> dict[int, Counts]:
    return {
        start + minute * MINUTE_MS: pair(counts)
        for start, hour in hours.items()
        for minute, counts in hour.minutes.items()
    }


def _pair(counts: Counts) -> Figures:
    return {"sent": counts[0], "received": counts[1]}
