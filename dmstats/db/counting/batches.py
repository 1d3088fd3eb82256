"""Writes a batch of events in one transaction, or in a fixed order without transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pymongo
from pymongo import InsertOne, UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock
from dmstats.core.errors import (
    AccountRefused,
    AccountsContended,
    Conflict,
    NotSupported,
    PoisonError,
    Repeated,
    StoreUnavailable,
)
from dmstats.core.records import Deltas, LedgerRow
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_BACKLOG
from dmstats.db.counting.account_backlog import backlog_writes
from dmstats.db.counting.accounts import Accounts
from dmstats.db.counting.counters import Counters
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions

log = logging.getLogger(__name__)

BULK_ROWS = 32
"""The largest batch that is sent as one message. There round trips take most of the time; from
about 60 rows on, an ``insert`` of its own is faster (decision 42)."""
FINISH_SECONDS = 10.0
MIN_SECONDS = 0.05
NO_TRANSACTIONS = (
    "MongoDB runs standalone and has no transactions: after a crash, counters may lack events that "
    "are in the ledger, until `dmstats audit --repair`. Use a replica set (one member is enough)."
)


class SharedCounterRefused(StoreUnavailable):
    """A document that is shared by many events cannot be changed."""


class Batches:
    """The committer's access to the database: finds existing rows and writes batches."""

    def __init__(
        self, mongo: Mongo, ledger: Ledger, transactions: Transactions, clock: Clock
    ) -> None:
        self._mongo = mongo
        self._ledger = ledger
        self._accounts = Accounts(mongo)
        self._backlog = mongo.db[ACCOUNT_BACKLOG]
        self._counters = Counters(mongo)
        self._transactions = transactions
        self._clock = clock
        self._warned = False
        self._bulk_write_allowed = True

    @property
    def transactional(self) -> bool:
        """Whether batches are atomic; see :meth:`Mongo.transactional`."""
        transactional = self._mongo.transactional()
        if not transactional and not self._warned:
            self._warned = True
            log.warning("no_transactions", extra={"reason": NO_TRANSACTIONS})
        return transactional

    def find_existing(
        self, rows: Sequence[LedgerRow], *, seconds: float, primary_ids: bool = True
    ) -> set[bytes]:
        """The ids of ``rows`` that were already counted; see :meth:`Ledger.find_existing`."""
        with translated(), pymongo.timeout(seconds):
            self._ledger.prepare(rows)
            return self._ledger.find_existing(
                rows, majority=self.transactional, primary_ids=primary_ids
            )

    def write(self, rows: Sequence[LedgerRow], deltas: Deltas, *, seconds: float) -> None:
        """Write ledger rows and counters in one transaction.

        The accounts come first: the host platform changes them at any time, and whatever it changes
        between the transaction's start and this write is a conflict. Then the global document,
        before the rows: all committers share it, and the one that holds its lock can finish.
        Raises what :meth:`Transactions.run` raises, and :class:`AccountRefused`. A
        :class:`PoisonError` is caused by ``rows`` only.
        """
        deadline = self._clock.monotonic() + seconds
        in_bulk = self._may_write_in_bulk(rows, deltas)
        try:
            try:
                self._transactions.run(self._body(rows, deltas, in_bulk=in_bulk), seconds=seconds)
            except (PoisonError, NotSupported) as error:
                if not in_bulk:
                    raise
                self._bulk_write_allowed = not isinstance(error, NotSupported)
                left = max(deadline - self._clock.monotonic(), MIN_SECONDS)
                # Separate messages show which write is refused.
                self._transactions.run(self._body(rows, deltas, in_bulk=False), seconds=left)
        except SharedCounterRefused as error:
            with translated(), pymongo.timeout(seconds):
                self._counters.reset_odd(deltas)
            raise Conflict("a counter that was not a number was reset") from error

    def _may_write_in_bulk(self, rows: Sequence[LedgerRow], deltas: Deltas) -> bool:
        """Whether one message can carry all writes but those to the accounts."""
        allowed = self._bulk_write_allowed and self._mongo.has_bulk_write
        # As its first statement a transaction's bulkWrite would carry the read concern, which
        # SecantusDB refuses: the accounts come before it.
        fits = deltas.accounts and len(rows) <= BULK_ROWS
        return bool(allowed and fits and not self._ledger.alternates(rows))

    def _body(
        self, rows: Sequence[LedgerRow], deltas: Deltas, *, in_bulk: bool
    ) -> Callable[[ClientSession], None]:
        def body(session: ClientSession) -> None:
            now_ms = self._clock.now_ms()
            self._add_to_accounts(deltas, now_ms, session)
            if in_bulk:
                self._write_in_bulk(rows, deltas, now_ms, session)
                return
            _shared(lambda: self._counters.add_totals(deltas, now_ms, session))
            self._ledger.check_alternates(rows, session)
            self._ledger.insert(rows, session)
            _shared(lambda: self._counters.add_buckets(deltas, session))

        return body

    def _write_in_bulk(
        self, rows: Sequence[LedgerRow], deltas: Deltas, now_ms: int, session: ClientSession
    ) -> None:
        writes: list[UpdateOne | InsertOne[Document]] = [
            *self._counters.total_writes(deltas, now_ms),
            *self._ledger.insertions(rows),
            *self._counters.bucket_writes(deltas),
        ]
        with translated():
            self._mongo.client.bulk_write(writes, session=session)

    def abort_orphaned(self, *, seconds: float) -> bool:
        """Abort a transaction that a failed write may have left open; whether none is open now."""
        return self._transactions.abort_orphaned(seconds=seconds)

    def reject(self, row: LedgerRow, *, seconds: float) -> None:
        """Store a row that the database refuses to count, marked as rejected, and count it."""
        refusal = Deltas(accounts={}, hours={}, days={}, totals={"rejected": 1})

        def body(session: ClientSession) -> None:
            self._counters.add_totals(refusal, self._clock.now_ms(), session)
            self._ledger.insert([row], session, rejected=True)

        _shared(lambda: self._transactions.run(body, seconds=seconds))

    def write_unordered(
        self,
        rows: Sequence[LedgerRow],
        merge: Callable[[Sequence[LedgerRow]], Deltas],
        *,
        seconds: float,
    ) -> set[bytes]:
        """Without transactions (standalone server): write the ledger first, then the counters.

        Returns the ids that were new. After a crash in between, the counters lack those rows until
        ``flask audit --repair`` adds them.
        """
        with translated(), pymongo.timeout(seconds):
            new = self._ledger.insert_new(rows)
        deltas = merge([row for row in rows if row.row_id in new])
        now_ms = self._clock.now_ms()
        # The rows are stored, so a retry of these events counts as a duplicate. The counters must
        # be written now, even if the waiting requests time out.
        with translated(), pymongo.timeout(FINISH_SECONDS):
            self._counters.add_buckets(deltas, None)
            self._counters.add_totals(deltas, now_ms, None)
            try:
                self._add_to_accounts(deltas, now_ms, None)
            except AccountRefused as error:
                log.warning("account_deferred", extra={"reason": error.reason})
                deltas.defer(deltas.accounts)
                self._add_to_accounts(deltas, now_ms, None)
        return new

    def _add_to_accounts(self, deltas: Deltas, now_ms: int, session: ClientSession | None) -> None:
        """Update the accounts; increments that cannot be applied go to the backlog."""
        accounts = {a: d for a, d in deltas.accounts.items() if a not in deltas.deferred}
        try:
            refused = self._accounts.apply(accounts, now_ms, session)
        except Repeated:
            raise
        except Conflict as error:
            raise AccountsContended(str(error), reason=error.reason) from error
        deferred = {**deltas.deferred, **refused}
        if writes := backlog_writes(deltas.accounts, deferred, now_ms):
            with translated():
                _shared(lambda: self._backlog.bulk_write(writes, ordered=False, session=session))


def _shared(write: Callable[[], object]) -> None:
    """Run a write to shared documents; no single event is to blame if it is refused."""
    try:
        write()
    except PoisonError as error:
        raise SharedCounterRefused(
            "MongoDB refuses a shared counter", reason=f"a shared counter: {error.reason}"
        ) from error
