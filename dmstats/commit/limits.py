"""How much is tried at once: events per batch, writes per transaction, attempts under contention.

A batch that runs out of time costs all its work, and its events come back with those that arrived
meanwhile: batches that only grow would never be written. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from dmstats.core.clock import Clock, hour_start
from dmstats.core.records import LedgerRow

MIN_BATCH = 25
GROW_BELOW = 0.25
"""A batch that took less than this share of its time may be followed by a larger one."""
SHRINK_ABOVE = 0.5
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
        if seconds > SHRINK_ABOVE * self._seconds:
            self._lower(events // 2)
        elif seconds < GROW_BELOW * self._seconds and 2 * events >= self.limit:
            self.limit = min(self._most, 2 * self.limit)

    def out_of_time(self, events: int) -> None:
        """``events`` could not be written in time."""
        self._lower(events // 4)

    def _lower(self, events: int) -> None:
        self.limit = max(min(MIN_BATCH, self._most), min(self.limit, events))


MOST_HOURS = 50
MOST_ACCOUNTS = 300
"""Documents that one transaction changes. It must end well before the sender's time-out, also on a
slow database: what does not, would fail again at every retry, and everything else with it."""


def split_by_write_set(rows: Sequence[LedgerRow]) -> Iterator[Sequence[LedgerRow]]:
    """``rows`` in one chunk as a rule; those of many hours or accounts in several, by time.

    A chunk that was committed stays so, whatever becomes of the next: a retry goes on from there.
    """
    if _fits(rows):
        yield rows
        return
    chunk: list[LedgerRow] = []
    hours: set[int] = set()
    accounts: set[str] = set()
    for row in sorted(rows, key=lambda row: row.time_ms):
        hours.add(hour_start(row.time_ms))
        accounts.add(row.account)
        if len(hours) > MOST_HOURS or len(accounts) > MOST_ACCOUNTS:
            yield chunk
            chunk, hours, accounts = [], {hour_start(row.time_ms)}, {row.account}
        chunk.append(row)
    yield chunk


def _fits(rows: Sequence[LedgerRow]) -> bool:
    return (
        len({row.account for row in rows}) <= MOST_ACCOUNTS
        and len({hour_start(row.time_ms) for row in rows}) <= MOST_HOURS
    )


SHORTEST_SECONDS, LONGEST_SECONDS = 0.004, 0.1
"""The bounds of the longest back-off; no pause is longer, either."""
FIRST_BACKOFF_SECONDS = 0.002
ATTEMPTS_PER_COMMIT = 2


class ContentionBackoff:
    """``pause`` is for how many seconds to leave the document to others before the next batch."""

    def __init__(self) -> None:
        self.pause = 0.0
        self._longest = LONGEST_SECONDS

    def back_off(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th conflict: doubling, half of it at random, and at
        most half a commit, so that the moment in which the document is free is not missed."""
        ceiling = min(self._longest, FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 16))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret

    def written(self, *, waited: float, took: float) -> None:
        """A batch took so many seconds, after those in which it ``waited`` for others.

        The wait and the pause before it are about one commit of each other host. One of them
        commits while this one does everything else; the pause leaves room for the rest.
        """
        self.pause = min(LONGEST_SECONDS, max(0.0, self.pause + waited - took))
        self._longest = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, took / ATTEMPTS_PER_COMMIT))


FAILURES_TO_OPEN = 2
PROBE_AGAIN_SECONDS = 0.25


class Breaker:
    """Opens after failed batches in a row, and closes with a batch that took ``quick_seconds`` at
    most. A slower one lets the next probe start at once, but keeps the breaker open: at that
    speed the requests of a full queue would all run out of time.
    """

    def __init__(self, clock: Clock, *, quick_seconds: float) -> None:
        self._clock = clock
        self._quick_seconds = quick_seconds
        self._failures = 0
        self._probing = False
        self._probe_at = 0.0

    @property
    def open(self) -> bool:
        """Whether only probes are let through."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def may_probe(self) -> bool:
        """Whether a request may join the next probe: none is being written, and the last one's
        failure is a moment ago."""
        return not self._probing and self._clock.monotonic() >= self._probe_at

    def began(self) -> None:
        """A batch is being written."""
        self._probing = True

    def succeeded(self, seconds: float) -> None:
        """A batch was committed in ``seconds``."""
        self._probing = False
        if seconds <= self._quick_seconds:
            self._failures = 0

    def failed(self) -> None:
        """A batch was not committed."""
        self._probing = False
        self._failures += 1
        self._probe_at = self._clock.monotonic() + PROBE_AGAIN_SECONDS
