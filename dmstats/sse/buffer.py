"""The pending events of one stream: a coalescing buffer with the newest event of each type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from dmstats.sse.messages import Event, Order


class EventBuffer(ABC):
    """One stream, filled by the hub.

    ``session`` identifies the reader's session; it is empty if the stream has none that can end.
    ``parts`` are those of a snapshot that it may show, None for all. A slow client receives fewer,
    newer events. ``writing_since`` is when the write in progress began
    (monotonic), or None. ``order`` is the newest version that was sent (monotonic reads).
    """

    __slots__ = ("_clock", "_events", "closed", "order", "parts", "session", "writing_since")

    def __init__(
        self, monotonic: Callable[[], float], session: str, parts: frozenset[str] | None = None
    ) -> None:
        self._clock = monotonic
        self._events: dict[str, Event] = {}
        self.closed = False
        self.session = session
        self.parts = parts
        self.order: Order = (0, 0)
        self.writing_since: float | None = None

    def offer(self, event: Event) -> None:
        """Buffer ``event``; it replaces a pending event of the same type."""
        self._events[event.type] = event
        self._wake()

    def poll(self) -> Event | None:
        """The next pending event that is not outdated, or None; never waits."""
        while self._events and not self.closed:
            event = self._events.pop(next(iter(self._events)))
            if event.order is None:
                return event
            if event.order > self.order:
                self.order = event.order
                return event
        return None

    @abstractmethod
    def close(self) -> None:
        """End the stream."""

    @abstractmethod
    def drop(self) -> None:
        """Drop a stream whose client does not read."""

    @abstractmethod
    def _wake(self) -> None:
        """Called when an event was buffered."""
