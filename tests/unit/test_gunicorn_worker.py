"""Recognised deliveries are answered exactly as Gunicorn's own worker answers them.

DELIVERY_REQUESTS sets the number of generated requests.
"""

from __future__ import annotations

import logging
import os
import random
import re
import runpy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn import http
from gunicorn.config import Config
from gunicorn.workers.ggevent import GeventWorker

from dmstats import gunicorn_worker
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.gunicorn_worker import (
    MAX_DELIVERY_BYTES,
    DeliveryWorker,
    parser_for,
    recognise,
    recognises,
)

REQUESTS = int(os.environ.get("DELIVERY_REQUESTS", "3000"))
LINE = f"POST {WEBHOOK_PATH} HTTP/1.1"
BODY = b'{"object":"instagram","entry":[]}'
HEADERS = [
    ("Host", "dms.example.com"),
    ("X-Real-IP", "173.252.127.20"),
    ("X-Forwarded-For", "173.252.127.20"),
    ("X-Forwarded-Proto", "https"),
    ("Content-Length", str(len(BODY))),
    ("Accept", "*/*"),
    ("Accept-Encoding", "deflate, gzip"),
    ("User-Agent", "Webhooks/1.0 (https://fb.me/webhooks)"),
    ("Content-Type", "application/json"),
    ("X-Hub-Signature", "sha1=" + "0" * 40),
    ("X-Hub-Signature-256", "sha256=" + "0" * 64),
]
OBJECTS = frozenset({
    "wsgi.errors", "wsgi.input", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket"
})  # fmt: skip


class Connection:
    """A client's socket: sends ``pieces``, then nothing more; keeps what it is sent."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self.sent = b""
        self.closed = False

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def setblocking(self, flag: object) -> None: ...
    def settimeout(self, seconds: object) -> None: ...
    def gettimeout(self) -> None: ...


LISTENER = SimpleNamespace(getsockname=lambda: ("127.0.0.1", 8000))


def config(**settings: Any) -> Config:
    """As in gunicorn.conf.py."""
    cfg = Config()
    chosen = {
        "limit_request_fields": 128,
        "limit_request_field_size": MAX_DELIVERY_BYTES,
        "keepalive": 75,
    }
    for name, value in {**chosen, **settings}.items():
        cfg.set(name, value)
    return cfg


class Service:
    """A worker of the class ``kind``, and what its application saw."""

    def __init__(self, kind: type[Any], cfg: Config) -> None:
        self.seen: list[tuple[dict[str, Any], bytes]] = []
        log = logging.getLogger("tests.gunicorn")
        log.access = lambda *_: None  # type: ignore[attr-defined]
        log.setLevel(logging.CRITICAL)
        self.worker = kind(1, os.getpid(), [], SimpleNamespace(), 30, cfg, log)
        self.worker.wsgi = self._application

    def _application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.seen.append(({k: v for k, v in environ.items() if k not in OBJECTS}, body))
        answer = str(len(body)).encode()
        start_response("200 OK", [("Content-Length", str(len(answer))), ("X-Request-ID", "1")])
        return [answer]

    def serve(self, pieces: list[bytes]) -> tuple[list[Any], bytes, bool, bool]:
        """What the application saw, what was answered, whether the connection was closed, and
        whether the worker goes on. Of an answer the date is left out, and the words of a refusal:
        Gunicorn names the first fault in what it has read, and ours reads more at once."""
        self.seen.clear()
        connection = Connection(pieces)
        self.worker.handle(LISTENER, connection, ("127.0.0.1", 40000))
        sent = re.sub(rb"\r\nDate: [^\r]+", b"", connection.sent)
        sent = re.sub(rb"Content-Length: \d+\r\n\r\n<html>.*?</html>", b"", sent, flags=re.DOTALL)
        return list(self.seen), sent, connection.closed, self.worker.alive


class Pair:
    """Gunicorn's worker and ours."""

    def __init__(self, **settings: Any) -> None:
        self.theirs = Service(GeventWorker, config(**settings))
        self.ours = Service(DeliveryWorker, config(**settings))
        self.recognised = 0

    def compare(self, pieces: list[bytes]) -> tuple[list[Any], bytes, bool, bool]:
        expected = self.theirs.serve(pieces)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http, "get_parser", parser_for)
            patch.setattr(gunicorn_worker, "recognise", self._recognise)
            found = self.ours.serve(pieces)
        assert found == expected, pieces
        return found

    def _recognise(self, data: bytes) -> Any:
        found = recognise(data)
        self.recognised += found is not None
        return found


@pytest.fixture
def make_pair() -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(**settings: Any) -> Pair:
        made.append(Pair(**settings))
        return made[-1]

    yield make
    for pair in made:
        for service in (pair.ours, pair.theirs):
            service.worker.tmp.close()


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    return make_pair()


