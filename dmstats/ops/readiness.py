"""Whether a delivery could be counted now, checked in the database at most once a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError

VALID_SECONDS = 1.0


class Readiness:
    """``try_commit`` raises :class:`DmstatsError` if the database does not accept commits."""

    def __init__(self, try_commit: Callable[[], None], clock: Clock) -> None:
        self._try_commit = try_commit
        self._clock = clock
        self._mutex = threading.Lock()
        self._tried_at: float | None = None
        self._failure: DmstatsError | None = None

    def failure(self) -> DmstatsError | None:
        """Why no commit is possible, at most a second old; None if commits work.

        Concurrent requests wait for one attempt.
        """
        with self._mutex:
            now = self._clock.monotonic()
            if self._tried_at is None or now - self._tried_at >= VALID_SECONDS:
                self._failure = None
                try:
                    self._try_commit()
                except DmstatsError as error:
                    self._failure = error
                self._tried_at = self._clock.monotonic()
            return self._failure
