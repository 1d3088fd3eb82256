"""The snapshot's days and month in other time zones, against a recount of single events."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, month_of, to_datetime, to_ms
from dmstats.db.dashboard.readings import DAYS, HOURS, Readings, month_before
from dmstats.db.documents import bucket
from dmstats.history.calendar import Calendar
from dmstats.snapshot.build import build
from dmstats.snapshot.zoned import required_buckets
from tests.readings import readings_of as documents_read

MINUTE_MS = 60_000
MOMENTS = (
    "2026-11-01T07:30:20", "2026-10-25T00:30:00", "2026-10-31T23:59:59", "2026-11-01T00:00:00",
    "2026-03-29T12:00:00", "2026-03-31T18:29:59", "2026-03-31T18:30:00", "2026-01-31T23:15:00",
    "2028-02-29T10:15:00", "2026-12-31T10:14:59", "2026-04-04T15:10:00", "2026-10-03T16:00:00",
)  # fmt: skip
ZONES = (
    "Africa/Abidjan", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago",
)  # fmt: skip


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


@cache
def events(now: int) -> list[int]:
    """When DMs were sent: at random in the last 80 days, and around every full UTC hour that may
    be a day's edge somewhere."""
    chance = random.Random(now)
    found = [now - chance.randrange(80 * DAY_MS) for _ in range(1500)]
    for day in range(70):
        start = day_start(now) - day * DAY_MS
        for minute in (330, 345, 630, 660, 765, 825, 840, 1110, 1320, 1380):
            found += [start + minute * MINUTE_MS + shift for shift in (-1, 0)]
    return [at for at in found if at <= now]


def readings_of(moments: list[int], now: int, calendar: Calendar) -> Readings:
    """What the store would give for what a refresh asks for."""
    hours: dict[int, dict[str, Any]] = {}
    days: dict[int, dict[str, Any]] = {}
    for at in moments:
        day = days.setdefault(day_start(at), {"sent": 0})
        hour = hours.setdefault(hour_start(at), {"sent": 0, "minutes": {}})
        minute = hour["minutes"].setdefault(str(at % HOUR_MS // MINUTE_MS), {"sent": 0})
        for counts in (day, hour, minute):
            counts["sent"] += 1
    more, then = required_buckets(now, calendar), month_before(now)
    whole = {hour_start(now) - i * HOUR_MS for i in range(HOURS)}
    whole |= {*range(day_start(then), then + 1, HOUR_MS), *more.minutes}
    read = {day_start(now) - i * DAY_MS for i in range(DAYS)} | more.days
    return documents_read(
        totals={"dmsSent": len(moments) + 1},
        hours={at: hour for at, hour in hours.items() if at in whole},
        days={at: day for at, day in days.items() if at in read},
        hour_counts={at: bucket(hour) for at, hour in hours.items() if at in more.hours},
    )


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("zone", ZONES)
def test_days_and_months_are_what_a_recount_finds(zone: str, moment: str) -> None:
    now, calendar = ms(moment), Calendar(ZoneInfo(zone))
    moments = events(now)
    snapshot = build(readings_of(moments, now, calendar), now, 0, calendar)
    walls = [calendar.local(at) for at in moments]
    sent_on = Counter(wall.date() for wall in walls)
    here = calendar.local(now)

    def count(belongs: Callable[[datetime], bool]) -> int:
        return sum(1 for wall in walls if belongs(wall))

    assert snapshot["timeZone"] == zone
    assert snapshot["month"]["month"] == f"{here:%Y-%m}"
    assert snapshot["month"]["sent"] == count(
        lambda wall: (wall.year, wall.month) == (here.year, here.month)
    )
    assert snapshot["today"]["sent"] == sent_on[here.date()]
    yesterday = here.date() - timedelta(days=1)
    clock = (here.hour, here.minute)
    assert snapshot["today"]["before"]["sent"] == count(
        lambda wall: wall.date() == yesterday and (wall.hour, wall.minute) <= clock
    )
    last = here.date().replace(day=1) - timedelta(days=1)
    assert snapshot["month"]["before"]["sent"] == count(
        lambda wall: (
            (wall.year, wall.month) == (last.year, last.month)
            and (wall.day, wall.hour, wall.minute) <= (here.day, *clock)
        )
    )
    days = snapshot["series"]["days"]
    assert len(days) == 30
    for i, point in enumerate(reversed(days)):
        date = here.date() - timedelta(days=i)
        assert calendar.local(ms(point["at"][:-1])).date() == date
        assert point["sent"] == sent_on[date]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_zone_like_utc_shows_what_utc_shows(moment: str) -> None:
    now, abidjan = ms(moment), Calendar(ZoneInfo("Africa/Abidjan"))
    readings = readings_of(events(now), now, abidjan)
    snapshot, in_utc = build(readings, now, 0, abidjan), build(readings, now)
    assert snapshot.pop("timeZone") != in_utc.pop("timeZone")
    assert snapshot == in_utc


def test_before_counting_began_is_nothing() -> None:
    now, calendar = ms("2026-11-15T12:34:56"), Calendar(ZoneInfo("Asia/Kolkata"))
    moments = [now - DAY_MS - HOUR_MS, now]
    readings = readings_of(moments, now, calendar)
    new = replace(readings, totals=documents_read(totals={"dmsSent": 2}).totals)
    snapshot = build(new, now, 0, calendar)
    assert (snapshot["today"]["before"], snapshot["month"]["before"]) == (None, None)
    assert build(Readings(), now, 0, calendar)["today"] == {
        "sent": 0, "received": 0, "before": None,
    }  # fmt: skip


def test_what_is_read_is_bounded_and_nothing_in_utc() -> None:
    assert required_buckets(ms(MOMENTS[0]), Calendar(ZoneInfo("Etc/UTC"))).documents == 0
    for zone in ZONES:
        for moment in MOMENTS:
            found = required_buckets(ms(moment), Calendar(ZoneInfo(zone)))
            assert len(found.hours) <= 800
            assert len(found.minutes) <= 40
            assert len(found.days) <= 62


def test_accounts_keep_their_month_in_utc() -> None:
    """So 1 November 07:00 UTC is still October in California, but not for accounts."""
    now, calendar = ms("2026-11-01T06:00:00"), Calendar(ZoneInfo("America/Los_Angeles"))
    top = [{"instagramId": "1", "dmUsed": 9, "monthlyDmUsed": 5, "currentMonth": "2026-10"}]
    snapshot = build(documents_read(top=top), now, 0, calendar)
    assert snapshot["month"]["month"] == "2026-10"
    assert month_of(now) == "2026-11"
    assert snapshot["topAccounts"][0]["monthlyDmUsed"] == 0
    assert to_datetime(now).day == 1
