"""The open streams of one worker: how many there may be, and which of them must go."""

from __future__ import annotations

import gevent

from dmstats.core.clock import Clock
from dmstats.core.errors import Unavailable
from dmstats.sse.buffer import EventBuffer
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.messages import Event
from dmstats.sse.sse_reporter import SseReporter

FULL_RETRY_SECONDS = 30.0
AT_ONCE = 50
"""So many streams are written before somebody else gets a turn: a millisecond's worth."""


class Connections:
    """All subscribers; ``max_streams`` is the cap that keeps room for the webhooks."""

    def __init__(self, clock: Clock, metrics: SseReporter, max_streams: int) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._max_streams = max_streams
        self._subscribers: set[EventBuffer] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def admit(self, session: str) -> GreenletStream:
        """A new subscriber; raises :class:`Unavailable` over the cap."""
        if len(self._subscribers) >= self._max_streams:
            self._metrics.stream_refused()
            raise Unavailable(
                "This worker has all the streams it takes.", retry_after=FULL_RETRY_SECONDS
            )
        stream = GreenletStream(self._monotonic, session)
        self._subscribers.add(stream)
        self._metrics.viewers_changed(len(self._subscribers))
        return stream

    def replace(self, stream: EventBuffer, successor: EventBuffer) -> None:
        """Let ``successor`` have the place of ``subscriber``."""
        self._subscribers.discard(stream)
        self._subscribers.add(successor)

    def forget(self, stream: EventBuffer) -> None:
        """Take out a stream that has ended; more than once does no harm."""
        self._subscribers.discard(stream)
        self._metrics.viewers_changed(len(self._subscribers))

    def send(self, event: Event) -> None:
        """Leave ``event`` for everybody."""
        for number, stream in enumerate(tuple(self._subscribers), 1):
            stream.offer(event)
            if number % AT_ONCE == 0:
                gevent.sleep(0)

    def close(self) -> None:
        """End every stream cleanly."""
        for stream in tuple(self._subscribers):
            stream.close()

    def drop_blocked(self, seconds: float) -> None:
        """Break off the streams whose last write has been going on for longer than that."""
        latest = self._monotonic() - seconds
        for stream in tuple(self._subscribers):
            if stream.writing_since is not None and stream.writing_since < latest:
                self.forget(stream)
                stream.drop()
                self._metrics.stream_dropped()

    def sessions(self) -> set[str]:
        """The sessions of all streams that have one."""
        return {stream.session for stream in self._subscribers if stream.session}

    def end_sessions(self, ended: set[str]) -> None:
        """End the streams of these sessions, each session on its own."""
        for stream in tuple(self._subscribers):
            if stream.session and stream.session in ended:
                stream.close()
