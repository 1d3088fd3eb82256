"""The dashboards' event stream: flask-sse's blueprint over the worker's hub."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from socket import socket
from typing import Any

from flask import Response, request
from flask_sse import ServerSentEventsBlueprint

from dmstats.core.constants import CHANNEL
from dmstats.core.errors import NotFound, StoreUnavailable
from dmstats.snapshot.encoded import newest_of
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.hub import Hub
from dmstats.sse.messages import Event, Figures, chunk, stats_event
from dmstats.sse.socket_stream import SocketStream
from dmstats.web import services
from dmstats.web.auth.authenticator import stream_session

PATH = "/api/admin/stats/stream"
KEY = "dmstats.stream"
"""Where a request's environment holds its :class:`StreamBody`."""
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
RETRY_MS = (2_000, 5_000)


class StatsEvents(ServerSentEventsBlueprint):  # type: ignore[misc]
    """flask-sse's ``publish`` and wire format; streams come from the hub, of one channel only."""

    def __init__(self) -> None:
        super().__init__("stats_events", __name__)
        self.add_url_rule(PATH, "stream", self.stream)

    @property
    def redis(self) -> Any:
        """The application's pooled client."""
        return services().redis

    def publish(
        self,
        data: Any,
        type: str | None = None,  # noqa: A002 - flask-sse's name
        id: str | None = None,  # noqa: A002 - flask-sse's name
        retry: int | None = None,
        channel: str = CHANNEL,
    ) -> Any:
        """flask-sse's own, on the ``channel`` of this installation."""
        name = services().keyspace.key(channel)
        return super().publish(data, type=type, id=id, retry=retry, channel=name)

    def messages(self, channel: str = CHANNEL) -> Iterator[Event]:
        """Every event from now on; raises :class:`NotFound` for any channel but the one."""
        if channel != CHANNEL:
            raise NotFound("This channel does not exist.")
        hub = services().hub
        return _events(hub, hub.subscribe())

    def stream(self) -> Response:
        """Open a stream; 503 with ``Retry-After`` over the worker's cap."""
        return open_stream(stream_session())


def open_stream(session: str, parts: frozenset[str] | None = None) -> Response:
    """A stream that ends with ``session``, of all figures or only these ``parts``.

    Raises :class:`Unavailable` over the worker's cap.
    """
    hub, reader = services().hub, services().reader
    # The mailbox first: what comes while the figures are read must not be missed.
    stream = hub.subscribe(session, parts)
    seen = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
    try:
        figures: Figures | None = hub.shown(
            reader.current(newest_of([seen] if seen else [])), parts
        )
    except StoreUnavailable:
        figures = None
    except BaseException:
        hub.unsubscribe(stream)
        raise
    if figures is not None:
        stream.order = figures.order
    first = [_opening(figures, seen), hub.heartbeat().encoded]
    body = request.environ[KEY] = StreamBody(hub, stream, first)
    # Passed through: Werkzeug's own layers would be kept as long as the stream is.
    return Response(
        body,
        mimetype="text/event-stream",
        headers=HEADERS,
        direct_passthrough=True,
    )


def _opening(figures: Figures | None, seen: str | None) -> bytes:
    """How long to wait before coming back, jittered: after a deploy all dashboards come back at
    once. Then the figures, unless those are what the client has ``seen``."""
    retry = b"retry:%d\n\n" % random.randint(*RETRY_MS)  # noqa: S311
    return (
        retry
        if figures is None or figures.version == seen
        else retry + stats_event(figures).encoded
    )


class StreamBody:
    """The bytes of one stream: ``first``, then what comes."""

    __slots__ = ("_first", "_hub", "_on_close", "_stream")

    def __init__(self, hub: Hub, stream: GreenletStream, first: list[bytes]) -> None:
        self._hub = hub
        self._stream: GreenletStream | SocketStream = stream
        self._first = first
        self._on_close: Callable[[], None] | None = None

    def call_on_close(self, function: Callable[[], None]) -> None:
        """Have ``function`` called once, at the end: cheaper than one more layer around this."""
        self._on_close = function

    def hand_over(self, connection: socket, head: bytes, on_end: Callable[[], None]) -> None:
        """Have all of it written to ``connection`` after the ``head``, by the hub.

        ``on_end`` is called once, when the stream has ended; it has to close this.
        """
        first = head + chunk(b"".join(self._first))
        self._first = []
        socket_stream = self._stream = self._hub.hand_over(self._stream, connection, first, on_end)
        socket_stream.start()

    def __iter__(self) -> StreamBody:
        return self

    def __next__(self) -> bytes:
        if isinstance(self._stream, GreenletStream):
            if self._first:
                self._stream.begin_write()
                return self._first.pop(0)
            if (event := self._stream.take()) is not None:
                return event.encoded
            self.close()
        raise StopIteration

    def close(self) -> None:
        """The server is done with it, also where the client left before the first byte."""
        self._hub.unsubscribe(self._stream)
        function, self._on_close = self._on_close, None
        if function is not None:
            function()


def _events(hub: Hub, stream: GreenletStream) -> Iterator[Event]:
    try:
        while (event := stream.take()) is not None:
            yield event
    finally:
        hub.unsubscribe(stream)
