"""What was asked for, resolved: from when to when, in which unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dmstats.core.clock import DAY_MS, HOUR_MS, to_ms
from dmstats.core.errors import BadRequest
from dmstats.history.calendar import (
    DAY,
    HOUR,
    LONGEST_MS,
    MINUTE,
    MINUTE_MS,
    MONTH,
    UNITS,
    WEEK,
    Calendar,
)

MOST_POINTS = 750
DEFAULT = "30d"
DEFAULT_DAYS = 30
LAST_DAYS = {"7d": 7, "30d": 30, "90d": 90}
RANGES = ("hour", "24h", "today", "yesterday", *LAST_DAYS, "month", "last-month", "12m", "all")
"""Names for what is asked for most; all but ``yesterday`` and ``last-month`` end now."""

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
"""The unit of a range up to that length, where none is asked for; a longer one has months."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far back the period before a range lies: calendar months, else days, else ms."""

    months: int = 0
    days: int = 0
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """From ``from_ms`` up to, but not with, ``to_ms``: whole minutes. An ``is_open`` one ends with
    the running minute, and goes on. ``name`` is one of :data:`RANGES` if it was asked for by name.
    """

    from_ms: int
    to_ms: int
    is_open: bool
    step: Step
    name: str | None = None


def named(name: str, calendar: Calendar, now_ms: int, since_ms: int | None) -> Range:
    """The range of that name; ``since_ms`` is when counting began, for ``all``."""
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
    """The range between two texts, each a time, or a date of the calendar's zone.

    A ``to`` that is a date is part of the range; without one, and where it is later than now, the
    range ends now. Without ``from`` it begins 30 days before its end. Raises :class:`BadRequest`.
    """
    end = now_end = _now_end(now_ms)
    if to_text is not None:
        end = min(now_end, _minute_up(_moment("to", to_text, calendar, is_end=True)))
    if from_text is None:
        day = calendar.start(DAY, end - 1)
        start = calendar.add_days(day, 1 - DEFAULT_DAYS)
    else:
        moment = _moment("from", from_text, calendar, is_end=False)
        start = moment - moment % MINUTE_MS
    if start >= now_end:
        raise BadRequest("from: lies ahead; the last that can be asked for is now.")
    if start >= end:
        raise BadRequest("to: must be after from.")
    step = _step(start, end, calendar, is_open=end == now_end)
    return Range(start, end, is_open=end == now_end, step=step)


def unit_of(asked: str | None, chosen: Range, calendar: Calendar) -> str:
    """The unit asked for, or the one that suits the length; raises :class:`BadRequest` if that
    would be more than :data:`MOST_POINTS` points."""
    length = chosen.to_ms - chosen.from_ms
    unit = asked or next((unit for most, unit in UP_TO if length <= most), MONTH)
    if fits(unit, chosen, calendar):
        return unit
    others = [other for other in UNITS if fits(other, chosen, calendar)]
    number = length // LONGEST_MS[unit] + 1
    raise BadRequest(
        f"unit: {unit} gives {number} points or more in this range, and at most {MOST_POINTS} are "
        f"allowed; choose {' or '.join(others) or 'a shorter range'}."
    )


def fits(unit: str, chosen: Range, calendar: Calendar) -> bool:
    """Whether the range has at most :data:`MOST_POINTS` buckets of ``unit``."""
    length = chosen.to_ms - chosen.from_ms
    if length // LONGEST_MS[unit] > MOST_POINTS:
        return False
    # Nearly all are told by the length: a day has 22 hours at least. Cut buckets at the ends and
    # hours in which clocks are changed are a few more.
    usual = {MINUTE: MINUTE_MS, HOUR: HOUR_MS}.get(unit, 22 * HOUR_MS)
    if length // usual + 10 <= MOST_POINTS:
        return True
    return len(calendar.edges(unit, chosen.from_ms, chosen.to_ms)) - 1 <= MOST_POINTS


def _step(start: int, end: int, calendar: Calendar, *, is_open: bool) -> Step:
    """Whole months are compared with whole months, whole days with days, the rest by its length."""
    first = calendar.date_of(start)
    if not is_open and all(calendar.start(MONTH, at) == at for at in (start, end)):
        last = calendar.date_of(end)
        return Step(months=(last.year - first.year) * 12 + last.month - first.month)
    if calendar.start(DAY, start) == start and (is_open or calendar.start(DAY, end) == end):
        return Step(days=_days(start, end, calendar))
    return Step(ms=end - start)


def _days(start: int, end: int, calendar: Calendar) -> int:
    """How many of the zone's days the range touches."""
    return (calendar.date_of(end - 1) - calendar.date_of(start)).days + 1


def _moment(name: str, text: str, calendar: Calendar, *, is_end: bool) -> int:
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
    # In a query string, a plus sign is a space.
    hint = "; write the + of an offset as %2B" if re.search(r"\d \d\d:\d\d$", text) else ""
    return f"{name}: must be {MOMENT}{hint}."


def _now_end(now_ms: int) -> int:
    """The end of the running minute."""
    return now_ms - now_ms % MINUTE_MS + MINUTE_MS


def _minute_up(ms: int) -> int:
    """The end of the minute that holds ``ms``, or ``ms`` where a minute begins just then."""
    return -(-ms // MINUTE_MS) * MINUTE_MS
