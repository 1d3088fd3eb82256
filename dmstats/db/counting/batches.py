"""One batch of events as one transaction, or in the weaker order where there are none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pymongo
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock
from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.core.records import Deltas, LedgerRow
from dmstats.db.client import Mongo, translated
from dmstats.db.counting.accounts import Accounts
from dmstats.db.counting.counters import Counters
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions

log = logging.getLogger(__name__)

FINISH_SECONDS = 10.0
NO_TRANSACTIONS = (
    "MongoDB runs standalone and has no transactions: a crash may leave events in the ledger that "
    "no counter knows, until `flask audit --repair`. Make it a replica set (one member will do)."
)


class Batches:
    """The committer's view of the database: what is known, and write this."""

    def __init__(
        self, mongo: Mongo, ledger: Ledger, transactions: Transactions, clock: Clock
    ) -> None:
        self._mongo = mongo
        self._ledger = ledger
        self._accounts = Accounts(mongo)
        self._counters = Counters(mongo)
        self._transactions = transactions
        self._clock = clock
        self._warned = False

    @property
    def transactional(self) -> bool:
        """Whether batches are all-or-nothing; see :meth:`Mongo.transactional`."""
        transactional = self._mongo.transactional()
        if not transactional and not self._warned:
            self._warned = True
            log.warning("no_transactions", extra={"reason": NO_TRANSACTIONS})
        return transactional

    def find_existing(
        self, rows: Sequence[LedgerRow], *, seconds: float, here: bool = True
    ) -> set[bytes]:
        """The ids of ``rows`` that have been counted already; see :meth:`Ledger.known`."""
        with translated(), pymongo.timeout(seconds):
            self._ledger.prepare(rows)
            return self._ledger.find_existing(rows, majority=self.transactional, here=here)

    def write(self, rows: Sequence[LedgerRow], deltas: Deltas, *, seconds: float) -> None:
        """Write ledger rows and counters in one transaction.

        The global document comes first: it is what all committers share, so whoever meets another
        there learns it before anything was done for nothing, and whoever has it gets through.
        Raises what :meth:`Transactions.run` raises; a :class:`PoisonError` blames ``rows`` or
        their accounts alone.
        """

        def body(session: ClientSession) -> None:
            now_ms = self._clock.now_ms()
            _shared(lambda: self._counters.add_totals(deltas, now_ms, session))
            self._ledger.check_alternates(rows, session)
            self._ledger.insert(rows, session)
            self._accounts.apply(deltas.accounts, now_ms, session)
            _shared(lambda: self._counters.add_buckets(deltas, session))

        self._transactions.run(body, seconds=seconds)

    def abort_orphaned(self, *, seconds: float) -> bool:
        """End what a write that failed may have left locked; whether nothing is locked now."""
        return self._transactions.abort_orphaned(seconds=seconds)

    def reject(self, row: LedgerRow, *, seconds: float) -> None:
        """Keep a row that the database refuses to count, marked as such, and count the refusal."""
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
        """The weaker order of a standalone server: ledger first, then the counters.

        Returns the ids that were new. A crash between the two leaves rows that no counter knows;
        ``flask audit --repair`` finds and adds them.
        """
        with translated(), pymongo.timeout(seconds):
            new = self._ledger.insert_new(rows)
        deltas = merge([row for row in rows if row.row_id in new])
        now_ms = self._clock.now_ms()
        # The rows are there, so the events will be duplicates when they are sent again: whoever
        # waits may give up meanwhile, but the counters must get theirs.
        with translated(), pymongo.timeout(FINISH_SECONDS):
            self._counters.add_buckets(deltas, None)
            self._counters.add_totals(deltas, now_ms, None)
            self._accounts.apply(deltas.accounts, now_ms, None)
        return new


def _shared(write: Callable[[], None]) -> None:
    """Run a write to documents that many events share: its refusal is no event's fault."""
    try:
        write()
    except PoisonError as error:
        raise StoreUnavailable(f"MongoDB refuses a shared counter: {error}") from error
