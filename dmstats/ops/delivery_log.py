"""When deliveries were last acknowledged, and since when they fail: of this worker, and of all."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.clock import Clock

KEY = "dmstats:deliveries"
FORGET_MS = 7_200_000
ACKNOWLEDGED = 200
FAILED = 500
"""Statuses from here on are ours to mend; a 4xx is the sender's doing."""


class Record(msgspec.Struct):
    """Times in ms since the epoch, 0 for never. ``failing_since`` is the first failure after the
    last acknowledged delivery."""

    acknowledged: int = 0
    failed: int = 0
    failing_since: int = 0


class DeliveryMetrics(Protocol):
    """What the webhook reports."""

    def delivery(self, status: int, seconds: float) -> None: ...
    def events_ignored(self, events: int) -> None: ...


class DeliveryLog:
    """Stands between the webhook and its metrics, and remembers; touches nothing but memory."""

    def __init__(self, metrics: DeliveryMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self.record = Record()

    def delivery(self, status: int, seconds: float) -> None:
        record = self.record
        if status == ACKNOWLEDGED:
            record.acknowledged = self._clock.now_ms()
            record.failing_since = 0
        elif status >= FAILED:
            record.failed = self._clock.now_ms()
            record.failing_since = record.failing_since or record.failed
        self._metrics.delivery(status, seconds)

    def events_ignored(self, events: int) -> None:
        self._metrics.events_ignored(events)


class SharedDeliveryLog:
    """The workers' records, shared through Redis a few times a minute."""

    def __init__(
        self, client: redis.Redis, clock: Clock, redis_failed: Callable[[str], None]
    ) -> None:
        self._redis = client
        self._redis_failed = redis_failed
        self._clock = clock
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._posted = Record()

    def post(self, record: Record) -> None:
        """Let the others know, if there is anything new."""
        new = msgspec.structs.replace(record)
        if new == self._posted:
            return
        try:
            self._redis.hset(KEY, self._worker, msgspec.json.encode(new))
            self._redis.pexpire(KEY, FORGET_MS)
            self._posted = new
        except RedisError:
            self._redis_failed("bulletin")

    def read(self) -> Record:
        """All workers' records in one; those that have had no delivery for long are dropped.

        May raise ``RedisError``.
        """
        oldest = self._clock.now_ms() - FORGET_MS
        records = []
        for worker, value in self._redis.hgetall(KEY).items():
            record = msgspec.json.decode(value, type=Record)
            if max(record.acknowledged, record.failed) < oldest:
                self._redis.hdel(KEY, worker)
            else:
                records.append(record)
        return together(records)


def together(records: Iterable[Record]) -> Record:
    """As if one worker had had all deliveries: a failure counts if nothing was acknowledged since.

    Of each worker only the first failure after its own last success is known, so the joint
    beginning is the earliest of those that lie after the last success anywhere, or that success.
    """
    known = list(records)
    acknowledged = max((record.acknowledged for record in known), default=0)
    failed = max((record.failed for record in known), default=0)
    if failed <= acknowledged:
        return Record(acknowledged, failed, 0)
    begun = min(record.failing_since for record in known if record.failed > acknowledged)
    return Record(acknowledged, failed, max(begun, acknowledged))
