"""Leader election: a sticky Redis lease with a fencing token (the term)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from dmstats.core.clock import Clock
from dmstats.core.errors import StoreUnavailable
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_outage import RedisOutage
from dmstats.core.redis_repair import drop_without_expiry
from dmstats.snapshot.snapshot_reporter import SnapshotReporter

logger = logging.getLogger(__name__)

LEASE_KEY = "dmstats:lease"
TERM_KEY = "dmstats:term"

NEXT_TERM = """
local kept = redis.pcall('get', KEYS[1])
local known = type(kept) == 'string' and tonumber(kept) or 0
if not (known >= 0 and known <= 1e12) then known = 0 end
local next = math.max(known, tonumber(ARGV[1])) + 1
redis.call('set', KEYS[1], string.format('%.0f', next))
return next
"""
"""Returns a term greater than those known to Redis and to MongoDB: Redis may have lost its data, or
hold an invalid value."""


class Lease:
    """Held by one process, which renews it; it expires if it is not renewed.

    Call :meth:`tick` every few seconds. ``last_term`` returns the newest term that has written a
    snapshot; if it raises :class:`StoreUnavailable`, no process becomes the leader.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keyspace,
        clock: Clock,
        last_term: Callable[[], int],
        metrics: SnapshotReporter,
        *,
        ttl: float = 45.0,
        renew_every: float = 15.0,
        outage: RedisOutage | None = None,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._clock = clock
        self._last_term = last_term
        self._metrics = metrics
        self._ttl = ttl
        self._renew_every = renew_every
        self._redis_lock: Lock | None = None
        self._next_term = client.register_script(NEXT_TERM)
        self._mutex = threading.Lock()
        self._outage = outage or RedisOutage()
        self._leading = False
        self._renewed = 0.0
        self._term = 0

    @property
    def held(self) -> bool:
        """Whether this process leads; false once the lease may have expired by its own clock."""
        return self._leading and self._clock.monotonic() < self._renewed + self._ttl

    @property
    def term(self) -> int:
        """The term of this process's last leadership; 0 before the first."""
        return self._term

    def tick(self) -> bool:
        """Acquire the lease, or renew it if due; whether this process leads now."""
        with self._mutex:
            if self._leading:
                self._renew()
            if not self._leading:
                self._acquire()
            return self.held

    def release(self) -> None:
        """Release the lease at shutdown, so that another process can lead at once."""
        with self._mutex:
            if self._leading:
                self._end("released")

    def step_down(self) -> None:
        """Stop leading, because a newer term has written."""
        with self._mutex:
            if self._leading:
                self._end("superseded")

    @property
    def _lock(self) -> Lock:
        """The lock; created on first use, because the installation's name may be unknown before."""
        if self._redis_lock is None:
            # thread_local=False: the job that renews is not always run by the greenlet that
            # acquired.
            self._redis_lock = self._redis.lock(
                self._keys.key(LEASE_KEY), timeout=self._ttl, blocking=False, thread_local=False
            )
        return self._redis_lock

    def _renew(self) -> None:
        now = self._clock.monotonic()
        if now >= self._renewed + self._ttl:
            self._end("expired")
        elif now - self._renewed >= self._renew_every:
            try:
                self._lock.reacquire()
                self._renewed = now
            except LockError:
                self._end("lost")
            except RedisError:
                # No other process can acquire it while Redis is down: it is ours until it expires.
                self._metrics.redis_failed("lease")

    def _acquire(self) -> None:
        started = self._clock.monotonic()
        try:
            if not self._lock.acquire(blocking=False):
                # A foreign key without expiry would otherwise block the election for ever.
                drop_without_expiry(self._redis, self._keys.key(LEASE_KEY))
                return
            keys = [self._keys.key(TERM_KEY)]
            self._term = int(self._next_term(keys=keys, args=[self._last_term()]))
        except (RedisError, StoreUnavailable) as error:
            self._metrics.redis_failed("lease")
            if isinstance(error, RedisError):
                self._outage.failed("lease", error)
            else:
                logger.warning("lease_unavailable", extra={"reason": error.reason})
            self._release_lock()
            return
        self._outage.answered()
        self._renewed = started
        self._leading = True
        self._metrics.lease_changed(True)  # noqa: FBT003 - the state itself
        logger.info("lease_acquired", extra={"term": self._term})

    def _end(self, reason: str) -> None:
        self._leading = False
        self._release_lock()
        self._metrics.lease_changed(False)  # noqa: FBT003 - the state itself
        logger.info("lease_ended", extra={"term": self._term, "reason": reason})

    def _release_lock(self) -> None:
        if self._redis_lock is None:
            return
        try:
            self._redis_lock.release()
        except RedisError:
            # Lost already, or Redis is down: then it expires by itself.
            self._redis_lock.local.token = None
