from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers import base as base_scheduler
from apscheduler.schedulers.background import BackgroundScheduler

from dmstats.core.clock import ManualClock
from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.ops import scheduler
from dmstats.ops.scheduler import Every, Job, Schedule, thread_schedule
from tests.recorder import Recorder

WAIT = 10.0


def schedule(*jobs: Job, leading: bool = True, metrics: Recorder | None = None) -> Schedule:
    return thread_schedule(jobs, ManualClock(), metrics or Recorder(), lambda: leading)


def test_it_works() -> None:
    runs = threading.Semaphore(0)
    running = schedule(Job(name="tick", every_seconds=0.05, run=runs.release))
    running.start()
    assert all(runs.acquire(timeout=WAIT) for _ in range(3))
    assert running.stop()


@pytest.mark.parametrize(
    ("error", "level"),
    [(RuntimeError("on purpose"), "ERROR"), (PoisonError("refused"), "ERROR"),
     (StoreUnavailable("MongoDB is away"), "WARNING")],
)  # fmt: skip
def test_a_job_that_raises_goes_on(
    caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    runs = threading.Semaphore(0)
    metrics = Recorder()

    def fail() -> None:
        runs.release()
        raise error

    running = schedule(Job(name="fails", every_seconds=0.05, run=fail), metrics=metrics)
    running.start()
    assert all(runs.acquire(timeout=WAIT) for _ in range(3))
    assert running.stop()
    assert metrics.seen["job_failed"] >= 2
    assert metrics.last["job_failed"] == ("fails",)
    told = [record for record in caplog.records if record.message == "job_failed"]
    assert {record.levelname for record in told} == {level}
    assert bool(told[0].exc_info) is (level == "ERROR")


def test_stopping_waits_for_the_running_job() -> None:
    begun, finish, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert finish.wait(WAIT)
        done.set()

    running = schedule(Job(name="long", every_seconds=60, run=work))
    running.start()
    assert begun.wait(WAIT)
    threading.Timer(0.2, finish.set).start()
    assert running.stop(WAIT)
    assert done.is_set()


def test_stopping_does_not_wait_for_ever() -> None:
    begun, finish = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        finish.wait(WAIT)

    running = schedule(Job(name="stuck", every_seconds=60, run=work))
    running.start()
    assert begun.wait(WAIT)
    assert not running.stop(0.05)
    finish.set()


def test_runs_that_were_missed_are_left_out() -> None:
    trigger, start = Every(1.0), datetime(2026, 1, 1, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, start) == start
    assert trigger.get_next_fire_time(start, start) == start + timedelta(seconds=1)
    later = start + timedelta(days=30)
    assert trigger.get_next_fire_time(start, later) == later + timedelta(seconds=1)


@pytest.mark.parametrize("step", [-3600, 3600, 30 * 86400], ids=["back", "forward", "a month"])
def test_jobs_go_on_when_the_wall_clock_is_stepped(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class Stepped(datetime):
        seconds = 0

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=cls.seconds)

    for module in (base_scheduler, scheduler):
        monkeypatch.setattr(module, "datetime", Stepped)
    monkeypatch.setattr(scheduler, "CLOCK_CHECK_SECONDS", 0.05)
    clock, runs = ManualClock(10**12), threading.Semaphore(0)
    job = Job(name="tick", every_seconds=0.05, run=runs.release)
    running = thread_schedule([job], clock, Recorder(), lambda: True)
    running.start()
    assert runs.acquire(timeout=WAIT)
    Stepped.seconds = step
    clock.step(step)
    assert all(runs.acquire(timeout=2) for _ in range(20))
    assert running.stop()


class ByHand(BackgroundScheduler):  # type: ignore[misc]
    """Keeps the jobs instead of running them."""

    def __init__(self) -> None:
        super().__init__(timezone=UTC)
        self.jobs: dict[str, Any] = {}

    def add_job(self, run: Any, *args: Any, **options: Any) -> None:
        assert options["coalesce"] is True
        assert options["max_instances"] == 1
        assert options["misfire_grace_time"] is None
        self.jobs[options["id"]] = run


def test_leader_only_jobs_follow_the_lease() -> None:
    clock, leading, runs = ManualClock(), [False], []
    table = ByHand()
    job = Job(name="hourly", every_seconds=3600, run=lambda: runs.append(1), leader_only=True)
    running = Schedule([job], table, clock, Recorder(), lambda: leading[0])
    running.start()
    try:
        table.jobs["hourly"]()
        assert runs == []
        leading[0] = True
        table.jobs["hourly"]()
        assert len(runs) == 1, "at once when it begins to lead"
        for _ in range(1440):
            clock.advance(5)
            table.jobs["hourly"]()
        assert len(runs) == 3
    finally:
        running.stop()


def test_a_job_may_let_things_settle_whenever_its_process_begins_to_lead() -> None:
    clock, leading, runs = ManualClock(), [True], []
    table = ByHand()
    job = Job(
        name="settled", every_seconds=5, run=lambda: runs.append(clock.monotonic()),
        leader_only=True, leader_delay_seconds=60,
    )  # fmt: skip
    running = Schedule([job], table, clock, Recorder(), lambda: leading[0])
    running.start()
    try:
        for second in range(0, 201, 5):
            leading[0] = second != 100  # somebody else leads for a moment
            table.jobs["settled"]()
            clock.advance(5)
    finally:
        running.stop()
    assert runs == [*range(60, 100, 5), *range(165, 201, 5)]
