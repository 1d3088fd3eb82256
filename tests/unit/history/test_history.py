"""Every range, unit, zone and comparison of a history against a recount of single minutes."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import groupby, pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, to_datetime, to_ms
from dmstats.core.errors import BadRequest
from dmstats.history.calendar import MINUTE_MS, UNITS, Calendar
from dmstats.history.comparison import KINDS, NONE
from dmstats.history.cover import Counts, RangeCounts, required_buckets, split
from dmstats.history.ranges import MAX_POINTS, RANGES, Range, between, fits, named, unit_of
from dmstats.history.series import Plan, history

ZONES = (
    "UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe",
    "Pacific/Chatham",
)  # fmt: skip
SINCE, END = "2027-01-03T05:17", "2028-12-31T23:59"
NOW = "2028-11-05T12:34:56"
"""On a day on which clocks change in Los Angeles."""

# An hour that is cut by a change of the clocks is two: its label has the offset.
Label = tuple[Any, ...]


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def made_up() -> dict[int, Counts]:
    """DMs by minute: some weeks dense around the changes of clocks, days and weeks without any."""
    chance = random.Random(7)
    found: dict[int, Counts] = {}
    at = ms(SINCE)
    changes = [ms(day) for day in (
        "2028-03-12", "2028-03-26", "2028-04-02", "2028-09-24", "2028-10-01", "2028-10-29",
        "2028-11-05", "2028-02-29", "2027-10-31", "2027-11-07", "2028-12-31",
    )]  # fmt: skip
    while at < ms(END):
        near = any(abs(at - change) < 1.5 * DAY_MS for change in changes)
        if at // (9 * DAY_MS) % 4 != 0 or near:  # a gap of nine days in every 36
            found[at - at % MINUTE_MS] = (chance.randrange(5), chance.randrange(5))
        at += chance.randrange(7 if near else 600) * MINUTE_MS + MINUTE_MS
    return found


MINUTES = made_up()
MOMENTS = sorted(MINUTES)
SINCE_MS = hour_start(MOMENTS[0])


def sums(step: int) -> dict[int, Counts]:
    found: dict[int, Counts] = {}
    for at, (sent, received) in MINUTES.items():
        before = found.get(at - at % step, (0, 0))
        found[at - at % step] = (before[0] + sent, before[1] + received)
    return found


BERLIN = Calendar(ZoneInfo("Europe/Berlin"))
DAYS, HOURS = sums(DAY_MS), sums(HOUR_MS)
MINUTES_OF = {
    hour: {moment: MINUTES[moment] for moment in moments}
    for hour, moments in groupby(MOMENTS, hour_start)
}


def stored(plan: Plan) -> RangeCounts:
    """What the store would give: just the documents that were asked for."""
    over_ms = day_start(ms(NOW))
    asked = required_buckets(plan.intervals(), SINCE_MS, over_ms)
    return RangeCounts(
        {at: DAYS[at] for at in asked.days if at in DAYS},
        {at: HOURS[at] for at in asked.hours if at in HOURS},
        {at: counts for hour in asked.minutes for at, counts in MINUTES_OF.get(hour, {}).items()},
        over_ms,
    )  # fmt: skip


@cache
def walls(zone: str) -> list[datetime]:
    """What the clocks said at each moment that has DMs."""
    return [to_datetime(at).astimezone(ZoneInfo(zone)) for at in MOMENTS]


@cache
def labels_of(unit: str, zone: str) -> list[Label]:
    """The label of each moment where it is."""
    return [label(unit, wall) for wall in walls(zone)]


def label(unit: str, wall: datetime) -> Label:
    if unit not in ("hour", "minute"):
        return label_of_day(unit, wall.date())
    return (
        wall.date(), wall.hour, *([wall.minute] if unit == "minute" else []), wall.utcoffset(),
    )  # fmt: skip


@cache
def label_of_day(unit: str, day: date) -> Label:
    if unit == "month":
        return (day.year, day.month)
    return (day - timedelta(days=day.weekday()) if unit == "week" else day,)


class Move(NamedTuple):
    """How far a comparison is moved forward: by local dates, or by a span of time."""

    days: int = 0
    months: int = 0
    span: timedelta | None = None


class Places(dict[int, Label | None]):
    """The label of each moment (by its index in ``MOMENTS``) where a move shows it, if at all. Each
    is computed once, for all ranges that are moved alike."""

    def __init__(self, unit: str, zone: str, move: Move) -> None:
        self._unit, self._move, self._zone = unit, move, ZoneInfo(zone)
        self._walls = walls(zone)

    def __missing__(self, i: int) -> Label | None:
        place = self[i] = self._of(self._walls[i])
        return place

    def _of(self, wall: datetime) -> Label | None:
        """Its date moved forward, at the same time of day.

        A date that is not there has no place, or in a week or a month that of the month's last. Nor
        has a time of day that is not there, in an hour or a minute.
        """
        unit, move = self._unit, self._move
        if move.span is not None:
            return label(unit, (wall.astimezone(UTC) + move.span).astimezone(self._zone))
        there = moved_day(wall.date(), move, unit in ("week", "month"))
        if there is None:
            return None
        if unit not in ("hour", "minute"):
            return label_of_day(unit, there)
        moved = wall.replace(year=there.year, month=there.month, day=there.day)
        real = moved.astimezone(UTC).astimezone(self._zone)
        same = real.replace(tzinfo=None, fold=0) == moved.replace(tzinfo=None, fold=0)
        if not same:  # clocks skip it there
            return None
        return label(unit, moved) if real.fold == wall.fold else None


@cache
def moved_day(day: date, move: Move, to_the_last: bool) -> date | None:
    """``day`` moved forward; for one that its month does not have, its last day or None."""
    day += timedelta(days=move.days)
    number = day.year * 12 + day.month - 1 + move.months
    first = date(number // 12, number % 12 + 1, 1)
    there = first + timedelta(days=day.day - 1)
    if there.month == first.month:
        return there
    if not to_the_last:
        return None
    return first.replace(day=28) if first.month == 2 else first.replace(day=30)


places_of = cache(Places)


def recount(
    unit: str, zone: str, start: int, end: int, move: Move | None = None
) -> dict[Label | None, Counts]:
    """The DMs of each bucket, minute by minute; ``move`` says where a minute is shown, if at all.
    Without it, each is shown where it is."""
    found: dict[Label | None, Counts] = {}
    places = labels_of(unit, zone) if move is None else places_of(unit, zone, move)
    for i in range(bisect_left(MOMENTS, start), bisect_left(MOMENTS, end)):
        place = places[i]
        before, counts = found.get(place, (0, 0)), MINUTES[MOMENTS[i]]
        found[place] = (before[0] + counts[0], before[1] + counts[1])
    return found


def total(counts: Iterable[Counts]) -> dict[str, int]:
    pairs = list(counts)
    return {"sent": sum(sent for sent, _ in pairs), "received": sum(got for _, got in pairs)}


def at(point: dict[str, Any]) -> int:
    return to_ms(datetime.fromisoformat(point["at"]))


def pair(point: dict[str, Any] | None) -> Counts | None:
    return None if point is None else (point["sent"], point["received"])


EXPLICIT = [
    ("2028-03-26", "2028-03-26"), ("2028-10-29", "2028-10-29"), ("2028-11-05", "2028-11-05"),
    ("2028-10-01", "2028-10-01"), ("2028-04-02", "2028-04-02"), ("2028-09-24", "2028-09-24"),
    ("2028-02-29", "2028-02-29"), ("2028-02-01", "2028-02-29"), ("2028-03-01", "2028-03-31"),
    ("2028-01-01", "2028-10-31"), ("2027-01-01", "2027-12-31"), ("2028-10-25", "2028-11-03"),
    ("2028-10-29T00:17:00Z", "2028-10-29T03:00:00Z"),
    ("2028-03-25T22:30:00+05:30", "2028-03-28T09:41:00-07:00"),
    ("2028-02-28T13:05:00Z", "2028-03-02T07:59:00Z"),
]  # fmt: skip


def chosen_ranges(calendar: Calendar) -> Iterable[Range]:
    for name in RANGES:
        yield named(name, calendar, ms(NOW), SINCE_MS)
    for first, last in EXPLICIT:
        yield between(first, last, calendar, ms(NOW))


@pytest.mark.parametrize("zone", ZONES)
def test_every_range_unit_and_comparison_is_what_a_recount_finds(zone: str) -> None:
    calendar, tried = Calendar(ZoneInfo(zone)), 0
    for chosen in chosen_ranges(calendar):
        for unit in UNITS:
            if not fits(unit, chosen, calendar):
                continue
            expected = recount(unit, zone, chosen.from_ms, chosen.to_ms)
            for kind in KINDS:
                plan = Plan.make(chosen, unit, kind, calendar)
                found = history(plan, stored(plan), since_ms=SINCE_MS, now_ms=ms(NOW))
                where = (zone, chosen, unit, kind)
                moments = [at(point) for point in found["points"]]
                labels = [label(unit, calendar.local(moment)) for moment in moments]
                assert len(set(labels)) == len(labels) <= MAX_POINTS, where
                assert moments == sorted(moments), where
                counts = [pair(point) for point in found["points"]]
                assert counts == [expected.get(place, (0, 0)) for place in labels], where
                assert found["totals"] == total(expected.values()), where
                if kind != NONE:
                    check_comparison(plan, found, labels, zone)
                tried += 1
    assert tried > 200


def check_comparison(plan: Plan, found: dict[str, Any], labels: list[Label], zone: str) -> None:
    comparison, unit = found["comparison"], plan.unit
    where = (zone, plan.chosen, unit, plan.kind)
    start, end = (to_ms(datetime.fromisoformat(comparison[name])) for name in ("from", "to"))
    expected = recount(unit, zone, start, end, move_of(plan))
    assert comparison["totals"] == total(expected.values()), where
    assert len(comparison["points"]) == len(labels), where
    matched = {place: expected.pop(place, (0, 0)) for place in labels}
    for place, point in zip(labels, comparison["points"], strict=True):
        assert (pair(point) or (0, 0)) == matched[place], (*where, place)
    rest = total(pair(point) or (0, 0) for point in comparison["unmatched"])
    assert rest == total(expected.values()), where
    differences = {name: found["totals"][name] - comparison["totals"][name]
                   for name in ("sent", "received")}  # fmt: skip
    assert differences.items() <= found["difference"].items(), where


def move_of(plan: Plan) -> Move:
    """How far the comparison of a plan is from what it is compared with."""
    chosen, calendar = plan.chosen, plan.calendar
    if plan.kind == "year":
        return Move(months=12)
    if plan.kind == "weekdays":
        span = calendar.date_of(chosen.to_ms - 1) - calendar.date_of(chosen.from_ms)
        return Move(days=-(-(span.days + 1) // 7) * 7)
    if chosen.step.ms:
        return Move(span=timedelta(milliseconds=chosen.step.ms))
    return Move(chosen.step.days, chosen.step.months)


def test_parts_add_up_to_the_span() -> None:
    chance = random.Random(3)
    for _ in range(500):
        start = ms("2028-02-27") + chance.randrange(3000) * MINUTE_MS
        end = start + chance.choice([1, 30, 60, 90, 1440, 5000, 9000]) * MINUTE_MS
        over_ms = ms("2028-03-01") + chance.randrange(5) * DAY_MS
        parts = split((start, end), over_ms)
        covered: Counter[int] = Counter()
        for starts, step in (
            ((parts.days,), DAY_MS), (parts.hours, HOUR_MS), (parts.minutes, MINUTE_MS)
        ):  # fmt: skip
            for first in (first for some in starts for first in some):
                covered.update(range(first, first + step, MINUTE_MS))
        for first in (first for some in parts.less for first in some):
            assert day_start(first) + DAY_MS <= over_ms
            covered.subtract(range(first, first + HOUR_MS, MINUTE_MS))
        assert +covered == Counter(range(start, end, MINUTE_MS))


@pytest.mark.parametrize(
    ("zone", "most"),
    [("UTC", 13), ("Europe/Berlin", 800), ("Asia/Kolkata", 2400), ("America/Los_Angeles", 3200),
     ("Australia/Lord_Howe", 4500)],
)  # fmt: skip
def test_a_year_of_days_is_read_as_days_and_few_hours(zone: str, most: int) -> None:
    calendar = Calendar(ZoneInfo(zone))
    plan = Plan.make(named("12m", calendar, ms(NOW), SINCE_MS), "day", NONE, calendar)
    asked = required_buckets(plan.intervals(), SINCE_MS, day_start(ms(NOW)))
    assert 340 <= len(asked.days) <= 366
    assert len(asked.hours) + len(asked.minutes) <= most


def utc(text: str) -> Callable[[Range], bool]:
    start, _, end = text.partition(" ")
    return lambda chosen: (chosen.from_ms, chosen.to_ms) == (ms(start), ms(end))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hour", "2028-11-05T11:35 2028-11-05T12:35"),
        ("24h", "2028-11-04T13:00 2028-11-05T12:35"),
        ("today", "2028-11-04T23:00 2028-11-05T12:35"),
        ("yesterday", "2028-11-03T23:00 2028-11-04T23:00"),
        ("7d", "2028-10-29T23:00 2028-11-05T12:35"),
        ("30d", "2028-10-06T22:00 2028-11-05T12:35"),
        ("90d", "2028-08-07T22:00 2028-11-05T12:35"),
        ("month", "2028-10-31T23:00 2028-11-05T12:35"),
        ("last-month", "2028-09-30T22:00 2028-10-31T23:00"),
        ("12m", "2027-11-30T23:00 2028-11-05T12:35"),
        ("all", "2027-01-02T23:00 2028-11-05T12:35"),
    ],
)
def test_named_ranges(name: str, expected: str) -> None:
    chosen = named(name, BERLIN, ms(NOW), SINCE_MS)
    assert utc(expected)(chosen), (to_datetime(chosen.from_ms), to_datetime(chosen.to_ms))
    assert chosen.is_open == (name not in ("yesterday", "last-month"))


def test_all_names_have_a_range_at_any_moment() -> None:
    for now in ("2028-11-01", "2028-10-31T23:00", "2028-01-01", "2028-02-29T22:59:59.999"):
        for name in RANGES:
            for since in (None, SINCE_MS, ms(now)):
                chosen = named(name, BERLIN, ms(now), since)
                assert chosen.from_ms < chosen.to_ms <= ms(now) - ms(now) % MINUTE_MS + MINUTE_MS


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("2028-10-29", "2028-10-29"), "2028-10-28T22:00 2028-10-29T23:00"),
        (("2028-10-29", None), "2028-10-28T22:00 2028-11-05T12:35"),
        ((None, "2028-10-29"), "2028-09-29T22:00 2028-10-29T23:00"),
        ((None, None), "2028-10-06T22:00 2028-11-05T12:35"),
        (("2028-11-01", "2028-11-30"), "2028-10-31T23:00 2028-11-05T12:35"),
        (("2028-11-05T10:00:59Z", "2028-11-05T11:00:01+00:00"),
         "2028-11-05T10:00 2028-11-05T11:01"),
        (("2028-11-05t10:00z", "2028-11-05 12:00:00.001+01:00"),
         "2028-11-05T10:00 2028-11-05T11:01"),
    ],
)  # fmt: skip
def test_from_and_to(asked: tuple[str | None, str | None], expected: str) -> None:
    chosen = between(*asked, BERLIN, ms(NOW))
    assert utc(expected)(chosen), (to_datetime(chosen.from_ms), to_datetime(chosen.to_ms))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("yesterday", None), "from: must be a date such as 2026-11-30, or a time as in RFC 3339"),
        (("2028-11-31", None), "from: must be"),
        (("2028-11-01T25:00:00Z", None), "from: must be"),
        (("2028-11-01T10:00:00", None), "from: must be"),
        ((None, "2028-11-01T10:00:00 01:00"), "to: must be a date .* as %2B"),
        (("1999-12-31", None), "of the years 2000 to 2099"),
        (("9999-12-31", None), "from: must be"),
        (("2028-11-06", None), "from: must not be in the future"),
        (("2028-11-04", "2028-11-03"), "to: must be after from"),
        (("٢٠٢٨-11-01", None), "from: must be"),
    ],
)
def test_what_is_no_range_is_refused(asked: tuple[str | None, str | None], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        between(*asked, BERLIN, ms(NOW))


@pytest.mark.parametrize(
    ("name", "unit"),
    [("hour", "minute"), ("24h", "hour"), ("today", "hour"), ("yesterday", "hour"), ("7d", "day"),
     ("30d", "day"), ("90d", "day"), ("month", "day"), ("last-month", "day"), ("12m", "week"),
     ("all", "month")],
)  # fmt: skip
def test_the_unit_follows_from_the_range(name: str, unit: str) -> None:
    assert unit_of(None, named(name, BERLIN, ms("2028-11-15T12:34"), SINCE_MS), BERLIN) == unit


def test_more_points_than_allowed_are_refused_before_they_are_made() -> None:
    century = between("2000-01-01", None, BERLIN, ms("2099-11-05"))
    for unit in UNITS:
        with pytest.raises(BadRequest, match="at most 750 are allowed; choose a shorter range"):
            unit_of(unit, century, BERLIN)
    year = named("12m", BERLIN, ms(NOW), SINCE_MS)
    with pytest.raises(BadRequest, match=r"hour gives 81.. points or more .* day or week or month"):
        unit_of("hour", year, BERLIN)


def test_days_hours_and_changes_of_the_clocks() -> None:
    def lengths(zone: str, unit: str, day: str) -> list[float]:
        calendar = Calendar(ZoneInfo(zone))
        start = calendar.midnight(date.fromisoformat(day))
        edges = calendar.edges(unit, start, calendar.after("day", start))
        return [(b - a) / HOUR_MS for a, b in pairwise(edges)]

    assert lengths("Europe/Berlin", "day", "2028-03-26") == [23]
    assert lengths("Europe/Berlin", "day", "2028-10-29") == [25]
    assert lengths("Europe/Berlin", "hour", "2028-10-29") == [1] * 25
    assert lengths("Australia/Lord_Howe", "day", "2028-04-02") == [24.5]
    assert Counter(lengths("Australia/Lord_Howe", "hour", "2028-04-02")) == {1: 24, 0.5: 1}
    assert Counter(lengths("Australia/Lord_Howe", "hour", "2028-10-01")) == {1: 23, 0.5: 1}
    # Midnight is skipped, comes twice, or the whole day is.
    assert lengths("Africa/Cairo", "day", "2028-04-28") == [23]
    assert lengths("America/Havana", "day", "2028-11-05") == [25]
    apia = Calendar(ZoneInfo("Pacific/Apia"))
    days = apia.edges("day", apia.midnight(date(2011, 12, 28)), apia.midnight(date(2012, 1, 2)))
    assert [apia.date_of(day).day for day in days] == [28, 29, 31, 1, 2]


@pytest.mark.parametrize(("start", "day"), [("monday", 30), ("sunday", 5), ("saturday", 4)])
def test_weeks_begin_where_one_likes(start: str, day: int) -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"), start)
    assert calendar.local(calendar.start("week", ms(NOW))).day == day
    assert calendar.local(calendar.after("week", ms(NOW))).day == day % 30 + 7 - (day == 30)


def test_a_running_bucket_and_the_cut_ends_are_partial() -> None:
    chosen = between("2028-11-02T05:00:00Z", None, BERLIN, ms(NOW))
    plan = Plan.make(chosen, "day", NONE, BERLIN)
    found = history(plan, RangeCounts(), since_ms=None, now_ms=ms(NOW))
    assert [point.get("partial") for point in found["points"]] == [True, None, None, True]
    assert found["range"]["open"] is True
    assert (found["comparison"], found["difference"], found["since"]) == (None, None, None)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "now",
    [
        "2028-11-05T12:59:00.000",
        "2028-11-05T12:59:59.999",
        "2028-11-05T13:00:00.000",
        "2028-11-05T22:59:30",  # the last minute of a Sunday in Berlin
        "2028-12-31T22:59:30",  # and of the year
        "2028-10-29T00:59:30",  # before the repeated hour
    ],
)
def test_the_last_bucket_of_an_open_range_is_partial_up_to_its_last_minute(
    now: str, unit: str
) -> None:
    for name in RANGES:
        chosen = named(name, BERLIN, ms(now), SINCE_MS)
        if not chosen.is_open or not fits(unit, chosen, BERLIN):
            continue
        plan = Plan.make(chosen, unit, NONE, BERLIN, band=True)
        found = history(plan, RangeCounts(), since_ms=SINCE_MS, now_ms=ms(now))
        last = found["points"][-1]
        assert BERLIN.after(unit, to_ms(datetime.fromisoformat(last["at"]))) > ms(now), name
        assert last.get("partial") is True, name
        assert found["band"] is None or found["band"]["points"][-1] is None, name


def test_percents_need_something_to_compare_with() -> None:
    day = ms("2028-11-03T23:00")
    counted = RangeCounts(hours={day: (3, 2), day - DAY_MS: (2, 0)})
    chosen = named("yesterday", BERLIN, ms(NOW), SINCE_MS)
    plan = Plan.make(chosen, "hour", "previous", BERLIN)
    found = history(plan, counted, since_ms=SINCE_MS, now_ms=ms(NOW))
    assert found["difference"] == {
        "sent": 1, "received": 2, "sentPercent": 50.0, "receivedPercent": None,
    }  # fmt: skip
    new = history(plan, counted, since_ms=day - HOUR_MS, now_ms=ms(NOW))
    assert new["difference"]["sentPercent"] is None, "counting began within what is compared with"


def test_nothing_is_read_of_before_counting_began() -> None:
    asked = required_buckets([(ms("2020-01-01T07:31"), ms("2027-02-01"))], SINCE_MS)
    assert (len(asked.days), asked.hours, asked.minutes) == (29, set(), set())
    assert required_buckets([(ms("2020-01-01"), ms("2027-02-01"))], None).documents == 0
