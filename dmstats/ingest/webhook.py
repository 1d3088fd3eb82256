"""The webhook: Meta's handshake, and signed deliveries counted before they are acknowledged.

This is a separate WSGI application in front of Flask. A delivery needs no sessions, hooks or
routing, and these would cost more than counting itself (docs/decisions/0002-hot-path.md).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import msgspec

from dmstats.core.clock import Clock
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.errors import BadRequest, BadSignature, DmstatsError, Forbidden, TooLarge
from dmstats.core.signature import SIGNATURE_PREFIX
from dmstats.ingest.events import Note, Reading, read_events
from dmstats.ingest.large_deliveries import BodyLease, SlicedSubmission

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from dmstats.commit.group_commit import Committer

log = logging.getLogger(__name__)

MAX_BODY = 4 * 1024 * 1024
CHUNK = 64 * 1024
"""Bodies are read in chunks of this size, so that the memory budget is checked as they arrive."""
BODY_KEY = "dmstats.body"
"""The key in the WSGI environ of the lease on the body's memory."""
_SLASHES = re.compile(r"/{2,}")
MAX_DIGITS = 20
CANARY_KEY = "dmstats.canary"
"""Set for the canary's delivery, which is left out of the metrics: its successes would hide that
Meta's deliveries fail."""

READING_KEY = "dmstats.reading"
"""What was read, for the details of a delivery."""
NOTED_KEY = "dmstats.noted"
"""Set if events of the delivery were rejected or not understood."""

_JSON = msgspec.json.Encoder()


class WebhookReporter(Protocol):
    """What the webhook reports."""

    def delivery(self, status: int, seconds: float) -> None: ...
    def events_ignored(self, events: int) -> None: ...
    def object_ignored(self, name: str, events: int) -> None: ...


class DeliveryDetails(Protocol):
    """Remembers deliveries; a good one only when ``sample_due`` (monotonic) has come."""

    sample_due: float

    def record(
        self,
        environ: Mapping[str, Any],
        reading: Reading | None,
        *,
        status: int,
        reason: str,
        counts: Mapping[str, int],
        seconds: float,
    ) -> None: ...
    def see(self, notes: list[Note]) -> None: ...


