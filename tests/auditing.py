"""A committer's store and an auditor on a real server, for the tests of the audit."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import migrations
from dmstats.audit.auditor import Auditor, Outcome
from dmstats.audit.verifier import Verifier
from dmstats.commit.increments import merge
from dmstats.core.clock import DAY_MS, HOUR_MS, Clock, to_datetime
from dmstats.core.records import OTHER_PARTITION, SENT, LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.audit.archive import Archive
from dmstats.db.audit.repairs import Repairs
from dmstats.db.audit.runs import AuditRuns
from dmstats.db.audit.snapshot_reader import SnapshotReader
from dmstats.db.client import Mongo
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.db.transactions import Transactions


def event(
    time_ms: int, *, kind: str = SENT, account: str = "a", late: bool = False, name: str = ""
) -> LedgerRow:
    """A new event; a late one has its row in the partition of the late."""
    digest = uuid.uuid4().bytes
    hour = b"\0\0\0\0" if late else (time_ms // HOUR_MS).to_bytes(4, "big")
    partition = OTHER_PARTITION if late else to_datetime(time_ms).strftime("%Y%m%d")
    return LedgerRow(hour + digest, partition, account, kind, time_ms, time_ms, late, name)


class Auditing:
    """Counts events and audits, with its own session for each."""

    def __init__(
        self, mongo: Mongo, clock: Clock, *, sleep: Callable[[float], None] = lambda _: None
    ) -> None:
        self.mongo = mongo
        self.clock = clock
        self.db = mongo.db
        self.sleep = sleep
        self.ledger = Ledger(mongo, retention_hours=168)
        self.transactions = Transactions(mongo)
        self.batches = Batches(mongo, self.ledger, self.transactions, clock)
        self.work = TransactionRunner(mongo)
        self.archive = Archive(mongo, self.ledger, self.work)
        self.runs = AuditRuns(mongo, self.ledger)

    def migrate(self) -> None:
        migrations.apply(self.mongo, Settings())

    def count(self, *rows: LedgerRow) -> None:
        self.batches.find_existing(rows, seconds=5)
        self.batches.write(rows, merge(rows), seconds=5)

    def auditor(self, *, repair: bool = False, believe_ledger: bool = False) -> Auditor:
        repairs = Repairs(self.mongo, self.work, self.clock) if repair else None
        verifier = Verifier(
            SnapshotReader(self.mongo, self.work), repairs=repairs, sleep=self.sleep
        )
        return Auditor(verifier, self.runs, self.archive, self.clock, believe_ledger=believe_ledger)

    def audit(
        self, *, repair: bool = False, believe_ledger: bool = False, kind: str = "test"
    ) -> Outcome:
        outcome = Outcome()
        for _ in self.auditor(repair=repair, believe_ledger=believe_ledger).steps(kind, outcome):
            pass
        return outcome

    def found(self, *, repair: bool = False) -> set[tuple[str, str, int]]:
        """What an audit finds: place, field, and by how much the counter is short."""
        return named(self.audit(repair=repair).differences)

    def changed(self, *, repair: bool = False) -> set[tuple[str, str, str]]:
        """What an audit says the platform changed: account, field, how; nothing may be drift."""
        outcome = self.audit(repair=repair)
        assert (outcome.differences, outcome.repaired, outcome.drift) == ([], [], 0)
        return {(each.key, each.field, each.why) for each in outcome.changed}

    def total(self) -> dict[str, Any]:
        return self.db["stats_cache"].find_one({"_id": "global"}) or {}

    def traffic(self, now_ms: int) -> list[LedgerRow]:
        """A little of everything: kinds, hours, days, months, accounts, late ones."""
        return [
            event(now_ms),
            event(now_ms - 1, kind="received"),
            event(now_ms - HOUR_MS, account="b"),
            event(now_ms - DAY_MS, account="b"),
            event(now_ms - 20 * DAY_MS, account="b", late=True),
            event(now_ms - DAY_MS, account="c", kind="received", late=True),
            event(now_ms, account="c", kind="seen"),
            event(now_ms - 3 * DAY_MS, account="d", kind="reaction"),
            event(now_ms, account="d", kind="unknown", late=True, name="optin"),
        ]


def named(differences: Sequence[Any]) -> set[tuple[str, str, int]]:
    return {(each.place, each.field, each.missing) for each in differences}


@contextlib.contextmanager
def auditing(mongo: Mongo, clock: Clock) -> Iterator[Auditing]:
    """A store that is ready to count, and ends with the context."""
    store = Auditing(mongo, clock)
    store.migrate()
    try:
        yield store
    finally:
        store.transactions.close()
