"""The open streams of one worker: their limit, and which of them must be closed."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from dmstats.core.clock import Clock
from dmstats.core.errors import Unavailable
from dmstats.sse.buffer import EventBuffer
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.messages import Event
from dmstats.sse.sse_reporter import SseReporter

FULL_RETRY_SECONDS = 30.0
STREAMS_PER_SLICE = 50
"""After this many streams, about a millisecond of work, other greenlets may run."""


class Connections:
    """All open streams; ``max_streams`` limits them so that connections remain for webhooks."""

    def __init__(self, clock: Clock, metrics: SseReporter, max_streams: int) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._max_streams = max_streams
        self._subscribers: set[EventBuffer] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def admit(self, session: str, parts: frozenset[str] | None = None) -> GreenletStream:
        """Open a stream; raises :class:`Unavailable` at the limit."""
        if len(self._subscribers) >= self._max_streams:
            self._metrics.stream_refused()
            raise Unavailable(
                "This worker has reached its stream limit.", retry_after=FULL_RETRY_SECONDS
            )
        stream = GreenletStream(self._monotonic, session, parts)
        self._subscribers.add(stream)
        self._metrics.viewers_changed(len(self._subscribers))
        return stream

    def replace(self, stream: EventBuffer, successor: EventBuffer) -> None:
        """Replace ``stream`` with ``successor``."""
        self._subscribers.discard(stream)
        self._subscribers.add(successor)

    def forget(self, stream: EventBuffer) -> None:
        """Remove a stream that has ended; idempotent."""
        self._subscribers.discard(stream)
        self._metrics.viewers_changed(len(self._subscribers))

    def send(self, event: Event) -> None:
        """Offer ``event`` to every stream."""
        self.send_each(lambda _: event)

    def send_each(self, event_for: Callable[[frozenset[str] | None], Event]) -> None:
        """Offer every stream the event for its parts, each of which is made once."""
        made: dict[frozenset[str] | None, Event] = {}
        for number, stream in enumerate(tuple(self._subscribers), 1):
            event = made.get(stream.parts)
            if event is None:
                event = made[stream.parts] = event_for(stream.parts)
            stream.offer(event)
            if number % STREAMS_PER_SLICE == 0:
                gevent.sleep(0)

    def close(self) -> None:
        """Close every stream cleanly."""
        for stream in tuple(self._subscribers):
            stream.close()

    def drop_blocked(self, seconds: float) -> None:
        """Drop the streams whose current write has taken longer than ``seconds``."""
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
