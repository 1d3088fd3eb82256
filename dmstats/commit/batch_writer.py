"""Writes one batch: duplicate look-up, retries with back-off, isolation of a poison event."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent

from dmstats.commit.batch import Batch, S
from dmstats.commit.increments import merge
from dmstats.commit.limits import ContentionBackoff, split_by_write_set
from dmstats.core.clock import Clock
from dmstats.core.errors import (
    AccountRefused,
    AccountsContended,
    Conflict,
    PoisonError,
    Repeated,
    Unavailable,
)
from dmstats.core.records import Deltas, LedgerRow

log = logging.getLogger(__name__)

LATE = "The database did not confirm in time"
ABORT_SECONDS = 0.5
PREFETCH_BATCHES = 16
"""The number of batches after a duplicate whose rows are looked up before they are written. Without
the look-up, the insert fails on a duplicate, which costs the batch one attempt."""
LOOK_UP_CONFLICTS = 3
"""After so many conflicts in a row, the rows are looked up again. Engines other than MongoDB may
report a duplicate key as a write conflict."""
MIN_SECONDS = 0.05
"""With less time left than this, a round trip is not attempted."""

DEFER_SECONDS = 60.0
"""How long a refused account's increments go straight to the backlog, without another attempt."""
MAX_REFUSED = 10_000

CONTENDED_SECONDS = 1.0
"""How long all accounts' increments go to the backlog after a batch met two conflicts there: the
host platform changes accounts faster than a transaction of many can be written."""


class Store(Protocol):
    """The database operations of a commit; see :class:`dmstats.db.counting.batches.Batches`."""

    @property
    def transactional(self) -> bool: ...
    def find_existing(
        self, rows: Sequence[LedgerRow], *, seconds: float, primary_ids: bool
    ) -> set[bytes]: ...
    def write(self, rows: Sequence[LedgerRow], deltas: Deltas, *, seconds: float) -> None: ...
    def reject(self, row: LedgerRow, *, seconds: float) -> None: ...
    def abort_orphaned(self, *, seconds: float) -> bool: ...
    def write_unordered(
        self,
        rows: Sequence[LedgerRow],
        merge: Callable[[Sequence[LedgerRow]], Deltas],
        *,
        seconds: float,
    ) -> set[bytes]: ...


