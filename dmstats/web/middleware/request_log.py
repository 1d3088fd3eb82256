"""One log line and one measurement per request, and a request id for all its log lines.

Deliveries are an exception, because there may be thousands per second. Successful ones appear only
in the metrics; of the others, one line per second and status is logged. Only the path of a request
is logged, never its query or body.
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
MAX_PATH_LENGTH = 200
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/api/admin/stats"})
SECRET = re.compile(r"(/+shared/+)[^/]+", re.IGNORECASE)
"""A shared link's secret is a part of its path."""
QUIET_FOLDERS = ("/static/", "/shared/")
"""Requested constantly by probes and open dashboards, so successes are logged at level ``debug``.
The size of the log does not depend on the number of admins."""
DELIVERY_LOG_SECONDS = 1.0
UNMATCHED = "none"
STREAM = "text/event-stream"


class RequestMetrics(Protocol):
    """Metrics hook of the request log."""

    def request(self, route: str, status: int, seconds: float) -> None: ...


class RequestLog:
    """WSGI middleware; layers outside of it are not measured."""

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
            route = _route(environ)  # Flask removes it at the end of the request
            streams = any(value.startswith(STREAM) for _, value in headers)
            headers.append(("X-Request-ID", request_id))
            return start_response(line, headers, *exc_info)

        body = self._application(environ, start)
        if is_webhook(environ["PATH_INFO"]):
            if status != 200:
                self._log_delivery(environ, status, started)
            return body

        fields = _fields(environ)

        # Keeps only these fields of the request, because a stream lasts for hours.
        def ended() -> None:
            seconds = self._clock.monotonic() - started
            if not streams:
                self._metrics.request(route, status, seconds)
            _log(fields, status, seconds)

        return ClosingIterator(body, ended)

    def _log_delivery(self, environ: WSGIEnvironment, status: int, started: float) -> None:
        """One line per second and status, with the number of deliveries that were not logged."""
        now = self._clock.monotonic()
        if now < self._delivery_due.get(status, now):
            self._unlogged[status] += 1
            return
        self._delivery_due[status] = now + DELIVERY_LOG_SECONDS
        fields = {**_fields(environ), "from": _sender(environ, self._trusted_proxies)}
        _log(fields, status, now - started, unlogged=self._unlogged.pop(status, 0))


def request_fields() -> dict[str, str]:
    """The fields of every log line that is written during a request."""
    if not has_request_context():
        return {}
    return {"requestId": request.environ.get(ID_KEY, "")}


def loggable(path: str) -> str:
    """``path`` without the secret of a shared link, and not too long."""
    return SECRET.sub(r"\1...", path)[:MAX_PATH_LENGTH]


def _request_id(environ: WSGIEnvironment) -> str:
    """The client's request id if it is short and plain, otherwise a new one."""
    sent: str = environ.get("HTTP_X_REQUEST_ID", "")
    return sent if SANE_ID.fullmatch(sent) else secrets.token_hex(8)


def _sender(environ: WSGIEnvironment, trusted_proxies: int) -> str | None:
    """The address of a delivery's sender. Deliveries are answered before ProxyFix runs, so
    ``X-Forwarded-For`` is evaluated here."""
    if trusted_proxies:
        hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(hops) >= trusted_proxies and (address := hops[-trusted_proxies].strip()):
            return str(address)
    return environ.get("REMOTE_ADDR")


def _route(environ: WSGIEnvironment) -> str:
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return rule.rule if rule is not None else UNMATCHED


def _fields(environ: WSGIEnvironment) -> dict[str, Any]:
    return {
        "requestId": environ[ID_KEY],
        "method": environ["REQUEST_METHOD"],
        "path": loggable(environ["PATH_INFO"]),
        "from": environ.get("REMOTE_ADDR"),  # set by ProxyFix from trusted proxies
    }


def _log(fields: dict[str, Any], status: int, seconds: float, **more: int) -> None:
    level = logging.INFO
    if status >= 500:
        level = logging.WARNING
    elif status < 400 and (fields["path"] in QUIET or fields["path"].startswith(QUIET_FOLDERS)):
        level = logging.DEBUG
    logger.log(
        level,
        "request",
        extra={**fields, "status": status, "ms": round(seconds * 1000, 2), **more},
    )
