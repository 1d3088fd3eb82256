"""Computes the earlier interval with which each bucket of a range is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from dmstats.history.calendar import DAY, HOUR, MINUTE, Calendar
from dmstats.history.ranges import Range

NONE, PREVIOUS, WEEKDAYS, YEAR = "none", "previous", "weekdays", "year"
KINDS = (NONE, PREVIOUS, WEEKDAYS, YEAR)
WEEK_DAYS = 7

Interval = tuple[int, int]
"""Start (inclusive) and end (exclusive), in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``intervals`` has the counterpart of each bucket in order, None if there is none (29
    February, the 31st, a repeated hour). ``unmatched`` has the parts of the compared range
    (``from_ms`` to ``to_ms``) that are not the counterpart of any bucket."""

    from_ms: int
    to_ms: int
    intervals: Sequence[Interval | None]
    unmatched: Sequence[Interval] = field(default=())


def compare(
    kind: str, chosen: Range, unit: str, edges: Sequence[int], calendar: Calendar
) -> Comparison | None:
    """The comparison for the range with these ``edges`` of ``unit``; None for ``none``.

    ``previous`` is the period just before, of as many months, days or minutes. ``weekdays`` is the
    smallest number of whole weeks earlier at which the two do not overlap. ``year`` is the same
    dates one year earlier. Both ranges have the same local times, also across clock changes.
    """
    if kind == NONE:
        return None
    back = _shift(kind, chosen, calendar)
    shifted = [back(edge) for edge in edges]
    # Shifted in local time, a bucket may become longer than its unit. The remainder is unmatched
    # for minutes, hours and days, and included for weeks and months (29 February, month ends).
    cut = unit in (MINUTE, HOUR, DAY) and not (kind == PREVIOUS and chosen.step.ms)
    intervals: list[Interval | None] = []
    unmatched: list[Interval] = []
    for start, end in pairwise(shifted):
        stop = min(end, calendar.after(unit, start)) if cut else end
        intervals.append((start, stop) if start < stop else None)
        if stop < end:
            unmatched.append((stop, end))
    return Comparison(shifted[0], shifted[-1], intervals, unmatched)


def _shift(kind: str, chosen: Range, calendar: Calendar) -> Callable[[int], int]:
    step = chosen.step
    if kind == YEAR:
        return lambda ms: calendar.add_months(ms, -12)
    if kind == WEEKDAYS:
        days = (calendar.date_of(chosen.to_ms - 1) - calendar.date_of(chosen.from_ms)).days + 1
        back = -(-days // WEEK_DAYS) * WEEK_DAYS
        return lambda ms: calendar.add_days(ms, -back)
    if step.months:
        return lambda ms: calendar.add_months(ms, -step.months)
    if step.days:
        return lambda ms: calendar.add_days(ms, -step.days)
    return lambda ms: ms - step.ms
