"""Builds the response of a history request: points, totals, and the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from dmstats.core.clock import hour_start, rfc3339
from dmstats.history.band import UNITS as BAND_UNITS
from dmstats.history.band import band_point, earlier_weeks
from dmstats.history.calendar import Calendar
from dmstats.history.comparison import Comparison, Interval, compare
from dmstats.history.cover import Counts, RangeCounts
from dmstats.history.ranges import Range

History = dict[str, Any]
Weeks = Sequence[Sequence[Interval]]
"""For each bucket, the same time of the week in the weeks before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A resolved request: a range, its buckets of ``unit``, their comparison, and for a band the
    same time of the week in the weeks before each of them."""

    chosen: Range
    unit: str
    kind: str
    calendar: Calendar
    edges: Sequence[int]
    comparison: Comparison | None
    weeks: Weeks | None = None

    @classmethod
    def make(
        cls, chosen: Range, unit: str, kind: str, calendar: Calendar, *, band: bool = False
    ) -> Plan:
        """Split the range into buckets and compute the comparison, and with ``band`` the weeks
        before, unless the unit has none."""
        edges = calendar.edges(unit, chosen.from_ms, chosen.to_ms)
        return cls(chosen, unit, kind, calendar, edges,
                   compare(kind, chosen, unit, edges, calendar),
                   earlier_weeks(unit, edges, calendar) if band and unit in BAND_UNITS else None,
                   )  # fmt: skip

    @property
    def buckets(self) -> list[Interval]:
        """The range's buckets; the first and last may be partial."""
        return list(pairwise(self.edges))

    def intervals(self) -> list[Interval]:
        """All intervals whose counts are needed."""
        found = self.buckets
        if self.comparison is not None:
            found += [interval for interval in self.comparison.intervals if interval is not None]
            found += self.comparison.unmatched
        if self.weeks is not None:
            found += {interval for weeks in self.weeks for interval in weeks}
        return found


def history(plan: Plan, counted: RangeCounts, *, since_ms: int | None, now_ms: int) -> History:
    """The response, JSON-ready.

    ``partial`` marks a point that is not a whole bucket: one cut by the range, or not over yet.
    ``difference`` is None without a comparison. Its percentages are None if the compared figure is
    0, or if the compared range starts before counting began. ``band`` is None unless it was
    requested and the unit has one; it has one entry per point, None if the point is partial or too
    few earlier weeks were counted.
    """
    chosen, calendar = plan.chosen, plan.calendar
    points = [_bucket(interval[0], counted.of(interval)) for interval in plan.buckets]
    for point, interval in ((points[0], plan.buckets[0]), (points[-1], plan.buckets[-1])):
        if _is_partial(plan, interval):
            point["partial"] = True
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
        "band": _band(plan.weeks, points, counted, since_ms),
        "since": None if since_ms is None else rfc3339(since_ms),
        "computedAt": rfc3339(now_ms),
    }


def _band(
    weeks: Weeks | None,
    points: Sequence[History],
    counted: RangeCounts,
    since_ms: int | None,
) -> History | None:
    if weeks is None:
        return None
    # Each bucket is one of the weeks before up to eight others.
    count = cache(counted.of)
    found = [
        None if point.get("partial") else band_point(before, count, since_ms)
        for point, before in zip(points, weeks, strict=True)
    ]
    return {
        "points": [
            usual and {
                "weeks": usual[0],
                **{
                    name: {"median": each.middle, "low": each.low, "high": each.high,
                           "outside": each.outside(point[name])}
                    for name, each in (("sent", usual[1]), ("received", usual[2]))
                },
            }
            for point, usual in zip(points, found, strict=True)
        ]
    }  # fmt: skip


def _is_partial(plan: Plan, interval: Interval) -> bool:
    """Whether the first or last bucket is cut by the range or not over; the others are whole."""
    start, end = interval
    calendar, unit = plan.calendar, plan.unit
    # An open range ends with the current minute, which may be the last one of the bucket.
    if plan.chosen.is_open and end == plan.chosen.to_ms:
        return True
    return calendar.start(unit, start) < start or calendar.after(unit, start) > end


def _compared(comparison: Comparison, kind: str, count: Callable[[Interval], Counts]) -> History:
    points = [
        interval and _bucket(interval[0], count(interval)) for interval in comparison.intervals
    ]
    unmatched = [
        {**_bucket(interval[0], count(interval)), "to": rfc3339(interval[1])}
        for interval in comparison.unmatched
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
    """Whether the compared range starts after counting began."""
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
