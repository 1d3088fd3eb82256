"""Group commit: everything that many requests brought in, in one transaction.

While one batch is written, arrivals gather for the next. A lone request waits for nothing, and
under load batches grow as large as the database needs them to be.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import gevent
from gevent.event import AsyncResult, Event

from dmstats.commit.batch import Batch, CommitOutcome, Submission
from dmstats.commit.batch_writer import LATE, BatchWriter
from dmstats.commit.limits import AdaptiveLimit, Breaker
from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError, Unavailable
from dmstats.core.records import CANARY, LedgerRow

log = logging.getLogger(__name__)

COMMIT_SECONDS = 1.8
"""How long a request waits for its commit: the sender gives up at 5 s and must hear 503 before."""
PROBE_SECONDS = 4.0
"""How long the requests of a probe wait: a database that needs seconds per commit still counts."""
MAX_QUEUED = 20_000
"""Events that may wait in one worker."""
MAX_BATCH = 2_000
"""Events in one batch."""
ABORT_EVERY_SECONDS = 1.0
GATHER_SECONDS = 0.02
"""Longest wait for the event loop to become idle before a batch is taken."""
PROBE_GATHER_SECONDS = 0.25
"""While commits fail: so many requests share a probe, where each costs the database seconds."""
DEFECT_PAUSE_SECONDS = 0.1

Rows = Sequence[LedgerRow]


class CommitReporter(Protocol):
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
        self.result: AsyncResult[CommitOutcome] = AsyncResult()


class Committer:
    """Takes events from any number of greenlets and answers each once its events are durable.

    ``lock`` is held while a batch is taken and written; it keeps the committers of one host from
    meeting in the database (see :class:`dmstats.commit.fair_lock.FairFileLock`).
    """

    def __init__(
        self,
        writer: BatchWriter,
        clock: Clock,
        metrics: CommitReporter,
        lock: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        commit_seconds: float = COMMIT_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
        max_queued: int = MAX_QUEUED,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._metrics = metrics
        self._lock = lock
        self._commit_seconds = commit_seconds
        self._probe_seconds = probe_seconds
        self._max_queued = max_queued
        self._batch_limit = AdaptiveLimit(max_batch, seconds=commit_seconds)
        self._breaker = Breaker(clock, quick_seconds=commit_seconds)
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._arrived = Event()
        self._greenlet: gevent.Greenlet | None = None
        self._closing = False

    def submit(self, rows: Rows, *, rejected: int = 0) -> CommitOutcome:
        """Count ``rows`` and wait until that is durable.

        Raises :class:`~dmstats.core.errors.Unavailable` when that is not known in time, or when
        it cannot be tried now; the ledger makes it safe to send the same rows again.
        """
        if not rows and not rejected:
            return CommitOutcome()
        if self._closing:
            raise Unavailable("The worker is shutting down")
        seconds = self._admit(len(rows))
        self.start()
        waiting = _Waiting(rows, rejected=rejected, deadline=self._clock.monotonic() + seconds)
        self._queue.append(waiting)
        self._queued += len(rows)
        self._arrived.set()
        try:
            outcome: CommitOutcome = waiting.result.get(timeout=seconds)
        except gevent.Timeout:
            raise Unavailable(LATE) from None
        return outcome

    def start(self) -> None:
        """Start the greenlet that writes; does nothing while it runs."""
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def stop(self, *, seconds: float) -> None:
        """Take nothing more, write what is queued, and end within ``seconds``."""
        self._closing = True
        self._arrived.set()
        if self._greenlet is not None:
            self._greenlet.join(seconds)
            self._greenlet.kill()

    def _admit(self, events: int) -> float:
        """For how many seconds a submission may wait; raises :class:`Unavailable` if it may not.

        While commits fail, only the events of one small batch are admitted, to probe the database;
        every other request is refused at once instead of waiting for a time-out.
        """
        probing = self._breaker.open
        most = self._batch_limit.limit if probing else self._max_queued
        if probing and not self._breaker.may_probe:
            reason = "The database does not commit now"
        elif self._queued and self._queued + events > most:
            reason = "Too many events are waiting to be counted"
        else:
            return self._probe_seconds if probing else self._commit_seconds
        self._metrics.events_refused(events)
        raise Unavailable(reason)

    def _run(self) -> None:
        while self._queue or not self._closing:
            try:
                while not self._arrived.is_set():
                    self._arrived.wait(None if self._nothing_open() else ABORT_EVERY_SECONDS)
                self._gather()
                self._commit_one()
            except Exception:
                # A defect may cost a batch its acknowledgement, never the worker its committer.
                log.exception("commit_defect")
                gevent.sleep(DEFECT_PAUSE_SECONDS)

    def _nothing_open(self) -> bool:
        """Whether no transaction of a failed batch is open, which would keep its locks."""
        try:
            return self._writer.abort_orphaned()
        except Exception:
            log.exception("abort_defect")
            return False

    def _gather(self) -> None:
        """Let other hosts commit, then every ready request submit: requests that were just
        answered and have sent again share this batch instead of being split over two."""
        gevent.sleep(PROBE_GATHER_SECONDS if self._breaker.open else self._writer.pause)
        with gevent.Timeout(GATHER_SECONDS, exception=False):
            gevent.idle()

    def _commit_one(self) -> None:
        """Take the lock, then everything that waits, and write it as one batch."""
        taken: list[_Waiting] = []
        try:
            with self._lock():
                self._take(taken)
                if taken:
                    self._write(Batch(taken, started=self._clock.monotonic()))
        except Exception as error:
            log.exception("batch_defect")
            self._fail(taken, type(error).__name__)

    def _take(self, taken: list[_Waiting]) -> None:
        """Move what waits, up to one batch, into ``taken``; requests that gave up are left out."""
        now = self._clock.monotonic()
        events = 0
        limit = self._batch_limit.limit
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

    def _write(self, batch: Batch[_Waiting]) -> None:
        events, started = len(batch.pending), self._clock.monotonic()
        self._breaker.began()
        try:
            self._writer.write(batch)
        except DmstatsError as error:
            self._breaker.failed()
            if batch.deadline - started > self._commit_seconds / 2:  # else it never had a chance
                self._batch_limit.out_of_time(events)
            log.warning(
                "batch_failed", extra={"events": len(batch.pending), "reason": error.reason}
            )
            self._metrics.batch_failed(len(batch.pending))
            self._fail(batch.submissions, str(error))
        except BaseException:
            self._breaker.failed()
            raise
        else:
            seconds = self._clock.monotonic() - started
            self._breaker.succeeded(seconds)
            self._batch_limit.written(events, seconds)
            self._answer(batch)

    def _answer(self, batch: Batch[_Waiting]) -> None:
        for waiting, outcome in zip(batch.submissions, batch.outcomes(), strict=True):
            waiting.result.set(outcome)
        seconds = self._clock.monotonic() - batch.started
        kinds = Counter(row.kind for row in batch.counted.values() if row.kind != CANARY)
        self._metrics.batch_committed(kinds.total(), seconds)
        self._metrics.events_counted(kinds, batch.duplicates, batch.rejected + len(batch.refused))

    @staticmethod
    def _fail(submissions: Sequence[_Waiting], reason: str) -> None:
        for waiting in submissions:
            if not waiting.result.ready():
                waiting.result.set_exception(Unavailable(reason))
