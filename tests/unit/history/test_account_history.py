"""An account's history against a recount of its days and hours."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Any

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, to_datetime, to_ms
from dmstats.core.errors import BadRequest
from dmstats.db.audit.activity_store import Activity, Counts
from dmstats.history.account import (
    ACCOUNT_RANGES,
    ACCOUNT_UNITS,
    AccountRequest,
    account_history,
    is_month,
)
from dmstats.history.band import expected
from dmstats.history.calendar import DAY, HOUR, MONTH, WEEK
from dmstats.history.comparison import KINDS, NONE

NOW = to_ms(datetime(2026, 11, 15, 12, 34, 56, tzinfo=UTC))
TODAY = day_start(NOW)
FIRST = to_ms(datetime(2023, 5, 10, tzinfo=UTC))
WINDOW = TODAY - 8 * DAY_MS
KEPT = 731


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def made_up() -> dict[int, Counts]:
    """DMs by hour, since the account was first counted."""
    chance = random.Random(19)
    hours = range(FIRST, hour_start(NOW) + 1, HOUR_MS)
    return {at: (chance.randrange(9), chance.randrange(5)) for at in hours if chance.random() < 0.3}


HOURS = made_up()


MOMENTS = sorted(HOURS)
SENT = [0, *accumulate(HOURS[at][0] for at in MOMENTS)]
RECEIVED = [0, *accumulate(HOURS[at][1] for at in MOMENTS)]


def total(start: int, end: int) -> Counts:
    first, last = bisect_left(MOMENTS, start), bisect_left(MOMENTS, max(start, end))
    return SENT[last] - SENT[first], RECEIVED[last] - RECEIVED[first]


@cache
def archived_months() -> Mapping[str, Counts]:
    found: dict[str, Counts] = {}
    for at, (sent, received) in HOURS.items():
        if at < WINDOW:
            month = f"{to_datetime(at):%Y-%m}"
            before = found.get(month, (0, 0))
            found[month] = (before[0] + sent, before[1] + received)
    return found


class FakePast:
    """The archive has what is older than the window; days expire by the month."""

    def first_ms(self) -> int | None:
        return FIRST

    def days(self, account: str, months: Iterable[str]) -> Mapping[int, Counts]:
        assert account == "a"
        found = {}
        for month in months:
            assert to_datetime(NOW) - timedelta(days=KEPT + 31) < datetime.fromisoformat(
                f"{month}-01T00:00:00+00:00"
            )
            start = ms(f"{month}-01")
            for day in range(start, start + 31 * DAY_MS, DAY_MS):
                if f"{to_datetime(day):%Y-%m}" == month and day < WINDOW:
                    found[day] = total(day, day + DAY_MS)
        return found

    def months(self, account: str) -> Mapping[str, Counts]:
        return archived_months()


ACTIVITY = Activity(
    NOW,
    WINDOW,
    {at: HOURS.get(at, (0, 0)) for at in range(WINDOW, hour_start(NOW) + 1, HOUR_MS)},
    {day: total(day, day + DAY_MS) for day in range(WINDOW, TODAY + 1, DAY_MS)},
)


def asked(**request: Any) -> dict[str, Any]:
    return account_history(
        AccountRequest("a", "monday", **request), ACTIVITY, FakePast(), days_kept=KEPT
    )


def recounted(points: Iterable[dict[str, Any] | None], end: str, since: str) -> int:
    """Compares each point with the hours until the next; the number that was compared."""
    compared, stop = 0, ms(end[:-1])
    for point in reversed([*points]):
        if point is None:
            continue
        start = ms(point["at"][:-1])
        if start >= ms(since[:-1]):
            assert (point["sent"], point["received"]) == total(start, stop)
            compared += 1
        stop = start
    return compared


def test_it_works() -> None:
    found = asked(name="30d")
    assert (found["unit"], found["tz"], len(found["points"])) == (DAY, "UTC", 30)
    assert found["points"][-1]["partial"] is True
    assert found["computedAt"] == "2026-11-15T12:34:56.000Z"
    assert recounted(found["points"], found["range"]["to"], found["since"]) == 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ACCOUNT_RANGES)
def test_every_range_unit_and_comparison(name: str, kind: str) -> None:
    done, refusals = 0, []
    for unit in (None, *ACCOUNT_UNITS):
        try:
            found = asked(name=name, unit=unit, kind=kind)
        except BadRequest as refused:
            # Hours are known for a week, and there may be too many, or no full day yet.
            refusals.append((unit, str(refused)))
            continue
        since = found["since"]
        done += recounted(found["points"], found["range"]["to"], since)
        if kind != NONE:
            assert found["range"]["open"] is False
            earlier = found["comparison"]
            rest = {ms(each["at"][:-1]) for each in earlier["unmatched"]}
            if not rest and None not in earlier["points"]:
                recounted(earlier["points"], earlier["to"], since)
    assert done > 0 or (name in ("today", "24h") and kind == "year")
    short = name in ("today", "yesterday", "24h") and kind != NONE
    assert all(unit == HOUR or short or "at most 750" in why for unit, why in refusals)


def test_with_a_comparison_it_ends_with_the_last_full_day_or_hour() -> None:
    assert asked(name="7d", kind="previous")["range"]["to"] == "2026-11-15T00:00:00.000Z"
    today = asked(name="today", kind="previous")
    assert (today["unit"], today["range"]["to"]) == (HOUR, "2026-11-15T12:00:00.000Z")
    with pytest.raises(BadRequest, match="no full day"):
        asked(name="today", unit=DAY, kind="previous")


def test_what_is_usual_is_of_the_same_weekday_of_the_weeks_before() -> None:
    """Against a recount; days are known from 1 November 2024 on."""
    known = ms("2024-11-01")
    lengths = set()
    for first, last in (("2024-11-01", "2025-02-15"), ("2026-10-20", "2026-11-15")):
        found = asked(from_text=first, to_text=last, unit=DAY, band=True)
        for point, usual in zip(found["points"], found["band"]["points"], strict=True):
            day = ms(point["at"][:-1])
            before = [day - week * 7 * DAY_MS for week in range(1, 9)]
            values = [total(at, at + DAY_MS)[0] for at in before if at > known]
            if len(values) < 4 or day == TODAY:
                assert usual is None
                continue
            lengths.add(len(values))
            wanted = expected(values)
            assert usual["weeks"] == len(values)
            assert usual["sent"] == {
                "median": wanted.middle, "low": wanted.low, "high": wanted.high,
                "outside": wanted.outside(point["sent"]),
            }  # fmt: skip
    assert lengths == {4, 5, 6, 7, 8}


@pytest.mark.parametrize("unit", [HOUR, WEEK, MONTH])
def test_by_another_unit_nothing_is_known_to_be_usual(unit: str) -> None:
    assert asked(name="7d" if unit == HOUR else "90d", unit=unit, band=True)["band"] is None


@pytest.mark.parametrize(
    ("first", "months", "weeks"),
    [
        (None, {}, []),
        ("2026-11-02", {}, []),
        ("2026-10-01", {}, [4] * 4 + [5] * 7 + [6] * 2),
        # Quiet for months, but it was there: of these weeks zero is usual.
        ("2026-11-02", {"2026-03": (7, 0)}, [8] * 13),
    ],
)
def test_weeks_before_an_account_had_its_first_dm_are_no_weeks(
    first: str | None, months: Mapping[str, Counts], weeks: list[int]
) -> None:
    class Young(FakePast):
        def days(self, account: str, months: Iterable[str]) -> Mapping[int, Counts]:
            return {ms(first): (3, 0)} if first else {}

        def months(self, account: str) -> Mapping[str, Counts]:
            return months

    request = AccountRequest("a", "monday", None, "2026-11-02", "2026-11-15", unit=DAY, band=True)
    idle = Activity(NOW, WINDOW, dict.fromkeys(ACTIVITY.hours, (0, 0)), {})
    found = account_history(request, idle, Young(), days_kept=KEPT)
    assert [usual["weeks"] for usual in found["band"]["points"] if usual] == weeks


def test_months_are_known_longer_than_days() -> None:
    months = asked(name="all", unit=MONTH)
    assert months["since"] == "2023-05-10T00:00:00.000Z"
    assert recounted(months["points"], months["range"]["to"], months["since"]) == 43
    weeks = asked(name="all", unit=WEEK)
    assert weeks["since"] == "2024-11-01T00:00:00.000Z"
    with pytest.raises(BadRequest, match="whole months"):
        asked(from_text="2023-06-15", to_text="2024-06-30", unit=MONTH)
    assert (
        asked(from_text="2023-06-01", to_text="2024-06-30", unit=MONTH)["totals"]["sent"]
        == (total(ms("2023-06-01"), ms("2024-07-01"))[0])
    )


def test_hours_and_minutes_that_are_not_known_are_refused() -> None:
    with pytest.raises(BadRequest, match="hours are kept since 2026-11-07"):
        asked(from_text="2026-11-01", to_text="2026-11-10", unit=HOUR)
    with pytest.raises(BadRequest, match="full hours"):
        asked(from_text="2026-11-14T10:30:00Z", to_text="2026-11-14T20:00:00Z")
    found = asked(from_text="2026-11-14T10:00:00Z", to_text="2026-11-14T12:00:00Z")
    assert found["unit"] == HOUR


def test_before_anything_was_archived_the_ledger_is_all_there_is() -> None:
    class Empty(FakePast):
        def first_ms(self) -> int | None:
            return None

        def days(self, account: str, months: Iterable[str]) -> Mapping[int, Counts]:
            return {}

    found = account_history(
        AccountRequest("a", "monday", "all", unit=DAY), ACTIVITY, Empty(), days_kept=0
    )
    assert found["since"] == "2026-11-07T00:00:00.000Z"
    assert len(found["points"]) == 9


def test_a_whole_month() -> None:
    assert is_month((ms("2024-02-01"), ms("2024-03-01")))
    assert not is_month((ms("2024-02-01"), ms("2024-02-29")))
    assert not is_month((ms("2024-02-01"), ms("2024-04-01")))
    assert not is_month((ms("2024-02-10"), ms("2024-03-01")))
    assert is_month((ms("2024-02-10"), ms("2024-03-01")), ms("2024-02-10"))
