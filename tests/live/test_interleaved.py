"""Several committers on the real server, their commands lost, refused and killed at random.

``tests/unit/commit/test_model.py`` searches more widely, on a model of the server; here the server
is real. A longer search: ``INTERLEAVED_ROUNDS=50``.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient, monitoring

import migrations
from dmstats.commit import batch_writer
from dmstats.commit.batch import Batch, Submission
from dmstats.commit.batch_writer import BatchWriter
from dmstats.core.clock import HOUR_MS, SystemClock
from dmstats.core.errors import DmstatsError
from dmstats.core.records import OTHER_PARTITION, LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.client import Document, Mongo
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.db.transactions import Transactions, kill_session
from dmstats.ingest.events import NO_HOUR, dated_id
from tests.servers import wait_until
from tests.torture.recount import recount

pytestmark = pytest.mark.live

COMMITTERS = 4
DELIVERIES = 40
NEW_EACH = 3
EVENTS = NEW_EACH * (DELIVERIES + 1)
FAULTS = 0.03
ROUNDS = int(os.environ.get("INTERLEAVED_ROUNDS", "2"))
WRITES = frozenset({"insert", "update", "bulkWrite", "commitTransaction", "find"})


class WithoutBulkWrite(Mongo):
    """As if the server were MongoDB 7."""

    has_bulk_write = False


class Saboteur(monitoring.CommandListener):
    """Before or after some of a committer's commands, kills its session on the server."""

    def __init__(self, server: Mongo, rng: random.Random) -> None:
        self._server = server
        self._random = rng
        self.active = True
        self.faults = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._strike(event)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def _strike(self, event: monitoring.CommandStartedEvent) -> None:
        lsid = event.command.get("lsid")
        if not self.active or lsid is None or event.command_name not in WRITES:
            return
        if self._random.random() < FAULTS:
            self.faults += 1
            kill_session(self._server, bytes(lsid["id"]))


class Worker:
    """A committer without a queue: one delivery, one batch, until it is written."""

    def __init__(self, kind: type[Mongo], uri: str, name: str, saboteur: Saboteur) -> None:
        client: MongoClient[Document] = MongoClient(uri, event_listeners=[saboteur])
        self.mongo = kind(client, name, "primary")
        clock = SystemClock()
        self._transactions = Transactions(self.mongo)
        ledger = Ledger(self.mongo, retention_hours=168)
        batches = Batches(self.mongo, ledger, self._transactions, clock)
        self._writer = BatchWriter(batches, clock, lambda _: None)
        self._clock = clock

    def deliver(self, rows: list[LedgerRow]) -> bool:
        """Whether it was acknowledged."""
        now = self._clock.monotonic()
        batch = Batch([Submission(rows, rejected=0, deadline=now + 5.0)], started=now)
        try:
            self._writer.write(batch)
        except DmstatsError:
            return False
        return True

    def close(self) -> None:
        self._transactions.close()
        self.mongo.close()


def event(number: int, now_ms: int, *, late: bool) -> LedgerRow:
    """An event; every second one is near the bound, as one of two hosts with different clocks
    judges it."""
    near = number % 2 == 0
    late = late and near
    digest, time_ms = number.to_bytes(16, "big"), now_ms + (HOUR_MS if near else 0)
    dated, other = dated_id(time_ms, digest), (OTHER_PARTITION, NO_HOUR + digest)
    here, alternate_id = (other, dated) if late else (dated, other)
    kind = "sent" if number % 3 else "received"
    return LedgerRow(
        here[1], here[0], f"a{number % 5}", kind, time_ms, now_ms, late, "", alternate_id
    )


@pytest.fixture
def workers(
    mongodb_uri: str, mongo: Mongo, request: pytest.FixtureRequest
) -> Iterator[tuple[list[Worker], Saboteur]]:
    migrations.apply(mongo, Settings())
    saboteur = Saboteur(mongo, random.Random(request.node.callspec.params["seed"]))
    kinds = (Mongo, WithoutBulkWrite) * (COMMITTERS // 2)
    workers = [Worker(kind, mongodb_uri, mongo.db.name, saboteur) for kind in kinds]
    yield workers, saboteur
    for worker in workers:
        worker.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_acknowledged_event_counts_once(
    workers: tuple[list[Worker], Saboteur],
    mongo: Mongo,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        batch_writer, "PREFETCH_BATCHES", 1
    )  # both ways of finding a repetition, by turns
    committers, saboteur = workers
    acknowledged: dict[bytes, bool] = {
        number.to_bytes(16, "big"): False for number in range(EVENTS)
    }
    lock, now_ms = threading.Lock(), SystemClock().now_ms()
    refused: Counter[bool] = Counter()

    def run(worker: Worker, rng: random.Random) -> None:
        for turn in range(DELIVERIES):
            # All of them bring the same new events at about the same time.
            first = NEW_EACH * turn
            numbers = rng.sample(range(first, first + 2 * NEW_EACH), rng.randint(1, 4))
            rows = [event(number, now_ms, late=rng.random() < 0.5) for number in numbers]
            done = worker.deliver(rows)
            with lock:
                refused[done] += 1
                if done:
                    acknowledged.update({row.row_id[4:]: True for row in rows})

    with ThreadPoolExecutor(COMMITTERS) as pool:
        jobs: list[Any] = [
            pool.submit(run, worker, random.Random(seed * 100 + number))
            for number, worker in enumerate(committers)
        ]
        for job in jobs:
            job.result()
    saboteur.active = False
    # After conflicts, increments of accounts wait in the backlog.
    backlog = AccountBacklog(mongo, TransactionRunner(mongo), SystemClock())
    wait_until(lambda: not backlog.drain())
    found = recount(mongo.db, acknowledged)
    assert found.exact, found
    assert saboteur.faults > 5
    assert refused[True] > DELIVERIES
