"""The scheduled audit: a little at a time, at a bounded cost."""

from __future__ import annotations

import logging
from collections.abc import Generator

import pytest

from dmstats.audit.auditor import Outcome, Progress
from dmstats.audit.background import MAX_SHARE, PAUSE_SECONDS, TICK_SECONDS, BackgroundAudit
from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.audit.differences import Difference


class Slow:
    """An auditor each of whose steps takes ``seconds``."""

    def __init__(self, clock: ManualClock, *, steps: int, seconds: float) -> None:
        self.clock = clock
        self.left = steps
        self.seconds = seconds
        self.began = 0
        self.error: Exception | None = None
        self.found: list[Difference] = []
        self.closed = False

    def steps(self, kind: str, outcome: Outcome) -> Generator[Progress, None, None]:
        assert kind == "schedule"
        self.began += 1
        try:
            for done in range(self.left):
                self.clock.advance(self.seconds)
                if self.error:
                    raise self.error
                yield Progress(done, self.left, "hours")
        except GeneratorExit:
            self.closed = True
            raise
        outcome.found["hour"] = self.found


def ends(background_audit: BackgroundAudit, clock: ManualClock, *, most: int = 10_000) -> int:
    """Seconds until a pass ends."""
    for second in range(most):
        if background_audit.tick():
            return second
        clock.advance(1)
    raise AssertionError("no pass ended")


def test_it_works(clock: ManualClock) -> None:
    auditor = Slow(clock, steps=3, seconds=0.01)
    background_audit = BackgroundAudit(auditor, clock)  # type: ignore[arg-type]
    assert background_audit.tick()
    clock.advance(PAUSE_SECONDS)
    assert not background_audit.tick()
    assert auditor.began == 1
    clock.advance(10)
    assert background_audit.tick()
    assert auditor.began == 2


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_a_long_pass_takes_no_more_than_its_share(clock: ManualClock, seconds: float) -> None:
    auditor = Slow(clock, steps=20, seconds=seconds)
    background_audit = BackgroundAudit(auditor, clock)  # type: ignore[arg-type]
    started = clock.monotonic()
    ends(background_audit, clock)
    took = clock.monotonic() - started
    slack = max(TICK_SECONDS, seconds) / MAX_SHARE
    assert 20 * seconds <= MAX_SHARE * (took + slack) * 1.1
    assert auditor.began == 1


def test_a_failure_is_not_repeated_at_every_tick(clock: ManualClock) -> None:
    auditor = Slow(clock, steps=2, seconds=0.01)
    auditor.error = StoreUnavailable()
    background_audit = BackgroundAudit(auditor, clock)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        background_audit.tick()
    clock.advance(5)
    assert not background_audit.tick()
    assert auditor.began == 1
    auditor.error = None
    clock.advance(PAUSE_SECONDS)
    assert background_audit.tick()


def test_drift_is_an_error_in_the_log(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    auditor = Slow(clock, steps=1, seconds=0.01)
    auditor.found = [Difference("days", "0", "sent", 1, 3)]
    with caplog.at_level(logging.INFO):
        BackgroundAudit(auditor, clock).tick()  # type: ignore[arg-type]
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("ERROR", "audit_finished")
    assert record.__dict__["drift"] == 2
    assert record.__dict__["places"] == {"days": 1}


def test_an_interrupted_pass_is_left_in_order(clock: ManualClock) -> None:
    auditor = Slow(clock, steps=30, seconds=2 * TICK_SECONDS)
    background_audit = BackgroundAudit(auditor, clock)  # type: ignore[arg-type]
    background_audit.leave()
    assert not background_audit.tick()
    assert not auditor.closed
    background_audit.leave()
    assert auditor.closed
