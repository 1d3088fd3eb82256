"""A refresh against the number of accounts and of DMs, beside recomputing by aggregation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pymongo
import redis

from benchmarks.constant import House, Listener
from benchmarks.databases import COMPILED, Databases
from benchmarks.harness import Figures, interleave, percentile, spread
from benchmarks.report import Result, table
from benchmarks.runs import CHUNK, COUNT_SECONDS, settle
from dmstats.stats.refresher import Refresher
from dmstats.store.client import Mongo

ACCOUNTS = (1_000, 10_000, 100_000, 1_000_000)
DMS = (10_000, 100_000, 1_000_000)
REFRESHES = 400
"""So that their p99 is not their worst."""
FEW = 5
MANY_ROWS = 10_000
LEDGER = "webhook_ledger_20260101"
DAY = datetime(2026, 1, 1, tzinfo=UTC)
WHOLE = ("p50 ms", "p99 ms")
COMPUTING = ("computing p50 ms", "computing p99 ms")
"""Of a refresh: its queries and what is made of them; the rest is the lock, the copy on disk, and
the publish."""
COLUMNS = {"refresh": WHOLE + COMPUTING, "aggregation": WHOLE}

Raw = dict[str, dict[str, dict[str, list[Figures]]]]


def refresh(databases: Databases, *, quick: bool) -> Result:
    """First more and more accounts, then more and more DMs; ours and the aggregation by turns."""
    # The embedded database takes many minutes to store a million rows.
    most = 10_000 if quick else 1_000_000 if databases.kind == COMPILED else 100_000
    rounds = 1 if quick else 2
    raw: Raw = {"accounts": {}, "DMs": {}}
    with databases.fresh() as mongo, redis.Redis.from_url(databases.redis_url) as client:
        databases.flush_redis()
        house = House(mongo, client, Listener())
        try:
            for place, sizes in (("accounts", ACCOUNTS), ("DMs", DMS)):
                for size in (size for size in sizes if size <= most):
                    print(f"  {size:,} {place}", flush=True)
                    _grow(mongo, place, size)
                    house.census.recount()
                    # The first one may take its time, as after an installation.
                    house.refresher.refresh()
                    raw[place][str(size)] = interleave(_contestants(house, mongo, place), rounds)
        finally:
            house.close()
    rows = [
        [f"{int(size):,} {place}", *(spread(told[who], c) for who in told for c in COLUMNS[who])]
        for place, sizes in raw.items()
        for size, told in sizes.items()
    ]
    head = [f"{who}: {column}" for who, columns in COLUMNS.items() for column in columns]
    return Result(table(["", *head], rows), raw)


def _contestants(house: House, mongo: Mongo, place: str) -> dict[str, Callable[[], Figures]]:
    few = FEW if mongo.db[SOURCES[place]].estimated_document_count() <= MANY_ROWS else 1
    return {
        "refresh": lambda: _refreshed(house.refresher),
        "aggregation": lambda: _timed(lambda: _recomputed(mongo, place), few),
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


def _refreshed(refresher: Refresher) -> Figures:
    computing: list[float] = []
    whole = _timed(lambda: computing.append(refresher.refresh().compute_ms), REFRESHES)
    return whole | dict(zip(COMPUTING, _ranks(computing), strict=True))


def _timed(work: Callable[[], object], times: int) -> Figures:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - started))
    return dict(zip(WHOLE, _ranks(took), strict=True))


def _ranks(took: list[float]) -> tuple[float, float]:
    return percentile(took, 0.5), percentile(took, 0.99)
