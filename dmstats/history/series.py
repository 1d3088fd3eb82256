"""A history as it is answered: points, totals, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dmstats.core.clock import hour_start, rfc3339
from dmstats.history.calendar import Calendar
from dmstats.history.comparison import Comparison, Span, compare
from dmstats.history.cover import Counts, RangeCounts
from dmstats.history.ranges import Range

History = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A resolved request: a range in buckets of ``unit``, and what each is compared with."""

    chosen: Range
    unit: str
    kind: str
    calendar: Calendar
    edges: Sequence[int]
    comparison: Comparison | None

    @classmethod
    def make(cls, chosen: Range, unit: str, kind: str, calendar: Calendar) -> Plan:
        """Split the range, and find what it is compared with."""
        edges = calendar.edges(unit, chosen.from_ms, chosen.to_ms)
        return cls(chosen, unit, kind, calendar, edges,
                   compare(kind, chosen, unit, edges, calendar))  # fmt: skip

    @property
    def buckets(self) -> list[Span]:
        """The range's buckets; the first and the last are cut at its ends."""
        return list(pairwise(self.edges))

    def spans(self) -> list[Span]:
        """All that has to be counted."""
        found = self.buckets
        if self.comparison is not None:
            found += [span for span in self.comparison.spans if span is not None]
            found += self.comparison.unmatched
        return found


def history(plan: Plan, counted: RangeCounts, *, since_ms: int | None, now_ms: int) -> History:
    """The answer, JSON-ready.

    ``partial`` marks a point that is not a whole bucket: the range's ends, and what is not over.
    ``difference`` is None without a comparison; its per cents are None where the compared figure
    is 0 or not all counted, as it began before counting did.
    """
    chosen, calendar = plan.chosen, plan.calendar
    points = [_point(plan, span, counted) for span in plan.buckets]
    totals = _totals(points)
    comparison = plan.comparison and _compared(plan.comparison, plan.kind, counted.of)
    return {
        "range": {
            "name": chosen.name,
            "from": rfc3339(chosen.from_ms),
            "to": rfc3339(chosen.to_ms),
            "open": chosen.is_open,
        },
        "unit": plan.unit,
        "tz": calendar.zone.key,
        "weekStart": calendar.week_start,
        "compare": plan.kind,
        "points": points,
        "totals": totals,
        "comparison": comparison,
        "difference": comparison
        and _difference(totals, comparison["totals"], whole=_is_whole(plan, since_ms)),
        "since": None if since_ms is None else rfc3339(since_ms),
        "computedAt": rfc3339(now_ms),
    }


def _point(plan: Plan, span: Span, counted: RangeCounts) -> History:
    start, end = span
    calendar, unit = plan.calendar, plan.unit
    found = _bucket(start, counted.of(span))
    if calendar.start(unit, start) < start or calendar.after(unit, start) > end:
        found["partial"] = True
    return found


def _compared(comparison: Comparison, kind: str, count: Callable[[Span], Counts]) -> History:
    points = [span and _bucket(span[0], count(span)) for span in comparison.spans]
    unmatched = [
        {**_bucket(span[0], count(span)), "to": rfc3339(span[1])} for span in comparison.unmatched
    ]
    return {
        "kind": kind,
        "from": rfc3339(comparison.from_ms),
        "to": rfc3339(comparison.to_ms),
        "points": points,
        "unmatched": unmatched,
        "totals": _totals(point for point in (*points, *unmatched) if point),
    }


def _is_whole(plan: Plan, since_ms: int | None) -> bool:
    """Whether all that is compared with lies after counting began."""
    return (
        plan.comparison is not None
        and since_ms is not None
        and plan.comparison.from_ms >= hour_start(since_ms)
    )


def _difference(totals: History, before: History, *, whole: bool) -> History:
    return {
        **{name: totals[name] - before[name] for name in ("sent", "received")},
        **{
            f"{name}Percent": round((totals[name] - before[name]) / before[name] * 100, 1)
            if before[name] and whole
            else None
            for name in ("sent", "received")
        },
    }


def _bucket(start: int, counts: Counts) -> History:
    return {"at": rfc3339(start), "sent": counts[0], "received": counts[1]}


def _totals(points: Iterable[History]) -> History:
    sent = received = 0
    for point in points:
        sent += point["sent"]
        received += point["received"]
    return {"sent": sent, "received": received}
