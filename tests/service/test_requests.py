"""The request log: one line for each request, with an id and without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.test import Client, TestResponse

from dmstats.core.clock import ManualClock
from dmstats.ops.logs import JsonLines
from dmstats.web.middleware.request_log import RequestLog, request_fields
from tests.recorder import Recorder

WEBHOOK = "/api/webhooks/instagram"


class Site:
    """An application of a few views behind the request log."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.metrics = clock, Recorder()
        app = Flask("site")

        @app.get("/things/<name>")
        def thing(name: str) -> str:
            clock.advance(0.25)
            logging.getLogger("site").info("looked")
            return name

        @app.get("/healthz")
        @app.get("/api/admin/stats")
        @app.get("/api/admin/stats/refresh")
        def healthz() -> str:
            return "ok"

        @app.get("/broken")
        def broken() -> tuple[str, int]:
            return "", 503

        @app.get("/stream")
        def stream() -> Response:
            def events() -> Iterator[str]:
                clock.advance(30)
                yield "data: x\n\n"

            return Response(events(), mimetype="text/event-stream")

        @app.post(WEBHOOK + "/<int:status>")
        @app.post(WEBHOOK, defaults={"status": 200})
        def webhook(status: int) -> tuple[str, int]:
            return "", status

        self.client = Client(RequestLog(self._rooted(app), clock, self.metrics))

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, buffered=True, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.client.post(path, buffered=True, **options)

    @staticmethod
    def _rooted(app: Flask) -> Any:
        def rooted(environ: Any, start_response: Any) -> Any:
            status = environ.get("HTTP_X_STATUS")
            if status:
                start_response(f"{status} X", [])
                return [b""]
            return app(environ, start_response)

        return rooted


@pytest.fixture
def site(clock: ManualClock) -> Site:
    return Site(clock)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    formatter = JsonLines(request_fields)

    def read() -> list[dict[str, Any]]:
        return [
            json.loads(formatter.format(record))
            for record in caplog.records
            if record.name == "dmstats.request"
        ]

    return read


def test_it_works(site: Site, lines: Any) -> None:
    answer = site.get("/things/a?token=hidden")
    (line,) = lines()
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/things/a", 200)
    assert (line["ms"], line["level"]) == (250.0, "info")
    assert line["requestId"] == answer.headers["X-Request-ID"]
    assert "hidden" not in json.dumps(line)
    assert site.metrics.last["request"] == ("/things/<name>", 200, 0.25)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1.2_X", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("é", False),
     ('"},{"level":"error', False), ("", False)],
)  # fmt: skip
def test_a_plain_request_id_is_kept(site: Site, sent: str, kept: bool) -> None:
    answer = site.get("/healthz", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) is kept
    assert len(answer.headers["X-Request-ID"]) <= 64


@pytest.mark.parametrize(
    ("path", "level"),
    [("/healthz", "debug"), ("/broken", "warning"), ("/nowhere", "info"),
     ("/metrics", "info"),  # there is none here: 404
     ("/api/admin/stats", "debug"), ("/api/admin/stats/refresh", "info")],
)  # fmt: skip
def test_levels_mean_something(site: Site, lines: Any, path: str, level: str) -> None:
    site.get(path)
    assert lines()[0]["level"] == level


def test_what_matches_no_route_makes_no_new_label(site: Site) -> None:
    site.get("/no/such/thing")
    assert site.metrics.last["request"][:2] == ("none", 404)


def test_a_stream_is_logged_at_its_end_and_not_measured(site: Site, lines: Any) -> None:
    answer = site.get("/stream")
    assert answer.data
    answer.close()
    assert lines()[0]["ms"] == 30_000
    assert site.metrics.seen["request"] == 0


def test_a_path_cannot_forge_a_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.get('/x%0A{"event":"forged"}%1b[31m' + "y" * 500)
    (record,) = [record for record in caplog.records if record.name == "dmstats.request"]
    text = JsonLines(request_fields).format(record)
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 600
    assert json.loads(text)["event"] == "request"


def test_lines_inside_a_request_carry_its_id(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ids = []
    handler = logging.Handler()
    handler.emit = lambda record: ids.append(request_fields())  # type: ignore[method-assign]
    logging.getLogger("site").addHandler(handler)
    answer = site.get("/things/a")
    logging.getLogger("site").removeHandler(handler)
    assert ids == [{"requestId": answer.headers["X-Request-ID"]}]
    assert request_fields() == {}


def test_counted_deliveries_are_not_logged_and_failing_ones_once_a_second(
    site: Site, lines: Any
) -> None:
    assert "X-Request-ID" in site.post(WEBHOOK).headers
    assert lines() == []
    for _ in range(5):
        site.post(WEBHOOK, headers={"X-Status": "503"})
    site.post(WEBHOOK, headers={"X-Status": "401"})
    assert [(line["status"], line["unlogged"]) for line in lines()] == [(503, 0), (401, 0)]
    site.clock.advance(1)
    site.post(WEBHOOK, headers={"X-Status": "503"})
    assert [(line["status"], line["unlogged"]) for line in lines()][2:] == [(503, 4)]
