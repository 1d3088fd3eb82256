"""The expected band against a straightforward recount, across changes of the clocks."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from functools import cache
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime, to_ms
from dmstats.history.band import expected
from dmstats.history.calendar import MINUTE_MS, Calendar
from dmstats.history.comparison import KINDS, NONE
from dmstats.history.ranges import between
from dmstats.history.series import Plan, history
from tests.unit.history.test_history import MINUTES, NOW, SINCE_MS, ZONES, at, ms, stored

QUARTER_MS = 15 * MINUTE_MS
"""No zone changes its clocks by less."""
ENDS = ("2028-03-28", "2028-04-05", "2028-09-26", "2028-11-04", "2027-03-01")
"""Soon after changes of the clocks, the last soon after counting began."""


@cache
def quarters() -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for moment, (sent, _) in MINUTES.items():
        found[moment - moment % QUARTER_MS] += sent
    return found


@cache
def clock(zone: str, start: int, end: int) -> dict[tuple[date, int], list[list[int]]]:
    """The quarters of an hour that the clocks showed as each hour of a date, by offset from UTC."""
    found: dict[tuple[date, int], dict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))
    for moment in range(start, end, QUARTER_MS):
        local = to_datetime(moment).astimezone(ZoneInfo(zone))
        found[local.date(), local.hour][local.utcoffset()].append(moment)
    return {hour: list(passes.values()) for hour, passes in found.items()}


def whole(passes: list[list[int]] | None) -> list[int] | None:
    """The first pass of the hour that was a whole one."""
    return next((each for each in passes or () if len(each) == 4), None)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", ["hour", "day"])
def test_it_is_of_the_same_time_of_the_week(zone: str, unit: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    points = {"hour": 0, "day": 0}
    for last in ENDS:
        first = str(date.fromisoformat(last) - timedelta(days=8))
        chosen = between(first, last, calendar, ms(NOW))
        plan = Plan.make(chosen, unit, NONE, calendar, band=True)
        found = history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))
        hours = clock(zone, chosen.from_ms - 65 * DAY_MS, chosen.to_ms)
        for point, usual in zip(found["points"], found["band"]["points"], strict=True):
            local = to_datetime(at(point)).astimezone(ZoneInfo(zone))
            values = []
            for week in range(1, 9):
                day = local.date() - timedelta(days=7 * week)
                if unit == "hour":
                    taken = whole(hours.get((day, local.hour)))
                else:
                    taken = [moment for hour in range(24) for passed in hours.get((day, hour), ())
                             for moment in passed]  # fmt: skip
                if taken and taken[0] > SINCE_MS:
                    values.append(sum(quarters()[moment] for moment in taken))
            own = whole(hours.get((local.date(), local.hour)))
            if len(values) < 4 or (unit == "hour" and (own is None or own[0] != at(point))):
                assert usual is None, (last, local)
                continue
            assert (usual["weeks"], usual["sent"]["median"]) == (
                len(values), round(median(values)),
            ), (last, local)  # fmt: skip
            points[unit] += 1
    assert points[unit] > (600 if unit == "hour" else 30)


@pytest.mark.parametrize("kind", KINDS)
def test_other_figures_are_the_same_with_it(kind: str) -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"))
    chosen = between("2028-10-25", None, calendar, ms(NOW))
    plain, banded = (
        history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))
        for plan in (Plan.make(chosen, "day", kind, calendar, band=band) for band in (False, True))
    )
    assert plain["band"] is None
    assert len(banded["band"]["points"]) == len(banded["points"])
    assert plain == banded | {"band": None}


def test_never_over_a_bucket_that_is_still_filling_or_cut() -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"))
    for start, end in (("2028-11-01", None), ("2028-11-01T10:17:00Z", "2028-11-03T07:41:00Z")):
        chosen = between(start, end, calendar, ms(NOW))
        plan = Plan.make(chosen, "day", NONE, calendar, band=True)
        found = history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))
        cut = [i for i, point in enumerate(found["points"]) if point.get("partial")]
        assert cut
        absent = [i for i, point in enumerate(found["band"]["points"]) if point is None]
        assert absent == cut


@pytest.mark.parametrize("unit", ["minute", "week", "month"])
def test_other_units_have_none(unit: str) -> None:
    calendar = Calendar(ZoneInfo("UTC"))
    start = "2028-11-05T11:00:00Z" if unit == "minute" else "2028-08-01"
    plan = Plan.make(between(start, None, calendar, ms(NOW)), unit, NONE, calendar, band=True)
    assert history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))["band"] is None


def test_what_it_reads_is_bounded() -> None:
    """The hours of a month with those of 8 weeks before it: each once."""
    calendar = Calendar(ZoneInfo("UTC"))
    chosen = between("2028-10-01", "2028-10-31", calendar, ms(NOW))
    plan = Plan.make(chosen, "hour", NONE, calendar, band=True)
    intervals = {start for start, _ in plan.intervals()}
    assert len(plan.intervals()) == 744 + 744 - 168 + 56 * 24
    assert min(intervals) == chosen.from_ms - 56 * DAY_MS
    assert max(intervals) == chosen.to_ms - HOUR_MS


def test_what_is_usual() -> None:
    steady = expected([100, 100, 100, 100])
    assert (steady.middle, steady.low, steady.high) == (100, 69, 131)
    assert [steady.outside(value) for value in (68, 69, 131, 132)] == [
        "below", None, None, "above",
    ]  # fmt: skip
    assert expected([100, 101, 99, 100, 100, 5000]).high < 150  # one odd week
    assert expected([0, 0, 0, 0]).outside(3) is None
    assert expected([0, 0, 0, 0]).low == 0
    wide, narrow = expected([50, 100, 150, 200]), expected([50, 100, 150, 200] * 2)
    assert wide.high > narrow.high > 200


def test_the_first_hour_of_all_is_not_a_whole_one() -> None:
    calendar = Calendar(ZoneInfo("UTC"))
    first = SINCE_MS + 28 * DAY_MS
    chosen = between(str(to_datetime(first).date()), "2027-02-02", calendar, ms(NOW))
    plan = Plan.make(chosen, "hour", NONE, calendar, band=True)
    found = history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))
    usual = {
        at(point): each
        for point, each in zip(found["points"], found["band"]["points"], strict=True)
    }
    assert usual[first] is None
    assert usual[first + HOUR_MS]["weeks"] == 4
    assert to_ms(to_datetime(first)) in usual
