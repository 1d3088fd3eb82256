"""Requests for pages and figures take turns, so that deliveries are answered between them.

A worker runs everything that is ready before it looks for more. When many dashboards send a request
at the same time, a delivery, whose commit waits for the database several times, would otherwise be
behind all of them each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import gevent
from gevent.lock import Semaphore

from dmstats.core.clock import MonotonicClock

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

TURN_SECONDS = 0.01
"""The longest turn. After it a request goes on beside the next one: it mostly waits for something,
and must not keep others from being answered."""
PAUSE = 2.0
"""How many times as long as its turn the pause after it is: requests have a third of the time."""
PATIENCE_SECONDS = 1.0
"""After a longer wait there are no pauses until the line is shorter: more requests arrive than can
be answered beside pauses."""
METHODS = frozenset({"GET", "HEAD"})
"""Others are rare, and how fast their body arrives is the client's choice."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class Turns:
    """WSGI middleware for all requests but deliveries.

    While ``delivering()`` is true, there is a pause after each turn, in which the worker and the
    database have the processor for deliveries. A turn ends with the call of the
    application: an event stream or an export has none while it sends.
    """

    def __init__(
        self,
        application: WSGIApplication,
        delivering: Callable[[], bool],
        clock: MonotonicClock,
        *,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._application = application
        self._delivering = delivering
        self._clock = clock
        self._turn_seconds = turn_seconds
        self._free = Semaphore()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if (
            "gunicorn.socket" not in environ  # another server, which may have threads
            or environ["REQUEST_METHOD"] not in METHODS
            or environ["PATH_INFO"] in PROBES
        ):
            return self._application(environ, start_response)
        with self._turn():
            return self._application(environ, start_response)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        arrived = self._clock.monotonic()
        self._free.acquire()
        started = self._clock.monotonic()
        may_pause = started - arrived < PATIENCE_SECONDS
        limit = gevent.get_hub().loop.timer(self._turn_seconds)
        limit.start(self._end, started, may_pause)
        try:
            yield
        finally:
            if limit.active:
                limit.stop()
                self._end(started, may_pause)
            limit.close()

    def _end(self, started: float, may_pause: bool) -> None:  # noqa: FBT001 - called by a timer
        if may_pause and self._delivering():
            took = self._clock.monotonic() - started
            gevent.spawn_later(PAUSE * min(took, self._turn_seconds), self._free.release)
        else:
            self._free.release()
