"""When deliveries last succeeded and since when they fail, per worker and for all workers."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.clock import Clock, EpochMs
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_repair import drop_field, dropping_wrong_type

KEY = "dmstats:deliveries"
EXPIRY_MS = 7_200_000
ACKNOWLEDGED = 200
FAILED = 500
"""Statuses from here on are the service's failures; a 4xx is the sender's error."""


class Record(msgspec.Struct):
    """Times in ms since the epoch, 0 for never. ``failing_since`` is the first failure after the
    last acknowledged delivery."""

    acknowledged: EpochMs = 0
    failed: EpochMs = 0
    failing_since: EpochMs = 0


class DeliveryMetrics(Protocol):
    """What the webhook reports."""

    def delivery(self, status: int, seconds: float) -> None: ...
    def events_ignored(self, events: int) -> None: ...
    def object_ignored(self, name: str, events: int) -> None: ...


class DeliveryLog:
    """Records the outcomes of deliveries in memory and forwards them to the metrics."""

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

    def object_ignored(self, name: str, events: int) -> None:
        self._metrics.object_ignored(name, events)


class SharedDeliveryLog:
    """The workers' records, shared through Redis a few times a minute."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keyspace,
        clock: Clock,
        redis_failed: Callable[[str], None],
    ) -> None:
        self._redis = client
        self._keys = keys
        self._redis_failed = redis_failed
        self._clock = clock
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._posted = Record()

    def post(self, record: Record) -> None:
        """Share this worker's record if it has changed."""
        new = msgspec.structs.replace(record)
        if new == self._posted:
            return
        try:
            key = self._keys.key(KEY)
            with dropping_wrong_type(self._redis, key):
                self._redis.hset(key, self._worker, msgspec.json.encode(new))
            self._redis.pexpire(key, EXPIRY_MS)
            self._posted = new
        except RedisError:
            self._redis_failed("delivery_log")

    def read(self) -> Record:
        """The merged records of all workers; records without a recent delivery are deleted.

        May raise ``RedisError``.
        """
        oldest = self._clock.now_ms() - EXPIRY_MS
        records = []
        key = self._keys.key(KEY)
        with dropping_wrong_type(self._redis, key):
            kept: Any = self._redis.hgetall(key)
        for worker, value in kept.items():
            record = _record(value)
            if record is None:
                drop_field(self._redis, key, worker)
            elif max(record.acknowledged, record.failed) < oldest:
                self._redis.hdel(key, worker)
            else:
                records.append(record)
        return merge_records(records)


def _record(kept: bytes) -> Record | None:
    """Decode a worker's record from Redis; None if it is invalid."""
    try:
        return msgspec.json.decode(kept, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def merge_records(records: Iterable[Record]) -> Record:
    """Merge as if one worker had received all deliveries: a later success cancels a failure.

    For each worker, only the first failure after its own last success is known. The merged start of
    the failure is therefore the earliest of these, but not before the last success of any worker.
    """
    known = list(records)
    acknowledged = max((record.acknowledged for record in known), default=0)
    failed = max((record.failed for record in known), default=0)
    if failed <= acknowledged:
        return Record(acknowledged, failed, 0)
    begun = min(record.failing_since for record in known if record.failed > acknowledged)
    return Record(acknowledged, failed, max(begun, acknowledged))
