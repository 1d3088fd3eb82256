"""A wall clock that is stepped: noticed once, and not believed where that would cost something."""

from __future__ import annotations

import logging

import pytest

from dmstats.core.clock import DAY_MS, ClockWatch, ManualClock


@pytest.fixture
def watch(clock: ManualClock) -> ClockWatch:
    return ClockWatch(clock)


def jumps(caplog: pytest.LogCaptureFixture) -> list[float]:
    return [vars(record)["seconds"] for record in caplog.records if record.msg == "clock_jumped"]


@pytest.mark.parametrize("step", [-3600.0, 3600.0, 30 * 86400.0, -6.0])
def test_a_step_is_logged_once(
    watch: ClockWatch, clock: ManualClock, caplog: pytest.LogCaptureFixture, step: float
) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            if number == 50:
                clock.step(step)
            watch.detect_step()
            clock.advance(5)
    assert jumps(caplog) == [step]


def test_a_clock_that_is_slewed_was_not_stepped(
    watch: ClockWatch, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1_000):
        clock.advance(5)
        clock.step(0.0025)
        watch.detect_step()
    assert jumps(caplog) == []


def test_what_must_not_be_too_early_goes_by_the_earlier_clock(
    watch: ClockWatch, clock: ManualClock
) -> None:
    start = clock.now_ms()
    clock.advance(60)
    assert watch.conservative_now_ms() == start + 60_000
    clock.step(30 * 86400)
    assert watch.conservative_now_ms() == start + 60_000
    clock.step(-31 * 86400)
    assert watch.conservative_now_ms() == start + 60_000 - DAY_MS
