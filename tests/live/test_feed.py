"""How messages reach a worker, and what happens to those sent while it was away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dmstats.core.clock import SystemClock
from dmstats.sse.subscription import Feed, PubSubFeed, StreamFeed
from tests.keyspace import CHANNEL, KEYS
from tests.servers import Redis, running

pytestmark = pytest.mark.live


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    with running(server):
        yield server


def client_of(server: Redis) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=3, retry=Retry(NoBackoff(), 0))


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    with client_of(server) as client:
        yield client


def send(client: redis.Redis, message: bytes) -> None:
    client.publish(CHANNEL, message)
    client.xadd(CHANNEL, {"message": message})


@pytest.fixture(params=["pubsub", "stream"])
def feed(request: pytest.FixtureRequest, client: redis.Redis) -> Feed:
    if request.param == "stream":
        return StreamFeed(client, KEYS)
    return PubSubFeed(client, KEYS, SystemClock())


def test_it_works(feed: Feed, server: Redis) -> None:
    with client_of(server) as other:
        messages: Any = feed.listen()
        assert next(messages) is None
        for number in range(3):
            send(other, b"%d" % number)
            assert next(messages) == b"%d" % number


def test_a_stream_is_not_read_from_the_past_at_first(client: redis.Redis, server: Redis) -> None:
    with client_of(server) as other:
        send(other, b"old")
        messages = StreamFeed(client, KEYS).listen()
        assert next(messages) is None
        send(other, b"new")
        assert next(messages) == b"new"


def test_a_stream_catches_up_after_its_connection_was_cut(
    client: redis.Redis, server: Redis
) -> None:
    with client_of(server) as other:
        feed = StreamFeed(client, KEYS)
        messages: Any = feed.listen()
        next(messages)
        send(other, b"before")
        assert next(messages) == b"before"
        other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        missed = [b"%d" % number for number in range(5)]
        for message in missed:
            send(other, message)
        messages.close()
        again = feed.listen()
        assert next(again) is None
        assert [next(again) for _ in missed] == missed


def test_a_stream_survives_a_redis_that_came_back_empty(client: redis.Redis, server: Redis) -> None:
    with client_of(server) as other:
        feed = StreamFeed(client, KEYS)
        other.xadd(CHANNEL, {"message": b"far ahead"}, id="9999999999999-1")
        messages: Any = feed.listen()
        assert next(messages) is None
        other.flushall()
        again = feed.listen()
        assert next(again) is None
        send(other, b"anew")
        assert next(again) == b"anew"


def test_a_silent_redis_is_given_up_within_seconds(feed: Feed, server: Redis) -> None:
    messages = feed.listen()
    next(messages)
    assert server.process
    os.kill(server.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(redis.RedisError):
            next(messages)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert time.monotonic() - started < 30
