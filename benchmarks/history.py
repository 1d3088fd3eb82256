"""12 months of history: computed, from Redis, and from the worker's own copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import redis

from benchmarks.databases import COMPILED, Databases
from benchmarks.harness import Figures, interleave, percentile, spread
from benchmarks.report import Result, table
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, to_datetime
from dmstats.core.time_zones import zone
from dmstats.db.client import Mongo
from dmstats.db.dashboard.history import HistoryStore
from dmstats.history.calendar import Calendar
from dmstats.history.service import HistoryRequest, HistoryService
from dmstats.ops.metrics import Metrics

NOW_MS = 1_798_416_000_000
"""28 December 2026: 12 months are some 362 days, and the clock does not reach the next year."""
DAYS = 400
CHUNK = 1000
INTERVAL = 60.0
COLD, SLOW_COLD, WARM = 100, 25, 400
COLUMNS = ("p50 ms", "p99 ms")

QUESTIONS = {
    "12 months by day, UTC": ("UTC", "12m", "day", False),
    "12 months by day, Europe/Berlin": ("Europe/Berlin", "12m", "day", False),
    "30 days by hour, UTC": ("UTC", "30d", "hour", False),
    "60 minutes, UTC": ("UTC", "hour", "minute", False),
    "12 months by day, UTC, with the expected range": ("UTC", "12m", "day", True),
    "30 days by day, UTC, with the expected range": ("UTC", "30d", "day", True),
    "7 days by hour, UTC, with the expected range": ("UTC", "7d", "hour", True),
}
COMPUTED, SHARED, OWN = PACES = ("computed", "from Redis", "own copy")

Raw = dict[str, dict[str, list[Figures]]]


def history(databases: Databases, *, quick: bool) -> Result:
    """Each question again and again, by turns."""
    raw: Raw = {}
    with databases.fresh() as mongo, redis.Redis.from_url(databases.redis_url) as client:
        databases.flush_redis()
        _fill(mongo)
        clock = ManualClock(NOW_MS)
        reads, metrics = HistoryStore(mongo), Metrics()

        def worker() -> HistoryService:
            return HistoryService(reads, client, clock, metrics, interval=INTERVAL)

        for name, (zone_name, range_name, unit, band) in QUESTIONS.items():
            calendar = Calendar(zone(zone_name))
            question = HistoryRequest(calendar, range_name, unit=unit, band=band)
            cold = 5 if quick else COLD if databases.kind == COMPILED else SLOW_COLD
            contestants = {
                pace: partial(
                    _timed, worker, question, clock, pace, cold if pace == COMPUTED else WARM
                )
                for pace in PACES
            }
            raw[name] = interleave(contestants, 1 if quick else 2)
    return Result(shown(raw), raw)


def shown(raw: Mapping[str, Any], _: str = "") -> str:
    """The table."""
    rows = [
        [name, *(spread(told[pace], column) for pace in told for column in COLUMNS)]
        for name, told in raw.items()
    ]
    return table(["", *(f"{pace}: {column}" for pace in PACES for column in COLUMNS)], rows)


def _fill(mongo: Mongo) -> None:
    """Something in every minute of more than a year."""
    minutes = {str(minute): {"sent": 3, "received": 2} for minute in range(60)}
    for name, step, number, more in (
        ("dmstats_hours", HOUR_MS, DAYS * 24, {"minutes": minutes}),
        ("dmstats_days", DAY_MS, DAYS, {}),
    ):
        last = NOW_MS - NOW_MS % step
        for start in range(0, number, CHUNK):
            mongo.db[name].insert_many(
                [
                    {"_id": to_datetime(last - n * step), "sent": 180, "received": 120, **more}
                    for n in range(start, min(number, start + CHUNK))
                ]
            )


def _timed(
    worker: Callable[[], HistoryService],
    question: HistoryRequest,
    clock: ManualClock,
    pace: str,
    times: int,
) -> Figures:
    """A minute passes before each request, or each is a new worker's first, or neither."""
    took = []
    histories = worker()
    histories.answer(question)
    for _ in range(times):
        clock.advance(INTERVAL + 1 if pace == COMPUTED else 0)
        histories = worker() if pace == SHARED else histories
        started = time.perf_counter()
        histories.answer(question)
        took.append(1000 * (time.perf_counter() - started))
    return {"p50 ms": percentile(took, 0.5), "p99 ms": percentile(took, 0.99)}
