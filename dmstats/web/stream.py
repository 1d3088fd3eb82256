"""The dashboards' event stream: flask-sse's blueprint over the worker's hub."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, request
from flask_sse import ServerSentEventsBlueprint

from dmstats.errors import NotFound, StoreUnavailable
from dmstats.live.events import Event, Figures, Order, stats_event
from dmstats.live.feed import CHANNEL
from dmstats.live.hub import Hub
from dmstats.live.subscriber import Subscriber
from dmstats.stats.served import newest_of
from dmstats.web import services
from dmstats.web.auth import admin_still_allowed, current_admin, require_admin

PATH = "/api/admin/stats/stream"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
RETRY_MS = (2_000, 5_000)
SCRIPT = "script"


class StatsEvents(ServerSentEventsBlueprint):  # type: ignore[misc]
    """flask-sse's ``publish`` and wire format; streams come from the hub, of one channel only."""

    def __init__(self) -> None:
        super().__init__("stats_events", __name__)
        self.add_url_rule(PATH, "stream", require_admin(self.stream))

    @property
    def redis(self) -> Any:
        """The application's pooled client."""
        return services().redis

    def messages(self, channel: str = CHANNEL) -> Iterator[Event]:
        """Every event from now on; raises :class:`NotFound` for any channel but the one."""
        if channel != CHANNEL:
            raise NotFound("There is no such channel.")
        hub = services().hub
        return _events(hub, hub.subscribe())

    def stream(self) -> Response:
        """Open a stream; 503 with ``Retry-After`` over the worker's cap."""
        hub, reader = services().hub, services().reader
        admin = current_admin()
        # The mailbox first: what comes while the figures are read must not be missed.
        subscriber = hub.subscribe(admin.id if admin else SCRIPT, admin_still_allowed())
        seen = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
        try:
            figures: Figures | None = reader.current(newest_of([seen] if seen else []))
        except StoreUnavailable:
            figures = None
        except BaseException:
            hub.unsubscribe(subscriber)
            raise
        first = [_opening(figures, seen), hub.heartbeat().encoded]
        order = figures.order if figures else (0, 0)
        # Passed through: Werkzeug's own layers would be kept as long as the stream is.
        return Response(
            StreamBody(hub, subscriber, first, order),
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
    """The bytes of one stream: ``first``, then what comes, newer than ``order``.

    A plain iterator that holds no request: a generator costs each of thousands of streams its
    frame, and a deeper stack to keep while it waits.
    """

    __slots__ = ("_first", "_hub", "_on_close", "_order", "_subscriber")

    def __init__(self, hub: Hub, subscriber: Subscriber, first: list[bytes], order: Order) -> None:
        self._hub = hub
        self._subscriber = subscriber
        self._first = first
        self._order = order
        self._on_close: Callable[[], None] | None = None

    def call_on_close(self, function: Callable[[], None]) -> None:
        """Have ``function`` called once, at the end: cheaper than one more layer around this."""
        self._on_close = function

    def __iter__(self) -> StreamBody:
        return self

    def __next__(self) -> bytes:
        if self._first:
            self._subscriber.begin_write()
            return self._first.pop(0)
        while (event := self._subscriber.take()) is not None:
            if event.order is None:
                return event.encoded
            if event.order > self._order:
                self._order = event.order
                return event.encoded
        self.close()
        raise StopIteration

    def close(self) -> None:
        """The server is done with it, also where the client left before the first byte."""
        self._hub.unsubscribe(self._subscriber)
        function, self._on_close = self._on_close, None
        if function is not None:
            function()


def _events(hub: Hub, subscriber: Subscriber) -> Iterator[Event]:
    try:
        while (event := subscriber.take()) is not None:
            yield event
    finally:
        hub.unsubscribe(subscriber)