class BatchWriter:
    """Writes batches, one at a time.

    ``on_conflict`` is called after each write conflict, with the number of conflicts since the last
    batch that was written.
    """

    def __init__(self, store: Store, clock: Clock, on_conflict: Callable[[int], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_conflict = on_conflict
        self._conflicts = 0
        self._backoff = ContentionBackoff()
        self._refused = RefusedAccounts(clock)
        self._contended_until = float("-inf")
        # After a restart, senders retry what the previous process did not acknowledge.
        self._prefetch_batches = PREFETCH_BATCHES

    @property
    def pause(self) -> float:
        """Seconds to wait before the next batch, so that other hosts can commit."""
        return self._backoff.pause

    def write(self, batch: Batch[S]) -> None:
        """Write ``batch`` before its deadline; raises :class:`Unavailable` if that fails."""
        looked_up = prefetched = contended = False
        began = 0.0
        for attempt in itertools.count(1):
            try:
                if not looked_up:
                    prefetched = self._prefetch_batches > 0
                    self._look_up(batch)
                    looked_up = True
                    # Contention is measured from here: the look-up is not part of it.
                    began = began or self._clock.monotonic()
                waited = self._clock.monotonic() - began
                started = self._clock.monotonic()
                self._attempt(batch)
                self._backoff.written(waited=waited, took=self._clock.monotonic() - started)
                self._conflicts = 0
                break
            except Conflict as conflict:
                # The look-up stays valid: rows written since then conflict in the transaction.
                if isinstance(conflict, Repeated):
                    looked_up, began = False, 0.0
                    if not prefetched:
                        self._prefetch_batches = PREFETCH_BATCHES
                        continue
                if isinstance(conflict, AccountsContended):
                    if contended:
                        self._contended_until = self._clock.monotonic() + CONTENDED_SECONDS
                    contended = True
                self._conflicts += 1
                self._on_conflict(self._conflicts)
                if self._conflicts % LOOK_UP_CONFLICTS == 0:
                    looked_up = False
                    self._prefetch_batches = max(1, self._prefetch_batches)
                pause = self._backoff.back_off(attempt)
                if self._clock.monotonic() + pause >= batch.deadline:
                    raise Unavailable("Too many concurrent writes to the database") from conflict
                gevent.sleep(pause)

    def abort_orphaned(self) -> bool:
        """Abort the transaction that a failed batch may have left open; True if none is open."""
        return self._store.abort_orphaned(seconds=ABORT_SECONDS)

    def _look_up(self, batch: Batch[S]) -> None:
        rows = [*batch.pending.values()]
        existing = self._store.find_existing(
            rows, seconds=self._left(batch), primary_ids=self._prefetch_batches > 0
        )
        self._prefetch_batches = (
            PREFETCH_BATCHES if existing else max(0, self._prefetch_batches - 1)
        )
        batch.drop_known(existing)

    def _attempt(self, batch: Batch[S]) -> None:
        write = self._write if self._store.transactional else self._write_unordered
        for rows in split_by_write_set(list(batch.pending.values())):
            write(batch, rows)

    def _write_unordered(self, batch: Batch[S], rows: Sequence[LedgerRow]) -> None:
        duplicates, rejected = batch.unreported()

        def merged(new: Sequence[LedgerRow]) -> Deltas:
            repeated = duplicates + len(rows) - len(new)
            deltas = merge(new, duplicates=repeated, rejected=rejected)
            self._refused.defer(deltas)
            return deltas

        new = self._store.write_unordered(rows, merged, seconds=self._left(batch))
        batch.drop_known({row.row_id for row in rows} - new)
        batch.mark_counted([row for row in rows if row.row_id in new])
        batch.mark_reported()

    def _write(self, batch: Batch[S], rows: Sequence[LedgerRow]) -> None:
        """Write ``rows``. If the database refuses an event, bisect until that event is alone.

        If it refuses an account document, the second attempt defers all accounts of ``rows``:
        their counters are updated in the background, so no event has to wait.
        """
        duplicates, rejected = batch.unreported()
        deltas = merge(rows, duplicates=duplicates, rejected=rejected)
        if not rows and not deltas.totals:
            return
        self._refused.defer(deltas)
        if self._clock.monotonic() < self._contended_until:
            deltas.defer(deltas.accounts)
        try:
            try:
                self._store.write(rows, deltas, seconds=self._left(batch))
            except AccountRefused as error:
                self._refused.add(error)
                deltas.defer(deltas.accounts)
                self._store.write(rows, deltas, seconds=self._left(batch))
        except PoisonError as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                self._write(batch, rows[:middle])
                self._write(batch, rows[middle:])
                return
            log.warning(
                "event_rejected",
                extra={"kind": rows[0].kind, "account": rows[0].account, "reason": error.reason},
            )
            self._store.reject(rows[0], seconds=self._left(batch))
            batch.mark_refused(rows[0])
            self._write(batch, [])  # the duplicates and unreadable entries of this batch
        else:
            batch.mark_counted(rows)
            batch.mark_reported()

    def _left(self, batch: Batch[S]) -> float:
        left = batch.deadline - self._clock.monotonic()
        if left < MIN_SECONDS:
            raise Unavailable(LATE)
        return left


class RefusedAccounts:
    """Remembers refused accounts for a while, so that each costs a batch one extra attempt only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, tuple[float, str]] = {}

    def add(self, error: AccountRefused) -> None:
        """Record that the database refused to change that account's document."""
        log.warning("account_deferred", extra={"account": error.account, "reason": error.reason})
        if len(self._accounts) >= MAX_REFUSED:
            self._accounts.clear()
        until = self._clock.monotonic() + DEFER_SECONDS
        self._accounts[error.account] = (until, str(error))

    def defer(self, deltas: Deltas) -> None:
        """Move the increments of refused accounts in ``deltas`` to the backlog."""
        now = self._clock.monotonic()
        for account in deltas.accounts.keys() & self._accounts.keys():
            until, reason = self._accounts[account]
            if until > now:
                deltas.defer((account,), reason)
            else:
                del self._accounts[account]
