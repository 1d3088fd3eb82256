"""An account's hours and days, out of the hours that an audit adds up."""

from __future__ import annotations

from dmstats.audit.account_activity import DAYS, HOURS, HOURS_KEPT_DAYS, ActivityBuckets, buckets
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, day_start, hour_start
from dmstats.db.audit.activity_store import Activity

MONTH = "2026-11"


def spread_over(now: int, days: int = 8) -> ActivityBuckets:
    return ActivityBuckets(now, day_start(now) - (days - 1) * DAY_MS)


def test_it_works(clock: ManualClock) -> None:
    now = clock.now_ms()
    spread = spread_over(now)
    spread.add(hour_start(now), {("a", MONTH): (2, 1)})
    spread.add(hour_start(now) - 23 * HOUR_MS, {("a", MONTH): (3, 0), ("b", MONTH): (0, 1)})
    found = spread.accounts()["a"]
    assert (len(found.hours_sent), len(found.days_sent)) == (spread.hour_count, 8)
    assert (found.hours_sent[-1], found.hours_received[-1], found.hours_sent[-24]) == (2, 1, 3)
    assert found.days_sent[-2:] == [3, 2]


def test_what_lies_outside_is_left_out(clock: ManualClock) -> None:
    now = clock.now_ms()
    spread = spread_over(now)
    for hour in (0, day_start(now) - 8 * DAY_MS, hour_start(now) + HOUR_MS + DAY_MS):
        spread.add(hour, {("a", MONTH): (1, 1)})
    assert spread.accounts() == {}
    spread.add(day_start(now) - 7 * DAY_MS, {("a", MONTH): (1, 0)})
    found = spread.accounts()["a"]
    assert (found.days_sent[0], found.hours_sent[0], sum(found.hours_sent)) == (1, 1, 1)


def test_months_of_one_hour_are_one_sum(clock: ManualClock) -> None:
    spread = spread_over(clock.now_ms())
    sums = {("a", "2026-11"): (1, 0), ("a", "2026-10"): (2, 0)}
    spread.add(hour_start(clock.now_ms()), sums)
    assert spread.accounts()["a"].hours_sent[-1] == 3


def test_its_hours_are_all_those_of_the_days(clock: ManualClock) -> None:
    spread = spread_over(clock.now_ms())
    hours = spread.hours()
    assert hours[0] == spread.first_day
    assert hours[-1] == hour_start(clock.now_ms())
    assert len(set(hours)) == (hours[-1] - hours[0]) // HOUR_MS + 1


def test_of_a_long_ledger_only_days_are_kept_for_all_of_it(clock: ManualClock) -> None:
    now = clock.now_ms()
    spread = spread_over(now, 100)
    assert spread.first_hour == day_start(now) - (HOURS_KEPT_DAYS - 1) * DAY_MS
    spread.add(day_start(now) - 99 * DAY_MS, {("a", MONTH): (5, 0)})
    found = spread.accounts()["a"]
    assert (sum(found.hours_sent), found.days_sent[0]) == (0, 5)


def test_without_a_ledger_there_is_today(clock: ManualClock) -> None:
    now = clock.now_ms()
    assert ActivityBuckets(now, now).day_count == 1
    assert ActivityBuckets(now, now + 3 * DAY_MS).first_day == day_start(now)


def test_before_the_counting_nothing_is_known(clock: ManualClock) -> None:
    now = clock.now_ms()
    hour, day = hour_start(now), day_start(now)
    stored = dict.fromkeys(range(day, hour + 1, HOUR_MS), (0, 0))
    hours, days = buckets(Activity(now, hour - 2 * HOUR_MS + 1, stored, {day: (0, 0)}))
    assert (len(hours), len(days)) == (HOURS, DAYS)
    assert [sent for _, sent, _ in hours] == [None] * 21 + [0, 0, 0]
    assert [received for _, _, received in days] == [None] * 6 + [0]
