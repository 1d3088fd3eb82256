"""Group commit: the events of many requests are written in one transaction.

While one batch is written, new requests queue up for the next. A single request does not wait, and
under load batches grow until the database keeps up.
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
"""How long a request waits for its commit. The sender times out after 5 s and must get a 503 before
that."""
PROBE_SECONDS = 4.0
"""How long the requests of a probe wait, so that events are counted even if a commit takes seconds.
"""
MAX_QUEUED = 20_000
"""The maximum number of queued events per worker."""
MAX_BATCH = 2_000
"""The maximum number of events per batch."""
ABORT_EVERY_SECONDS = 1.0
GATHER_SECONDS = 0.02
"""The longest wait for the event loop to become idle before a batch is taken."""
PROBE_GATHER_SECONDS = 0.25
"""The same while commits fail, so that many requests share one probe of a slow database."""
DEFECT_PAUSE_SECONDS = 0.1

Rows = Sequence[LedgerRow]


class CommitReporter(Protocol):
    """Metrics hooks of the committer."""

    def batch_committed(self, events: int, seconds: float) -> None: ...
    def events_counted(self, kinds: Mapping[str, int], duplicates: int, rejected: int) -> None: ...
    def batch_failed(self, events: int) -> None: ...
    def events_queued(self, events: int) -> None: ...
    def events_refused(self, events: int) -> None: ...


class _Waiting(Submission):
    """A submission and the result that its request waits for."""

    __slots__ = ("result",)

    def __init__(self, rows: Rows, *, rejected: int, deadline: float) -> None:
        super().__init__(rows, rejected=rejected, deadline=deadline)
        self.result: AsyncResult[CommitOutcome] = AsyncResult()


class Committer:
    """Takes events from any number of greenlets and answers each once its events are durable.

    ``lock`` is held while a batch is taken and written, so that the committers of one host do not
    conflict in the database (see :class:`dmstats.commit.fair_lock.FairFileLock`).
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
        self._waiting = 0
        self._arrived = Event()
        self._greenlet: gevent.Greenlet | None = None
        self._closing = False

    def submit(self, rows: Rows, *, rejected: int = 0) -> CommitOutcome:
        """Count ``rows`` and wait until they are durable.

        Raises :class:`~dmstats.core.errors.Unavailable` if the outcome is not known in time or the
        rows cannot be accepted now. Retrying is safe: row ids are idempotency keys.
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
        self._waiting += 1
        try:
            outcome: CommitOutcome = waiting.result.get(timeout=seconds)
        except gevent.Timeout:
            raise Unavailable(LATE) from None
        finally:
            self._waiting -= 1
        return outcome

    @property
    def busy(self) -> bool:
        """Whether requests wait for a commit."""
        return self._waiting > 0

    def start(self) -> None:
        """Start the committer greenlet; does nothing if it is running."""
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def stop(self, *, seconds: float) -> None:
        """Accept no more rows, write what is queued, and stop within ``seconds``."""
        self._closing = True
        self._arrived.set()
        if self._greenlet is not None:
            self._greenlet.join(seconds)
            self._greenlet.kill()

    def _admit(self, events: int) -> float:
        """How many seconds a submission may wait; raises :class:`Unavailable` if it is refused.

        While commits fail, only one small batch is admitted, to probe the database. All other
        requests are refused immediately instead of timing out.
        """
        probing = self._breaker.open
        most = self._batch_limit.limit if probing else self._max_queued
        if probing and not self._breaker.may_probe:
            reason = "The database cannot commit right now"
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
                # A bug may fail one batch, but it must not stop this worker's committer.
                log.exception("commit_defect")
                gevent.sleep(DEFECT_PAUSE_SECONDS)

    def _nothing_open(self) -> bool:
        """Whether no failed batch left a transaction open, which would keep its locks."""
        try:
            return self._writer.abort_orphaned()
        except Exception:
            log.exception("abort_defect")
            return False

    def _gather(self) -> None:
        """Let other hosts commit, then let every ready request submit its rows. Clients that were
        just answered and sent their next request then share one batch."""
        gevent.sleep(PROBE_GATHER_SECONDS if self._breaker.open else self._writer.pause)
        with gevent.Timeout(GATHER_SECONDS, exception=False):
            gevent.idle()

    def _commit_one(self) -> None:
        """Take the lock, then everything queued, and write it as one batch.

        The requests are answered after the lock is released, so that the next committer begins.
        """
        taken: list[_Waiting] = []
        try:
            written = None
            with self._lock():
                self._take(taken)
                if taken:
                    written = self._written(Batch(taken, started=self._clock.monotonic()))
            if written is not None:
                self._answer(written)
        except Exception as error:
            log.exception("batch_defect")
            self._fail(taken, type(error).__name__)

    def _take(self, taken: list[_Waiting]) -> None:
        """Move up to one batch from the queue to ``taken``, without requests that timed out."""
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

    def _written(self, batch: Batch[_Waiting]) -> Batch[_Waiting] | None:
        """The batch once it is durable; None if that failed, which its requests were told."""
        events, started = len(batch.pending), self._clock.monotonic()
        self._breaker.began()
        try:
            self._writer.write(batch)
        except DmstatsError as error:
            self._breaker.failed()
            if batch.deadline - started > self._commit_seconds / 2:  # it had enough time
                self._batch_limit.out_of_time(events)
            log.warning(
                "batch_failed", extra={"events": len(batch.pending), "reason": error.reason}
            )
            self._metrics.batch_failed(len(batch.pending))
            self._fail(batch.submissions, str(error))
            return None
        except BaseException:
            self._breaker.failed()
            raise
        seconds = self._clock.monotonic() - started
        self._breaker.succeeded(seconds)
        self._batch_limit.written(events, seconds)
        return batch

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
