"""One log line and one measurement per request, and an id that ties its log lines together.

Deliveries are the exception, since there may be thousands a second: the metrics tell of those that
were counted, and of the others one line a second and status is written. What a request asked for is
logged by its path alone, never by its query or body.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from flask import has_request_context, request
from werkzeug.wsgi import ClosingIterator

from dmstats.core.clock import Clock
from dmstats.ingest.webhook import is_webhook

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("dmstats.request")

ID_KEY = "dmstats.request_id"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
LONGEST_PATH = 200
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/api/admin/stats"})
QUIET_FOLDER = "/static/"
"""Asked for all the time by probes and open dashboards: told at the level ``debug`` while they
succeed. What is logged does not grow with the number of admins."""
DELIVERY_LOG_SECONDS = 1.0
UNMATCHED = "none"
STREAM = "text/event-stream"


class RequestMetrics(Protocol):
    """What this module reports."""

    def request(self, route: str, status: int, seconds: float) -> None: ...


class RequestLog:
    """Wraps the whole application; whatever is further out is not measured."""

    def __init__(
        self,
        application: WSGIApplication,
        clock: Clock,
        metrics: RequestMetrics,
        *,
        trusted_proxies: int = 0,
    ) -> None:
        self._application = application
        self._clock = clock
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies
        self._delivery_due: dict[int, float] = {}
        self._unlogged: Counter[int] = Counter()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = self._clock.monotonic()
        request_id = environ[ID_KEY] = _request_id(environ)
        status, route, streams = 0, UNMATCHED, False

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status, route, streams
            status = int(line[:3])
            route = _route(environ)  # Flask takes it away at the end of the request
            streams = any(value.startswith(STREAM) for _, value in headers)
            headers.append(("X-Request-ID", request_id))
            return start_response(line, headers, *exc_info)

        body = self._application(environ, start)
        if is_webhook(environ["PATH_INFO"]):
            if status != 200:
                self._log_delivery(environ, status, started)
            return body

        fields = _fields(environ)

        # Holds nothing of the request but these: a stream lasts for hours.
        def ended() -> None:
            seconds = self._clock.monotonic() - started
            if not streams:
                self._metrics.request(route, status, seconds)
            _log(fields, status, seconds)

        return ClosingIterator(body, ended)

    def _log_delivery(self, environ: WSGIEnvironment, status: int, started: float) -> None:
        """One line a second for each status; it tells how many before it were left out."""
        now = self._clock.monotonic()
        if now < self._delivery_due.get(status, now):
            self._unlogged[status] += 1
            return
        self._delivery_due[status] = now + DELIVERY_LOG_SECONDS
        fields = {**_fields(environ), "from": _sender(environ, self._trusted_proxies)}
        _log(fields, status, now - started, unlogged=self._unlogged.pop(status, 0))


def request_fields() -> dict[str, str]:
    """What every log line that is written inside a request carries."""
    if not has_request_context():
        return {}
    return {"requestId": request.environ.get(ID_KEY, "")}


def _request_id(environ: WSGIEnvironment) -> str:
    """The sender's id where it is short and plain: it will stand in the log and in the answer."""
    sent: str = environ.get("HTTP_X_REQUEST_ID", "")
    return sent if SANE_ID.fullmatch(sent) else secrets.token_hex(8)


def _sender(environ: WSGIEnvironment, trusted_proxies: int) -> str | None:
    """Who has sent a delivery: they are answered before the application looks at what proxies
    say."""
    if trusted_proxies:
        told = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(told) >= trusted_proxies and (address := told[-trusted_proxies].strip()):
            return str(address)
    return environ.get("REMOTE_ADDR")


def _route(environ: WSGIEnvironment) -> str:
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return rule.rule if rule is not None else UNMATCHED


def _fields(environ: WSGIEnvironment) -> dict[str, Any]:
    return {
        "requestId": environ[ID_KEY],
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"][:LONGEST_PATH],
        "from": environ.get("REMOTE_ADDR"),  # as told by the proxies that are trusted
    }


def _log(fields: dict[str, Any], status: int, seconds: float, **more: int) -> None:
    level = logging.INFO
    if status >= 500:
        level = logging.WARNING
    elif status < 400 and (fields["path"] in QUIET or fields["path"].startswith(QUIET_FOLDER)):
        level = logging.DEBUG
    logger.log(
        level,
        "request",
        extra={**fields, "status": status, "ms": round(seconds * 1000, 2), **more},
    )
