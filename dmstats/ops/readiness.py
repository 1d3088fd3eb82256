"""Whether a delivery sent now could be counted, asked of the database once a second at most."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError

VALID_SECONDS = 1.0


class Readiness:
    """``try_commit`` raises :class:`DmstatsError` when the database takes no commit."""

    def __init__(self, try_commit: Callable[[], None], clock: Clock) -> None:
        self._try_commit = try_commit
        self._clock = clock
        self._mutex = threading.Lock()
        self._tried_at: float | None = None
        self._failure: DmstatsError | None = None

    def failure(self) -> DmstatsError | None:
        """Why no commit is possible, as of a second ago at most; None if it is.

        Requests that come together wait for one try.
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
