"""A circuit breaker: while commits fail, one small batch at a time probes the database; pure."""

from __future__ import annotations

from dmstats.core.clock import Clock

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
