"""A stream with a dedicated greenlet that writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub, getcurrent
from gevent.hub import Waiter

from dmstats.sse.buffer import EventBuffer
from dmstats.sse.messages import Event


class GreenletStream(EventBuffer):
    """A buffer that is emptied by the greenlet that writes the stream."""

    __slots__ = ("_waiter", "_writer")

    def __init__(
        self, monotonic: Callable[[], float], session: str, parts: frozenset[str] | None = None
    ) -> None:
        super().__init__(monotonic, session, parts)
        # Waiter rather than Event: a waiting greenlet keeps a copy of its C stack, and Waiter
        # needs the fewest frames.
        self._waiter: Any = None
        self._writer: Any = None

    def take(self) -> Event | None:
        """Wait for the next event; None once the stream is closed."""
        self.writing_since = None
        while not self.closed:
            if (event := self.poll()) is not None:
                return event
            self._waiter = Waiter(get_hub())
            try:
                self._waiter.get()
            finally:
                self._waiter = None
        return None

    def poll(self) -> Event | None:
        event = super().poll()
        if event is not None:
            self.begin_write()
        return event

    def begin_write(self) -> None:
        """Record that the current greenlet starts writing to the client."""
        self._writer = getcurrent()
        self.writing_since = self._clock()

    def close(self) -> None:
        """Close the stream at its next :meth:`take`, immediately if it is waiting there."""
        self.closed = True
        self._wake()

    def drop(self) -> None:
        """Close the stream and interrupt its blocked write."""
        self.close()
        if self._writer is not None:
            self._writer.kill(block=False)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            get_hub().loop.run_callback(waiter.switch, None)
