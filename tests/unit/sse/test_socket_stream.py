"""A stream on a real socket whose other end reads, or does not."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import gevent
import pytest

from dmstats.core.clock import ManualClock
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.messages import LAST_CHUNK, Event, chunk
from dmstats.sse.socket_stream import SocketStream

FIRST = b"HTTP/1.1 200 OK\r\n\r\n" + chunk(b"retry:1\n\n")
LARGE = "x" * 300_000


class Client:
    """The stream and the one who reads it."""

    def __init__(
        self, clock: ManualClock, before: Callable[[GreenletStream], None] = lambda _: None
    ) -> None:
        self.ends = 0
        buffer = GreenletStream(clock.monotonic, "session")
        before(buffer)
        self.socket, server = socket.socketpair()
        server.settimeout(0)
        self.socket_stream = SocketStream(clock.monotonic, server, buffer, FIRST, self._ended)

    def close(self) -> None:
        self.socket_stream.close()
        self.socket.close()

    def _ended(self) -> None:
        self.ends += 1

    def read(self, size: int = 2**20) -> bytes:
        """What has arrived; the stream may go on writing meanwhile."""
        data = b""
        self.socket.settimeout(0)
        with suppress(BlockingIOError):
            while piece := self.socket.recv(size):
                data += piece
                gevent.sleep(0)
        gevent.sleep(0.001)
        return data


def stats(number: int, *, data: str = "{}") -> Event:
    return Event("stats", data, f"1-{number}", (1, number))


def ids(data: bytes) -> list[bytes]:
    return re.findall(rb"^id:(\S+)$", data, re.MULTILINE)


@pytest.fixture
def client(clock: ManualClock) -> Iterator[Client]:
    with closing(Client(clock)) as client:
        yield client


def test_it_works(client: Client) -> None:
    client.socket_stream.start()
    client.socket_stream.offer(stats(1))
    assert client.read() == FIRST + stats(1).chunk
    client.socket_stream.offer(Event("heartbeat", "1"))
    client.socket_stream.close()
    assert client.read() == Event("heartbeat", "1").chunk + LAST_CHUNK
    assert client.socket.recv(1) == b""
    assert client.ends == 1


def test_a_chunk_is_its_length_and_the_bytes() -> None:
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"


def test_it_goes_on_where_the_mailbox_was(clock: ManualClock) -> None:
    def before(buffer: GreenletStream) -> None:
        buffer.order = (1, 3)
        buffer.offer(stats(4))
        buffer.offer(Event("heartbeat", "4"))

    with closing(Client(clock, before)) as client:
        client.socket_stream.start()
        client.socket_stream.offer(stats(3))
        assert client.read() == FIRST + stats(4).chunk + Event("heartbeat", "4").chunk


def test_what_the_client_has_seen_is_not_written(clock: ManualClock) -> None:
    def before(buffer: GreenletStream) -> None:
        buffer.order = (1, 3)
        buffer.offer(stats(3))

    with closing(Client(clock, before)) as client:
        client.socket_stream.start()
        assert client.read() == FIRST


def test_older_versions_are_not_written(client: Client) -> None:
    client.socket_stream.start()
    for number in (2, 1, 2, 3):
        client.socket_stream.offer(stats(number))
    assert ids(client.read()) == [b"1-2", b"1-3"]


def test_a_slow_client_gets_whole_events_and_the_newest(client: Client) -> None:
    client.socket_stream.start()
    client.socket_stream.offer(stats(1, data=LARGE))
    for number in range(2, 30):
        client.socket_stream.offer(stats(number))
        client.socket_stream.offer(Event("heartbeat", str(number)))
    data = b""
    with gevent.Timeout(10):
        while client.socket_stream.writing_since is not None or not data.endswith(
            b"data:29\n\n\r\n"
        ):
            data += client.read()
    expected = [stats(1, data=LARGE), stats(29), Event("heartbeat", "29")]
    assert data == FIRST + b"".join(event.chunk for event in expected)


def test_how_long_it_is_blocked_is_known(client: Client, clock: ManualClock) -> None:
    client.socket_stream.start()
    assert client.socket_stream.writing_since is None
    client.socket_stream.offer(stats(1, data=LARGE))
    blocked = clock.monotonic()
    assert client.socket_stream.writing_since == blocked
    clock.advance(5)
    client.socket.recv(1)
    gevent.sleep(0.01)
    client.socket_stream.offer(stats(2))
    assert client.socket_stream.writing_since == blocked


def test_a_client_that_does_not_read_is_dropped(client: Client) -> None:
    client.socket_stream.start()
    client.socket_stream.offer(stats(1, data=LARGE))
    client.socket_stream.drop()
    assert client.ends == 1
    assert not client.read().endswith(LAST_CHUNK)
    assert client.socket.recv(1) == b""
    client.socket_stream.offer(stats(2))
    client.socket_stream.drop()
    assert client.ends == 1


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_went_ends_it(client: Client, *, waits: bool) -> None:
    client.socket_stream.start()
    if waits:
        client.socket_stream.offer(stats(1, data=LARGE))
    client.socket.close()
    client.socket_stream.offer(stats(2))
    with gevent.Timeout(10):
        while not client.ends:
            gevent.sleep(0.001)
    assert client.socket_stream.closed


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_went_ends_it_before_anything_is_written(
    client: Client, *, waits: bool
) -> None:
    client.socket_stream.start()
    if waits:
        client.socket_stream.offer(stats(1, data=LARGE))
    client.socket.close()
    with gevent.Timeout(10):
        while not client.ends:
            gevent.sleep(0.001)
    assert client.socket_stream.closed


def test_a_client_that_sends_something_more_goes_on_reading(client: Client) -> None:
    client.socket_stream.start()
    client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    gevent.sleep(0.01)
    client.socket_stream.offer(stats(1))
    assert ids(client.read()) == [b"1-1"]
    assert not client.ends
