"""The circuit breaker: when a request may be tried while commits fail."""

from __future__ import annotations

import pytest

from dmstats.commit.limits import FAILURES_TO_OPEN, PROBE_AGAIN_SECONDS, Breaker
from dmstats.core.clock import ManualClock


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock, quick_seconds=1.8)


def fail(breaker: Breaker, times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        breaker.began()
        breaker.failed()


def test_it_works(breaker: Breaker, clock: ManualClock) -> None:
    assert not breaker.open
    fail(breaker)
    assert breaker.open
    assert not breaker.may_probe
    clock.advance(PROBE_AGAIN_SECONDS)
    assert breaker.may_probe
    breaker.began()
    assert not breaker.may_probe
    breaker.succeeded(0.1)
    assert not breaker.open


def test_a_single_failure_does_not_open_it(breaker: Breaker) -> None:
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert not breaker.open


def test_a_success_between_failures_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(5):
        fail(breaker, FAILURES_TO_OPEN - 1)
        breaker.began()
        breaker.succeeded(0.1)
    assert not breaker.open


def test_a_slow_success_lets_the_next_probe_start_and_keeps_it_open(
    breaker: Breaker, clock: ManualClock
) -> None:
    fail(breaker)
    clock.advance(PROBE_AGAIN_SECONDS)
    breaker.began()
    clock.advance(3.0)
    breaker.succeeded(3.0)
    assert breaker.open
    assert breaker.may_probe
