"""An account's last hours and days, computed from an audit's hourly sums; pure."""

from __future__ import annotations

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start
from dmstats.db.audit.activity_store import AccountActivity, Activity
from dmstats.db.audit.recount import Sums

HOURS, DAYS = 24, 7
"""What an account's page shows without a range."""
HOURS_KEPT_DAYS = 14
"""Hours are kept for at most this many days, days for as long as the ledger has their rows."""

PeriodCounts = tuple[int, int | None, int | None]
"""The start of a period in ms since the epoch, and the DMs sent and received in it, if known."""


class ActivityBuckets:
    """Sums the DMs of each account by hour and day, from ``first_day`` up to ``at_ms``."""

    def __init__(self, at_ms: int, first_day: int) -> None:
        self.at_ms = at_ms
        self.last_hour, last_day = hour_start(at_ms), day_start(at_ms)
        self.first_day = min(first_day, last_day)
        self.first_hour = max(self.first_day, last_day - (HOURS_KEPT_DAYS - 1) * DAY_MS)
        self.hour_count = (self.last_hour - self.first_hour) // HOUR_MS + 1
        self.day_count = (last_day - self.first_day) // DAY_MS + 1
        self._sums: dict[str, AccountActivity] = {}

    def add(self, hour: int, sums: Sums) -> None:
        """Add the DMs of accounts in ``hour``; an hour outside the periods is ignored."""
        if not self.first_day <= hour <= self.last_hour:
            return
        at_day = (day_start(hour) - self.first_day) // DAY_MS
        at_hour = (hour - self.first_hour) // HOUR_MS
        for (account, _), (sent, received) in sums.items():
            found = self._sums.get(account)
            if found is None:
                found = self._sums[account] = AccountActivity.empty(self.hour_count, self.day_count)
            found.days_sent[at_day] += sent
            found.days_received[at_day] += received
            if at_hour >= 0:
                found.hours_sent[at_hour] += sent
                found.hours_received[at_hour] += received

    def hours(self) -> list[int]:
        """All hours within the periods."""
        return list(range(self.first_day, self.last_hour + 1, HOUR_MS))

    def accounts(self) -> dict[str, AccountActivity]:
        """The accounts with DMs, each with its counts."""
        return dict(self._sums)


def buckets(activity: Activity) -> tuple[list[PeriodCounts], list[PeriodCounts]]:
    """The last hours and days of an account; periods before counting began are unknown."""
    hour, day = hour_start(activity.at_ms), day_start(activity.at_ms)
    return (
        _last(activity.hours, range(hour - (HOURS - 1) * HOUR_MS, hour + 1, HOUR_MS),
              hour_start(activity.since_ms)),
        _last(activity.days, range(day - (DAYS - 1) * DAY_MS, day + 1, DAY_MS),
              day_start(activity.since_ms)),
    )  # fmt: skip


def _last(counts: dict[int, tuple[int, int]], starts: range, since_ms: int) -> list[PeriodCounts]:
    return [
        (start, *counts[start]) if start >= since_ms and start in counts else (start, None, None)
        for start in starts
    ]
