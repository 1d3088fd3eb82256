"""Histories on demand: from this process, from Redis, or computed by one process for all."""

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

from dmstats.core.clock import Clock, to_ms
from dmstats.core.errors import BadRequest, Conflict, StoreUnavailable, Unavailable
from dmstats.db.dashboard.history import READ_SECONDS, HistoryReads
from dmstats.history.calendar import Calendar
from dmstats.history.cover import RangeCounts, wanted
from dmstats.history.ranges import DEFAULT, Range, between, named, unit_of
from dmstats.history.series import History, Plan, history

logger = logging.getLogger(__name__)

CACHE_KEY = "admin:stats:history"
CLOSED_SECONDS = 6 * 3600
"""How long a range is kept that ended before :data:`SETTLED_MS`; an audit's repairs show then."""
SETTLED_MS = 36 * 3_600_000
"""So long Meta repeats a delivery that it got no 200 for: until then old hours may still grow."""

MOST_DOCUMENTS = 40_000
KEPT = 64
"""So many histories a process keeps itself: about 4 MB."""
CHECK_SECONDS = 2.0
"""How long a process answers from its own copy without asking Redis for a newer one."""
COMPUTING = 2
"""So many are computed at once in a process; the others wait, as deliveries must not."""
WAIT_SECONDS = 10.0
LOCK_SECONDS = READ_SECONDS + 4.0
POLL_SECONDS = 0.05
BREAK_SECONDS = 1.0


class RedisReporter(Protocol):
    """What this package reports."""

    def redis_failed(self, what: str) -> None:
        """Redis did not answer to ``what``."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. ``name`` is one of :data:`~dmstats.history.ranges.RANGES`; without it,
    ``from_text`` and ``to_text`` are times or dates. ``unit`` None: as suits the range."""

    calendar: Calendar
    name: str | None = None
    from_text: str | None = None
    to_text: str | None = None
    unit: str | None = None
    kind: str = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """A history as JSON; ``tag`` changes with the content."""

    body: bytes
    tag: str
    computed_ms: int

    def decoded(self) -> History:
        """The history itself."""
        found: History = msgspec.json.decode(self.body)
        return found


