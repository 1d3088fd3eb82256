"""One stream's mailbox: the newest event of each type, and nothing older."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub, getcurrent
from gevent.hub import Waiter

from dmstats.live.events import Event


class Subscriber:
    """Filled by the hub, emptied by the greenlet that writes the stream.

    ``who`` and ``allowed`` tell whose stream it is and whether it may go on. A slow stream gets
    fewer, newer events; ``writing_since`` tells how long its last write has been going on.
    """

    __slots__ = (
        "_clock",
        "_mailbox",
        "_waiter",
        "_writer",
        "allowed",
        "closed",
        "who",
        "writing_since",
    )

    def __init__(
        self, monotonic: Callable[[], float], who: str, allowed: Callable[[], bool]
    ) -> None:
        self._clock = monotonic
        self._mailbox: dict[str, Event] = {}
        # Waiter rather than Event: greenlets keep a copy of their C stack while they wait, and
        # this is the shallowest way down. With thousands of streams that is most of their memory.
        self._waiter: Any = None
        self._writer: Any = None
        self.closed = False
        self.who = who
        self.allowed = allowed
        self.writing_since: float | None = None

    def offer(self, event: Event) -> None:
        """Leave ``event``; it replaces one of the same type that was not taken yet."""
        self._mailbox[event.type] = event
        self._wake()

    def take(self) -> Event | None:
        """Wait for the next event; None once the stream is to end."""
        self.writing_since = None
        while not self._mailbox and not self.closed:
            self._waiter = Waiter(get_hub())
            try:
                self._waiter.get()
            finally:
                self._waiter = None
        return self.poll()

    def poll(self) -> Event | None:
        """The next event that is there already, None without."""
        if self.closed or not self._mailbox:
            return None
        self.begin_write()
        return self._mailbox.pop(next(iter(self._mailbox)))

    def begin_write(self) -> None:
        """The current greenlet goes on to write to the client."""
        self._writer = getcurrent()
        self.writing_since = self._clock()

    def close(self) -> None:
        """End the stream: at its next :meth:`take`, which is now if it waits there."""
        self.closed = True
        self._wake()

    def drop(self) -> None:
        """End a stream whose client does not read: its blocked write is broken off."""
        self.close()
        if self._writer is not None:
            self._writer.kill(block=False)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            get_hub().loop.run_callback(waiter.switch, None)
