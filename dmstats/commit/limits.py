"""Adaptive batch size, transaction size, back-off under contention, and the circuit breaker; pure.

A batch that runs out of time is wasted work, and its events are retried together with new ones.
Batches that only grow would therefore never be written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from dmstats.core.clock import Clock, hour_start
from dmstats.core.records import LedgerRow

MIN_BATCH = 25
GROW_BELOW = 0.25
"""After a batch that took less than this share of its time, the limit may grow."""
SHRINK_ABOVE = 0.5
"""After a batch that took more than this share of its time, the limit shrinks."""


class AdaptiveLimit:
    """The batch limit: lowered after a slow or timed-out batch, raised after a fast one.

    After an outage the limit is still low, which suits a long queue and a slow database.
    """

    def __init__(self, most: int, *, seconds: float) -> None:
        self.limit = most
        self._most = most
        self._seconds = seconds

    def written(self, events: int, seconds: float) -> None:
        """Record that ``events`` were written in ``seconds``."""
        if seconds > SHRINK_ABOVE * self._seconds:
            self._lower(events // 2)
        elif seconds < GROW_BELOW * self._seconds and 2 * events >= self.limit:
            self.limit = min(self._most, 2 * self.limit)

    def out_of_time(self, events: int) -> None:
        """Record that ``events`` could not be written in time."""
        self._lower(events // 4)

    def _lower(self, events: int) -> None:
        self.limit = max(min(MIN_BATCH, self._most), min(self.limit, events))


MAX_HOURS = 50
MAX_ACCOUNTS = 300
"""The maximum number of hours and accounts in one transaction. It must finish well before the
sender's time-out even on a slow database. Otherwise every retry would fail again, together with
everything else in its batch."""


def split_by_write_set(rows: Sequence[LedgerRow]) -> Iterator[Sequence[LedgerRow]]:
    """``rows`` in one chunk if possible; if they touch many hours or accounts, in several, by time.

    A committed chunk stays committed even if the next one fails, so a retry makes progress.
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
        if len(hours) > MAX_HOURS or len(accounts) > MAX_ACCOUNTS:
            yield chunk
            chunk, hours, accounts = [], {hour_start(row.time_ms)}, {row.account}
        chunk.append(row)
    yield chunk


def _fits(rows: Sequence[LedgerRow]) -> bool:
    return (
        len({row.account for row in rows}) <= MAX_ACCOUNTS
        and len({hour_start(row.time_ms) for row in rows}) <= MAX_HOURS
    )


SHORTEST_SECONDS, MAX_SECONDS = 0.004, 0.1
"""The bounds of the maximum back-off. The upper one also limits the pause between batches."""
FIRST_BACKOFF_SECONDS = 0.002
ATTEMPTS_PER_COMMIT = 2


class ContentionBackoff:
    """Back-off for contended documents; ``pause`` is the number of seconds to wait before the next
    batch, so that other hosts can commit."""

    def __init__(self) -> None:
        self.pause = 0.0
        self._longest = MAX_SECONDS

    def back_off(self, attempt: int) -> float:
        """Seconds to wait after conflict number ``attempt``: exponential with jitter, at most half
        a commit, so that the moment when the document is free is not missed."""
        ceiling = min(self._longest, FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 16))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret

    def written(self, *, waited: float, took: float) -> None:
        """Record a batch that ``took`` that many seconds after it ``waited`` for other hosts.

        The wait and the preceding pause add up to about one commit of every other host. One of
        them commits while this host does its other work, so the pause covers the remaining ones.
        """
        self.pause = min(MAX_SECONDS, max(0.0, self.pause + waited - took))
        self._longest = min(MAX_SECONDS, max(SHORTEST_SECONDS, took / ATTEMPTS_PER_COMMIT))


FAILURES_TO_OPEN = 2
PROBE_AGAIN_SECONDS = 0.25


class Breaker:
    """A circuit breaker. It opens after consecutive failed batches and closes after a batch that
    took at most ``quick_seconds``. A slower batch allows the next probe immediately but keeps the
    breaker open: at that speed, all requests of a full queue would time out.
    """

    def __init__(self, clock: Clock, *, quick_seconds: float) -> None:
        self._clock = clock
        self._quick_seconds = quick_seconds
        self._failures = 0
        self._probing = False
        self._probe_at = 0.0

    @property
    def open(self) -> bool:
        """Whether only probes are allowed."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def may_probe(self) -> bool:
        """Whether a request may join the next probe: none is in progress, and the last failure is
        at least :data:`PROBE_AGAIN_SECONDS` ago."""
        return not self._probing and self._clock.monotonic() >= self._probe_at

    def began(self) -> None:
        """Record that a batch is being written."""
        self._probing = True

    def succeeded(self, seconds: float) -> None:
        """Record that a batch was committed in ``seconds``."""
        self._probing = False
        if seconds <= self._quick_seconds:
            self._failures = 0

    def failed(self) -> None:
        """Record that a batch was not committed."""
        self._probing = False
        self._failures += 1
        self._probe_at = self._clock.monotonic() + PROBE_AGAIN_SECONDS
