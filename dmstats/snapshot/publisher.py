"""Writes the snapshot to the cache in Redis, and publishes it within a rate limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.constants import CHANNEL
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_outage import RedisOutage
from dmstats.core.redis_repair import drop_without_expiry, dropping_wrong_type
from dmstats.snapshot.encoded import INSTALLATION
from dmstats.snapshot.snapshot_reporter import SnapshotReporter

CACHE_KEY = "admin:stats"
LAST_PUBLISH_KEY = "dmstats:last-publish"
STREAM_LENGTH = 1000

CACHE_IF_NEWER = """
local kept = redis.pcall('get', KEYS[1])
if type(kept) == 'string' then
  local term, seq, whose = string.match(kept, '^{"version":"(%d+)%-(%d+)","installation":"([^"]*)"')
  if term and whose == ARGV[5] then
    term, seq = tonumber(term), tonumber(seq)
    local newTerm, newSeq = tonumber(ARGV[3]), tonumber(ARGV[4])
    if term > newTerm or (term == newTerm and seq > newSeq) then return 0 end
  end
end
redis.call('setex', KEYS[1], ARGV[2], ARGV[1])
return 1
"""
"""SETEX, unless a newer version of this installation is cached: a slow refresher must not overwrite
it with an older one. Foreign values are overwritten."""

Send = Callable[[dict[str, Any], str], object]


@dataclass(frozen=True, slots=True)
class Publication:
    """The result of a publish; ``retry_after`` is in seconds, 0 unless rate-limited."""

    published: bool
    rate_limited: bool = False
    retry_after: float = 0.0


class Publisher:
    """Caches and publishes; Redis errors are logged and counted, never raised.

    ``send(snapshot, version)`` publishes in flask-sse's wire format, on this installation's
    channel. With ``transport`` "stream" the same message goes to a Redis stream instead.
    ``cache_ttl`` and ``min_interval`` are in seconds.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keyspace,
        send: Send,
        metrics: SnapshotReporter,
        *,
        cache_ttl: int,
        min_interval: float,
        transport: str = "pubsub",
        outage: RedisOutage | None = None,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._send = self._append if transport == "stream" else send
        self._metrics = metrics
        self._outage = outage or RedisOutage()
        self._cache_ttl = cache_ttl
        self._limit_ms = round(min_interval * 1000)
        self._cache_if_newer = client.register_script(CACHE_IF_NEWER)

    @property
    def cache_ttl(self) -> int:
        """How long the snapshot is cached, in seconds."""
        return self._cache_ttl

    def cache(self, snapshot: dict[str, Any]) -> bool:
        """Write the snapshot to the cache that all workers read; whether it succeeded.

        ``version`` must be its first key.
        """
        try:
            self._cache_if_newer(
                keys=[self._keys.key(CACHE_KEY)],
                args=[
                    msgspec.json.encode(self._marked(snapshot)),
                    self._cache_ttl,
                    *snapshot["version"].split("-"),
                    self._keys.installation,
                ],
            )
        except RedisError as error:
            return self._failed("cache", error)
        self._outage.answered()
        return True

    def publish(self, snapshot: dict[str, Any], *, scheduled: bool) -> Publication:
        """Send the snapshot to every worker's hub.

        The ``scheduled`` job always publishes; other callers only if nothing was published within
        the limit.
        """
        try:
            if not self._may_publish(snapshot["version"], scheduled=scheduled):
                self._metrics.publish_limited()
                return Publication(
                    published=False, rate_limited=True, retry_after=self._seconds_left()
                )
            self._send(self._marked(snapshot), snapshot["version"])
        except RedisError as error:
            return Publication(published=self._failed("publish", error))
        self._metrics.published()
        return Publication(published=True)

    def drop_published(self) -> None:
        """Remove earlier snapshots from the stream, where there is one."""
        try:
            self._redis.xtrim(self._keys.key(CHANNEL), maxlen=0, approximate=False)
        except RedisError as error:
            self._failed("trim", error)

    def retry_after(self) -> float:
        """Seconds until the limit allows another publish; 0 if it does now."""
        try:
            return self._seconds_left()
        except RedisError as error:
            self._failed("limit", error)
            return 0.0

    def _may_publish(self, version: str, *, scheduled: bool) -> bool:
        key, limit = self._keys.key(LAST_PUBLISH_KEY), self._limit_ms
        if self._redis.set(key, version, px=limit, nx=not scheduled):
            return True
        stuck = drop_without_expiry(self._redis, key)
        return stuck and bool(self._redis.set(key, version, px=limit, nx=True))

    def _seconds_left(self) -> float:
        return max(0, int(self._redis.pttl(self._keys.key(LAST_PUBLISH_KEY)))) / 1000

    def _append(self, snapshot: dict[str, Any], version: str) -> None:
        message = {"data": snapshot, "type": "stats", "id": version}
        key = self._keys.key(CHANNEL)
        with dropping_wrong_type(self._redis, key):
            self._redis.xadd(
                key,
                {"message": msgspec.json.encode(message)},
                maxlen=STREAM_LENGTH,
                approximate=True,
            )

    def _marked(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        """The snapshot for Redis: the installation is inserted after the version."""
        version, *rest = snapshot.items()
        return dict([version, (INSTALLATION, self._keys.installation), *rest])

    def _failed(self, what: str, error: RedisError) -> bool:
        self._metrics.redis_failed(what)
        self._outage.failed(what, error)
        return False
