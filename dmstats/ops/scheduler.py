"""The job table: what runs how often in this process, and how it ends.

Intervals are those of the monotonic clock. A scheduler that compares dates stands still for as long
as the wall clock was set back, and makes up for each run that it believes to have missed when it is
set forward (docs/decisions/0023-clocks.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dmstats.core.clock import Clock
from dmstats.core.errors import Conflict, Superseded, Unavailable

logger = logging.getLogger(__name__)

LEADER_LOOK_SECONDS = 5.0
STOP_SECONDS = 10.0
PASSING = (Unavailable, Conflict, Superseded)
"""What is no defect: the next run may do better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the table. A ``leader_only`` job runs where the lease is held: at once when
    this process begins to lead, or ``settle_seconds`` later, then ``every_seconds``. ``stop`` cuts
    a long run short, at the end."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    leader_only: bool = False
    settle_seconds: float = 0.0
    stop: Callable[[], object] | None = None


class ScheduleMetrics(Protocol):
    """The hook that this module calls; it returns at once and never raises."""

    def job_failed(self, name: str) -> None:
        """A job raised; the schedule goes on."""


class Schedule:
    """Runs the jobs until :meth:`stop`; every job's first run comes at once.

    Each job has a thread of its own (in a web worker gevent makes it a greenlet) and never overlaps
    itself: runs that a long one has left no time for are left out. ``leading`` tells whether this
    process holds the lease.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        clock: Clock,
        metrics: ScheduleMetrics,
        leading: Callable[[], bool],
    ) -> None:
        self._jobs = [_Runner(job, clock, metrics, leading) for job in jobs]
        self._over = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._repeat, args=(runner,), name=f"job {runner.job.name}", daemon=True
            )
            for runner in self._jobs
        ]

    def start(self) -> None:
        """Begin; in a web worker only once gevent's loop runs."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Start nothing more and wait for what runs; whether it ended in time."""
        self._over.set()
        for runner in self._jobs:
            if runner.job.stop is not None:
                runner.job.stop()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _repeat(self, runner: _Runner) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            runner.run()
            due = max(due + runner.period, time.monotonic())


class _Runner:
    """A job with its guard: errors end here, and a follower's leader-only jobs do nothing."""

    def __init__(
        self, job: Job, clock: Clock, metrics: ScheduleMetrics, leading: Callable[[], bool]
    ) -> None:
        self.job = job
        self.period = (
            min(job.every_seconds, LEADER_LOOK_SECONDS) if job.leader_only else job.every_seconds
        )
        self._clock = clock
        self._metrics = metrics
        self._leading = leading
        self._due = float("-inf")
        self._led_since: float | None = None

    def run(self) -> None:
        """Run the job, if it is its time where it is the leader's."""
        if self.job.leader_only and not self._is_due():
            return
        try:
            self.job.run()
        except Exception as error:
            # One failed run must not cost the runs after it.
            self._metrics.job_failed(self.job.name)
            passing = isinstance(error, PASSING)
            reason = str(error) if passing else type(error).__name__
            logger.log(
                logging.WARNING if passing else logging.ERROR,
                "job_failed",
                exc_info=not passing,
                extra={"job": self.job.name, "reason": reason},
            )

    def _is_due(self) -> bool:
        now = self._clock.monotonic()
        if not self._leading():
            self._led_since = None
            return False
        if self._led_since is None:
            self._led_since = now
        if now < max(self._due, self._led_since + self.job.settle_seconds):
            return False
        # Half a look early: the looks do not fall exactly on the beat.
        self._due = now + self.job.every_seconds - self.period / 2
        return True
