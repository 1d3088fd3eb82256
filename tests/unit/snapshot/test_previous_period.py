"""Figures are compared with the same part of the day, hour or month before, or with nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, to_ms
from dmstats.db.dashboard.readings import DAYS, HOURS, Readings, month_before
from dmstats.snapshot.build import build
from dmstats.snapshot.previous_period import history_start, population
from tests.readings import readings_of


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


NOW = ms("2026-11-15T12:34:56")


def counted(events: list[tuple[str, str]], now: int = NOW, *, older: int = 0) -> Readings:
    """Readings as the store would give them, of events (time, kind) counted one by one."""
    hours: dict[int, dict[str, Any]] = {}
    days: dict[int, dict[str, Any]] = {}
    totals = {"dmsSent": older, "dmsReceived": 0}
    for text, kind in events:
        at = ms(text)
        totals["dmsSent" if kind == "sent" else "dmsReceived"] += 1
        day = days.setdefault(day_start(at), {})
        day[kind] = day.get(kind, 0) + 1
        hour = hours.setdefault(hour_start(at), {"minutes": {}})
        hour[kind] = hour.get(kind, 0) + 1
        minute = hour["minutes"].setdefault(str(at % HOUR_MS // 60_000), {})
        minute[kind] = minute.get(kind, 0) + 1
    then = month_before(now)
    wanted = {hour_start(now) - i * HOUR_MS for i in range(HOURS)}
    wanted |= set(range(day_start(then), then + 1, HOUR_MS))
    return readings_of(
        totals=totals,
        hours={at: hour for at, hour in hours.items() if at in wanted},
        days={at: day for at, day in days.items() if at > day_start(now) - DAYS * DAY_MS},
    )


def test_it_works() -> None:
    events = [
        ("2026-09-30T10:00:00", "sent"),  # when counting began
        ("2026-10-01T00:00:00", "sent"),
        ("2026-10-14T23:59:59", "received"),
        ("2026-10-15T12:34:59", "sent"),  # the same minute, a month ago
        ("2026-10-15T12:35:00", "sent"),  # too late
        ("2026-10-31T10:00:00", "sent"),
        ("2026-11-14T00:00:00", "sent"),
        ("2026-11-14T11:35:00", "sent"),
        ("2026-11-14T12:29:00", "received"),
        ("2026-11-14T12:34:30", "sent"),  # the same minute, yesterday
        ("2026-11-14T12:35:00", "sent"),  # too late
        ("2026-11-14T23:59:59", "received"),
    ]
    snapshot = build(counted(events), NOW)
    assert snapshot["month"]["before"] == {"sent": 2, "received": 1}
    assert snapshot["today"]["before"] == {"sent": 3, "received": 1}
    assert snapshot["lastHour"]["before"] == {"sent": 2, "received": 1}
    assert snapshot["perMinuteBefore"] == 0.2
    assert snapshot["since"] == "2026-09-30T00:00:00.000Z"


def test_what_was_before_counting_began_is_nothing_to_compare_with() -> None:
    snapshot = build(counted([("2026-11-14T11:50:00", "sent")]), NOW)
    assert snapshot["since"] == "2026-11-14T11:00:00.000Z"
    assert snapshot["today"]["before"] is None
    assert snapshot["month"]["before"] is None
    assert snapshot["lastHour"]["before"] == {"sent": 1, "received": 0}
    empty = build(readings_of(), NOW)
    assert empty["since"] is None
    assert empty["lastHour"]["before"] is None
    assert empty["perMinuteBefore"] is None


def test_counting_that_began_long_ago_has_no_start() -> None:
    readings = counted([("2026-11-15T10:00:00", "sent")], older=1)
    assert history_start(readings) is None
    assert build(readings, NOW)["today"]["before"] == {"sent": 0, "received": 0}


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-15T12:34:56", "2026-10-15T12:34:56"),
        ("2026-12-31T12:00:00", "2026-11-30T23:59:59.999"),
        ("2026-10-31T12:00:00", "2026-09-30T23:59:59.999"),
        ("2026-03-29T12:00:00", "2026-02-28T23:59:59.999"),
        ("2026-03-28T12:00:00", "2026-02-28T12:00:00"),
        ("2026-01-01T00:00:00", "2025-12-01T00:00:00"),
    ],
)
def test_the_same_time_of_the_month_before(now: str, then: str) -> None:
    assert month_before(ms(now)) == ms(then)


@pytest.mark.parametrize(
    "now", ["2026-12-31T23:59:59", "2026-12-30T00:00:00", "2026-11-01T05:00:00"]
)
def test_all_days_that_a_comparison_needs_are_read(now: str) -> None:
    first = ms(now) - DAYS * DAY_MS
    month = month_before(ms(now))
    assert day_start(first) < month - (datetime.fromtimestamp(month / 1000, UTC).day - 1) * DAY_MS


def test_accounts_and_users_are_kept_as_each_day_began_for_a_month() -> None:
    today = day_start(NOW)
    kept = population({}, NOW, 5, 2)
    assert kept == {today: (5, 2)}
    assert population(kept, NOW + HOUR_MS, 9, 3) == kept
    later = kept
    for day in range(1, 40):
        later = population(later, NOW + day * DAY_MS, 5 + day, 2)
    assert len(later) == 32
    assert list(later)[-1] == today + 39 * DAY_MS
    assert list(later) == sorted(later)
