"""The job table: what runs how often in this process, and how it ends.

APScheduler compares dates. By itself it would stand still for as long as the wall clock was set
back, and make up for each run that it believes to have missed when it is set forward: hence
:class:`Every`, and a watcher by the monotonic clock (docs/decisions/0023-clocks.md).
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
"""What is no defect: the next run may do better."""
OPTIONS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
CLOCK_CHECK_SECONDS = 5.0
"""How often the two clocks are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the table. A ``leader_only`` job runs where the lease is held: at once when
    this process begins to lead, or ``leader_delay_seconds`` later, then ``every_seconds``. ``stop`` cuts
    a long run short, at the end."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    leader_only: bool = False
    leader_delay_seconds: float = 0.0
    stop: Callable[[], object] | None = None


class ScheduleMetrics(Protocol):
    """The hook that this module calls; it returns at once and never raises."""

    def job_failed(self, name: str) -> None:
        """A job raised; the schedule goes on."""


class Every(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Fires each ``seconds``; runs that were missed are left out instead of counted one by one."""

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
    """Runs the jobs until :meth:`stop`; every job's first run comes at once.

    ``scheduler`` is an APScheduler that is not started yet; ``leading`` tells whether this
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
        """Begin; needs a running loop where the scheduler does."""
        for runner in self._jobs:
            self._scheduler.add_job(
                runner, Every(runner.period), id=runner.job.name,
                next_run_time=datetime.now(UTC), **OPTIONS,
            )  # fmt: skip
        self._scheduler.start()
        threading.Thread(target=self._watch_clock, name="clock", daemon=True).start()

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Start nothing more and wait for what runs; whether it ended in time.

        APScheduler's own waiting returns while a job still runs.
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
        """Where the wall clock was stepped, run every job now and plan anew from there."""
        while not self._over.wait(CLOCK_CHECK_SECONDS):
            if self._clock_watch.detect_step():
                now = datetime.now(UTC)
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=now)


class _Runner:
    """A job with its guard: errors end here, and a follower's leader-only jobs do nothing."""

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
                # One failed run must not cost the runs after it.
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
        # Half a look early: the looks do not fall exactly on the beat.
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
    # gevent's scheduler is for workers alone: the side-car runs unpatched.
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
