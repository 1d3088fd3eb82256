"""Getting one batch written: look-up, attempts with back-off, and isolation of a poison event."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import gevent

from dmstats.commit.backoff import Courtesy
from dmstats.commit.batch import Batch, S
from dmstats.commit.chunking import portions
from dmstats.commit.increments import merge
from dmstats.core.clock import Clock
from dmstats.core.errors import Conflict, PoisonError, Repeated, Unavailable
from dmstats.core.records import Deltas, LedgerRow

log = logging.getLogger(__name__)

LATE = "The database did not confirm in time"
SETTLE_SECONDS = 0.5
WARY_BATCHES = 16
"""For so many batches after a repeated event, each is looked up before it is written. Else none is:
the insert finds what is there already, which costs that batch an attempt."""
LEAST_SECONDS = 0.05
"""Less time than this is not worth a round trip."""


class Store(Protocol):
    """What counting needs of the database; see :class:`dmstats.db.counting.batches.Batches`."""

    @property
    def transactional(self) -> bool: ...
    def known(self, rows: Sequence[LedgerRow], *, seconds: float, here: bool) -> set[bytes]: ...
    def write(self, rows: Sequence[LedgerRow], deltas: Deltas, *, seconds: float) -> None: ...
    def reject(self, row: LedgerRow, *, seconds: float) -> None: ...
    def settle(self, *, seconds: float) -> bool: ...
    def write_unordered(
        self,
        rows: Sequence[LedgerRow],
        merge: Callable[[Sequence[LedgerRow]], Deltas],
        *,
        seconds: float,
    ) -> set[bytes]: ...


class BatchWriter:
    """Writes batches, one at a time.

    ``on_conflict`` is called after each attempt that met another transaction, with the number of
    those since the last batch that was written; ``turn`` is entered
    for each attempt, and keeps neighbours from meeting
    (see :class:`dmstats.commit.fair_lock.Turns`).
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_conflict: Callable[[int], None],
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_conflict = on_conflict
        self._turn = turn
        self._conflicts = 0
        self._courtesy = Courtesy()
        # At first senders repeat what a predecessor did not answer.
        self._wary = WARY_BATCHES

    @property
    def pause(self) -> float:
        """Seconds for which to leave the database to other hosts before the next batch is taken."""
        return self._courtesy.pause

    def write(self, batch: Batch[S]) -> None:
        """Write ``batch`` before its deadline; raises :class:`Unavailable` if that fails."""
        looked_up = wary = False
        began = 0.0
        for attempt in itertools.count(1):
            try:
                # Before the turn: it may run beside a neighbour's write.
                if not looked_up:
                    wary = self._wary > 0
                    self._look_up(batch)
                    looked_up = True
                    # From here on: a look-up, and what it is made again for, is no wait for others.
                    began = self._clock.monotonic()
                waited = self._clock.monotonic() - began
                with self._turn():
                    started = self._clock.monotonic()
                    self._attempt(batch)
                self._courtesy.written(waited=waited, took=self._clock.monotonic() - started)
                self._conflicts = 0
                break
            except Conflict as conflict:
                # Else it still holds: what others write meanwhile is met in the transaction.
                if isinstance(conflict, Repeated):
                    looked_up = False
                    if not wary:
                        self._wary = WARY_BATCHES
                        continue
                self._conflicts += 1
                self._on_conflict(self._conflicts)
                pause = self._courtesy.back_off(attempt)
                if self._clock.monotonic() + pause >= batch.deadline:
                    raise Unavailable("The database is contended") from conflict
                gevent.sleep(pause)

    def _look_up(self, batch: Batch[S]) -> None:
        rows = [*batch.pending.values()]
        known = self._store.known(rows, seconds=self._left(batch), here=self._wary > 0)
        self._wary = WARY_BATCHES if known else max(0, self._wary - 1)
        batch.drop_known(known)

    def settle(self) -> bool:
        """Free what a batch that failed may have left locked; whether nothing is locked now."""
        return self._store.settle(seconds=SETTLE_SECONDS)

    def _attempt(self, batch: Batch[S]) -> None:
        write = self._write if self._store.transactional else self._write_unordered
        for rows in portions(list(batch.pending.values())):
            write(batch, rows)

    def _write_unordered(self, batch: Batch[S], rows: Sequence[LedgerRow]) -> None:
        duplicates, rejected = batch.untold()

        def merged(new: Sequence[LedgerRow]) -> Deltas:
            repeated = duplicates + len(rows) - len(new)
            return merge(new, duplicates=repeated, rejected=rejected)

        new = self._store.write_unordered(rows, merged, seconds=self._left(batch))
        batch.drop_known({row.row_id for row in rows} - new)
        batch.mark_counted([row for row in rows if row.row_id in new])
        batch.mark_told()

    def _write(self, batch: Batch[S], rows: Sequence[LedgerRow]) -> None:
        """Write ``rows``; where the database refuses the data, halve until the culprit is alone."""
        duplicates, rejected = batch.untold()
        deltas = merge(rows, duplicates=duplicates, rejected=rejected)
        if not rows and not deltas.totals:
            return
        try:
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
            self._write(batch, [])  # what else is to be told
        else:
            batch.mark_counted(rows)
            batch.mark_told()

    def _left(self, batch: Batch[S]) -> float:
        left = batch.deadline - self._clock.monotonic()
        if left < LEAST_SECONDS:
            raise Unavailable(LATE)
        return left
