"""Asks the database for a session or a token each time; while it is away, a short grace."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from dmstats.core.clock import Clock
from dmstats.core.errors import StoreUnavailable

logger = logging.getLogger(__name__)

GRACE_SECONDS = 900.0
"""While MongoDB is away, what was found valid so recently may go on reading."""

RETRY_SECONDS = 1.0
"""Seconds between tries while MongoDB is away; one request tries, the others do not wait."""

MAX_KEPT = 5_000

T = TypeVar("T")


class OutageGrace(Generic[T]):
    """One per worker and kind. ``ask`` looks up the value of a key, None if it has ended;
    ``ends_ms`` returns when the value expires."""

    def __init__(
        self, ask: Callable[[str], T | None], ends_ms: Callable[[T], int], clock: Clock
    ) -> None:
        self._ask_store = ask
        self._ends_ms = ends_ms
        self._clock = clock
        self._kept: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._retry_at = -math.inf
        self._failure: StoreUnavailable | None = None
        self._asking = False

    def find(self, key: str, *, reading: bool) -> T | None:
        """The value of ``key``; None if it has ended.

        Raises :class:`StoreUnavailable` while MongoDB is away, unless the request is only
        ``reading`` and this worker found it valid within the grace.
        """
        if self._failure is None or not self._backs_off():
            try:
                return self._ask(key)
            except StoreUnavailable as error:
                self._back_off(error)
        kept = self._kept.get(key)
        if kept and reading and self._clock.monotonic() - kept[1] < GRACE_SECONDS:
            return kept[0] if self._ends_ms(kept[0]) > self._clock.now_ms() else None
        raise StoreUnavailable(str(self._failure))

    def forget(self, key: str) -> None:
        """This worker has ended it: no grace for it."""
        self._kept.pop(key, None)

    def forget_all(self, beginning: str) -> None:
        """The same of all keys with that beginning."""
        for key in [key for key in list(self._kept) if key.startswith(beginning)]:
            self.forget(key)

    def _ask(self, key: str) -> T | None:
        self._asking = True
        try:
            found = self._ask_store(key)
        finally:
            self._asking = False
        self._failure = None
        self._kept.pop(key, None)
        if found is not None:
            self._kept[key] = found, self._clock.monotonic()
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def _backs_off(self) -> bool:
        return self._asking or self._clock.monotonic() < self._retry_at

    def _back_off(self, error: StoreUnavailable) -> None:
        if self._failure is None:
            logger.warning("sessions_not_read", extra={"error": error.reason})
        self._failure = error
        self._retry_at = self._clock.monotonic() + RETRY_SECONDS
