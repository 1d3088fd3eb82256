"""The refresh: reads the counters, builds the snapshot, stores, caches and publishes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.clock import Clock
from dmstats.core.errors import StaleSnapshot, StoreUnavailable, Superseded
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_repair import drop_without_expiry
from dmstats.db.dashboard.readings import ReadingsStore
from dmstats.db.dashboard.snapshot_store import SnapshotStore, StoredSnapshot
from dmstats.history.calendar import Calendar
from dmstats.snapshot.body import check
from dmstats.snapshot.build import UTC_CALENDAR, build, floor_of
from dmstats.snapshot.encoded import NOTHING_SEEN, Order
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publication, Publisher
from dmstats.snapshot.snapshot_reporter import SnapshotReporter
from dmstats.snapshot.zoned import required_buckets

logger = logging.getLogger(__name__)

LOCK_KEY = "dmstats:refresh"
LOCK_SECONDS = 5.0
LOCK_WAIT_SECONDS = 2.0
ATTEMPTS = 2
NOT_PUBLISHED = Publication(published=False)


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """A completed refresh; the first key of ``snapshot`` is its version, and it has no age."""

    snapshot: dict[str, Any]
    version: str
    published: bool
    rate_limited: bool
    retry_after: float
    compute_ms: float
    db_queries: int


class Refresher:
    """The only code that computes snapshots: for the job, cron, the CLI and readers.

    A later read always gets a later version, so figures never go back while versions increase.
    ``seen`` returns the newest version that this process has seen.
    Refreshes of one process never overlap; those of several processes normally do not.
    """

    def __init__(
        self,
        readings: ReadingsStore,
        snapshots: SnapshotStore,
        publisher: Publisher,
        lease: Lease,
        client: redis.Redis,
        keys: Keyspace,
        clock: Clock,
        metrics: SnapshotReporter,
        monthly_limit: int = 0,
        calendar: Calendar = UTC_CALENDAR,
        seen: Callable[[], Order] = lambda: NOTHING_SEEN,
    ) -> None:
        self._readings = readings
        self._snapshots = snapshots
        self._publisher = publisher
        self._lease = lease
        self._redis = client
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._monthly_limit = monthly_limit
        self._calendar = calendar
        self._seen = seen
        self._saved = NOTHING_SEEN
        self._mutex = threading.Lock()

    def refresh(self, *, scheduled: bool = False, publish: bool = True) -> RefreshResult:
        """Refresh now.

        The ``scheduled`` job must hold the lease, writes with its term and always publishes; other
        callers publish within the limit. Raises :class:`Superseded` if this process does not hold
        the lease, :class:`StoreUnavailable` if MongoDB is unavailable; never for Redis.
        """
        with self._exclusive():
            return self._refresh(scheduled=scheduled, publish=publish)

    def fill(self, max_age_ms: float) -> StoredSnapshot:
        """The stored snapshot; if older than ``max_age_ms``, refreshed first without publishing.

        If several processes call this at once, one of them computes.
        """
        with self._exclusive():
            stored = self._snapshots.load()
            if stored and self._is_usable(stored, max_age_ms):
                return stored
            done = self._refresh(scheduled=False, publish=False)
        term, seq = (int(part) for part in done.version.split("-"))
        body = {key: value for key, value in done.snapshot.items() if key != "version"}
        return StoredSnapshot(term, seq, self._clock.now_ms(), body)

    def _refresh(self, *, scheduled: bool, publish: bool) -> RefreshResult:
        term = self._lease.term if scheduled else None
        if scheduled and not self._lease.held:
            raise Superseded("The lease is not held.")
        started = self._clock.monotonic()
        snapshot = self._store_new(term)
        version = str(snapshot["version"])
        compute_ms, queries = snapshot["refresh"]["computeMs"], snapshot["refresh"]["dbQueries"]
        self._metrics.refreshed(self._clock.monotonic() - started, queries)
        cached = self._publisher.cache(snapshot)
        publication = (
            self._publisher.publish(snapshot, scheduled=scheduled) if publish else NOT_PUBLISHED
        )
        self._log(snapshot, publication, cached=cached)
        return RefreshResult(
            snapshot,
            version,
            publication.published,
            publication.rate_limited,
            publication.retry_after,
            compute_ms,
            queries,
        )

    def _store_new(self, term: int | None) -> dict[str, Any]:
        """Read, build and store; the snapshot that is stored then, version first.

        If another process stored a snapshot during the read, its readings may be newer, so this
        read is repeated. If that happens twice, the snapshot that is stored now was read after this
        refresh began, so it is used instead (docs/decisions/0025-newer-readings-win.md).
        """
        for _ in range(ATTEMPTS):
            after, started = self._last_seq(), self._clock.monotonic()
            now_ms = self._clock.now_ms()
            more = required_buckets(now_ms, self._calendar)
            readings = self._readings.read(now_ms, more.days, more.hours, more.minutes)
            body = build(readings, now_ms, self._monthly_limit, self._calendar)
            compute_ms = round((self._clock.monotonic() - started) * 1000, 2)
            body["refresh"] = {"computeMs": compute_ms, "dbQueries": readings.queries}
            check(body)  # never store a snapshot that readers would reject
            try:
                place = self._snapshots.save(
                    body, now_ms, term=term, floor=floor_of(readings), after=after
                )
            except StaleSnapshot:
                continue
            self._saved = max(self._saved, place)
            return {"version": "{}-{}".format(*place), **body}
        stored = self._snapshots.load()
        if stored is None:
            raise StoreUnavailable("The snapshot was removed during the refresh.")
        return {"version": stored.version, **stored.body}

    def _last_seq(self) -> int:
        """The number of the stored snapshot, at least that of the newest one seen."""
        last, (term, seq) = self._snapshots.last_seq(), max(self._saved, self._seen())
        if last < seq:
            self._snapshots.continue_after(term, seq)
        return max(last, seq)

    def _is_usable(self, stored: StoredSnapshot, max_age_ms: float) -> bool:
        if abs(self._clock.now_ms() - stored.computed_ms) > max_age_ms:
            return False
        try:
            check(stored.body)
        except msgspec.ValidationError:
            return False
        return True

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Exclude other refreshes: in this process always, in others by a lock in Redis. If Redis
        is down or the lock is not released in time, refresh anyway."""
        with self._mutex:
            lock = None
            try:
                name = self._keys.key(LOCK_KEY)
                lock = self._redis.lock(
                    name,
                    timeout=LOCK_SECONDS,
                    blocking_timeout=LOCK_WAIT_SECONDS,
                    thread_local=False,
                )
                owned = lock.acquire()
                if not owned:
                    drop_without_expiry(self._redis, name)
            except RedisError:
                self._metrics.redis_failed("lock")
                owned = False
            try:
                yield
            finally:
                if lock and owned:
                    try:
                        lock.release()
                    except RedisError:
                        # The lock expired, or Redis is down: there is nothing to release.
                        self._metrics.redis_failed("lock")

    def _log(self, snapshot: dict[str, Any], publication: Publication, *, cached: bool) -> None:
        logger.info(
            "refresh",
            extra={
                "version": snapshot["version"],
                "totals": {
                    "sent": snapshot["totalDMsSent"],
                    "received": snapshot["totalDMsReceived"],
                    "users": snapshot["totalUsers"],
                    "accounts": snapshot["totalAccounts"],
                    "activeAccounts": snapshot["activeAccounts"],
                },
                "cache": {
                    "hitRatio": self._metrics.hit_ratio(),
                    "ttl": self._publisher.cache_ttl if cached else None,
                },
                "published": publication.published,
                "rateLimited": publication.rate_limited,
                "computeMs": snapshot["refresh"]["computeMs"],
                "dbQueries": snapshot["refresh"]["dbQueries"],
                "leader": self._lease.held,
                "viewers": self._metrics.viewers(),
            },
        )
