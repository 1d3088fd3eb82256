"""An account's last hours and days, computed from an audit's hourly sums; pure."""

from __future__ import annotations

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start
from dmstats.db.audit.activity_store import Activity, Counts
from dmstats.db.audit.recount import Sums

HOURS, DAYS = 24, 7
PERIODS = HOURS + DAYS

PeriodCounts = tuple[int, int | None, int | None]
"""The start of a period in ms since the epoch, and the DMs sent and received in it, if known."""


def period_starts(at_ms: int) -> list[int]:
    """The starts of hours, then of days, oldest first; the last of each contain ``at_ms``."""
    hour, day = hour_start(at_ms), day_start(at_ms)
    hours = range(hour - (HOURS - 1) * HOUR_MS, hour + 1, HOUR_MS)
    return [*hours, *range(day - (DAYS - 1) * DAY_MS, day + 1, DAY_MS)]


class ActivityBuckets:
    """Sums the DMs of each account by period, for the periods up to ``at_ms``."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        periods = period_starts(at_ms)
        self._hours = {start: place for place, start in enumerate(periods[:HOURS])}
        self._days = {start: HOURS + place for place, start in enumerate(periods[HOURS:])}
        self._sums: dict[str, list[tuple[int, int]]] = {}

    def add(self, hour: int, sums: Sums) -> None:
        """Add the DMs of accounts in ``hour``; an hour before all periods is ignored."""
        found = (self._hours.get(hour), self._days.get(day_start(hour)))
        places = [place for place in found if place is not None]
        if not places:
            return
        for (account, _), (sent, received) in sums.items():
            periods = self._sums.setdefault(account, [(0, 0)] * PERIODS)
            for place in places:
                before = periods[place]
                periods[place] = (before[0] + sent, before[1] + received)

    def hours(self) -> list[int]:
        """All hours within the periods."""
        return list(range(min(self._days), hour_start(self.at_ms) + 1, HOUR_MS))

    def accounts(self) -> dict[str, Counts]:
        """The accounts with DMs, each with its counts by period."""
        return dict(self._sums)


def buckets(activity: Activity) -> tuple[list[PeriodCounts], list[PeriodCounts]]:
    """The hours and the days of an account; periods before counting began are unknown."""
    since = [hour_start(activity.since_ms)] * HOURS + [day_start(activity.since_ms)] * DAYS
    named: list[PeriodCounts] = [
        (start, *counts) if start >= known else (start, None, None)
        for start, known, counts in zip(
            period_starts(activity.at_ms), since, activity.counts, strict=True
        )
    ]
    return named[:HOURS], named[HOURS:]
