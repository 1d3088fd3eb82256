"""Computes the expected range of a bucket from the same time of the week in earlier weeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, hypot, sqrt
from statistics import median

from dmstats.core.clock import HOUR_MS
from dmstats.history.calendar import DAY, HOUR, Calendar
from dmstats.history.comparison import WEEK_DAYS, Interval
from dmstats.history.cover import Counts

UNITS = (HOUR, DAY)
"""The units that have a band: an hour of the week, or a weekday."""
WEEKS, MIN_WEEKS = 8, 4

DEVIATIONS = 3.0
FROM_MAD = 1.4826
"""The standard deviation of normally distributed values, as a multiple of the median deviation."""
FEW_WEEKS = 4
"""The fewer the weeks, the more their spread is underestimated: it is widened by 1 + 4/weeks."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A value from ``low`` to ``high`` is usual; ``middle`` is the median of the earlier weeks."""

    middle: int
    low: int
    high: int

    def outside(self, value: int) -> str | None:
        """Whether ``value`` is "above" or "below"; None inside."""
        if value > self.high:
            return "above"
        return "below" if value < self.low else None


def earlier_weeks(unit: str, edges: Sequence[int], calendar: Calendar) -> list[list[Interval]]:
    """For each bucket between ``edges``, the buckets of the same local time in the :data:`WEEKS`
    weeks before, the nearest first.

    A week in which that time was skipped, or the clocks changed within that hour, is left out. The
    second of two equal hours, and an hour that is not 60 minutes, have none.
    """
    start = calendar.start(unit, edges[0])
    first = calendar.start(unit, calendar.add_days(start, -WEEKS * WEEK_DAYS))
    known: dict[tuple[int, int], Interval] = {}
    for each in pairwise(calendar.edges(unit, first, edges[-1])):
        if unit == DAY or each[1] - each[0] == HOUR_MS:
            known.setdefault(_label(each[0], unit, calendar), each)
    found: list[list[Interval]] = []
    for at, _ in pairwise(edges):
        day, minute = label = _label(at, unit, calendar)
        own = known.get(label)
        weeks = [known.get((day - week * WEEK_DAYS, minute)) for week in range(1, WEEKS + 1)]
        counterparts = [interval for interval in weeks if interval is not None]
        found.append(counterparts if own and own[0] == at else [])
    return found


def _label(at: int, unit: str, calendar: Calendar) -> tuple[int, int]:
    """The day's number, and unless ``unit`` is the day the minute of the day."""
    local = calendar.local(at)
    return local.toordinal(), 0 if unit == DAY else local.hour * 60 + local.minute


def expected(values: Sequence[int]) -> Expected:
    """The usual range for ``values``, of which there is at least one.

    The spread combines that of the weeks with that of random counts (the square root), so that
    small counts also have one. The median of the deviations is robust against one unusual week.
    """
    middle = median(values)
    deviation = FROM_MAD * median(abs(value - middle) for value in values)
    deviation *= 1 + FEW_WEEKS / len(values)
    width = DEVIATIONS * hypot(deviation, sqrt(middle + 1))
    return Expected(round(middle), max(0, floor(middle - width)), ceil(middle + width))


def band_point(
    weeks: Sequence[Interval], count: Callable[[Interval], Counts], since_ms: int | None
) -> tuple[int, Expected, Expected] | None:
    """How many ``weeks`` were counted as a whole, and what they let expect of sent and received;
    None if they are fewer than :data:`MIN_WEEKS`. ``since_ms``: the hour in which counting began,
    which is not a whole one."""
    if since_ms is None:
        return None
    values = [count(interval) for interval in weeks if interval[0] > since_ms]
    if len(values) < MIN_WEEKS:
        return None
    sent, received = zip(*values, strict=True)
    return len(values), expected(sent), expected(received)
