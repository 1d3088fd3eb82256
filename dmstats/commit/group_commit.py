"""Group commit: everything that many requests brought in, in one transaction.

While one batch is written, arrivals gather for the next. So a lone request waits for nothing, and
under load batches grow as large as the database needs them to be.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import gevent
from gevent.event import AsyncResult, Event

from dmstats.commit.batch import Batch, Counted, Submission
from dmstats.commit.batch_limit import Pace
from dmstats.commit.batch_writer import LATE, BatchWriter
from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError, Unavailable
from dmstats.core.records import CANARY, LedgerRow

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.8
"""How long a request waits for its commit: the sender gives up at 5 s and must hear 503 before."""
MAX_QUEUED = 20_000
MAX_BATCH = 2_000
"""Events in the queue of one worker, and in one transaction."""
SETTLE_EVERY_SECONDS = 1.0
GATHER_SECONDS = 0.02
"""A batch is taken after so long at the latest, however much there is to do beside it."""

Rows = Sequence[LedgerRow]


class Metrics(Protocol):
    """What the committer reports."""

    def batch_committed(self, events: int, seconds: float) -> None: ...
    def events_counted(self, kinds: Mapping[str, int], duplicates: int, rejected: int) -> None: ...
    def batch_failed(self, events: int) -> None: ...
    def events_queued(self, events: int) -> None: ...
    def events_refused(self, events: int) -> None: ...


class _Waiting(Submission):
    """A submission and the place where its request waits for the outcome."""

    __slots__ = ("result",)

    def __init__(self, rows: Rows, *, rejected: int, deadline: float) -> None:
        super().__init__(rows, rejected=rejected, deadline=deadline)
        self.result: AsyncResult[Counted] = AsyncResult()


class Committer:
    """Takes events from any number of greenlets and answers each once its events are durable."""

    def __init__(
        self,
        writer: BatchWriter,
        clock: Clock,
        metrics: Metrics,
        *,
        patience: float = PATIENCE_SECONDS,
        max_queued: int = MAX_QUEUED,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._metrics = metrics
        self._patience = patience
        self._max_queued = max_queued
        self._pace = Pace(max_batch, seconds=patience)
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._arrived = Event()
        self._greenlet: gevent.Greenlet | None = None
        self._closing = False

    def submit(self, rows: Rows, *, rejected: int = 0, seconds: float | None = None) -> Counted:
        """Count ``rows`` and wait until that is durable.

        Raises :class:`~dmstats.core.errors.Unavailable` when it is not known to be within
        ``seconds``, by default the patience; the ledger makes it safe to send the same rows again.
        """
        seconds = self._patience if seconds is None else seconds
        result = self.enqueue(rows, rejected=rejected, seconds=seconds)
        try:
            outcome: Counted = result.get(timeout=seconds)
        except gevent.Timeout:
            raise Unavailable(LATE) from None
        return outcome

    def enqueue(self, rows: Rows, *, rejected: int, seconds: float) -> AsyncResult[Counted]:
        """Where the outcome of ``rows`` will be; it is of no use after ``seconds``.

        Raises :class:`~dmstats.core.errors.Unavailable` where they cannot even wait.
        """
        if self._closing:
            raise Unavailable("The worker is shutting down")
        if self._queued + len(rows) > self._max_queued:
            self._metrics.events_refused(len(rows))
            raise Unavailable("Too many events are waiting to be counted")
        self.start()
        waiting = _Waiting(rows, rejected=rejected, deadline=self._clock.monotonic() + seconds)
        self._queue.append(waiting)
        self._queued += len(rows)
        self._arrived.set()
        return waiting.result

    def start(self) -> None:
        """Start the greenlet that writes; does nothing when it runs."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self, *, seconds: float) -> None:
        """Take nothing more, write what is queued, and end within ``seconds``."""
        self._closing = True
        self._arrived.set()
        if self._greenlet is not None:
            self._greenlet.join(seconds)
            self._greenlet.kill()

    def _run(self) -> None:
        while True:
            while not self._arrived.is_set():
                self._arrived.wait(None if self._settled() else SETTLE_EVERY_SECONDS)
            self._gather()
            if batch := self._take():
                try:
                    self._write(batch)
                except Exception as error:
                    # A defect may cost a batch its acknowledgement, never the worker its committer.
                    log.exception("batch_defect")
                    self._give_up(batch, Unavailable(type(error).__name__))
            elif self._closing:
                return

    def _settled(self) -> bool:
        """Whether no batch that failed holds locks, which would last if nothing more came here."""
        try:
            return self._writer.settle()
        except Exception:
            log.exception("settle_defect")
            return False

    def _gather(self) -> None:
        """Let other hosts and all that is ready come first: those who have just been answered and
        have sent again share this batch, where each burst would be split over two."""
        gevent.sleep(self._writer.pause)
        with gevent.Timeout(GATHER_SECONDS, exception=False):
            gevent.idle()

    def _take(self) -> Batch[_Waiting] | None:
        """Everything that waits, up to one batch; requests that gave up are left out."""
        now = self._clock.monotonic()
        taken: list[_Waiting] = []
        events = 0
        limit = self._pace.limit
        while self._queue and (not taken or events + len(self._queue[0].rows) <= limit):
            waiting = self._queue.popleft()
            self._queued -= len(waiting.rows)
            if waiting.deadline > now:
                taken.append(waiting)
                events += len(waiting.rows)
            else:
                waiting.result.set_exception(Unavailable(LATE))
        if not (self._queue or self._closing):
            self._arrived.clear()
        self._metrics.events_queued(self._queued)
        return Batch(taken, started=now) if taken else None

    def _write(self, batch: Batch[_Waiting]) -> None:
        events, started = len(batch.pending), self._clock.monotonic()
        try:
            self._writer.write(batch)
        except DmstatsError as error:
            if batch.deadline - started > self._patience / 2:  # else it never had a chance
                self._pace.out_of_time(events)
            self._give_up(batch, error)
        else:
            self._pace.written(events, self._clock.monotonic() - started)
            self._answer(batch)

    def _answer(self, batch: Batch[_Waiting]) -> None:
        for waiting, outcome in zip(batch.submissions, batch.outcomes(), strict=True):
            waiting.result.set(outcome)
        seconds = self._clock.monotonic() - batch.started
        kinds = Counter(row.kind for row in batch.counted.values() if row.kind != CANARY)
        self._metrics.batch_committed(kinds.total(), seconds)
        self._metrics.events_counted(kinds, batch.duplicates, batch.rejected + len(batch.refused))

    def _give_up(self, batch: Batch[_Waiting], error: DmstatsError) -> None:
        log.warning("batch_failed", extra={"events": len(batch.pending), "reason": error.reason})
        self._metrics.batch_failed(len(batch.pending))
        for waiting in (each for each in batch.submissions if not each.result.ready()):
            waiting.result.set_exception(Unavailable(str(error)))
