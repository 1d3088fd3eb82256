"""What proxies change: the client address, the path prefix, and routes for this machine alone."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import urllib3
from flask import Flask

from dmstats.app import create_app
from dmstats.core.clock import ManualClock
from dmstats.core.settings import Settings
from dmstats.ops.notifier import JsonChannel, Notice
from dmstats.ops.outgoing import pool_for
from dmstats.web.middleware.timeouts import RequestTimeouts

TOKEN = "api-token-of-the-test"
SETTINGS = Settings(
    mongodb_uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50",
    redis_url="redis://127.0.0.1:1/0",
    meta_app_secrets=("app-secret-of-the-test",),
    meta_verify_token="verify-token-of-the-test",
    cron_secret="cron-secret-of-the-test",
    secret_key="secret-key-of-the-test",
    admin_api_token=TOKEN,
)
WEBHOOK = "/api/webhooks/instagram"


@pytest.fixture(scope="module", params=[0, 1], ids=["no proxy", "a proxy"])
def app(request: pytest.FixtureRequest) -> Flask:
    return create_app(replace(SETTINGS, trusted_proxies=request.param))


@pytest.fixture(scope="module")
def behind() -> Flask:
    return create_app(replace(SETTINGS, trusted_proxies=1))


class TestMetrics:
    def test_this_machine_itself(self, app: Flask) -> None:
        for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
            assert app.test_client().get("/metrics", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "203.0.113.7"}, {"Via": "1.1 x"},
            {"Forwarded": "for=203.0.113.7"}, {"X-Forwarded-Proto": "https"},
            {"X-Forwarded-Host": "localhost"}, {"Host": "stats.example.com"}, {"Host": "[x"},
        ],
        ids=str,
    )  # fmt: skip
    def test_nothing_that_was_passed_on(self, app: Flask, headers: dict[str, str]) -> None:
        client = app.test_client()
        assert client.get("/metrics", headers=headers).status_code in (400, 401)
        if headers.get("Host") != "[x":
            allowed = {**headers, "Authorization": f"Bearer {TOKEN}"}
            assert client.get("/metrics", headers=allowed).status_code == 200

    def test_a_proxy_that_adds_nothing_speaks_an_older_http(self, app: Flask) -> None:
        asked = {"SERVER_PROTOCOL": "HTTP/1.0"}
        assert app.test_client().get("/metrics", environ_overrides=asked).status_code == 401

    def test_another_machine(self, app: Flask) -> None:
        asked = {"REMOTE_ADDR": "203.0.113.7"}
        assert app.test_client().get("/metrics", environ_overrides=asked).status_code == 401


class TestBelowAPath:
    @pytest.mark.parametrize("how", ["SCRIPT_NAME", "header"])
    def test_links_and_redirects_stay_there(self, behind: Flask, how: str) -> None:
        options: dict[str, Any] = (
            {"environ_overrides": {"SCRIPT_NAME": "/stats"}}
            if how == "SCRIPT_NAME"
            else {"headers": {"X-Forwarded-Prefix": "/stats/"}}
        )
        client = behind.test_client()
        assert client.get("/", **options).headers["Location"] == "/stats/login"
        moved = client.get("/accounts?query=x", **options).headers["Location"]
        assert moved == "/stats/login?next=/accounts?query%3Dx"
        page = client.get("/login", **options).text
        assert 'action="/stats/login"' in page
        assert 'href="/stats/static/v-' in page
        assert '"/static' not in page
        assert client.post("/logout", **options).headers["Location"] == "/stats/login"
        handshake = {
            "hub.mode": "subscribe", "hub.verify_token": SETTINGS.meta_verify_token or "",
            "hub.challenge": "1158",
        }  # fmt: skip
        assert client.get(WEBHOOK, query_string=handshake, **options).text == "1158"

    def test_pages_tell_their_scripts(self, behind: Flask) -> None:
        headers = {"X-Forwarded-Prefix": "/stats", "Authorization": f"Bearer {TOKEN}"}
        page = behind.test_client().get("/accounts", headers=headers).text
        assert '<html lang="en" data-base="/stats"' in page
        for link in ('href="/stats/"', 'href="/stats/accounts"', 'action="/stats/logout"'):
            assert link in page

    @pytest.mark.parametrize("odd", ["//evil.example", "/a//b", "https://x", "/a?b", '/"', "/\\x"])
    def test_a_prefix_that_is_no_plain_path_is_not_believed(self, behind: Flask, odd: str) -> None:
        told = {"X-Forwarded-Prefix": odd}
        answer = behind.test_client().get("/", headers=told)
        assert answer.headers["Location"] == "/login"

    def test_without_a_trusted_proxy_no_forwarded_header_is_believed(self) -> None:
        app = create_app(SETTINGS)
        answer = app.test_client().get("/", headers={"X-Forwarded-Prefix": "/stats"})
        assert answer.headers["Location"] == "/login"


def test_the_log_has_the_sender_of_a_delivery(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    trusted = app.extensions["dmstats"].settings.trusted_proxies
    with caplog.at_level(logging.INFO, "dmstats.request"):
        app.test_client().post(WEBHOOK, headers={"X-Forwarded-For": "192.0.2.9, 203.0.113.7"})
    (line,) = [record.__dict__ for record in caplog.records if record.message == "request"]
    assert (line["status"], line["from"]) == (401, "203.0.113.7" if trusted else "127.0.0.1")


def test_idle_connections_are_ended_and_busy_ones_are_not(clock: ManualClock) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    try:
        (idle, idle_client), (busy, busy_client) = pairs

        def application(environ: Any, start_response: Any) -> list[bytes]:
            if environ["gunicorn.socket"] is busy:
                bounded.close_idle()
            return []

        bounded = RequestTimeouts(application, clock)
        for connection in (idle, busy):
            environ = {"REQUEST_METHOD": "GET", "gunicorn.socket": connection}
            bounded(environ, lambda *_: None)  # type: ignore[arg-type]
        busy_client.send(b"x")
        assert busy.recv(1) == b"x"
        assert idle.recv(1) == b""
        idle.send(b"y")
        assert idle_client.recv(1) == b"y", "an answer may still be under way"
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


class Chat(BaseHTTPRequestHandler):
    """Answers what its path says; remembers what it was asked for."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.rpartition("/")[2]
        refused = (name == "google" and set(told) != {"text"}) or (
            name == "discord" and "content" not in told
        )
        self.send_response(400 if refused else int(name) if name.isdecimal() else 204)
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *told: Any) -> None: ...


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http", "https", "all", "no"):
        for spelt in (f"{name}_proxy", f"{name}_PROXY".upper()):
            monkeypatch.delenv(spelt, raising=False)
    Chat.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


