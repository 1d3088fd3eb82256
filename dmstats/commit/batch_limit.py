"""How many events a transaction may hold, so that it ends in time however slow the database is.

A batch that runs out of time costs all its work, and its events come back with those that arrived
meanwhile: batches that only grow would never be written again. Pure.
"""

from __future__ import annotations

LEAST = 25
QUICK = 0.25
"""A batch that took less than this share of its time may be followed by a larger one."""
SLOW = 0.5
"""One that took more than this share should be followed by a smaller one."""


class AdaptiveLimit:
    """The limit: lowered by a batch that was slow or ran out of time, raised by a quick one.

    After an outage it begins low: much has gathered, and the database may be slow at first.
    """

    def __init__(self, most: int, *, seconds: float) -> None:
        self.limit = most
        self._most = most
        self._seconds = seconds

    def written(self, events: int, seconds: float) -> None:
        """``events`` were written in ``seconds``."""
        if seconds > SLOW * self._seconds:
            self._lower(events // 2)
        elif seconds < QUICK * self._seconds and 2 * events >= self.limit:
            self.limit = min(self._most, 2 * self.limit)

    def out_of_time(self, events: int) -> None:
        """``events`` could not be written in time."""
        self._lower(events // 4)

    def _lower(self, events: int) -> None:
        self.limit = max(min(LEAST, self._most), min(self.limit, events))
