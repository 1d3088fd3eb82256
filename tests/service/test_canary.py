"""The canary against a service that works, and against one that fails in each way."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dmstats.core.clock import SystemClock, rfc3339
from dmstats.core.records import CANARY
from dmstats.core.signature import sign
from dmstats.ingest.events import read_events
from dmstats.ops.canary import CanaryProbe
from tests.recorder import Recorder
from tests.servers import wait_until

SECRET, TOKEN = "app-secret-of-the-test", "api-token-of-the-test"


class Service:
    """A webhook and a stream, as the canary meets them behind the public address."""

    def __init__(self) -> None:
        self.webhook_answers = 200
        self.stream_answers = 200
        self.tells = True
        self.ends_first = 0
        self.streams = 0
        self.at_ms = 0
        self.signed = False

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.signed = handler.headers["X-Hub-Signature-256"] == sign(body, SECRET)
        reading = read_events(body, arrived_ms=SystemClock().now_ms(), max_age_ms=10**9)
        assert reading.is_canary
        self.at_ms = reading.rows[0].time_ms
        handler.send_response(self.webhook_answers)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def stream(self, handler: BaseHTTPRequestHandler) -> None:
        assert handler.headers["Authorization"] == f"Bearer {TOKEN}"
        self.streams += 1
        handler.send_response(self.stream_answers)
        handler.end_headers()
        self._say(handler, "stats", {"computedAt": rfc3339(1), "canary": None})
        self._say(handler, "heartbeat", {"at": "x", "live": True, "version": None})
        older = {"at": rfc3339(self.at_ms - 60_000), "countedMs": 1.0}
        self._say(handler, "stats", {"computedAt": rfc3339(1), "canary": older})
        if self.streams > self.ends_first:
            if self.tells:
                now, ours = SystemClock().now_ms(), {"at": rfc3339(self.at_ms)}
                self._say(handler, "stats", {"computedAt": rfc3339(now), "canary": ours})
            handler.connection.settimeout(10)
            handler.rfile.read(1)  # until the client goes

    @staticmethod
    def _say(handler: BaseHTTPRequestHandler, kind: str, data: object) -> None:
        handler.wfile.write(f"event:{kind}\ndata:{json.dumps(data)}\nid:1-1\n\n".encode())
        handler.wfile.flush()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.post(self)

        def do_GET(self) -> None:
            with suppress(BrokenPipeError):  # the client goes as soon as it knows
                service.stream(self)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class CanaryRun:
    """One canary, what it reports, and what it stores."""

    def __init__(self, url: str, *, timeout_seconds: float = 30.0) -> None:
        self.metrics = Recorder()
        self.saved: list[tuple[int, Mapping[str, float]]] = []
        self.canary = CanaryProbe(
            url, self, SystemClock(), self.metrics,  # type: ignore[arg-type]
            app_secret=SECRET, token=TOKEN, timeout_seconds=timeout_seconds,
        )  # fmt: skip

    def save(self, at_ms: int, stages: Mapping[str, float]) -> None:
        self.saved.append((at_ms, stages))


def test_it_works(service: Service, url: str) -> None:
    run = CanaryRun(url)
    run.canary.run()
    ((at_ms, stages),) = run.saved
    assert (at_ms, service.signed) == (service.at_ms, True)
    assert 0 < stages["counted"] < stages["shown"]
    assert 0 <= stages["streamed"] <= stages["shown"]
    assert run.metrics.last["canary_shown"] == (stages,)
    assert run.canary.lost_in_a_row == 0


def test_a_stream_that_ends_is_opened_again(service: Service, url: str) -> None:
    service.ends_first = 1
    run = CanaryRun(url)
    run.canary.run()
    assert service.streams == 2
    assert run.metrics.seen["canary_shown"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook_answers": 503}, "the webhook answers 503"),
        ({"stream_answers": 401}, "the stream answers 401"),
        ({"ends_first": 9}, "it did not arrive on the stream"),
    ],
)
def test_a_lost_canary_is_reported_with_its_last_stage(
    service: Service,
    url: str,
    change: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in change.items():
        setattr(service, name, value)
    run = CanaryRun(url, timeout_seconds=0.2)
    run.canary.run()
    assert (run.metrics.seen["canary_lost"], run.saved) == (1, [])
    assert run.canary.lost_in_a_row == 1
    (record,) = [record for record in caplog.records if record.message == "canary_lost"]
    assert (record.levelno, vars(record)["reason"]) == (logging.WARNING, reason)


def test_an_address_on_which_no_service_listens(url: str) -> None:
    run = CanaryRun("http://127.0.0.1:1")
    run.canary.run()
    assert run.metrics.seen["canary_lost"] == 1


def test_the_end_of_the_process_is_no_loss(service: Service, url: str) -> None:
    service.tells = False
    run = CanaryRun(url)
    flight = threading.Thread(target=run.canary.run)
    flight.start()
    wait_until(lambda: service.streams == 1)
    time.sleep(0.1)  # into the middle of its reading
    run.canary.stop()
    flight.join(5)
    assert not flight.is_alive()
    assert not run.metrics.seen


def test_a_persons_account_is_no_canary() -> None:
    item = {"sender": {"id": "7"}, "timestamp": 1, "message": {"mid": "m"}}
    body = {"object": "instagram", "entry": [{"id": "178", "time": 1, "messaging": [item]}]}
    reading = read_events(json.dumps(body).encode(), arrived_ms=1, max_age_ms=1)
    assert not reading.is_canary
    assert reading.rows[0].kind != CANARY
