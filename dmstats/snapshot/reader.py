"""Serves the snapshot to requests: monotonic reads, and a computation only if nothing is fresh."""

from __future__ import annotations

import logging
import threading

import redis
from redis.exceptions import RedisError

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError, StoreUnavailable
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_outage import RedisOutage
from dmstats.db.dashboard.snapshot_store import SnapshotStore, StoredSnapshot
from dmstats.snapshot.encoded import (
    COMPUTED,
    NOTHING_SEEN,
    REDIS,
    STALE_AFTER_INTERVALS,
    STORE,
    WORKER,
    CachedSnapshot,
    Malformed,
    Order,
    SnapshotResponse,
    cached_from_json,
    cached_from_redis,
    cached_from_store,
)
from dmstats.snapshot.publisher import CACHE_KEY
from dmstats.snapshot.refresher import Refresher
from dmstats.snapshot.snapshot_reporter import SnapshotReporter

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
BREAK_SECONDS = 1.0


class Reader:
    """Serves this process's copy, which it compares with Redis at most every two seconds.

    If Redis has no snapshot, the stored one is used; if that is older than 1.5 ``interval``
    (seconds), one is computed. With ``computes`` off (another process refreshes), it computes only
    if there is no snapshot at all. After an error, Redis or MongoDB is not queried for a second.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keyspace,
        snapshots: SnapshotStore,
        refresher: Refresher,
        clock: Clock,
        metrics: SnapshotReporter,
        *,
        interval: float,
        computes: bool = True,
        outage: RedisOutage | None = None,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._snapshots = snapshots
        self._refresher = refresher
        self._clock = clock
        self._metrics = metrics
        self._stale_ms = interval * 1000 * STALE_AFTER_INTERVALS
        self._computes = computes
        self._outage = outage or RedisOutage()
        self._mutex = threading.Lock()
        self._copy: CachedSnapshot | None = None
        self._checked = float("-inf")
        self._redis_retry_at = float("-inf")
        self._store_retry_at = float("-inf")

    @property
    def term(self) -> int:
        """The newest term that this process has seen; 0 before the first snapshot."""
        return self._copy.order[0] if self._copy else 0

    @property
    def order(self) -> Order:
        """The newest version that this process has seen."""
        return self._copy.order if self._copy else NOTHING_SEEN

    def current(self, seen: Order = NOTHING_SEEN) -> SnapshotResponse:
        """The snapshot, at most two seconds behind the newest while Redis works.

        ``seen`` is the version that the client already has, perhaps from another worker; an older
        one is not served if this one or a newer one is available. Raises
        :class:`StoreUnavailable` only if there is no snapshot at all.
        """
        if served := self._own_copy(seen):
            return served
        copy = self._copy
        # One request at a time queries Redis; the others are served the copy without waiting.
        if not self._mutex.acquire(blocking=copy is None or copy.order < seen) and copy:
            self._metrics.cache_hit()
            return self._serve(copy, WORKER)
        try:
            return self._own_copy(seen) or self._look_up(seen)
        finally:
            self._mutex.release()

    def newest(self) -> SnapshotResponse:
        """Like :meth:`current`, but always compares the copy with Redis or the store first."""
        with self._mutex:
            return self._look_up()

    def accept(self, snapshot: object) -> SnapshotResponse | None:
        """Replace this process's copy by a published snapshot (decoded JSON).

        None if it is older than the copy; raises :class:`Malformed`.
        """
        copy = cached_from_redis(snapshot, self._keys.installation)
        if self._copy and copy.order < self._copy.order:
            return None
        self._keep(copy)
        self._checked = self._clock.monotonic()
        return self._serve(copy, REDIS)

    def _own_copy(self, seen: Order) -> SnapshotResponse | None:
        """This process's copy, if recently compared with Redis and not older than ``seen``."""
        copy = self._copy
        if not copy or copy.order < seen:
            return None
        if self._clock.monotonic() - self._checked >= FRESH_SECONDS:
            return None
        self._metrics.cache_hit()
        return self._serve(copy, WORKER)

    def _look_up(self, seen: Order = NOTHING_SEEN) -> SnapshotResponse:
        """Try Redis, the store, then a computation. The caller must hold the mutex."""
        started = self._clock.monotonic()
        answered, cached = self._from_redis()
        if cached and self._adopt(cached) and self._is_acceptable(cached, seen):
            self._checked = started
            self._metrics.cache_hit()
            return self._serve(cached, REDIS)
        if answered and self._copy and self._is_acceptable(self._copy, seen):
            self._checked = started
            self._metrics.cache_hit()
            return self._serve(self._copy, WORKER)
        self._metrics.cache_miss()
        source = self._from_store()
        if self._copy is None:
            raise StoreUnavailable("There are no figures yet, and MongoDB cannot be read.")
        self._checked = started
        return self._serve(self._copy, source)

    def _from_redis(self) -> tuple[bool, CachedSnapshot | None]:
        """Whether Redis answered, and the snapshot that it had."""
        if self._clock.monotonic() < self._redis_retry_at:
            return False, None
        try:
            found = self._redis.get(self._keys.key(CACHE_KEY))
            if not isinstance(found, bytes | str):
                return True, None
            return True, cached_from_json(found, self._keys.installation)
        except RedisError as error:
            self._redis_retry_at = self._clock.monotonic() + BREAK_SECONDS
            self._metrics.redis_failed("get")
            self._outage.failed("get", error)
            return False, None
        except Malformed as malformed:
            logger.warning("cache_malformed", extra={"reason": str(malformed)})
            return True, None

    def _from_store(self) -> str:
        """Adopt the stored snapshot, or a computed one; returns the copy's source."""
        source = WORKER
        if self._clock.monotonic() < self._store_retry_at:
            return source
        try:
            stored = _readable(self._snapshots.load())
            if stored and self._adopt(stored):
                source = STORE
            wanted = self._copy is None or (self._computes and self._is_stale(self._copy))
            filled = _readable(self._refresher.fill(self._stale_ms)) if wanted else None
            if filled and self._adopt(filled):
                source = COMPUTED
        except DmstatsError as error:
            # Any error: figures that are marked as stale are better than none.
            self._store_retry_at = self._clock.monotonic() + BREAK_SECONDS
            logger.warning("store_failed", extra={"reason": error.reason})
        return source

    def _adopt(self, copy: CachedSnapshot) -> bool:
        """Replace this process's copy unless ``copy`` is older; an equal version keeps the copy."""
        if self._copy and copy.order < self._copy.order:
            return False
        if not self._copy or copy.order > self._copy.order:
            self._keep(copy)
        return True

    def _keep(self, copy: CachedSnapshot) -> None:
        self._copy = copy
        self._metrics.figures_adopted(copy.computed_ms, copy.audit)

    def _is_acceptable(self, copy: CachedSnapshot, seen: Order) -> bool:
        return copy.order >= seen and not self._is_stale(copy)

    def _is_stale(self, copy: CachedSnapshot) -> bool:
        return copy.age_ms(self._clock.now_ms()) > self._stale_ms

    def _serve(self, copy: CachedSnapshot, source: str) -> SnapshotResponse:
        return copy.serve(source, self._clock.now_ms(), self._stale_ms)


def _readable(stored: StoredSnapshot | None) -> CachedSnapshot | None:
    """The stored snapshot; None if missing or malformed."""
    try:
        return cached_from_store(stored) if stored else None
    except Malformed:
        logger.warning("stored_snapshot_malformed")
        return None
