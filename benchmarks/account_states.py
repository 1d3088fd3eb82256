"""What the states of a million accounts cost: passes over them, and deliveries beside the job.

Of 1,000,000 accounts (or BENCH_ACCOUNTS; 20,000 on the embedded database) the first pass writes
every state; before the third, every twentieth account has sent; the last computes every state. How
old a state gets, and which share of a core the job takes, follow from how long a pass works and
from its pauses. The service beside the deliveries is in its first pass, which decodes every
account.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import UpdateOne

from benchmarks.contestants import ours
from benchmarks.databases import EMBEDDED, Databases
from benchmarks.harness import Figures, interleave, median, number, spread
from benchmarks.report import Result, table
from benchmarks.runs import post, warm
from dmstats.core.clock import HOUR_MS, SystemClock
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.client import Mongo, deadline
from dmstats.db.collection_names import ACCOUNTS
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_store import StateStore
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.ops.jobs import ACCOUNT_STATES_SECONDS
from dmstats.states.background import (
    HURRY_SHARE,
    MAX_SHARE,
    PASS_SECONDS,
    STEP_SECONDS,
    BackgroundStates,
    rest_after,
)
from dmstats.states.passes import StatePass

ACCOUNTS_THERE = int(os.environ.get("BENCH_ACCOUNTS", "1000000"))
AT_ONCE = 2_000
"""Accounts in one insert, and in one part of an audit."""
STRIDE = 617_633
"""Has no factor in common with the number of accounts: each comes once."""
SENT_SINCE = 20
PART = 500
RATE = 200.0
"""POSTs/s of a DM each beside the job."""
CONNECTIONS = 8
HEAD = ["ms", "of it CPU of the worker", "CPU of the database"]
WITH, WITHOUT = "beside the job", "job paused"

Raw = dict[str, Any]


def account_states(databases: Databases, *, quick: bool) -> Result:
    """Three passes, then deliveries by turns with the job and without."""
    # The embedded database would need hours for a million.
    few = quick or databases.kind == EMBEDDED
    size, rounds = (20_000, 2) if few else (ACCOUNTS_THERE, 5)
    with databases.fresh() as mongo:
        fill(mongo, size)
        store = StateStore(mongo, TransactionRunner(mongo))

        def leader() -> StatePass:
            return StatePass(store, Rhythms(mongo), SystemClock(), hourly_limit=200)

        states = leader()
        passes: dict[str, Figures] = {}
        for name in ("the first, which writes every state", "nothing has changed"):
            passes[name] = go_over(states, databases, size)
        send(mongo, size)
        passes["5% of the accounts have sent since"] = go_over(states, databases, size)
        passes["of a new leader, or after an audit"] = go_over(leader(), databases, size)
        paced = with_pauses(leader(), databases)
        beside = deliveries(databases, mongo, size, rounds)
    raw: Raw = {"accounts": size, "passes": passes, "paced": paced, "deliveries": beside}
    return Result(shown(raw), raw)


def shown(raw: Mapping[str, Any], _: str = "") -> str:
    """Both tables, and what follows for a million accounts."""
    passes: Mapping[str, Figures] = raw["passes"]
    rows = []
    for name, told in passes.items():
        # Milliseconds per 1,000 accounts are seconds per million.
        lasted = min(told["ms"] / MAX_SHARE, max(PASS_SECONDS, told["ms"] / HURRY_SHARE))
        cycle = lasted + rest_after(told["ms"], lasted)
        costs = [number(told[key]) for key in ("ms", "worker ms", "database ms")]
        shares = [number(100 * told[key] / cycle) for key in ("worker ms", "database ms")]
        rows.append([name, *costs, number(cycle / 60), *shares])
    first = table(
        ["a pass, per 1,000 accounts", *HEAD, "of a million: minutes between two passes",
         "% of a core for the worker", "for the database"], rows,
    )  # fmt: skip
    beside = raw["deliveries"]
    columns = ("p50 ms", "p99 ms", "app µs/DM")
    second = table(
        ["deliveries", "p50 ms", "p99 ms", "CPU µs per DM: app"],
        [[name, *(spread(runs, column) for column in columns)] for name, runs in beside.items()],
    )
    ratio = number(median(beside[WITH], "p99 ms") / median(beside[WITHOUT], "p99 ms"))
    paced = raw["paced"]
    size = (
        f"- Measured with {raw['accounts']:,} accounts. With its pauses, a new leader's first pass"
        f" over them took {number(paced['s'])} s, of it {number(paced['worker s'])} s CPU of the"
        f" worker and {number(paced['database s'])} s of the database."
    )
    return f"{first}\n\n{second}\n\n{size}\n- p99 beside the job, times that without: {ratio}."


def with_pauses(states: StatePass, databases: Databases) -> Figures:
    """One pass as the leader's job makes it."""
    job, database = BackgroundStates(states, SystemClock()), databases.cpu()
    worked, started = time.process_time(), time.perf_counter()
    while not job.tick():
        time.sleep(
            ACCOUNT_STATES_SECONDS - (time.perf_counter() - started) % ACCOUNT_STATES_SECONDS
        )
    found = {
        "s": time.perf_counter() - started,
        "worker s": time.process_time() - worked,
        "database s": databases.cpu() - database,
    }
    print({name: number(seconds) for name, seconds in found.items()}, flush=True)
    return found