def request(
    headers: Iterable[tuple[str, str]] = HEADERS, *, line: str = LINE, body: bytes = BODY
) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def test_it_works(pair: Pair) -> None:
    seen, sent, closed, _ = pair.compare([request()])
    ((environ, body),) = seen
    assert (body, environ["wsgi.url_scheme"], closed) == (BODY, "https", True)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nConnection: keep-alive\r\n")
    assert pair.recognised == 1


def test_requests_of_one_connection_are_recognised_between_others(pair: Pair) -> None:
    other = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    seen, *_ = pair.compare([request(), other, request() + other + request(), request()[:50],
                             request()[50:], request()])  # fmt: skip
    assert len(seen) == 7
    assert pair.recognised == 4


def test_a_connection_ends_with_its_worker(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    for service in (pair.ours, pair.theirs):
        service.worker.max_requests = 2
    seen, sent, _, alive = pair.compare([request() * 3])
    assert (len(seen), alive) == (2, False)
    assert sent.count(b"Connection: close") == 1


def test_the_scheme_is_believed_from_trusted_proxies_only(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair(forwarded_allow_ips="10.0.0.1")
    ((environ, _),), *_ = pair.compare([request()])
    assert environ["wsgi.url_scheme"] == "http"
    assert pair.recognised == 1


def test_an_error_of_the_application_is_answered_500(pair: Pair) -> None:
    def broken(environ: Any, start_response: Any) -> Any:
        raise RuntimeError

    pair.ours.worker.wsgi = pair.theirs.worker.wsgi = broken
    _, sent, closed, _ = pair.compare([request() * 2])
    assert sent.startswith(b"HTTP/1.1 500 Internal Server Error")
    assert closed


CHUNKED = [("Host", "a"), ("Transfer-Encoding", "chunked")]
OTHERS = {
    "another method": request(line=f"GET {WEBHOOK_PATH} HTTP/1.1"),
    "another path": request(line=f"POST {WEBHOOK_PATH}/ HTTP/1.1"),
    "a query": request(line=f"POST {WEBHOOK_PATH}?a=1 HTTP/1.1"),
    "another version": request(line=f"POST {WEBHOOK_PATH} HTTP/1.0"),
    "no length": request([("Host", "a")], body=b""),
    "two lengths": request([*HEADERS, ("Content-Length", "3")]),
    "the same length twice": request([*HEADERS, ("content-length", str(len(BODY)))]),
    "a signed length": request([("Host", "a"), ("Content-Length", "+33")]),
    "chunks": request(CHUNKED, body=b"1\r\na\r\n0\r\n\r\n"),
    "length and chunks": request([*HEADERS, CHUNKED[1]]),
    "an expectation": request([*HEADERS, ("Expect", "100-continue")]),
    "a folded header": request([*HEADERS, ("X-A", "1\r\n 2")]),
    "a repeated header": request([*HEADERS, ("x-real-ip", "1.2.3.4")]),
    "no host": request(HEADERS[1:]),
    "a name with an underscore": request([*HEADERS, ("X_Forwarded_For", "1.2.3.4")]),
    "a space before the colon": request([*HEADERS, ("X-A ", "1")]),
    "a trailing space": request([*HEADERS, ("X-A", "1 ")]),
    "a connection to close": request([*HEADERS, ("Connection", "close")]),
    "a contradiction": request([*HEADERS, ("X-Forwarded-Ssl", "off")]),
    "a control character": request([*HEADERS, ("X-A", "1\x002")]),
    "half a body": request()[:-5],
    "a large body": request(
        [("Host", "a"), ("Content-Length", str(MAX_DELIVERY_BYTES))], body=bytes(MAX_DELIVERY_BYTES)
    ),
    "many headers": request([*HEADERS, *((f"X-{n}", "1") for n in range(60))]),
}  # fmt: skip


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_gunicorns(pair: Pair, data: bytes) -> None:
    pair.compare([data])
    assert pair.recognised == 0


CONF = runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))
TWINS = {"X_Auth_Email": "ada@example.com", "X_Forwarded_For": "10.1.2.3", "SCRIPT_NAME": "/evil",
         "PATH_INFO": "/metrics", "REMOTE_USER": "ada", "Remote_Addr": "10.1.2.3"}  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_a_name_with_an_underscore_never_stands_for_one_with_a_hyphen(
    make_pair: Callable[..., Pair], name: str
) -> None:
    """Nor does it set a variable of the application, even from this machine."""
    pair = make_pair(**{each: CONF[each] for each in ("header_map", "forwarder_headers")})

    def seen(*headers: tuple[str, str]) -> dict[str, Any]:
        line = "GET /evil/login HTTP/1.1"
        (found,) = pair.compare([request([("Host", "a"), *headers], line=line, body=b"")])[0]
        environ: dict[str, Any] = found[0]
        return environ

    plain, twin = seen(), (name, TWINS[name])
    assert seen(twin) == plain
    right = (name.replace("_", "-"), "right")
    expected = {**plain, f"HTTP_{name.upper()}": "right"}
    assert seen(twin, right) == seen(right, twin) == expected


