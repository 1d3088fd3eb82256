"""Clients that mean no good: deliveries are answered all the same, and nothing crashes."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.servers import wait_until
from tests.visitor import WEBHOOK, Visitor, delivery

pytestmark = pytest.mark.live

ANSWER_SECONDS = 5.0
"""Meta gives up on an answer after this, and tries again."""
IDLE = 10_000


@pytest.fixture
def secret(service: Started) -> str:
    folder = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    return (folder / "META_APP_SECRET").read_text().strip()


def connect(service: Started, first: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(service.environ["PORT"])), timeout=30)
    if first:
        client.sendall(first)
    return client


@contextlib.contextmanager
def crowd(service: Started, size: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    clients: list[socket.socket] = []
    try:
        clients.extend(connect(service, first) for _ in range(size))
        yield clients
    finally:
        for client in clients:
            client.close()


def delivers(service: Started, secret: str) -> None:
    """Ten deliveries, each on a connection of its own: answered in time, and soon counted."""
    for number in range(10):
        body = delivery(mid=f"hostile-{time.monotonic()}-{number}")
        wait_until(functools.partial(taken, service, body, secret))


def taken(service: Started, body: object, secret: str) -> bool:
    return answered(service, body, secret) == 200


def answered(service: Started, body: object, secret: str) -> int:
    started = time.monotonic()
    status = Visitor(service).deliver(body, secret)
    assert time.monotonic() - started < ANSWER_SECONDS
    return status


def ended(client: socket.socket) -> bool:
    """Whether the server has closed the connection; anything it said before is skipped."""
    client.settimeout(0.05)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def test_it_works(service: Started, secret: str) -> None:
    delivers(service, secret)


def test_headers_and_bodies_that_never_end(service: Started, secret: str) -> None:
    """At the same time, as each of them takes its time-out."""
    request = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\n"
    login = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    login += b"Content-Length: 100\r\n\r\n{"
    with (
        crowd(service, 300, f"{request}X-Slow: ".encode()) as headers,
        crowd(service, 100, f"{request}Content-Length: 1000\r\n\r\n{{".encode()) as bodies,
        crowd(service, 1, login) as others,
    ):
        delivers(service, secret)
        for client in headers[:5]:
            with contextlib.suppress(ConnectionError):  # a slow test meets one that has ended
                client.sendall(b"a")  # dripping does not help
        for client in (bodies[0], others[0]):
            client.settimeout(20)
            assert b" 408 " in client.recv(65536).splitlines()[0]
        wait_until(lambda: all(ended(client) for client in (*headers, *bodies)))


def test_ten_thousand_that_say_nothing(service: Started, secret: str) -> None:
    with crowd(service, IDLE):
        delivers(service, secret)


def test_streams_that_never_read(service: Started, secret: str) -> None:
    ask = "GET /api/admin/stats/stream HTTP/1.1\r\nHost: x\r\n"
    ask += f"Authorization: Bearer {TOKEN}\r\n\r\n"
    with crowd(service, 100, ask.encode()):
        for _ in range(3):
            Visitor(service).ask(
                "POST", "/api/admin/stats/refresh", Authorization=f"Bearer {TOKEN}"
            )
            delivers(service, secret)


@pytest.mark.parametrize("value", [{"$gt": ""}, {"$ne": None}, ["a"], 1, None, True])
def test_operators_never_reach_a_filter(service: Started, value: object) -> None:
    body = json.dumps({"email": value, "password": value}).encode()
    answer = Visitor(service).ask("POST", "/login", body, Content_Type="application/json")
    assert answer.status == 400


@pytest.mark.parametrize(
    "query", ["query[$gt]=", "sort[$where]=1", "query=%24where", "cursor=%7B%22%24gt%22%3A1%7D",
              "sort=$natural", "limit=0", "limit=1e9", "query=a&query=b", "query=%00"]
)  # fmt: skip
def test_queries_are_data(service: Started, query: str) -> None:
    path = f"/api/admin/accounts?{query}"
    answer = Visitor(service).ask("GET", path, Authorization=f"Bearer {TOKEN}")
    assert answer.status == (200 if query == "query=%24where" else 400)


@pytest.mark.parametrize("name", ["$where", "a.b", "a\0b", "", "$", "x" * 500, "\ud800"])
def test_names_from_outside_are_data(service: Started, secret: str, name: str) -> None:
    """An unknown event's name becomes a field of a document, an account's id a filter's value."""
    entry = {"id": name, "time": 1, name or "x": [{"value": name}]}
    item = {"sender": {"id": name}, "recipient": {"id": name}, "timestamp": 1, name or "y": {}}
    body = {"object": "instagram", "entry": [entry, {"id": "1", "time": 1, "messaging": [item]}]}
    assert Visitor(service).deliver(body, secret) == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [("/login", b"[" * 15_000), ("/login", b"\xff"), ("/login", b'{"email": 1e999}'),
     ("/login", b"{" * 20_000), (WEBHOOK, b"[" * 100_000)],
)  # fmt: skip
def test_strange_bodies_are_the_senders_fault(
    service: Started, secret: str, path: str, body: bytes
) -> None:
    visitor = Visitor(service)
    if path == WEBHOOK:
        assert visitor.deliver(body, secret) == 400
    else:
        answer = visitor.ask("POST", path, body, Content_Type="application/json")
        assert answer.status in (400, 413)


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x1b[2J\x07 / HTTP/1.1\r\n\r\n", b'{"event": "forged"}\n\r\n\r\n',
     b"GET /\x1b[31m{\"event\":\"forged\"} HTTP/1.1\r\nHost: x\r\n\r\n",
     b"GET /%0a%7B%22event%22%3A%22forged%22%7D HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\x0b{\"event\":\"forged\"}\r\n\r\n",
     b"GET / HTTP/9.9\x1b[0m\r\n\r\n", b"GET / HTTP/1.1\r\nNo \x1b colon\r\n\r\n"],
)  # fmt: skip
def test_no_request_forges_a_line_of_the_log(service: Started, request_bytes: bytes) -> None:
    """Nor one that gunicorn refuses itself, before the application sees it."""
    client = connect(service, request_bytes)
    wait_until(lambda: ended(client))
    client.close()
    lines = service.output.splitlines()
    assert not [line for line in lines if line.startswith('{"event": "forged"')]
    assert not [line for line in lines if any(character < " " for character in line)]


def test_nothing_of_this_is_a_defect(service: Started) -> None:
    events = {json.loads(line)["event"] for line in service.output.splitlines() if line[:1] == "{"}
    assert not events & {"request_crashed", "request_failed", "webhook_defect", "batch_defect"}
