"""How published snapshots reach this worker: Redis Pub/Sub, or a Redis stream with catch-up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import redis

from dmstats.core.clock import MonotonicClock
from dmstats.core.constants import CHANNEL
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_repair import dropping_wrong_type

WAIT_SECONDS = 1.0
PING_SECONDS = 2.0
SILENCE_SECONDS = 5.0
CATCH_UP = 100

Message = bytes | str


class Feed(Protocol):
    """A source of published messages."""

    def listen(self) -> Iterator[Message | None]:
        """Yield None after each (re)connect, and then every message.

        Messages may have been missed before each None. Raises ``redis.RedisError`` when the
        connection is lost, at most a few seconds after the server stopped answering.
        """


class PubSubFeed:
    """Redis Pub/Sub; messages published while disconnected are lost."""

    def __init__(self, client: redis.Redis, keys: Keyspace, clock: MonotonicClock) -> None:
        self._redis = client
        self._keys = keys
        self._clock = clock

    def listen(self) -> Iterator[Message | None]:
        pubsub = cast("Any", self._redis).pubsub()
        try:
            pubsub.subscribe(self._keys.key(CHANNEL))
            heard = pinged = self._clock.monotonic()
            while True:
                message = pubsub.get_message(timeout=WAIT_SECONDS)
                now = self._clock.monotonic()
                if message:
                    heard = now
                    if message["type"] == "subscribe":
                        # The client library resubscribes by itself; this is the only sign of it.
                        yield None
                    elif message["type"] == "message":
                        yield message["data"]
                elif now - heard > SILENCE_SECONDS:
                    raise redis.TimeoutError("no answer to PING")
                if now - pinged > PING_SECONDS:
                    pinged = now
                    pubsub.ping()
        finally:
            pubsub.close()


class StreamFeed:
    """A Redis stream; after a reconnect it continues after the last entry that was read."""

    def __init__(self, client: redis.Redis, keys: Keyspace) -> None:
        self._redis = client
        self._keys = keys
        self._last: str | None = None

    def listen(self) -> Iterator[Message | None]:
        newest = self._newest()
        if self._last is None or _key(newest) < _key(self._last):
            # The first connection, or Redis lost its data and ids start again from a lower value.
            self._last = newest
        yield None
        while True:
            key = self._keys.key(CHANNEL)
            with dropping_wrong_type(self._redis, key):
                found: Any = self._redis.xread(
                    {key: self._last}, count=CATCH_UP, block=round(WAIT_SECONDS * 1000)
                )
            for entry, fields in _entries(found):
                self._last = entry
                yield fields.get(b"message") or fields.get("message") or b""

    def _newest(self) -> str:
        key = self._keys.key(CHANNEL)
        with dropping_wrong_type(self._redis, key):
            found: Any = self._redis.xrevrange(key, count=1)
        return _text(found[0][0]) if found else "0-0"


def _entries(found: Any) -> Iterator[tuple[str, Any]]:
    streams = found.values() if isinstance(found, dict) else (pair[1] for pair in found or ())
    for stream in streams:
        # RESP3 wraps the entries in one more list.
        entries = stream[0] if stream and isinstance(stream[0], list) else stream
        for entry, fields in entries:
            yield _text(entry), fields or {}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _key(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def feed_for(transport: str, client: redis.Redis, keys: Keyspace, clock: MonotonicClock) -> Feed:
    """The feed for a value of ``STATS_TRANSPORT``."""
    return StreamFeed(client, keys) if transport == "stream" else PubSubFeed(client, keys, clock)