VALUES = [
    "", " ", "0", "00", "5", "033", "+33", "-1", "33 ", "33,33", "0x21", "9" * 20, "a\tb", "a b",
    "chunked", "identity", "gzip, chunked", "close", "keep-alive", "100-continue", "h2c", "https",
    "on", "off", "\x00", "\x7f", "\xe9", "a\r\n b", "a\rb", "a\nb", "x" * 9000,
]  # fmt: skip
NAMES = [
    "Content-Length", "content-length", "Content_Length", "Transfer-Encoding", "Connection", "Host",
    "Expect", "Upgrade", "TE", "Trailer", "X-Forwarded-Proto", "X-Forwarded-Protocol",
    "X-Forwarded-Ssl", "Content-Type", "X-Real-IP", "X-Real_IP", "SCRIPT_NAME", "Script-Name",
    "Proxy", "X-A", " X-A", "X-A ", "X A", "X\xe9", "X:", "", "-", "Keep-Alive", "HTTP2-Settings",
]  # fmt: skip
LINES = [
    f"POST {WEBHOOK_PATH} HTTP/1.0", f"post {WEBHOOK_PATH} HTTP/1.1",
    f"GET {WEBHOOK_PATH} HTTP/1.1",
    f"POST  {WEBHOOK_PATH} HTTP/1.1", f"POST {WEBHOOK_PATH}? HTTP/1.1", f" {LINE}", f"{LINE} ",
    f"POST http://a{WEBHOOK_PATH} HTTP/1.1", f"POST /{WEBHOOK_PATH} HTTP/1.1", f"\r\n{LINE}",
    f"POST {WEBHOOK_PATH} HTTP/2.0", f"POST {WEBHOOK_PATH}#a HTTP/1.1", "GET / HTTP/1.1", "",
]  # fmt: skip


def generated(chance: random.Random) -> list[bytes]:
    """The bytes of a connection, in pieces: up to three requests, valid or not."""
    data = b"".join(_one(chance) for _ in range(chance.choice((1, 1, 2, 3))))
    if chance.random() < 0.1:
        at = chance.randrange(len(data))
        data = data[:at] + bytes([chance.randrange(256)]) + data[at + chance.randrange(2) :]
    if chance.random() < 0.1:
        data = data[: chance.randrange(len(data))]
    if chance.random() < 0.7:
        return [data]
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 4)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _one(chance: random.Random) -> bytes:
    headers, line, body = list(HEADERS), LINE, BODY
    if chance.random() < 0.3:
        chance.shuffle(headers)
    if chance.random() < 0.3:
        body = chance.randbytes(chance.choice((0, 1, 40, 5000)))
        headers = [each for each in headers if each[0] != "Content-Length"]
        headers.append(("Content-Length", str(len(body))))
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
        kind = chance.randrange(5)
        at = chance.randrange(len(headers))
        if kind == 0:
            headers.insert(at, (chance.choice(NAMES), chance.choice(VALUES)))
        elif kind == 1:
            headers[at] = (headers[at][0], chance.choice(VALUES))
        elif kind == 2:
            headers[at] = (chance.choice(NAMES), headers[at][1])
        elif kind == 3:
            del headers[at]
        else:
            line = chance.choice(LINES)
    made = request(headers, line=line, body=body)
    if chance.random() < 0.05:
        made = made.replace(b"\r\n", b"\n", chance.randrange(1, 3))
    if chance.random() < 0.05:
        made += chance.choice((b"\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    return made


def test_generated_requests_are_treated_alike(pair: Pair) -> None:
    """Valid ones, broken ones and attempts at smuggling: the same is accepted, with the same
    environ, body, answer and end of the connection."""
    chance = random.Random(18)
    answered = 0
    for _ in range(REQUESTS):
        seen, *_ = pair.compare(generated(chance))
        answered += len(seen)
    # Neither worker is compared with nothing.
    assert pair.recognised > REQUESTS / 4
    assert answered > 1.1 * pair.recognised


def test_it_recognises_with_our_configuration_and_not_with_others() -> None:
    assert recognises(config())
    for settings in (
        {"keepalive": 0}, {"accesslog": "-"}, {"proxy_protocol": "auto"},
        {"limit_request_field_size": 100}, {"limit_request_fields": 10},
        {"secure_scheme_headers": {"X-SECURE": "1"}}, {"certfile": "a", "keyfile": "b"},
        {"pre_request": lambda worker, req: None},
    ):  # fmt: skip
        assert not recognises(config(**settings)), settings


def test_the_names_that_clients_choose_take_no_memory() -> None:
    for number in range(3000):
        assert recognise(request([*HEADERS, (f"X-Own-{number}", "1")]))
    assert len(gunicorn_worker._keys) <= gunicorn_worker.MAX_KEYS
