"""An account's hours and days, out of the hours that an audit adds up."""

from __future__ import annotations

from dmstats.audit.account_activity import (
    DAYS,
    HOURS,
    PERIODS,
    ActivityBuckets,
    buckets,
    period_starts,
)
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, day_start, hour_start
from dmstats.db.audit.activity_store import Activity

MONTH = "2026-11"


def test_it_works(clock: ManualClock) -> None:
    now = clock.now_ms()
    spread = ActivityBuckets(now)
    spread.add(hour_start(now), {("a", MONTH): (2, 1)})
    spread.add(hour_start(now) - 23 * HOUR_MS, {("a", MONTH): (3, 0), ("b", MONTH): (0, 1)})
    hours, days = buckets(Activity(now, 0, spread.accounts()["a"]))
    assert (len(hours), len(days)) == (HOURS, DAYS)
    assert hours[-1] == (hour_start(now), 2, 1)
    assert hours[0] == (hour_start(now) - 23 * HOUR_MS, 3, 0)
    assert days[-2:] == [(day_start(now) - DAY_MS, 3, 0), (day_start(now), 2, 1)]


def test_what_lies_outside_is_left_out(clock: ManualClock) -> None:
    now = clock.now_ms()
    spread = ActivityBuckets(now)
    for hour in (0, day_start(now) - 7 * DAY_MS, hour_start(now) + HOUR_MS + DAY_MS):
        spread.add(hour, {("a", MONTH): (1, 1)})
    assert spread.accounts() == {}
    spread.add(day_start(now) - 6 * DAY_MS, {("a", MONTH): (1, 0)})
    assert [place for place, sums in enumerate(spread.accounts()["a"]) if any(sums)] == [HOURS]


def test_months_of_one_hour_are_one_sum(clock: ManualClock) -> None:
    spread = ActivityBuckets(clock.now_ms())
    sums = {("a", "2026-11"): (1, 0), ("a", "2026-10"): (2, 0)}
    spread.add(hour_start(clock.now_ms()), sums)
    assert spread.accounts()["a"][HOURS - 1] == (3, 0)


def test_its_hours_are_all_those_of_the_days(clock: ManualClock) -> None:
    hours = ActivityBuckets(clock.now_ms()).hours()
    assert hours[0] == period_starts(clock.now_ms())[HOURS]
    assert hours[-1] == hour_start(clock.now_ms())
    assert len(set(hours)) == (hours[-1] - hours[0]) // HOUR_MS + 1


def test_before_the_counting_nothing_is_known(clock: ManualClock) -> None:
    now = clock.now_ms()
    since = hour_start(now) - 2 * HOUR_MS + 1
    hours, days = buckets(Activity(now, since, [(0, 0)] * PERIODS))
    assert [sent for _, sent, _ in hours] == [None] * 21 + [0, 0, 0]
    assert [received for _, _, received in days] == [None] * 6 + [0]
