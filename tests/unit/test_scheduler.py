from __future__ import annotations

import threading
import time

import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.ops.scheduler import Job, Schedule
from tests.recorder import Recorder

WAIT = 10.0


def schedule(*jobs: Job, leading: bool = True, metrics: Recorder | None = None) -> Schedule:
    return Schedule(jobs, ManualClock(), metrics or Recorder(), lambda: leading)


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


def test_a_late_job_does_not_make_up_for_the_runs_it_has_missed() -> None:
    begun: list[float] = []
    enough = threading.Event()

    def work() -> None:
        begun.append(time.monotonic())
        if len(begun) == 1:
            time.sleep(0.5)
        if len(begun) == 4:
            enough.set()

    running = schedule(Job(name="late", every_seconds=0.1, run=work))
    running.start()
    assert enough.wait(WAIT)
    assert running.stop()
    assert begun[3] - begun[1] > 0.15


@pytest.mark.parametrize("step", [-3600, 3600, 30 * 86400], ids=["back", "forward", "a month"])
def test_jobs_go_on_when_the_wall_clock_is_stepped(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    runs = threading.Semaphore(0)
    running = schedule(Job(name="tick", every_seconds=0.05, run=runs.release))
    running.start()
    assert runs.acquire(timeout=WAIT)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + step)
    monkeypatch.setattr(time, "time_ns", lambda: round((wall() + step) * 1e9))
    started = time.monotonic()
    assert all(runs.acquire(timeout=WAIT) for _ in range(5))
    assert 0.1 < time.monotonic() - started < 2
    assert running.stop()


def test_leader_only_jobs_follow_the_lease() -> None:
    clock, leading, runs = ManualClock(), [False], []
    job = Job(name="hourly", every_seconds=3600, run=lambda: runs.append(1), leader_only=True)
    (runner,) = Schedule([job], clock, Recorder(), lambda: leading[0])._jobs
    runner.run()
    assert runs == []
    leading[0] = True
    runner.run()
    assert len(runs) == 1, "at once when it begins to lead"
    for _ in range(1440):
        clock.advance(5)
        runner.run()
    assert len(runs) == 3


def test_a_job_may_let_things_settle_whenever_its_process_begins_to_lead() -> None:
    clock, leading, runs = ManualClock(), [True], []
    job = Job(
        name="settled", every_seconds=5, run=lambda: runs.append(clock.monotonic()),
        leader_only=True, settle_seconds=60,
    )  # fmt: skip
    (runner,) = Schedule([job], clock, Recorder(), lambda: leading[0])._jobs
    for second in range(0, 201, 5):
        leading[0] = second != 100  # somebody else leads for a moment
        runner.run()
        clock.advance(5)
    assert runs == [*range(60, 100, 5), *range(165, 201, 5)]
