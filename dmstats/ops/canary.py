"""An end-to-end probe: a test event that passes through webhook and stream but is in no total.

It is sent to the service's public address, so that it covers the proxy and the certificate.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from dmstats.core.clock import Clock, to_ms
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.records import CANARY_ACCOUNT
from dmstats.core.settings import Settings
from dmstats.core.signature import sign
from dmstats.db.dashboard.canaries import Canaries
from dmstats.ops.outgoing import pool_for

logger = logging.getLogger(__name__)

STREAM = "/api/admin/stats/stream"
ANSWER_SECONDS = 5.0
"""Meta's time-out."""
SILENCE_SECONDS = 20.0
"""Heartbeats arrive every 15 s, unless a proxy buffers the stream."""
AGAIN_SECONDS = 1.0
GRACE_SECONDS = 15.0
CHUNK, DATA = 65_536, b"data:"

COUNTED, STREAMED, SHOWN = "counted", "streamed", "shown"
"""The stages: POST to 200, refresh to stream, and POST to stream."""


class CanaryMetrics(Protocol):
    """Metrics hooks of the canary."""

    def canary_shown(self, stages: Mapping[str, float]) -> None: ...
    def canary_lost(self) -> None: ...


class CanaryLost(Exception):
    """The test event did not come back; the text describes where it stopped."""


class _Canary(msgspec.Struct):
    at: str = ""


class _Figures(msgspec.Struct):
    """The fields of a snapshot that the probe needs; a heartbeat has neither."""

    computed_at: str = msgspec.field(name="computedAt", default="")
    canary: _Canary | None = None


class CanaryProbe:
    """The leader calls :meth:`run` once a minute; it waits for the next refresh.

    ``url`` is the service's base address. A canary that does not arrive within ``timeout_seconds``
    is lost. ``lost_in_a_row`` is the number of consecutive losses.
    """

    def __init__(
        self,
        url: str,
        canaries: Canaries,
        clock: Clock,
        metrics: CanaryMetrics,
        *,
        app_secret: str,
        token: str,
        timeout_seconds: float,
    ) -> None:
        self._url = url.rstrip("/")
        self._canaries = canaries
        self._clock = clock
        self._metrics = metrics
        self._app_secret = app_secret
        self._token = token
        self._timeout = timeout_seconds
        self._http = pool_for(url, retries=False)
        self._over = threading.Event()
        self.lost_in_a_row = 0
        self._stream: urllib3.BaseHTTPResponse | None = None

    def run(self) -> None:
        """Send a canary and wait until it arrives, is lost, or :meth:`stop` is called."""
        at_ms = self._clock.now_ms()
        try:
            stages = self._run(at_ms)
        except CanaryLost as lost:
            if not self._over.is_set():
                self.lost_in_a_row += 1
                self._metrics.canary_lost()
                logger.warning("canary_lost", extra={"reason": str(lost)})
            return
        self.lost_in_a_row = 0
        self._metrics.canary_shown(stages)
        self._canaries.save(at_ms, stages)

    def stop(self) -> None:
        """Stop waiting, because the process is shutting down."""
        self._over.set()
        if self._stream is not None:
            with suppress(OSError, RuntimeError, ValueError):  # it has ended already
                self._stream.shutdown()

    def _run(self, at_ms: int) -> dict[str, float]:
        started = self._clock.monotonic()
        self._post(at_ms)
        counted = self._clock.monotonic() - started
        computed_ms = self._wait(at_ms, started + self._timeout)
        streamed = max(0, self._clock.now_ms() - computed_ms) / 1000
        shown = self._clock.monotonic() - started
        return {COUNTED: counted, STREAMED: streamed, SHOWN: shown}

    def _post(self, at_ms: int) -> None:
        body = _body(at_ms)
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(body, self._app_secret),
        }
        try:
            answer = self._http.request(
                "POST", self._url + WEBHOOK_PATH, body=body, headers=headers, timeout=ANSWER_SECONDS
            )
        except HTTPError as error:
            raise CanaryLost(f"the webhook: {type(error).__name__}") from error
        if answer.status != 200:
            raise CanaryLost(f"the webhook answers {answer.status}")

    def _wait(self, at_ms: int, deadline: float) -> int:
        """When the first snapshot with this canary was computed, in ms. A stream that ends is
        reopened, as dashboards do."""
        seen = "it did not arrive on the stream"
        while not self._over.is_set() and self._clock.monotonic() < deadline:
            try:
                for figures in self._figures():
                    if figures.canary and _ms(figures.canary.at) >= at_ms:
                        return _ms(figures.computed_at)
                    if self._clock.monotonic() >= deadline:
                        break
            except (HTTPError, ValueError) as error:
                seen = f"the stream: {type(error).__name__}"
            self._over.wait(AGAIN_SECONDS)
        raise CanaryLost(seen)

    def _figures(self) -> Iterator[_Figures]:
        """The data of every event, starting with the newest snapshot."""
        timeout = urllib3.Timeout(connect=ANSWER_SECONDS, read=SILENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        self._stream = stream = self._http.request(
            "GET", self._url + STREAM, headers=headers, timeout=timeout, preload_content=False
        )
        try:
            if stream.status != 200:
                raise CanaryLost(f"the stream answers {stream.status}")
            rest = b""
            while (some := stream.read1(CHUNK)) and not self._over.is_set():
                *lines, rest = (rest + some).split(b"\n")
                for line in lines:
                    if line.startswith(DATA):
                        yield msgspec.json.decode(line.removeprefix(DATA), type=_Figures)
        finally:
            self._stream = None
            stream.close()


def canary_for(
    settings: Settings, canaries: Canaries, clock: Clock, metrics: CanaryMetrics
) -> CanaryProbe | None:
    """The canary configured by ``settings``, or None."""
    if not settings.canary_url:
        return None
    return CanaryProbe(
        settings.canary_url, canaries, clock, metrics,
        app_secret=settings.meta_app_secrets[0], token=settings.admin_api_token or "",
        timeout_seconds=1.5 * settings.refresh_interval + GRACE_SECONDS,
    )  # fmt: skip


def _body(at_ms: int) -> bytes:
    party = {"id": CANARY_ACCOUNT}
    message = {"mid": f"canary-{secrets.token_hex(16)}"}
    item = {"sender": party, "recipient": party, "timestamp": at_ms, "message": message}
    entry = {"id": CANARY_ACCOUNT, "time": at_ms, "messaging": [item]}
    return msgspec.json.encode({"object": "instagram", "entry": [entry]})


def _ms(moment: str) -> int:
    return to_ms(datetime.fromisoformat(moment))
