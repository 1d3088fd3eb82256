"""Long work in short steps: its share of the time, whatever a step takes."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.bounded_work import BoundedWork
from dmstats.core.clock import ManualClock

SHARE = 0.1


class Work:
    """Runs whose steps take so many seconds, and what was slept between them."""

    def __init__(self, *steps: float, paced: bool = False) -> None:
        self.clock = ManualClock()
        self.steps = steps
        self.runs = 0
        self.rested: list[float] = []
        self.work = BoundedWork(
            self.run, self.clock, tick_seconds=1.0, max_share=SHARE, rest=self.rest,
            sleep=self.clock.advance if paced else None,
        )  # fmt: skip

    def run(self) -> Generator[None, None, None]:
        self.runs += 1
        for seconds in self.steps:
            self.clock.advance(seconds)
            yield

    def rest(self, worked: float) -> float:
        self.rested.append(worked)
        return 60.0

    def until_it_ends(self) -> float:
        """Seconds from the beginning to the next run's; the scheduler calls each second."""
        began = self.clock.monotonic()
        while not self.work.tick():
            self.clock.advance(1)
        while self.runs == 1:
            self.clock.advance(1)
            self.work.tick()
        return self.clock.monotonic() - began


def test_it_works() -> None:
    work = Work(0.4, 0.4, 0.4)
    assert not work.work.tick()
    work.clock.advance(11)
    assert work.work.tick()
    assert work.rested[-1] == pytest.approx(1.2)


@pytest.mark.parametrize("paced", [False, True])
@given(steps=st.lists(st.floats(0.001, 3.0), min_size=1, max_size=40))
def test_it_takes_no_more_than_its_share(paced: bool, steps: list[float]) -> None:
    work = Work(*steps, paced=paced)
    took = work.until_it_ends()
    assert took >= sum(steps) / SHARE + 60 - 1 - 1e-6
    assert took <= sum(steps) / SHARE + 60 + 3 * (len(steps) + 2)


def test_with_pauses_no_second_is_full() -> None:
    work = Work(*[0.002] * 100, paced=True)
    began = work.clock.monotonic()
    assert not work.work.tick()
    assert work.clock.monotonic() - began == pytest.approx(1.0, abs=0.03)
    while not work.work.tick():
        work.clock.advance(0.01)
    assert work.clock.monotonic() - began == pytest.approx(2.0, abs=0.1)


def test_a_run_that_was_left_begins_anew() -> None:
    work = Work(2.0, 2.0)
    assert not work.work.tick()
    work.work.leave()
    work.clock.advance(1000)
    assert not work.work.tick()
    assert work.runs == 2
