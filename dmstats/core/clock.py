"""Time, as an object that tests can replace."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol

import msgspec

logger = logging.getLogger(__name__)

JUMP_SECONDS = 5.0
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
MILLISECOND = timedelta(milliseconds=1)

EpochMs = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
"""In ms since the epoch, up to the year 9999."""


class MonotonicClock(Protocol):
    """Measures elapsed time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps back."""


class Clock(MonotonicClock, Protocol):
    """Wall-clock time and elapsed time."""

    def now_ms(self) -> int:
        """Wall-clock time, in whole milliseconds since the Unix epoch (UTC)."""


class SystemClock:
    """The system's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ClockWatch:
    """Detects steps of the wall clock by comparing it with the monotonic clock.

    Deletions and other actions that must not happen too early use :meth:`conservative_now_ms`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ms = self._last_ms = self._offset_ms()

    def detect_step(self) -> bool:
        """Whether the wall clock was stepped since the last call. A step is logged as
        ``clock_jumped`` (seconds, negative if backwards). Call this every few seconds, so that a
        slewed clock is not mistaken for a stepped one."""
        offset_ms = self._offset_ms()
        seconds, self._last_ms = (offset_ms - self._last_ms) / 1000, offset_ms
        stepped = abs(seconds) >= JUMP_SECONDS
        if stepped:
            logger.warning("clock_jumped", extra={"seconds": round(seconds, 1)})
        return stepped

    def conservative_now_ms(self) -> int:
        """The earlier of the wall clock and the wall clock without the steps since the start, in ms
        since the epoch. A clock set forward by mistake must not make data expire."""
        now_ms = self._clock.now_ms()
        return min(now_ms, now_ms - round(self._offset_ms() - self._start_ms))

    def _offset_ms(self) -> float:
        return self._clock.now_ms() - self._clock.monotonic() * 1000


class ManualClock:
    """A clock that only moves when advanced; for tests and simulations."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Advance both clocks by ``seconds``."""
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Step only the wall clock, as NTP or an operator does."""
        self._now_ms += round(seconds * 1000)


def to_datetime(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC ``datetime``; OverflowError after year 9999."""
    return EPOCH + ms * MILLISECOND


def to_ms(moment: datetime) -> int:
    """A ``datetime`` (a naive one is taken as UTC, as MongoDB returns it) in milliseconds."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch in RFC 3339 form, UTC, to the millisecond."""
    return (_NAIVE_EPOCH + ms * MILLISECOND).isoformat(timespec="milliseconds") + "Z"


def hour_start(ms: int) -> int:
    """The start of the UTC hour that holds ``ms``, in milliseconds."""
    return ms - ms % HOUR_MS


def day_start(ms: int) -> int:
    """The start of the UTC day that holds ``ms``, in milliseconds."""
    return ms - ms % DAY_MS


def month_start(at: datetime) -> datetime:
    """The start of the month that holds ``at``, in the time zone of ``at``."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month_start(at: datetime) -> datetime:
    """The start of the month after the one that holds ``at``."""
    return month_start(month_start(at) + timedelta(days=31))


def month_of(ms: int) -> str:
    """The UTC month that holds ``ms``, as ``YYYY-MM``."""
    return to_datetime(ms).isoformat()[:7]
