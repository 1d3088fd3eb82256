"""What one stream has not been told yet: the newest event of each type, and nothing older."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from dmstats.sse.messages import Event, Order


class EventBuffer(ABC):
    """One stream; filled by the hub.

    ``session`` is that of whoever reads it, empty where it cannot end. A slow stream gets fewer,
    newer events; ``writing_since`` tells how long its last write has been going on. ``order`` is
    the newest version that it was told.
    """

    __slots__ = ("_clock", "_events", "closed", "order", "session", "writing_since")

    def __init__(self, monotonic: Callable[[], float], session: str) -> None:
        self._clock = monotonic
        self._events: dict[str, Event] = {}
        self.closed = False
        self.session = session
        self.order: Order = (0, 0)
        self.writing_since: float | None = None

    def offer(self, event: Event) -> None:
        """Leave ``event``; it replaces one of the same type that was not taken yet."""
        self._events[event.type] = event
        self._wake()

    def poll(self) -> Event | None:
        """The next event that is there already and not old, None without."""
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
        """End a stream whose client does not read."""

    @abstractmethod
    def _wake(self) -> None:
        """There is something to tell."""
