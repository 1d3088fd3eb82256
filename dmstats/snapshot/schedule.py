"""The leader's refresh schedule: once per interval, also across a change of leader."""

from __future__ import annotations

from dmstats.core.clock import Clock
from dmstats.core.errors import Superseded
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.refresher import Refresher

RETRY_SECONDS = 5.0


class RefreshSchedule:
    """Call :meth:`tick` every second; it refreshes if this process leads and a refresh is due.

    A new leader continues its predecessor's schedule: it refreshes at once only if the stored
    snapshot is ``interval`` seconds old.
    """

    def __init__(
        self,
        lease: Lease,
        refresher: Refresher,
        snapshots: SnapshotStore,
        clock: Clock,
        *,
        interval: float,
    ) -> None:
        self._lease = lease
        self._refresher = refresher
        self._snapshots = snapshots
        self._clock = clock
        self._interval = interval
        self._term = 0
        self._due = 0.0

    def tick(self) -> bool:
        """Refresh if due; whether it did. MongoDB errors are raised, and the next attempt is 5 s
        later (or one interval, if that is shorter)."""
        if not self._lease.held:
            return False
        now = self._clock.monotonic()
        if self._term != self._lease.term:
            self._due = now + self._seconds_left()
            self._term = self._lease.term
        if now < self._due:
            return False
        due, self._due = self._due, now + min(RETRY_SECONDS, self._interval)
        try:
            self._refresher.refresh(scheduled=True)
        except Superseded:
            self._lease.step_down()
            return False
        # Keep the old schedule, unless it is late by more than half an interval.
        self._due = max(due, now - self._interval / 2) + self._interval
        return True

    def _seconds_left(self) -> float:
        """Seconds until the stored snapshot is one interval old; at most one interval, even if the
        clock was set back."""
        computed_ms = self._snapshots.last_computed_ms()
        if computed_ms is None:
            return 0.0
        age = (self._clock.now_ms() - computed_ms) / 1000
        return min(self._interval, max(0.0, self._interval - age))
