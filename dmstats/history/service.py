"""Serves histories from a cache in this process or Redis; on a miss, one process computes."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.clock import Clock, day_start, to_ms
from dmstats.core.errors import BadRequest, Conflict, StoreUnavailable, Unavailable
from dmstats.db.dashboard.history import READ_SECONDS, HistoryStore
from dmstats.history.calendar import Calendar
from dmstats.history.cover import RangeCounts, required_buckets
from dmstats.history.export import file_name
from dmstats.history.ranges import DEFAULT, Range, between, named, unit_of
from dmstats.history.series import History, Plan, history

logger = logging.getLogger(__name__)

CACHE_KEY = "admin:stats:history"
CLOSED_SECONDS = 6 * 3600
"""The cache TTL of a range that ended more than :data:`SETTLED_MS` ago; repairs appear after it."""
SETTLED_MS = 36 * 3_600_000
"""Meta retries deliveries for this long, so until then old hours may still grow."""

MAX_DOCUMENTS = 40_000
MAX_COPIES = 64
"""The number of histories that a process caches: about 4 MB."""
RECHECK_SECONDS = 2.0
"""How long a process serves its own copy without checking Redis for a newer one."""
MAX_COMPUTING = 2
"""Concurrent computations per process; more requests wait, so that deliveries are not delayed."""
WAIT_SECONDS = 10.0
LOCK_SECONDS = READ_SECONDS + 4.0
POLL_SECONDS = 0.05
BREAK_SECONDS = 1.0


class RedisReporter(Protocol):
    """The metrics that this package reports."""

    def redis_failed(self, what: str) -> None:
        """Redis did not answer to ``what``."""


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """A request. ``name`` is one of :data:`~dmstats.history.ranges.RANGES`; without it,
    ``from_text`` and ``to_text`` are times or dates. ``unit`` None is the default unit. ``band``:
    whether to include the expected range."""

    calendar: Calendar
    name: str | None = None
    from_text: str | None = None
    to_text: str | None = None
    unit: str | None = None
    kind: str = "none"
    band: bool = False


@dataclass(frozen=True, slots=True)
class HistoryResponse:
    """A history as JSON; ``tag`` changes with the content, ``file_name`` is that of the JSON."""

    body: bytes
    tag: str
    file_name: str
    computed_ms: int

    def decoded(self) -> History:
        """The history itself."""
        found: History = msgspec.json.decode(self.body)
        return found


class HistoryService:
    """Serves history requests.

    A range is computed at most once per ``interval`` (seconds), by the first process that is asked;
    one that can no longer change, once per :data:`CLOSED_SECONDS`. Without Redis each process
    computes for itself. ``key`` builds a Redis key from a name.
    """

    def __init__(
        self,
        reads: HistoryStore,
        client: redis.Redis,
        clock: Clock,
        metrics: RedisReporter,
        *,
        interval: float,
        key: Callable[[str], str] = str,
    ) -> None:
        self._reads = reads
        self._redis = client
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._key = key
        self._copies: OrderedDict[str, tuple[HistoryResponse, float]] = OrderedDict()
        self._single_flight = _SingleFlight()
        self._slots = threading.BoundedSemaphore(MAX_COMPUTING)
        self._since: tuple[int | None, float] | None = None
        self._redis_retry_at = float("-inf")
        self._store_retry_at = float("-inf")

    def answer(self, request: HistoryRequest) -> HistoryResponse:
        """The requested history.

        Raises :class:`BadRequest`, :class:`StoreUnavailable`, or :class:`Unavailable` if too many
        computations are in progress.
        """
        now_ms = self._clock.now_ms()
        chosen = self._chosen(request, now_ms)
        unit = unit_of(request.unit, chosen, request.calendar)
        seconds = self._ttl(chosen, now_ms)
        name = _name(request, chosen, unit)
        if copy := self._own_copy(name, seconds, checked=True):
            return copy
        with self._single_flight.only_one(name):
            if copy := self._own_copy(name, seconds, checked=True) or self._from_redis(
                name, seconds
            ):
                return copy
            with self._cross_process_lock(name):
                if copy := self._from_redis(name, seconds):
                    return copy
                if self._redis_failing and (copy := self._own_copy(name, seconds, checked=False)):
                    return copy
                plan = Plan.make(chosen, unit, request.kind, request.calendar, band=request.band)
                answer = self._compute(plan)
                self._keep(name, answer)
                self._to_redis(name, answer, seconds)
                return answer

    def _chosen(self, request: HistoryRequest, now_ms: int) -> Range:
        if request.from_text is None and request.to_text is None:
            name = request.name or DEFAULT
            since = self._counting_start() if name == "all" else None
            return named(name, request.calendar, now_ms, since)
        return between(request.from_text, request.to_text, request.calendar, now_ms)

    def _ttl(self, chosen: Range, now_ms: int) -> float:
        return self._interval if chosen.to_ms > now_ms - SETTLED_MS else CLOSED_SECONDS

    def _compute(self, plan: Plan) -> HistoryResponse:
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("Too many ranges are being computed.", retry_after=2)
        started = self._clock.monotonic()
        try:
            since = self._counting_start()
            now_ms = self._clock.now_ms()
            over_ms = day_start(now_ms)
            asked = required_buckets(plan.intervals(), since, over_ms)
            if asked.documents > MAX_DOCUMENTS:
                raise BadRequest(
                    f"This would read {asked.documents} stored hours and days, and at most "
                    f"{MAX_DOCUMENTS} are allowed: choose a shorter range, or compare=none."
                )
            with self._breaker():
                read = self._reads.read(asked.days, asked.hours, asked.minutes)
            counted = RangeCounts(*read, over_ms)
        finally:
            self._slots.release()
        found = history(plan, counted, since_ms=since, now_ms=now_ms)
        answer = _answer(found, msgspec.json.encode(found), now_ms)
        logger.info(
            "history_computed",
            extra={
                "unit": plan.unit,
                "compare": plan.kind,
                "band": plan.weeks is not None,
                "points": len(plan.edges) - 1,
                "documents": asked.documents,
                "computeMs": round((self._clock.monotonic() - started) * 1000, 2),
            },
        )
        return answer

    def _counting_start(self) -> int | None:
        """When counting began; read at most once per interval."""
        with self._single_flight.only_one("first"):
            now = self._clock.monotonic()
            if self._since is None or now - self._since[1] >= self._interval:
                with self._breaker():
                    self._since = (self._reads.first_ms(), now)
            return self._since[0]

    @contextmanager
    def _breaker(self) -> Iterator[None]:
        """A circuit breaker: after an error, MongoDB is not queried for a second."""
        if self._clock.monotonic() < self._store_retry_at:
            raise StoreUnavailable("MongoDB could not be read a moment ago.")
        try:
            yield
        except (StoreUnavailable, Conflict) as error:  # a conflict is the deadline's
            self._store_retry_at = self._clock.monotonic() + BREAK_SECONDS
            raise StoreUnavailable(str(error)) from error

    def _own_copy(self, name: str, seconds: float, *, checked: bool) -> HistoryResponse | None:
        """This process's copy; with ``checked`` only if it was recently compared with Redis."""
        found = self._copies.get(name)
        if found is None or not self._is_fresh(found[0], seconds):
            return None
        if checked and self._clock.monotonic() - found[1] >= RECHECK_SECONDS:
            return None
        return found[0]

    def _keep(self, name: str, answer: HistoryResponse) -> None:
        self._copies[name] = (answer, self._clock.monotonic())
        self._copies.move_to_end(name)
        while len(self._copies) > MAX_COPIES:
            self._copies.popitem(last=False)

    def _is_fresh(self, answer: HistoryResponse, seconds: float) -> bool:
        return abs(self._clock.now_ms() - answer.computed_ms) < seconds * 1000

    @property
    def _redis_failing(self) -> bool:
        return self._clock.monotonic() < self._redis_retry_at

    def _from_redis(self, name: str, seconds: float) -> HistoryResponse | None:
        """The copy in Redis, which any process may have computed."""
        if self._redis_failing:
            return None
        try:
            body = self._redis.get(self._key(f"{CACHE_KEY}:{name}"))
        except RedisError as error:
            self._redis_failed("history", error)
            return None
        answer = _read(body) if isinstance(body, bytes) else None
        if answer is None or not self._is_fresh(answer, seconds):
            return None
        self._keep(name, answer)
        return answer

    def _to_redis(self, name: str, answer: HistoryResponse, seconds: float) -> None:
        if self._redis_failing:
            return
        try:
            key = self._key(f"{CACHE_KEY}:{name}")
            self._redis.set(key, answer.body, px=max(1, round(seconds * 1000)))
        except RedisError as error:
            self._redis_failed("history", error)

    @contextmanager
    def _cross_process_lock(self, name: str) -> Iterator[None]:
        """Prevent other processes from computing the same history. Without Redis, or if the lock is
        not released in time, each process computes for itself."""
        lock = self._redis.lock(
            self._key(f"{CACHE_KEY}:lock:{name}"),
            timeout=LOCK_SECONDS, blocking_timeout=WAIT_SECONDS, sleep=POLL_SECONDS,
            thread_local=False,
        )  # fmt: skip
        owned = False
        if not self._redis_failing:
            try:
                owned = lock.acquire()
            except RedisError as error:
                self._redis_failed("lock", error)
        try:
            yield
        finally:
            if owned:
                try:
                    lock.release()
                except RedisError:
                    # The lock expired, or Redis is down: there is nothing to release.
                    self._metrics.redis_failed("lock")

    def _redis_failed(self, what: str, error: RedisError) -> None:
        self._redis_retry_at = self._clock.monotonic() + BREAK_SECONDS
        self._metrics.redis_failed(what)
        logger.warning("redis_failed", extra={"what": what, "reason": type(error).__name__})


class _SingleFlight:
    """Allows one caller at a time per name."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def only_one(self, name: str) -> Iterator[None]:
        with self._mutex:
            lock, users = self._locks.get(name, (threading.Lock(), 0))
            self._locks[name] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._mutex:
                lock, users = self._locks.pop(name)
                if users > 1:
                    self._locks[name] = (lock, users - 1)


def _name(request: HistoryRequest, chosen: Range, unit: str) -> str:
    """The cache key of a request; an open range has no fixed end."""
    end = "now" if chosen.is_open else str(chosen.to_ms)
    calendar = request.calendar
    parts = (chosen.name or "", str(chosen.from_ms), end, unit, request.kind,
             calendar.zone.key, calendar.week_start, "band" if request.band else "")  # fmt: skip
    return ":".join(parts)


def _read(body: bytes) -> HistoryResponse | None:
    """Parse the value from Redis; None if it is not a history."""
    try:
        found: Any = msgspec.json.decode(body)
        return _answer(found, body, to_ms(datetime.fromisoformat(found["computedAt"])))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError):
        logger.warning("cache_malformed")
        return None


def _answer(found: History, body: bytes, computed_ms: int) -> HistoryResponse:
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return HistoryResponse(body, tag, file_name(found, "json"), computed_ms)