class Webhook:
    """Answers ``GET`` and ``POST`` at :data:`WEBHOOK_PATH`."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        metrics: WebhookReporter,
        *,
        app_secrets: Sequence[str],
        verify_token: str,
        max_age_ms: int,
        details: DeliveryDetails | None = None,
    ) -> None:
        self._details = details
        if not app_secrets or not verify_token:
            raise ValueError("a webhook without secrets would accept events from anyone")
        self._slices = SlicedSubmission(committer.submit, clock)
        self._clock = clock
        self._metrics = metrics
        # One HMAC state per secret is keyed once and copied for each delivery.
        self._hmacs = [
            hmac.new(secret.encode(), digestmod=hashlib.sha256) for secret in app_secrets
        ]
        self._verify_token = verify_token.encode()
        self._max_age_ms = max_age_ms

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """``application``, with this webhook handling its own path."""

        def branch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if is_webhook(environ.get("PATH_INFO", "")):
                return self(environ, start_response)
            return application(environ, start_response)

        return branch

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        started = self._clock.monotonic()
        headers: list[tuple[str, str]] = []
        reason = ""
        try:
            status, content_type, body = self._answer(environ, headers, started)
        except DmstatsError as error:
            status, content_type, body = _problem(error, headers)
            reason = str(error)
        except Exception:
            # The sender must always get a 5xx, so that it retries.
            log.exception("webhook_defect")
            status, content_type, body = _problem(DmstatsError(), headers)
            reason = DmstatsError.title
        headers += [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if CANARY_KEY not in environ:
            now = self._clock.monotonic()
            self._metrics.delivery(status, now - started)
            details = self._details
            if details and (status != 200 or NOTED_KEY in environ or now >= details.sample_due):
                self._look_into(details, environ, status, body, reason, now - started)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _look_into(
        self,
        details: DeliveryDetails,
        environ: WSGIEnvironment,
        status: int,
        body: bytes,
        reason: str,
        seconds: float,
    ) -> None:
        if environ["REQUEST_METHOD"] != "POST":
            return
        counts: dict[str, int] = msgspec.json.decode(body) if status == 200 else {}
        reading: Reading | None = environ.get(READING_KEY)
        if reading and reading.notes:
            details.see(reading.notes)
        due = self._clock.monotonic() >= details.sample_due
        if status != 200 or counts["rejected"] or due:
            details.record(environ, reading, status=status, reason=reason, counts=counts,
                           seconds=seconds)  # fmt: skip

    def _answer(
        self, environ: WSGIEnvironment, headers: list[tuple[str, str]], started: float
    ) -> tuple[int, str, bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "POST":
            body = _read(environ)
            self._verify(body, environ.get("HTTP_X_HUB_SIGNATURE_256", ""))
            if BODY_KEY in environ:
                lease: BodyLease = environ[BODY_KEY]
                lease.release()
            return 200, "application/json", _JSON.encode(self._count(body, environ, started))
        if method in ("GET", "HEAD"):
            return 200, "text/plain; charset=utf-8", self._handshake(environ)
        headers.append(("Allow", "GET, HEAD, POST"))
        raise MethodNotAllowed

    def _handshake(self, environ: WSGIEnvironment) -> bytes:
        asked: str = environ.get("QUERY_STRING", "")
        query = parse_qs(asked, keep_blank_values=True)
        mode, token, challenge = (
            query.get(f"hub.{name}", [""])[0] for name in ("mode", "verify_token", "challenge")
        )
        matches = hmac.compare_digest(token.encode("utf-8", "replace"), self._verify_token)
        if not matches or mode != "subscribe" or not challenge:
            raise Forbidden("The verify token or hub.mode is wrong")
        return challenge.encode("utf-8", "replace")

    def _verify(self, body: bytes, signature: str) -> None:
        """Check the signature of the raw bytes; every secret is tried, in constant time."""
        if not signature.startswith(SIGNATURE_PREFIX):
            raise BadSignature("X-Hub-Signature-256 is missing or not sha256")
        given = signature[len(SIGNATURE_PREFIX) :].encode("latin-1", "replace")
        matches = False
        for keyed in self._hmacs:
            expected = keyed.copy()
            expected.update(body)
            matches |= hmac.compare_digest(expected.hexdigest().encode(), given)
        if not matches:
            raise BadSignature("The signature matches no app secret")

    def _count(self, body: bytes, environ: WSGIEnvironment, started: float) -> dict[str, Any]:
        reading = read_events(body, arrived_ms=self._clock.now_ms(), max_age_ms=self._max_age_ms)
        environ[READING_KEY] = reading
        if reading.notes:
            environ[NOTED_KEY] = True
        if reading.is_canary:
            environ[CANARY_KEY] = True
        if reading.ignored:
            self._metrics.events_ignored(reading.ignored)
        for name, entries in reading.foreign.items():
            self._metrics.object_ignored(name, entries)
        counted = self._slices.submit(
            reading.rows, rejected=reading.rejected, body=body, started=started
        )
        if counted.rejected:
            environ[NOTED_KEY] = True
        return {
            "sent": counted.sent,
            "received": counted.received,
            "other": counted.other,
            "duplicates": counted.duplicates,
            "ignored": reading.ignored,
            "rejected": counted.rejected,
        }


class MethodNotAllowed(DmstatsError):
    """The method is neither that of the handshake nor that of a delivery."""

    status = 405
    title = "Method not allowed"


def is_webhook(path: str) -> bool:
    """Whether ``path`` is the webhook's, tolerating doubled and trailing slashes."""
    if path == WEBHOOK_PATH:
        return True
    extra_slashes = path.endswith("/") or "//" in path
    return extra_slashes and _SLASHES.sub("/", path).rstrip("/") == WEBHOOK_PATH


def _read(environ: WSGIEnvironment) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    if length:
        if not (length.isascii() and length.isdecimal()):
            raise BadRequest("Content-Length is not a number")
        if len(length) > MAX_DIGITS or int(length) > MAX_BODY:
            raise TooLarge(f"The body is over {MAX_BODY} bytes")
    elif not environ.get("wsgi.input_terminated"):
        return b""
    wanted, pieces = int(length) if length else MAX_BODY + 1, []
    while wanted > 0 and (piece := environ["wsgi.input"].read(min(wanted, CHUNK))):
        pieces.append(piece)
        wanted -= len(piece)
    body: bytes = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body is over {MAX_BODY} bytes")
    return body


def _problem(error: DmstatsError, headers: list[tuple[str, str]]) -> tuple[int, str, bytes]:
    if error.retry_after is not None:
        headers.append(("Retry-After", str(max(1, round(error.retry_after)))))
    return error.status, "application/problem+json", _JSON.encode(error.problem())
