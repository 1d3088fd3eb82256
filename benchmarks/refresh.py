"""A refresh against the number of accounts and of DMs, beside recomputing by aggregation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pymongo
import redis

from benchmarks.constant import START_MS, Harness, Listener
from benchmarks.databases import COMPILED, Databases
from benchmarks.harness import Figures, interleave, percentile, spread
from benchmarks.report import Result, table
from benchmarks.runs import CHUNK, COUNT_SECONDS, settle
from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime
from dmstats.db.client import Mongo
from dmstats.db.dashboard.readings import DAYS

ACCOUNTS = (1_000, 10_000, 100_000, 1_000_000)
DMS = (10_000, 100_000, 1_000_000)
REFRESHES = 400
"""So that their p99 is not their worst."""
LATE_SECONDS = 23.5 * 3600
"""Late in the day most hours of the month before are read, to compare with."""
SMALL_COLLECTION = 5
MANY_ROWS = 10_000
LEDGER = "dmstats_ledger_20260101"
DAY = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("p50 ms", "p99 ms")

CONTESTANTS = ("refresh", "computing", "aggregation")
"""Computing is a part of a refresh: its queries and what is made of them. The rest is the lock, the
copy on disk, the cache and the publish."""

Raw = dict[str, dict[str, dict[str, list[Figures]]]]


def refresh(databases: Databases, *, quick: bool) -> Result:
    """First more and more accounts, then more and more DMs; ours and the aggregation by turns."""
    # The embedded database takes ten minutes to store a million accounts.
    most = 10_000 if quick else 1_000_000 if databases.kind == COMPILED else 100_000
    rounds = 1 if quick else 2
    raw: Raw = {"accounts": {}, "DMs": {}}
    with databases.fresh() as mongo, redis.Redis.from_url(databases.redis_url) as client:
        databases.flush_redis()
        harness = Harness(mongo, client, Listener())
        _fill_buckets(mongo)
        harness.clock.advance(LATE_SECONDS)
        try:
            for place, sizes in (("accounts", ACCOUNTS), ("DMs", DMS)):
                for size in (size for size in sizes if size <= most):
                    print(f"  {size:,} {place}", flush=True)
                    _grow(mongo, place, size)
                    harness.population_counts.recount()
                    # So many at once are as after an installation: the first takes its time.
                    mongo.db["stats_cache"].update_one(
                        {"_id": "snapshot"}, {"$unset": {"floor": True}}
                    )
                    harness.refresher.refresh()
                    raw[place][str(size)] = interleave(_contestants(harness, mongo, place), rounds)
        finally:
            harness.close()
    return Result(shown(raw), raw)


def shown(raw: Raw, _: str = "") -> str:
    """The table."""
    rows = [
        [f"{int(size):,} {place}", *(spread(told[who], c) for who in told for c in COLUMNS)]
        for place, sizes in raw.items()
        for size, told in sizes.items()
    ]
    head = [f"{who}: {column}" for who in CONTESTANTS for column in COLUMNS]
    return table(["", *head], rows)


def _contestants(harness: Harness, mongo: Mongo, place: str) -> dict[str, Callable[[], Figures]]:
    few = (
        SMALL_COLLECTION if mongo.db[SOURCES[place]].estimated_document_count() <= MANY_ROWS else 1
    )
    return {
        "refresh": partial(_timed, harness.refresher.refresh, REFRESHES),
        "computing": partial(_timed, harness.compute, REFRESHES),
        "aggregation": partial(_timed, lambda: _recomputed(mongo, place), few),
    }


SOURCES = {"accounts": "instagram_accounts", "DMs": LEDGER}
SUMS: dict[str, dict[str, Any]] = {
    "accounts": {"sent": {"$sum": "$dmUsed"}, "received": {"$sum": "$dmReceived"}},
    "DMs": {"n": {"$sum": 1}},
}


def _recomputed(mongo: Mongo, place: str) -> list[dict[str, Any]]:
    """The totals alone, as a dashboard without counters has to get them."""
    by = "$kind" if place == "DMs" else None
    with pymongo.timeout(COUNT_SECONDS):
        return list(mongo.db[SOURCES[place]].aggregate([{"$group": {"_id": by, **SUMS[place]}}]))


def _fill_buckets(mongo: Mongo) -> None:
    """Two months with something in every minute: the most that a refresh can have to read."""
    minutes = {str(minute): {"sent": 3, "received": 2} for minute in range(60)}
    for name, step, number, more in (
        ("dmstats_hours", HOUR_MS, DAYS * 24, {"minutes": minutes}),
        ("dmstats_days", DAY_MS, DAYS, {}),
    ):
        last = START_MS + DAY_MS - step
        mongo.db[name].insert_many(
            [
                {"_id": to_datetime(last - n * step), "sent": 180, "received": 120, **more}
                for n in range(number)
            ]
        )


def _grow(mongo: Mongo, place: str, size: int) -> None:
    there = mongo.db[SOURCES[place]].estimated_document_count()
    if place == "accounts":
        settle(mongo.db, size, first=there, counted=True)
        return
    for start in range(there, size, CHUNK):
        mongo.db[LEDGER].insert_many(
            [
                {"_id": b"hour" + os.urandom(16), "account": f"1784140{n % 500:010d}",
                 "kind": "sent" if n % 5 < 3 else "received", "time": DAY, "arrived": DAY}
                for n in range(start, min(size, start + CHUNK))
            ],
            ordered=False,
        )  # fmt: skip
    totals = {"dmsSent": 3 * size // 5, "dmsReceived": 2 * size // 5}
    mongo.db["stats_cache"].update_one({"_id": "global"}, {"$set": totals}, upsert=True)


def _timed(work: Callable[[], object], times: int) -> Figures:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - started))
    return {"p50 ms": percentile(took, 0.5), "p99 ms": percentile(took, 0.99)}
