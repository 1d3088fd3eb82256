"""Which earlier time each bucket of a range is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from dmstats.history.calendar import DAY, HOUR, MINUTE, Calendar
from dmstats.history.ranges import Range

NONE, PREVIOUS, WEEKDAYS, YEAR = "none", "previous", "weekdays", "year"
KINDS = (NONE, PREVIOUS, WEEKDAYS, YEAR)
WEEK_DAYS = 7

Span = tuple[int, int]
"""From, and up to, in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``spans`` has the counterpart of each bucket, in their order, None for one without: 29
    February, the 31st, an hour that clocks repeat. ``unmatched`` are the parts of the whole
    (``from_ms`` to ``to_ms``) that are no bucket's counterpart."""

    from_ms: int
    to_ms: int
    spans: Sequence[Span | None]
    unmatched: Sequence[Span] = field(default=())


def compare(
    kind: str, chosen: Range, unit: str, edges: Sequence[int], calendar: Calendar
) -> Comparison | None:
    """What the range with these ``edges`` of ``unit`` is compared with; None for ``none``.

    ``previous`` is the period just before, as many months, days or minutes; ``weekdays`` lies so
    many whole weeks back that the two do not overlap; ``year`` has the same dates a year before.
    Clocks show the same in both, through changes of the clocks.
    """
    if kind == NONE:
        return None
    back = _shift(kind, chosen, calendar)
    shifted = [back(edge) for edge in edges]
    # Moved by the clocks, a bucket may become longer than its unit: what is left over belongs to no
    # bucket. A week or a month takes it in: 29 February, or the last days of a month.
    cut = unit in (MINUTE, HOUR, DAY) and not (kind == PREVIOUS and chosen.step.ms)
    spans: list[Span | None] = []
    unmatched: list[Span] = []
    for start, end in pairwise(shifted):
        stop = min(end, calendar.after(unit, start)) if cut else end
        spans.append((start, stop) if start < stop else None)
        if stop < end:
            unmatched.append((stop, end))
    return Comparison(shifted[0], shifted[-1], spans, unmatched)


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