class Histories:
    """Answers questions; a range is computed at most once in ``interval`` (seconds), by whichever
    process is asked first, and one that has ended for good once in :data:`CLOSED_SECONDS`.

    Without Redis each process computes for itself. ``key`` makes a Redis key of a name.
    """

    def __init__(
        self,
        reads: HistoryReads,
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
        self._copies: OrderedDict[str, tuple[Answer, float]] = OrderedDict()
        self._flights = _Flights()
        self._slots = threading.BoundedSemaphore(COMPUTING)
        self._since: tuple[int | None, float] | None = None
        self._redis_rests_until = float("-inf")
        self._store_rests_until = float("-inf")

    def answer(self, question: Question) -> Answer:
        """The history that is asked for.

        Raises :class:`BadRequest`, :class:`StoreUnavailable`, or :class:`Unavailable` where too
        many are waiting for others.
        """
        now_ms = self._clock.now_ms()
        chosen = self._chosen(question, now_ms)
        unit = unit_of(question.unit, chosen, question.calendar)
        seconds = self._seconds(chosen, now_ms)
        name = _name(question, chosen, unit)
        if copy := self._copy(name, seconds, checked=True):
            return copy
        with self._flights.alone(name):
            if copy := self._copy(name, seconds, checked=True) or self._shared(name, seconds):
                return copy
            with self._one_process(name):
                if copy := self._shared(name, seconds):
                    return copy
                if self._redis_rests and (copy := self._copy(name, seconds, checked=False)):
                    return copy
                answer = self._compute(Plan.make(chosen, unit, question.kind, question.calendar))
                self._keep(name, answer)
                self._share(name, answer, seconds)
                return answer

    def _chosen(self, question: Question, now_ms: int) -> Range:
        if question.from_text is None and question.to_text is None:
            name = question.name or DEFAULT
            since = self._first() if name == "all" else None
            return named(name, question.calendar, now_ms, since)
        return between(question.from_text, question.to_text, question.calendar, now_ms)

    def _seconds(self, chosen: Range, now_ms: int) -> float:
        return self._interval if chosen.to_ms > now_ms - SETTLED_MS else CLOSED_SECONDS

    def _compute(self, plan: Plan) -> Answer:
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("Too many ranges are being computed.", retry_after=2)
        started = self._clock.monotonic()
        try:
            since = self._first()
            asked = wanted(plan.spans(), since)
            if asked.documents > MOST_DOCUMENTS:
                raise BadRequest(
                    f"This would read {asked.documents} stored hours and days, and at most "
                    f"{MOST_DOCUMENTS} are allowed: choose a shorter range, or compare=none."
                )
            now_ms = self._clock.now_ms()
            with self._reading():
                counted = RangeCounts(*self._reads.read(asked.days, asked.hours, asked.minutes))
        finally:
            self._slots.release()
        body = msgspec.json.encode(history(plan, counted, since_ms=since, now_ms=now_ms))
        logger.info(
            "history",
            extra={
                "unit": plan.unit,
                "compare": plan.kind,
                "points": len(plan.edges) - 1,
                "documents": asked.documents,
                "computeMs": round((self._clock.monotonic() - started) * 1000, 2),
            },
        )
        return _answer(body, now_ms)

    def _first(self) -> int | None:
        """When counting began, read once in an interval."""
        with self._flights.alone("first"):
            now = self._clock.monotonic()
            if self._since is None or now - self._since[1] >= self._interval:
                with self._reading():
                    self._since = (self._reads.first_ms(), now)
            return self._since[0]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Leave a database that fails alone for a second."""
        if self._clock.monotonic() < self._store_rests_until:
            raise StoreUnavailable("MongoDB could not be read a moment ago.")
        try:
            yield
        except (StoreUnavailable, Conflict) as error:  # a conflict is the deadline's
            self._store_rests_until = self._clock.monotonic() + BREAK_SECONDS
            raise StoreUnavailable(str(error)) from error

    def _copy(self, name: str, seconds: float, *, checked: bool) -> Answer | None:
        """This process's own; ``checked`` only if it was compared with Redis a moment ago."""
        found = self._copies.get(name)
        if found is None or not self._is_fresh(found[0], seconds):
            return None
        if checked and self._clock.monotonic() - found[1] >= CHECK_SECONDS:
            return None
        return found[0]

    def _keep(self, name: str, answer: Answer) -> None:
        self._copies[name] = (answer, self._clock.monotonic())
        self._copies.move_to_end(name)
        while len(self._copies) > KEPT:
            self._copies.popitem(last=False)

    def _is_fresh(self, answer: Answer, seconds: float) -> bool:
        return abs(self._clock.now_ms() - answer.computed_ms) < seconds * 1000

    @property
    def _redis_rests(self) -> bool:
        return self._clock.monotonic() < self._redis_rests_until

    def _shared(self, name: str, seconds: float) -> Answer | None:
        """What another process has computed, or this one."""
        if self._redis_rests:
            return None
        try:
            body = self._redis.get(self._key(f"{CACHE_KEY}:{name}"))
        except RedisError as error:
            self._failed("history", error)
            return None
        answer = _read(body) if isinstance(body, bytes) else None
        if answer is None or not self._is_fresh(answer, seconds):
            return None
        self._keep(name, answer)
        return answer

    def _share(self, name: str, answer: Answer, seconds: float) -> None:
        if self._redis_rests:
            return
        try:
            key = self._key(f"{CACHE_KEY}:{name}")
            self._redis.set(key, answer.body, px=max(1, round(seconds * 1000)))
        except RedisError as error:
            self._failed("history", error)

    @contextmanager
    def _one_process(self, name: str) -> Iterator[None]:
        """Keep the other processes from computing the same; without Redis, or where one takes too
        long, each computes for itself."""
        lock = self._redis.lock(
            self._key(f"{CACHE_KEY}:lock:{name}"),
            timeout=LOCK_SECONDS, blocking_timeout=WAIT_SECONDS, sleep=POLL_SECONDS,
            thread_local=False,
        )  # fmt: skip
        owned = False
        if not self._redis_rests:
            try:
                owned = lock.acquire()
            except RedisError as error:
                self._failed("lock", error)
        try:
            yield
        finally:
            if owned:
                try:
                    lock.release()
                except RedisError:
                    # It ran out, or Redis is gone: nothing of ours is left there.
                    self._metrics.redis_failed("lock")

    def _failed(self, what: str, error: RedisError) -> None:
        self._redis_rests_until = self._clock.monotonic() + BREAK_SECONDS
        self._metrics.redis_failed(what)
        logger.warning("redis_failed", extra={"what": what, "reason": type(error).__name__})


class _Flights:
    """One at a time for each name."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
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


def _name(question: Question, chosen: Range, unit: str) -> str:
    """What the same answer is kept under: an open range has no end."""
    end = "now" if chosen.is_open else str(chosen.to_ms)
    calendar = question.calendar
    parts = (chosen.name or "", str(chosen.from_ms), end, unit, question.kind,
             calendar.zone.key, calendar.week_start)  # fmt: skip
    return ":".join(parts)


def _read(body: bytes) -> Answer | None:
    """What Redis had; None if that is no history."""
    try:
        found: Any = msgspec.json.decode(body)
        return _answer(body, to_ms(datetime.fromisoformat(found["computedAt"])))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError):
        logger.warning("cache_malformed")
        return None


def _answer(body: bytes, computed_ms: int) -> Answer:
    return Answer(body, hashlib.blake2b(body, digest_size=12).hexdigest(), computed_ms)
