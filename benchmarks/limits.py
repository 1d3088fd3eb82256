"""What each part of a typical transaction costs the database."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from benchmarks.databases import Databases
from benchmarks.harness import Figures, interleave, spread
from benchmarks.report import Result, table

BATCH = 64
ACCOUNTS = 500
REPEATS = 8

Body = Callable[[ClientSession], object]


def limits(databases: Databases, *, quick: bool) -> Result:
    """Each part of a commit of 64 DMs of 64 accounts alone, in a transaction of its own."""
    with databases.fresh() as mongo, mongo.client.start_session() as session:
        db = mongo.db
        accounts, rows = db["instagram_accounts"], db.create_collection("dmstats_ledger_20000101")
        bare = db["bare_accounts"]
        now = datetime.now(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        names = [f"1784140{n:010d}" for n in range(ACCOUNTS)]
        for place in (accounts, bare):
            place.insert_many(
                [
                    {"instagramId": name, "isActive": True, "createdAt": now, "dmUsed": n,
                     "monthlyDmUsed": n, "currentMonth": "2000-01", "lastDMSent": now}
                    for n, name in enumerate(names)
                ]
            )  # fmt: skip
        bare.create_index("instagramId", unique=True)
        ids = {found["instagramId"]: found["_id"] for found in accounts.find()}
        bare_ids = {found["instagramId"]: found["_id"] for found in bare.find()}
        for name in ("dmstats_hours", "dmstats_days"):
            db[name].update_one({"_id": hour}, {"$inc": {"sent": 1}}, upsert=True)
        db["stats_cache"].update_one({"_id": "global"}, {"$inc": {"dmsSent": 1}}, upsert=True)

        def some() -> list[str]:
            return random.sample(names, BATCH)

        def update() -> dict[str, dict[str, object]]:
            return {
                "$inc": {"dmUsed": 1, "monthlyDmUsed": 1},
                "$max": {"lastDMSent": datetime.now(UTC)},
            }

        def ledger_rows() -> list[dict[str, object]]:
            return [
                {"_id": b"hour" + os.urandom(16), "account": names[0], "kind": "sent",
                 "time": now, "arrived": now}
                for _ in range(BATCH)
            ]  # fmt: skip

        def counters(session: ClientSession) -> None:
            for name, key in (
                ("dmstats_hours", hour),
                ("dmstats_days", hour),
                ("stats_cache", "global"),
            ):
                db[name].update_one({"_id": key}, {"$inc": {"sent": BATCH}}, session=session)

        parts: dict[str, Body] = {
            "64 look-ups in the ledger": lambda s: list(
                rows.find({"_id": {"$in": [row["_id"] for row in ledger_rows()]}}, session=s)
            ),
            "64 ledger rows": lambda s: rows.insert_many(ledger_rows(), session=s),
            "64 accounts by instagramId": lambda s: accounts.bulk_write(
                [UpdateOne({"instagramId": name}, update()) for name in some()], session=s
            ),
            "64 accounts by _id (as we do)": lambda s: accounts.bulk_write(
                [UpdateOne({"_id": ids[name]}, update()) for name in some()], session=s
            ),
            "64 accounts by _id, with one index instead of five": lambda s: bare.bulk_write(
                [UpdateOne({"_id": bare_ids[name]}, update()) for name in some()], session=s
            ),
            "hour, day and totals": counters,
        }
        contestants = {
            name: lambda body=body: _time(databases, session, body) for name, body in parts.items()
        }
        raw = interleave(contestants, 2 if quick else 5)
    return Result(shown(raw), raw)


def shown(raw: Mapping[str, list[Figures]], _: str = "") -> str:
    """The table."""
    rows = [
        [name, spread(runs, "ms"), spread(runs, "database CPU ms")] for name, runs in raw.items()
    ]
    head = ["part of a commit", "ms, commit included", "CPU ms of the database"]
    return table(head, rows)


def _time(databases: Databases, session: ClientSession, body: Body) -> Figures:
    cpu, started = databases.cpu(), time.perf_counter()
    for _ in range(REPEATS):
        with session.start_transaction():
            body(session)
    return {
        "ms": 1000 * (time.perf_counter() - started) / REPEATS,
        "database CPU ms": 1000 * (databases.cpu() - cpu) / REPEATS,
    }
