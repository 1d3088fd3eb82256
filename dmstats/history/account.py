"""The history of one account: the hours and days that an audit counted, and the days and months in
the archive.

Days and months are in UTC, as stored. Minutes are not known, and hours only for the two weeks that
an audit counts, too few for an expected range by weekday and hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import Protocol

from dmstats.core.clock import (
    day_start,
    hour_start,
    month_of,
    month_start,
    next_month_start,
    rfc3339,
    to_datetime,
    to_ms,
)
from dmstats.core.errors import BadRequest
from dmstats.core.time_zones import UTC, zone
from dmstats.db.audit.activity_store import Activity
from dmstats.history.calendar import DAY, HOUR, MINUTE, MONTH, WEEK, Calendar
from dmstats.history.comparison import NONE, Interval
from dmstats.history.cover import Counts, RangeCounts, required_buckets
from dmstats.history.ranges import RANGES, Range, between, named, unit_of
from dmstats.history.series import History, Plan, Weeks, history

ACCOUNT_RANGES = tuple(name for name in RANGES if name != "hour")
ACCOUNT_UNITS = (HOUR, DAY, WEEK, MONTH)
ACCOUNT_BAND_UNIT = DAY


class Past(Protocol):
    """The archived days and months of accounts."""

    def first_ms(self) -> int | None:
        """The first day that was kept."""

    def days(self, account: str, months: Iterable[str]) -> Mapping[int, Counts]:
        """By the start of the day (ms)."""

    def months(self, account: str) -> Mapping[str, Counts]:
        """By month ("YYYY-MM")."""


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """As a :class:`~dmstats.history.service.HistoryRequest`, for ``account``."""

    account: str
    week_start: str
    name: str | None = None
    from_text: str | None = None
    to_text: str | None = None
    unit: str | None = None
    kind: str = NONE
    band: bool = False


@dataclass(frozen=True, slots=True)
class AccountCounts(RangeCounts):
    """Counts of one account; a whole month before ``days_from`` is read from ``months``."""

    months: Mapping[str, Counts] = field(default_factory=dict)
    days_from: int = 0
    since_ms: int = 0

    def of(self, interval: Interval) -> Counts:
        """The DMs of ``interval``."""
        if interval[0] < self.days_from and is_month(interval, self.since_ms):
            return self.months.get(month_of(interval[0]), (0, 0))
        return RangeCounts.of(self, interval)


def account_history(
    request: AccountRequest, activity: Activity, past: Past, *, days_kept: int
) -> History:
    """The account's history as of ``activity``; ``days_kept`` is the setting.

    With a comparison, a range that is not over ends with its last full hour or day. Raises
    :class:`BadRequest` for hours or days that are no longer kept.
    """
    at_ms, archived_ms = activity.at_ms, past.first_ms()
    since = activity.since_ms if archived_ms is None else archived_ms
    days_from = min(day_start(activity.since_ms), _first_kept(at_ms, days_kept))
    calendar = Calendar(zone(UTC), request.week_start)
    chosen, unit = _resolved(request, calendar, at_ms, since)
    band = request.band and unit == ACCOUNT_BAND_UNIT
    plan = Plan.make(chosen, unit, request.kind, calendar, band=band)
    _check(plan, activity, since, days_from)
    start = min(start for start, _ in plan.intervals())
    days = past.days(request.account, _months(max(start, days_from), chosen.to_ms, calendar))
    running = hour_start(at_ms)
    counted = AccountCounts(
        days={**days, **activity.days},
        hours=activity.hours,
        minutes={running: activity.hours.get(running, (0, 0))},
        months=past.months(request.account) if band or start < days_from else {},
        days_from=days_from,
        since_ms=since,
    )
    known = max(since, days_from) if unit in (DAY, WEEK) else since
    first = _first_dm(counted, max(start, days_from))
    plan = replace(plan, weeks=_weeks_after(plan.weeks, first))
    return history(plan, counted, since_ms=known, now_ms=at_ms)


def is_month(interval: Interval, since_ms: int = 0) -> bool:
    """Whether it has all that was counted in a month of UTC, by ``since_ms``."""
    start, end = map(to_datetime, interval)
    whole = start == month_start(start) or interval[0] <= since_ms
    return whole and end == next_month_start(start)


def _first_dm(counted: AccountCounts, read_ms: int) -> float:
    """The first day with DMs, or 0 if there were some before the days that were read, which begin
    with the month of ``read_ms``."""
    read = month_of(read_ms)
    if any(month < read and any(counts) for month, counts in counted.months.items()):
        return 0
    return min((at for at, counts in counted.days.items() if any(counts)), default=inf)


def _weeks_after(weeks: Weeks | None, first_ms: float) -> Weeks | None:
    """The buckets that began after ``first_ms``: nothing is usual before an account existed."""
    return weeks and [[week for week in before if week[0] > first_ms] for before in weeks]


def _resolved(
    request: AccountRequest, calendar: Calendar, at_ms: int, since: int
) -> tuple[Range, str]:
    if request.from_text is None and request.to_text is None:
        chosen = named(request.name or ACCOUNT_RANGES[0], calendar, at_ms, since)
    else:
        chosen = between(request.from_text, request.to_text, calendar, at_ms)
    unit = unit_of(request.unit, chosen, calendar)
    unit = HOUR if unit == MINUTE else unit
    if chosen.is_open and request.kind != NONE:
        end = hour_start(at_ms) if unit == HOUR else day_start(at_ms)
        if end <= chosen.from_ms:
            raise BadRequest(f"range: has no full {HOUR if unit == HOUR else DAY} to compare yet.")
        chosen = replace(chosen, to_ms=end, is_open=False)
    return chosen, unit


def _check(plan: Plan, activity: Activity, since: int, days_from: int) -> None:
    """Refuse a range whose hours or days were counted but are no longer kept."""
    required = required_buckets(plan.intervals(), since)
    if required.minutes - {hour_start(activity.at_ms)}:
        raise BadRequest("from, to: must be full hours for an account.")
    hours_from = min(activity.hours)
    if any(hour < hours_from for hour in required.hours):
        raise BadRequest(
            f"unit: this account's hours are kept since {rfc3339(hours_from)}; choose a longer "
            f"unit, and dates without times."
        )
    if plan.unit == MONTH:
        parts = (
            each for each in plan.intervals() if each[0] < days_from and not is_month(each, since)
        )
        if any(end > since for _, end in parts):
            raise BadRequest(
                f"from: days are kept since {rfc3339(days_from)}; choose whole months before."
            )


def _first_kept(at_ms: int, days_kept: int) -> int:
    """The start of the oldest month whose days have not expired."""
    oldest = to_datetime(at_ms) - timedelta(days=days_kept)
    return to_ms(month_start(oldest)) if days_kept else at_ms


def _months(from_ms: int, to_ms_: int, calendar: Calendar) -> Iterator[str]:
    at = calendar.start(MONTH, from_ms)
    while at < to_ms_:
        yield month_of(at)
        at = calendar.after(MONTH, at)