def deliveries(
    databases: Databases, mongo: Mongo, size: int, rounds: int
) -> dict[str, list[Figures]]:
    """Deliveries to a service on these accounts, by turns with its job and without."""
    paused = Path(databases.folder) / "paused"
    paused.touch()
    extra = {"BENCH_APPLICATION": "benchmarks.peers.paused:app", "BENCH_PAUSED": str(paused)}
    with ours(databases, mongo.db.name, extra=extra) as web:
        warm(web)
        run = post(
            web, databases, dms=1, seconds=6.0, accounts=min(size, 50_000), rate=RATE,
            connections=CONNECTIONS,
        )  # fmt: skip

        def without() -> Figures:
            paused.touch()
            time.sleep(1.0)
            return run()

        def beside() -> Figures:
            paused.unlink(missing_ok=True)
            time.sleep(1.0)
            return run()

        turns: Mapping[str, Callable[[], Figures]] = {WITHOUT: without, WITH: beside}
        return interleave(turns, rounds)


def fill(mongo: Mongo, number: int) -> None:
    """Insert the accounts, in another order than that of their ids, and a rhythm for each."""
    clock, writer = SystemClock(), ActivityWriter(mongo, "benchmark")
    now, hour = datetime.now(UTC), clock.now_ms() // HOUR_MS
    for first in range(0, number, AT_ONCE):
        end = min(first + AT_ONCE, number)
        places = (place * STRIDE % number for place in range(first, end))
        with deadline(STEP_SECONDS):
            mongo.db[ACCOUNTS].insert_many([account(place, now) for place in places])
        rhythms = {
            name(n): Rhythm(hour, tuple(range(100, 135)), 12, 133, 120, used(n))
            for n in range(first, end)
        }
        writer.keep(name(first) if first else "", clock.now_ms(), 0, {}, rhythms, hours=1, days=1)
    writer.publish([], clock.now_ms())


def name(n: int) -> str:
    """The id of the ``n``-th account in the order of ids."""
    return f"178414{n:011}"


def used(n: int) -> int:
    """How many DMs it has sent."""
    return n * STRIDE % 9973


def account(n: int, now: datetime) -> dict[str, Any]:
    """A made-up account, as the platform and the commits write it."""
    return {
        "instagramId": name(n), "username": f"shop.{n}", "userId": f"u{n}",
        "isActive": True, "createdAt": now - timedelta(days=200), "dmUsed": used(n),
        "monthlyDmUsed": used(n) // 10, "currentMonth": f"{now:%Y-%m}", "monthlyDmLimit": 1000,
        "lastDMSent": now - timedelta(minutes=n % 5000), "dmReceived": used(n),
        "lastDMReceived": now - timedelta(minutes=n % 5000),
        "ledgerBase": {"sent": 0, "received": 0, "month": f"{now:%Y-%m}", "monthSent": 0},
    }  # fmt: skip


def send(mongo: Mongo, number: int) -> None:
    """Every twentieth account sends one DM."""
    sent = {"$inc": {"dmUsed": 1, "monthlyDmUsed": 1}, "$max": {"lastDMSent": datetime.now(UTC)}}
    for first in range(0, number, SENT_SINCE * PART):
        updates = [
            UpdateOne({"instagramId": name(n)}, sent)
            for n in range(first, min(number, first + SENT_SINCE * PART), SENT_SINCE)
        ]
        with deadline(STEP_SECONDS):
            mongo.db[ACCOUNTS].bulk_write(updates, ordered=False)


def go_over(states: StatePass, databases: Databases, size: int) -> Figures:
    """One pass without pauses, in ms per 1,000 accounts."""
    database, worked, started = databases.cpu(), time.process_time(), time.perf_counter()
    steps = states.steps()
    over = False
    while not over:
        with deadline(STEP_SECONDS):
            over = next(steps, steps) is steps
    found = {
        "ms": time.perf_counter() - started,
        "worker ms": time.process_time() - worked,
        "database ms": databases.cpu() - database,
    }
    found = {name: 1e6 * seconds / size for name, seconds in found.items()}
    print({name: number(ms) for name, ms in found.items()}, flush=True)
    return found
