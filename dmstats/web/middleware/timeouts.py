"""Time-outs for receiving a body and sending a response, and the memory budget for bodies.

A slow client occupies one of the worker's connections, so its time is limited. The time-out for
request lines and headers is in gunicorn.conf.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import gevent

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError
from dmstats.ingest.large_deliveries import BodyBudget, BodyLease
from dmstats.ingest.webhook import BODY_KEY

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BODY_SECONDS = 10.0
"""For a whole body, at most 4 MiB; Meta's are a few kB and arrive immediately."""

WRITE_SECONDS = 30.0
"""For one write of a response, for example a stream's event."""

WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


def _declared(environ: WSGIEnvironment) -> int | None:
    length = environ.get("CONTENT_LENGTH") or ""
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None


class TooSlow(DmstatsError):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"


class RequestTimeouts:
    """WSGI middleware that limits the duration of requests and responses."""

    def __init__(
        self, application: WSGIApplication, clock: Clock, *, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._application = application
        self._clock = clock
        self._body_seconds = body_seconds
        self._budget = BodyBudget()
        self._connections: WeakSet[socket.socket] = WeakSet()
        self._busy: set[socket.socket] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        connection = environ.get("gunicorn.socket")
        if connection is None:
            return self._bounded(environ, start_response)
        connection.settimeout(WRITE_SECONDS)
        self._connections.add(connection)
        self._busy.add(connection)
        try:
            return self._bounded(environ, start_response)
        finally:
            self._busy.discard(connection)

    def close_idle(self) -> None:
        """Close idle connections, because a stopping worker would wait for them. Requests that were
        already received are still answered."""
        for connection in set(self._connections) - self._busy:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def _bounded(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in WITHOUT_BODY:
            return self._application(environ, start_response)
        deadline = self._clock.monotonic() + self._body_seconds
        with self._budget.lease(_declared(environ)) as lease:
            environ[BODY_KEY] = lease
            environ["wsgi.input"] = _BoundedBody(
                environ["wsgi.input"], lease, self._clock, deadline
            )
            return self._application(environ, start_response)


class _BoundedBody:
    """A body that must be read before ``deadline`` (monotonic), or it raises :class:`TooSlow`, and
    within the memory of its ``lease``, or it raises ``Unavailable``."""

    def __init__(self, body: Any, lease: BodyLease, clock: Clock, deadline: float) -> None:
        self._body = body
        self._lease = lease
        self._clock = clock
        self._deadline = deadline

    def read(self, size: int = -1) -> bytes:
        with self._limit():
            data: bytes = self._body.read(size)
        self._lease.grow(len(data))
        return data

    def readline(self, size: int = -1) -> bytes:
        with self._limit():
            data: bytes = self._body.readline(size)
        self._lease.grow(len(data))
        return data

    def _limit(self) -> gevent.Timeout:
        left = max(0.0, self._deadline - self._clock.monotonic())
        return gevent.Timeout(left, TooSlow("The body did not arrive in time."))
