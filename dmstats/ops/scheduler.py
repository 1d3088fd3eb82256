"""Runs this process's jobs periodically, and stops them at shutdown.

APScheduler compares dates. After the wall clock is set back, it would pause for the same time;
after it is set forward, it would repeat every run that it considers missed. :class:`Every` and a
check with the monotonic clock prevent this (docs/decisions/0023-clocks.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from dmstats.core.clock import Clock, ClockWatch
from dmstats.core.errors import Conflict, Superseded, Unavailable

logger = logging.getLogger(__name__)

LEADER_CHECK_SECONDS = 5.0
STOP_SECONDS = 10.0
TRANSIENT_ERRORS = (Unavailable, Conflict, Superseded)
"""Errors that are not bugs: the next run may succeed."""
OPTIONS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
CLOCK_CHECK_SECONDS = 5.0
"""How often the two clocks are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One periodic job. A ``leader_only`` job runs only in the process that holds the lease:
    ``leader_delay_seconds`` after it becomes the leader, then ``every_seconds``. ``stop``
    interrupts a long run at shutdown."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    leader_only: bool = False
    leader_delay_seconds: float = 0.0
    stop: Callable[[], object] | None = None


class ScheduleMetrics(Protocol):
    """The metrics hook; it returns immediately and never raises."""

    def job_failed(self, name: str) -> None:
        """A job raised an exception; the schedule continues."""


class Every(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Fires every ``seconds``; missed runs are skipped."""

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        if previous_fire_time is None:
            return now
        following: datetime = previous_fire_time + self._interval
        return following if following > now else now + self._interval


class Schedule:
    """Runs the jobs until :meth:`stop`; the first run of each is immediate.

    ``scheduler`` is an APScheduler that is not started yet. ``leading`` returns whether this
    process holds the lease.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        scheduler: Any,
        clock: Clock,
        metrics: ScheduleMetrics,
        leading: Callable[[], bool],
        clock_watch: ClockWatch | None = None,
    ) -> None:
        self._jobs = [_Runner(job, clock, metrics, leading) for job in jobs]
        self._scheduler = scheduler
        self._clock_watch = clock_watch or ClockWatch(clock)
        self._over = threading.Event()

    def start(self) -> None:
        """Start the jobs; a gevent scheduler needs a running loop."""
        for runner in self._jobs:
            self._scheduler.add_job(
                runner, Every(runner.period), id=runner.job.name,
                next_run_time=datetime.now(UTC), **OPTIONS,
            )  # fmt: skip
        self._scheduler.start()
        threading.Thread(target=self._watch_clock, name="clock", daemon=True).start()

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Start no more runs and wait for the running ones; returns whether they ended in time.

        APScheduler's own wait may return while a job is still running.
        """
        self._over.set()
        for runner in self._jobs:
            runner.stopping = True
            if runner.job.stop is not None:
                runner.job.stop()
        self._scheduler.shutdown(wait=False)
        deadline = time.monotonic() + seconds
        return all(runner.wait(deadline - time.monotonic()) for runner in self._jobs)

    def _watch_clock(self) -> None:
        """After a step of the wall clock, run every job now and reschedule from there."""
        while not self._over.wait(CLOCK_CHECK_SECONDS):
            if self._clock_watch.detect_step():
                now = datetime.now(UTC)
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=now)


class _Runner:
    """Runs one job: catches its errors, and skips leader-only jobs on followers."""

    def __init__(
        self, job: Job, clock: Clock, metrics: ScheduleMetrics, leading: Callable[[], bool]
    ) -> None:
        self.job = job
        self.stopping = False
        self.period = (
            min(job.every_seconds, LEADER_CHECK_SECONDS) if job.leader_only else job.every_seconds
        )
        self._clock = clock
        self._metrics = metrics
        self._leading = leading
        self._due = float("-inf")
        self._led_since: float | None = None
        self._running = threading.Lock()

    def __call__(self) -> None:
        with self._running:
            if self.stopping or (self.job.leader_only and not self._is_due()):
                return
            try:
                self.job.run()
            except Exception as error:
                # One failed run must not stop later runs.
                self._metrics.job_failed(self.job.name)
                transient = isinstance(error, TRANSIENT_ERRORS)
                reason = (
                    error.reason if isinstance(error, TRANSIENT_ERRORS) else type(error).__name__
                )
                logger.log(
                    logging.WARNING if transient else logging.ERROR,
                    "job_failed",
                    exc_info=not transient,
                    extra={"job": self.job.name, "reason": reason},
                )

    def wait(self, seconds: float) -> bool:
        """Whether the running job, if there is one, ends within ``seconds``."""
        if not self._running.acquire(timeout=max(0.0, seconds)):
            return False
        self._running.release()
        return True

    def _is_due(self) -> bool:
        now = self._clock.monotonic()
        if not self._leading():
            self._led_since = None
            return False
        if self._led_since is None:
            self._led_since = now
        if now < max(self._due, self._led_since + self.job.leader_delay_seconds):
            return False
        # Half a check interval early, because the checks do not fall exactly on the due time.
        self._due = now + self.job.every_seconds - self.period / 2
        return True


def gevent_schedule(
    jobs: Sequence[Job],
    clock: Clock,
    metrics: ScheduleMetrics,
    leading: Callable[[], bool],
    clock_watch: ClockWatch | None = None,
) -> Schedule:
    """The schedule of a web worker."""
    # Imported only in workers: the stand-alone refresher is not monkey-patched.
    from apscheduler.schedulers.gevent import GeventScheduler  # noqa: PLC0415

    return Schedule(jobs, GeventScheduler(timezone=UTC), clock, metrics, leading, clock_watch)


def thread_schedule(
    jobs: Sequence[Job],
    clock: Clock,
    metrics: ScheduleMetrics,
    leading: Callable[[], bool],
    clock_watch: ClockWatch | None = None,
) -> Schedule:
    """The schedule of a process without gevent, such as the side-car."""
    return Schedule(jobs, BackgroundScheduler(timezone=UTC), clock, metrics, leading, clock_watch)