NOTICE = Notice("drift", "open", "text", "2026-11-26T00:00:00Z")


def json_channel(url: str) -> JsonChannel:
    return JsonChannel(url, "key", "label")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, True),
        (204, True),
        (301, False),
        (302, False),
        (308, False),
        (404, False),
        (500, False),
    ],
)
def test_only_2xx_means_delivered(chat: str, status: int, told: bool) -> None:
    assert json_channel(f"{chat}/{status}").notify(NOTICE, "1").told is told
    assert Chat.asked == [f"/{status}"], "a redirect is not followed"


@pytest.mark.parametrize(("service", "posts"), [("slack", 1), ("google", 2), ("discord", 3)])
def test_chats_that_are_strict_get_the_text_alone(chat: str, service: str, posts: int) -> None:
    assert json_channel(f"{chat}/{service}").notify(NOTICE, "1").told
    assert Chat.asked == [f"/{service}"] * posts


def test_notices_go_through_the_proxy(chat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", chat)
    assert json_channel("http://hooks.example.com/x").notify(NOTICE, "1").told
    assert Chat.asked == ["http://hooks.example.com/x"]


@pytest.mark.parametrize(
    ("environ", "url", "proxied"),
    [
        ({}, "https://a.example", None),
        ({"https_proxy": "http://p:3128"}, "https://a.example/x", "p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "https://a.example/x", "p:3128"),
        ({"https_proxy": "http://p:3128"}, "http://a.example/x", None),
        ({"all_proxy": "http://p:3128"}, "http://a.example/x", "p:3128"),
        ({"http_proxy": "http://p:3128"}, "http://127.0.0.1:8000", None),
        ({"http_proxy": "http://p:3128"}, "http://localhost:8000", None),
        ({"http_proxy": "http://p:3128", "no_proxy": ".example"}, "http://a.example", None),
        ({"http_proxy": "http://p:3128", "no_proxy": "*"}, "http://a.example", None),
        ({"http_proxy": "http://p:3128", "no_proxy": "other"}, "http://a.example", "p:3128"),
        ({"all_proxy": "socks5://p:1080"}, "http://a.example", None),
    ],
)
def test_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch,
    chat: str,
    environ: dict[str, str],
    url: str,
    proxied: str | None,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    pool = pool_for(url)
    found = pool.proxy.netloc if isinstance(pool, urllib3.ProxyManager) and pool.proxy else None
    assert found == proxied


def test_a_proxys_login(monkeypatch: pytest.MonkeyPatch, chat: str) -> None:
    monkeypatch.setenv("http_proxy", "http://us%40er:pa@p:3128")
    pool = pool_for("http://a.example")
    assert isinstance(pool, urllib3.ProxyManager)
    assert pool.proxy_headers == {"proxy-authorization": "Basic dXNAZXI6cGE="}


def test_health_checks_go_through_no_proxy() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    for name in ("Dockerfile", "compose.yaml"):
        text = (deploy / name).read_text()
        assert "u.urlopen" not in text
        assert "u.build_opener(u.ProxyHandler({}))" in text
