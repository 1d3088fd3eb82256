"""Deliveries have priority: each worker handles one request for pages and figures at a time.

A worker runs everything that is ready before it looks for more. When many dashboards send a request
at the same time, a delivery, whose commit waits for the database several times, would otherwise be
queued behind all of them each time.
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

SLOT_SECONDS = 0.01
"""How long a request may keep others from starting. A slower one mostly waits for something, so the
next one starts beside it."""
PAUSE = 2.0
"""The length of the pause after a request, in times of the request's own: requests get a third of
the time."""
MAX_WAIT_SECONDS = 1.0
"""After a longer wait there are no pauses until the queue is shorter: more requests arrive than can
be answered between pauses."""
METHODS = frozenset({"GET", "HEAD"})
"""Others are rare, and the client decides how fast their body arrives."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class DeliveryPriority:
    """WSGI middleware for all requests but deliveries.

    While ``delivering()`` is true, there is a pause after each request, in which the worker and the
    database have the processor for deliveries. A request holds the slot until the application
    returns: an event stream or an export does not hold it while it sends.
    """

    def __init__(
        self,
        application: WSGIApplication,
        delivering: Callable[[], bool],
        clock: MonotonicClock,
        *,
        slot_seconds: float = SLOT_SECONDS,
    ) -> None:
        self._application = application
        self._delivering = delivering
        self._clock = clock
        self._slot_seconds = slot_seconds
        self._slot = Semaphore()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if (
            "gunicorn.socket" not in environ  # another server, which may have threads
            or environ["REQUEST_METHOD"] not in METHODS
            or environ["PATH_INFO"] in PROBES
        ):
            return self._application(environ, start_response)
        with self._holding_slot():
            return self._application(environ, start_response)

    @contextmanager
    def _holding_slot(self) -> Iterator[None]:
        arrived = self._clock.monotonic()
        self._slot.acquire()
        started = self._clock.monotonic()
        may_pause = started - arrived < MAX_WAIT_SECONDS
        limit = gevent.get_hub().loop.timer(self._slot_seconds)
        limit.start(self._release, started, may_pause)
        try:
            yield
        finally:
            if limit.active:
                limit.stop()
                self._release(started, may_pause)
            limit.close()

    def _release(self, started: float, may_pause: bool) -> None:  # noqa: FBT001 - called by a timer
        if may_pause and self._delivering():
            took = self._clock.monotonic() - started
            gevent.spawn_later(PAUSE * min(took, self._slot_seconds), self._slot.release)
        else:
            self._slot.release()
