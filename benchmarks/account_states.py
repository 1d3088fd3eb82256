"""``python -m benchmarks.account_states [ACCOUNTS]``: what a pass over the accounts costs.

On the embedded database, without a service beside it. Three passes: the first writes every state,
the second finds nothing changed, before the third every twentieth account has sent. Prints the time
and the CPU time of the process that computes, in ms per 1,000 accounts. Not part of ``make bench``:
the embedded database takes minutes to fill.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne

import migrations
from benchmarks.databases import Databases
from dmstats.core.clock import HOUR_MS, SystemClock
from dmstats.core.settings import Settings
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.client import Mongo, connect
from dmstats.db.collection_names import ACCOUNTS
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_store import StateStore
from dmstats.states.background import StatePass

AT_ONCE = 2_000
"""Accounts in one insert, and in one part of an audit."""
SENT_SINCE = 20


def main(number: int) -> None:
    """Fill the database and go over it three times."""
    with closing(Databases()) as databases:
        mongo = connect(Settings(mongodb_uri=databases.uri), unlimited=True)
        migrations.apply(mongo, Settings())
        fill(mongo, number)
        for name in ("first, writes all", "nothing changed"):
            show(name, number, go_over(mongo))
        send(mongo, number)
        show("5% have sent since", number, go_over(mongo))


def fill(mongo: Mongo, number: int) -> None:
    """Insert the accounts, and a rhythm for each."""
    clock, writer = SystemClock(), ActivityWriter(mongo, "benchmark")
    hour = clock.now_ms() // HOUR_MS
    for first in range(0, number, AT_ONCE):
        found = [*accounts(first, min(first + AT_ONCE, number))]
        mongo.db[ACCOUNTS].insert_many(found)
        rhythms = {
            each["instagramId"]: Rhythm(hour, tuple(range(100, 135)), 12, 133, 120, each["dmUsed"])
            for each in found
        }
        writer.keep(
            found[0]["instagramId"] if first else "", clock.now_ms(), 0, {}, rhythms,
            hours=1, days=1,
        )  # fmt: skip
    writer.publish([], clock.now_ms())


def accounts(first: int, end: int) -> Iterator[dict[str, Any]]:
    """Made-up accounts, as the platform and the commits write them."""
    now, chance = datetime.now(UTC), random.Random(first)
    for n in range(first, end):
        used = chance.randrange(10_000)
        yield {
            "instagramId": f"178414{n:011}", "username": f"shop.{n}", "userId": f"u{n}",
            "isActive": True, "createdAt": now - timedelta(days=200), "dmUsed": used,
            "monthlyDmUsed": used // 10, "currentMonth": f"{now:%Y-%m}", "monthlyDmLimit": 1000,
            "lastDMSent": now - timedelta(minutes=n % 5000), "dmReceived": used,
            "lastDMReceived": now - timedelta(minutes=n % 5000),
            "ledgerBase": {"sent": 0, "received": 0, "month": f"{now:%Y-%m}", "monthSent": 0},
        }  # fmt: skip


def send(mongo: Mongo, number: int) -> None:
    """Every twentieth account sends one DM."""
    mongo.db[ACCOUNTS].bulk_write(
        [
            UpdateOne(
                {"instagramId": f"178414{n:011}"},
                {"$inc": {"dmUsed": 1, "monthlyDmUsed": 1}},
            )
            for n in range(0, number, SENT_SINCE)
        ],
        ordered=False,
    )


def go_over(mongo: Mongo) -> tuple[float, float]:
    """Seconds that passed, and seconds of CPU time."""
    states = StatePass(StateStore(mongo), Rhythms(mongo), SystemClock(), monthly_limit=0)
    started, worked = time.perf_counter(), time.process_time()
    for _ in states.steps():
        pass
    return time.perf_counter() - started, time.process_time() - worked


def show(name: str, number: int, took: tuple[float, float]) -> None:
    """One line of the result."""
    passed, worked = (1e6 * seconds / number for seconds in took)
    print(f"{name}: {passed:.1f} ms, of which CPU here {worked:.1f} ms, per 1,000 accounts")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
