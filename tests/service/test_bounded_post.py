"""Servers that would keep an alert waiting, or send it more than it can hold."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dmstats.ops.notifier import JsonChannel, Notice, Outcome

NOTICE = Notice("drift", "open", "text", "2026-11-26T00:00:00Z")
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
PIECE = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"


class Endless:
    """Answers with ``head``, and then with ``piece`` until the client has gone."""

    def __init__(self, head: bytes, piece: bytes, pause: float) -> None:
        self.head, self.piece, self.pause = head, piece, pause
        self.sent = 0
        self.was_left = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        client, _ = self._listening.accept()
        with client, self._listening:
            client.recv(65_536)
            try:
                client.sendall(self.head)
                while not self.was_left.wait(self.pause):
                    client.sendall(self.piece)
                    self.sent += 1
            except OSError:
                self.was_left.set()


@pytest.fixture
def endless() -> Iterator[Callable[[bytes, bytes, float], Endless]]:
    servers: list[Endless] = []

    def start(head: bytes, piece: bytes, pause: float) -> Endless:
        servers.append(Endless(head, piece, pause))
        return servers[-1]

    yield start
    for server in servers:
        server.was_left.set()


def test_headers_that_drip_have_a_deadline(
    endless: Callable[[bytes, bytes, float], Endless],
) -> None:
    server = endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.02)
    outcome = JsonChannel(server.url, "key", "chat", seconds=0.2).notify(NOTICE, "1")
    assert outcome == Outcome(told=False, problem="no answer in time")
    assert server.was_left.wait(10), "the connection is ended"


@pytest.mark.parametrize(("piece", "pause"), [(b"1\r\nx\r\n", 0.02), (PIECE, 0.0)])
def test_the_body_is_not_read(
    endless: Callable[[bytes, bytes, float], Endless], piece: bytes, pause: float
) -> None:
    server = endless(HEAD + b"\r\n", piece, pause)
    assert JsonChannel(server.url, "key", "chat").notify(NOTICE, "1") == Outcome(told=True)
    assert server.was_left.wait(10)
    assert server.sent < 100


@pytest.mark.parametrize(
    "url",
    [
        "http://h:99999/", "http://h:abc/", "http://h:0/", "https://a..b/", "https:///x",
        "http://[::1", "https://[abc]/", f"https://{'a' * 300}/",
    ],
)  # fmt: skip
def test_addresses_that_nothing_can_be_sent_to(url: str) -> None:
    channel = JsonChannel(url, "key", "chat")
    assert not channel.check().told
    assert not channel.notify(NOTICE, "1").told


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example/x", "http://my_host:80/", "http://[::1]:9/", "https://hé.example/"],
)
def test_addresses_that_can_be_used(url: str) -> None:
    assert JsonChannel(url, "key", "chat").check().told
