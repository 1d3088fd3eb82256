"""Resolves the requested range and unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dmstats.core.clock import DAY_MS, HOUR_MS, to_ms
from dmstats.core.errors import BadRequest
from dmstats.history.calendar import (
    DAY,
    HOUR,
    MAX_MS,
    MINUTE,
    MINUTE_MS,
    MONTH,
    UNITS,
    WEEK,
    Calendar,
)

MAX_POINTS = 750
DEFAULT = "30d"
DEFAULT_DAYS = 30
LAST_DAYS = {"7d": 7, "30d": 30, "90d": 90}
RANGES = ("hour", "24h", "today", "yesterday", *LAST_DAYS, "month", "last-month", "12m", "all")
"""Named ranges; all except ``yesterday`` and ``last-month`` end now."""

FIRST_YEAR, LAST_YEAR = 2000, 2099
MOMENT = (
    "a date such as 2026-11-30, or a time as in RFC 3339 such as 2026-11-30T18:00:00Z, "
    f"of the years {FIRST_YEAR} to {LAST_YEAR}"
)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)

UP_TO = (
    (3 * HOUR_MS, MINUTE), (3 * DAY_MS + 2 * HOUR_MS, HOUR), (100 * DAY_MS, DAY),
    (400 * DAY_MS, WEEK),
)  # fmt: skip
"""The default unit for ranges up to each length; longer ones have months."""


@dataclass(frozen=True, slots=True)
class Step:
    """The distance to the previous period: calendar months, otherwise days, otherwise ms."""

    months: int = 0
    days: int = 0
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """From ``from_ms`` (inclusive) to ``to_ms`` (exclusive), in whole minutes. If ``is_open``, it
    ends with the current minute and still grows. ``name`` is the requested one of :data:`RANGES`.
    """

    from_ms: int
    to_ms: int
    is_open: bool
    step: Step
    name: str | None = None


def named(name: str, calendar: Calendar, now_ms: int, since_ms: int | None) -> Range:
    """The range with that name; ``since_ms`` is when counting began, for ``all``."""
    end = _now_end(now_ms)
    today = calendar.start(DAY, now_ms)
    if name == "hour":
        return Range(end - HOUR_MS, end, is_open=True, step=Step(ms=HOUR_MS), name=name)
    if name == "24h":
        start = calendar.start(HOUR, calendar.start(HOUR, now_ms) - 23 * HOUR_MS)
        return Range(start, end, is_open=True, step=Step(ms=24 * HOUR_MS), name=name)
    if name == "yesterday":
        start = calendar.start(DAY, today - 1)
        return Range(start, today, is_open=False, step=Step(days=1), name=name)
    if name == "last-month":
        end = calendar.start(MONTH, now_ms)
        start = calendar.start(MONTH, end - 1)
        return Range(start, end, is_open=False, step=Step(months=1), name=name)
    months = {"month": 1, "12m": 12}.get(name)
    if months:
        start = calendar.add_months(calendar.start(MONTH, now_ms), 1 - months)
        return Range(start, end, is_open=True, step=Step(months=months), name=name)
    if name == "all":
        start = today if since_ms is None else min(today, calendar.start(DAY, since_ms))
    else:
        start = calendar.add_days(today, 1 - LAST_DAYS.get(name, 1))
    step = Step(days=_days(start, end, calendar))
    return Range(start, end, is_open=True, step=step, name=name)


def between(from_text: str | None, to_text: str | None, calendar: Calendar, now_ms: int) -> Range:
    """The range between two strings, each a time, or a date in the calendar's zone.

    If ``to`` is a date, that day is included; without ``to``, or if it is in the future, the range
    ends now. Without ``from`` it starts 30 days before its end. Raises :class:`BadRequest`.
    """
    end = now_end = _now_end(now_ms)
    if to_text is not None:
        end = min(now_end, _minute_up(moment("to", to_text, calendar, is_end=True)))
    if from_text is None:
        day = calendar.start(DAY, end - 1)
        start = calendar.add_days(day, 1 - DEFAULT_DAYS)
    else:
        first = moment("from", from_text, calendar, is_end=False)
        start = first - first % MINUTE_MS
    if start >= now_end:
        raise BadRequest("from: must not be in the future.")
    if start >= end:
        raise BadRequest("to: must be after from.")
    step = _step(start, end, calendar, is_open=end == now_end)
    return Range(start, end, is_open=end == now_end, step=step)


def unit_of(asked: str | None, chosen: Range, calendar: Calendar) -> str:
    """The requested unit, or the default for the range's length. Raises :class:`BadRequest` if
    there would be more than :data:`MAX_POINTS` points."""
    length = chosen.to_ms - chosen.from_ms
    unit = asked or next((unit for most, unit in UP_TO if length <= most), MONTH)
    if fits(unit, chosen, calendar):
        return unit
    others = [other for other in UNITS if fits(other, chosen, calendar)]
    number = length // MAX_MS[unit] + 1
    raise BadRequest(
        f"unit: {unit} gives {number} points or more in this range, and at most {MAX_POINTS} are "
        f"allowed; choose {' or '.join(others) or 'a shorter range'}."
    )


def fits(unit: str, chosen: Range, calendar: Calendar) -> bool:
    """Whether the range has at most :data:`MAX_POINTS` buckets of ``unit``."""
    length = chosen.to_ms - chosen.from_ms
    if length // MAX_MS[unit] > MAX_POINTS:
        return False
    # The length usually decides: a day has at least 22 hours. The margin of 10 covers partial
    # buckets at both ends and hours that are split by a clock change.
    usual = {MINUTE: MINUTE_MS, HOUR: HOUR_MS}.get(unit, 22 * HOUR_MS)
    if length // usual + 10 <= MAX_POINTS:
        return True
    return len(calendar.edges(unit, chosen.from_ms, chosen.to_ms)) - 1 <= MAX_POINTS


def _step(start: int, end: int, calendar: Calendar, *, is_open: bool) -> Step:
    """Whole months are shifted by months, whole days by days, other ranges by their length."""
    first = calendar.date_of(start)
    if not is_open and all(calendar.start(MONTH, at) == at for at in (start, end)):
        last = calendar.date_of(end)
        return Step(months=(last.year - first.year) * 12 + last.month - first.month)
    if calendar.start(DAY, start) == start and (is_open or calendar.start(DAY, end) == end):
        return Step(days=_days(start, end, calendar))
    return Step(ms=end - start)


def _days(start: int, end: int, calendar: Calendar) -> int:
    """The number of local days that the range overlaps."""
    return (calendar.date_of(end - 1) - calendar.date_of(start)).days + 1


def moment(name: str, text: str, calendar: Calendar, *, is_end: bool) -> int:
    """Parse ``text`` (:data:`MOMENT`) into ms; for a date, its start or end. Raises
    :class:`BadRequest` that mentions ``name``."""
    if not _MOMENT.fullmatch(text):
        raise BadRequest(_not_a_moment(name, text))
    try:
        if len(text) == len("2026-11-30"):
            day = date.fromisoformat(text)
            ms = calendar.midnight(day + timedelta(days=1) if is_end else day)
        else:
            day = datetime.fromisoformat(text.upper()).date()
            ms = to_ms(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise BadRequest(_not_a_moment(name, text)) from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise BadRequest(_not_a_moment(name, text))
    return ms


def _not_a_moment(name: str, text: str) -> str:
    # In a query string, a plus sign means a space.
    hint = "; write the + of an offset as %2B" if re.search(r"\d \d\d:\d\d$", text) else ""
    return f"{name}: must be {MOMENT}{hint}."


def _now_end(now_ms: int) -> int:
    """The end of the current minute."""
    return now_ms - now_ms % MINUTE_MS + MINUTE_MS


def _minute_up(ms: int) -> int:
    """``ms`` rounded up to a full minute."""
    return -(-ms // MINUTE_MS) * MINUTE_MS
