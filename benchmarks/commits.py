"""Counting without a web server: what one committer and the database do by themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from benchmarks import deliveries
from benchmarks.databases import Databases
from benchmarks.harness import Figures, interleave, spread
from benchmarks.ingest import SHAPES, in_flight
from benchmarks.report import Result, table
from benchmarks.runs import exact, settle
from dmstats.commit.batch import Batch, Submission
from dmstats.commit.batch_writer import BatchWriter
from dmstats.core.clock import SystemClock
from dmstats.core.records import LedgerRow
from dmstats.db.client import Mongo
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger, max_age_ms
from dmstats.db.transactions import Transactions
from dmstats.ingest.events import read_events

ACCOUNTS = 500
TIMEOUT_SECONDS = 60.0
RETENTION_HOURS = 168
COLUMNS = ("DMs/s", "ms", "app µs/DM", "database µs/DM")


class Counting:
    """A committer's writer, fed with batches one after the other."""

    def __init__(self, databases: Databases, mongo: Mongo) -> None:
        self._databases = databases
        self._clock = SystemClock()
        self._transactions = Transactions(mongo)
        batches = Batches(
            mongo, Ledger(mongo, retention_hours=RETENTION_HOURS), self._transactions, self._clock
        )
        self._writer = BatchWriter(batches, self._clock, lambda _: None)

    def once(self, dms: int, commits: int) -> Figures:
        """``commits`` commits, each of what as many POSTs of ``dms`` bring as are in flight in the
        benchmark of the ingest. Only the writing is timed."""
        made = [_submissions(dms, self._clock) for _ in range(commits)]
        database, own, started = self._databases.cpu(), time.process_time(), time.perf_counter()
        for rows in made:
            now = self._clock.monotonic()
            deadline = now + TIMEOUT_SECONDS
            submissions = [Submission(each, rejected=0, deadline=deadline) for each in rows]
            self._writer.write(Batch(submissions, started=now))
        seconds, own = time.perf_counter() - started, time.process_time() - own
        number = sum(len(each) for rows in made for each in rows)
        return {
            "DMs/s": number / seconds,
            "ms": 1000 * seconds / commits,
            "app µs/DM": 1e6 * own / number,
            "database µs/DM": 1e6 * (self._databases.cpu() - database) / number,
        }

    def close(self) -> None:
        """End the session."""
        self._transactions.close()


def commits(databases: Databases, *, quick: bool) -> Result:
    """Batches of 64 POSTs of 1 and of 20 DMs, and of 16 POSTs of 100."""
    number, rounds = (4, 2) if quick else (12, 4)
    with databases.fresh() as mongo:
        settle(mongo.db, ACCOUNTS)
        counting = Counting(databases, mongo)
        counting.once(1, 2)
        raw = interleave(
            {f"{in_flight(dms)} of {dms}": partial(counting.once, dms, number) for dms in SHAPES},
            rounds,
        )
        exactness = exact(mongo)
        counting.close()
    return Result(shown(raw), raw, [f"Afterwards: {exactness}."])


def shown(raw: Mapping[str, list[Figures]], _: str = "") -> str:
    """The table."""
    head = ["POSTs, DMs in each", "DMs/s", "ms per commit", "CPU µs per DM: committer", "database"]
    return table(
        head,
        [[name, *(spread(runs, column) for column in COLUMNS)] for name, runs in raw.items()],
    )


def _submissions(dms: int, clock: SystemClock) -> list[list[LedgerRow]]:
    bodies = deliveries.bodies(in_flight(dms), dms=dms, accounts=ACCOUNTS)
    arrived, oldest = clock.now_ms(), max_age_ms(RETENTION_HOURS)
    return [read_events(body, arrived_ms=arrived, max_age_ms=oldest).rows for body in bodies]
