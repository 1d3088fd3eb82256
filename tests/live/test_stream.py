"""The event stream as a dashboard meets it: gunicorn, a real Redis, a real database."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import pytest
import redis

from dmstats.core.settings import Settings
from dmstats.db.client import connect
from tests.keyspace import key_of
from tests.servers import Redis, running, wait_until
from tests.sse import PATH
from tests.streamworker import HEARTBEAT, TOKEN, Worker

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=["pubsub", "stream"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One for each transport: it holds the snapshot of the worker's database."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def shared(
    transport: str, mongodb_uri: str, server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=f"stream_{uuid.uuid4().hex[:12]}")
    folder = tmp_path_factory.mktemp("worker")
    with contextlib.closing(connect(settings)) as mongo:
        worker = Worker(folder, mongo, server.url, STATS_TRANSPORT=transport, STATS_MAX_STREAMS="5")
        with running(worker):
            yield worker


@pytest.fixture
def worker(shared: Worker, client: redis.Redis) -> Worker:
    """One without open streams, which may publish at once."""
    assert shared.process
    if shared.process.poll() is not None:  # a test ended it
        shared.start()
    wait_until(lambda: not connections(shared))
    allow_publish(client)
    return shared


def connections(worker: Worker) -> list[Any]:
    """What clients hold open at it."""
    assert worker.process
    found = [
        connection
        for process in psutil.Process(worker.process.pid).children()
        for connection in process.net_connections()
    ]
    return [each for each in found if each.laddr.port == worker.port and each.raddr]


def allow_publish(client: redis.Redis) -> None:
    for key in client.scan_iter("*:dmstats:last-publish"):
        client.delete(key)


def test_it_works(worker: Worker, client: redis.Redis) -> None:
    version = worker.refresh()
    stream = worker.stream()
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert 2000 <= int(stream.next()["retry"]) <= 5000
    first = stream.next()
    assert (first["event"], first["id"]) == ("stats", version)
    data = json.loads(first["data"])
    assert data["version"] == version
    assert list(data) == list(json.loads(worker.get("/api/admin/stats")[1]))
    beat = stream.next_data("heartbeat")
    assert (beat["live"], beat["version"]) == (True, version)
    allow_publish(client)
    newer = worker.refresh()
    assert stream.next("stats")["id"] == newer != version
    stream.close()


def test_a_stream_needs_one_file_descriptor(worker: Worker) -> None:
    worker.refresh()
    assert worker.process
    (process,) = psutil.Process(worker.process.pid).children()
    before = process.num_fds()
    streams = [worker.stream() for _ in range(4)]
    # Gunicorn names itself in each of its answers: it has let go of these.
    assert not any("server" in stream.headers for stream in streams)
    wait_until(lambda: process.num_fds() == before + 4)
    for stream in streams:
        stream.close()


def test_without_hijacking_the_server_streams(worker: Worker, client: redis.Redis) -> None:
    version = worker.refresh()
    old, new = worker.stream(http="1.0"), worker.stream()
    assert "gunicorn" in old.headers["server"]
    for stream in (old, new):
        assert set(stream.next()) == {"retry"}
        assert stream.next("stats")["id"] == version
        assert stream.next("heartbeat")
    allow_publish(client)
    version = worker.refresh()
    assert old.next("stats") == new.next("stats")
    old.close()
    new.close()


def test_a_client_that_has_it_already_gets_nothing_again(worker: Worker) -> None:
    version = worker.refresh()
    stream = worker.stream(f"?last_event_id={version}")
    assert "retry" in stream.next()
    assert stream.next()["event"] == "heartbeat"
    stream.close()
    stream = worker.stream("?last_event_id=0-0&channel=somebody-elses")
    assert stream.next("stats")["id"] == version
    stream.close()


def test_over_the_cap_it_is_503_and_the_rest_is_served(worker: Worker) -> None:
    worker.refresh()
    streams = [worker.stream() for _ in range(5)]
    status, _, headers = worker.get(PATH)
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert int(headers["Retry-After"]) > 0
    assert worker.get("/api/admin/stats")[0] == 200
    streams.pop().close()
    for stream in streams:
        stream.close()
    wait_until(lambda: worker.get("/readyz")[0] == 200 and opened(worker))


def shown(worker: Worker) -> str:
    return str(json.loads(worker.get("/api/admin/stats")[1])["version"])


def opened(worker: Worker) -> bool:
    stream = worker.stream()
    stream.close()
    return stream.status == 200


def test_dead_clients_are_freed_with_nothing_published(worker: Worker) -> None:
    worker.refresh()
    for _ in range(5):
        worker.stream().close()
    wait_until(lambda: opened(worker))


def test_what_is_published_while_redis_restarts_arrives(
    worker: Worker, server: Redis, client: redis.Redis
) -> None:
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    server.kill()
    while stream.next_data("heartbeat")["live"]:
        pass
    unpublished = worker.refresh()
    wait_until(lambda: shown(worker) == unpublished)
    server.start()
    assert stream.next("stats")["id"] == unpublished
    while not stream.next_data("heartbeat")["live"]:
        pass
    allow_publish(client)
    version = worker.refresh()
    assert stream.next("stats")["id"] == version
    stream.close()


def test_a_cut_connection_catches_up(worker: Worker, client: redis.Redis) -> None:
    """The worker's subscription is cut off again and again while others publish."""
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    for _ in range(5):
        for kind in ("pubsub", "normal"):
            client.client_kill_filter(_type=kind, skipme=True)
        allow_publish(client)
        version = worker.refresh()
        assert stream.next("stats")["id"] == version
    stream.close()


def test_rubbish_on_the_channel_does_no_harm(worker: Worker, client: redis.Redis) -> None:
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    channel = key_of(client, "admin:stats:updated")
    for rubbish in (b"rubbish", b"[]", msgspec.json.encode({"type": "stats", "data": {}})):
        client.publish(channel, rubbish)
        with contextlib.suppress(redis.ResponseError):
            client.xadd(channel, {"message": rubbish})
    allow_publish(client)
    version = worker.refresh()
    assert stream.next("stats")["id"] == version
    stream.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_sent_behind_the_request_is_never_answered(worker: Worker, method: str) -> None:
    """Its answer would stand in the middle of the stream; and a delivery would be counted that
    its sender is never told of."""
    body = b"{}" if method == "POST" else b""
    behind = f"{method} /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    first = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", worker.port), timeout=0.2) as client:
        client.sendall(first.encode() + behind.encode() + body)
        said, end = b"", time.monotonic() + 4 * HEARTBEAT
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                client.sendall(behind.encode() + body if b"heartbeat" not in said else b"")
                got = client.recv(65536)
                assert got, "the stream goes on"
                said += got
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.count(b"event:heartbeat") >= 3


def test_without_a_session_or_a_token_there_is_none(worker: Worker) -> None:
    assert worker.get(PATH, "wrong")[0] == 401


def test_sigterm_ends_every_stream_cleanly(worker: Worker) -> None:
    worker.refresh()
    streams = [worker.stream() for _ in range(4)]
    for stream in streams:
        stream.next("stats")
    assert worker.process
    started = time.monotonic()
    worker.process.terminate()
    for stream in streams:
        assert all(event["event"] == "heartbeat" for event in stream.rest())
        stream.close()
    assert time.monotonic() - started < 15
    assert worker.process.wait(30) == 0
