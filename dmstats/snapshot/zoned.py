"""Today, the month and the last days of a snapshot in a time zone other than UTC; pure."""

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
from dmstats.history.comparison import Span
from dmstats.history.cover import Counts, RangeCounts, Wanted
from dmstats.history.cover import wanted as wanted_for
from dmstats.snapshot.previous_period import history_start

DAYS = 30

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spans:
    """What is counted, up to the running minute; ``before`` is the same part of the day or month
    before."""

    today: Span
    today_before: Span
    month: Span
    month_before: Span
    days: tuple[Span, ...]

    @classmethod
    def at(cls, now_ms: int, calendar: Calendar) -> Spans:
        """Those of ``now_ms``."""
        minute = now_ms - now_ms % MINUTE_MS
        end = minute + MINUTE_MS
        today, month = calendar.start(DAY, now_ms), calendar.start(MONTH, now_ms)
        yesterday, last_month = calendar.add_days(today, -1), calendar.add_months(month, -1)
        starts = calendar.edges(DAY, calendar.add_days(today, 1 - DAYS), end)
        return cls(
            (today, end),
            (yesterday, min(calendar.add_days(minute, -1) + MINUTE_MS, today)),
            (month, end),
            # Of a month without this day, all.
            (last_month, min(calendar.add_months(minute, -1) + MINUTE_MS, month)),
            tuple(pairwise(starts)),
        )


def wanted(now_ms: int, calendar: Calendar) -> Wanted:
    """What a refresh has to read for it: some 50 days, 800 hours and, where a day begins within an
    hour, the minutes of 40; nothing in UTC, whose days are read anyway."""
    if calendar.is_utc:
        return Wanted()
    spans = Spans.at(now_ms, calendar)
    return wanted_for(
        (spans.today, spans.today_before, spans.month, spans.month_before, *spans.days)
    )


def figures(readings: Readings, now_ms: int, calendar: Calendar) -> Figures:
    """``month``, ``today`` and ``days`` as the snapshot has them."""
    spans = Spans.at(now_ms, calendar)
    counted = RangeCounts(
        {at: pair(day) for at, day in readings.days.items()},
        {at: pair(hour) for at, hour in readings.hour_counts.items()},
        _minutes(readings.hours),
    )
    since = history_start(readings)

    def before(span: Span) -> Figures | None:
        unknown = not readings.totals.counting or (since is not None and span[0] < since)
        return None if unknown else _pair(counted.of(span))

    return {
        "month": {
            "month": calendar.local(now_ms).strftime("%Y-%m"),
            **_pair(counted.of(spans.month)),
            "before": before(spans.month_before),
        },
        "today": {**_pair(counted.of(spans.today)), "before": before(spans.today_before)},
        "days": [{"at": rfc3339(span[0]), **_pair(counted.of(span))} for span in spans.days],
    }


def _minutes(hours: Mapping[int, Hour]) -> dict[int, Counts]:
    return {
        start + minute * MINUTE_MS: pair(counts)
        for start, hour in hours.items()
        for minute, counts in hour.minutes.items()
    }


def _pair(counts: Counts) -> Figures:
    return {"sent": counts[0], "received": counts[1]}
