"""Computes all accounts' states continuously, in short steps with a bounded share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from dmstats.core.bounded_work import BoundedWork
from dmstats.core.clock import MonotonicClock
from dmstats.db.client import deadline
from dmstats.states.passes import StatePass

TICK_SECONDS = 0.9
MAX_SHARE = 0.13
"""The usual share of time: the pause after each tick depends on its duration. About half of that is
the database's."""
HURRY_SHARE = 0.25
"""The largest share if a pass would otherwise take longer than :data:`PASS_SECONDS`."""
PASS_SECONDS = 120.0
USUAL_SHARE = 0.03
"""The share of time over passes and the rests between them, unless states would be too old."""
MIN_PAUSE_SECONDS = 60.0
"""The shortest rest between two passes."""
CYCLE_SECONDS = 450.0
"""The longest time between the beginnings of two passes. The oldest state is that of an account
that changes when one has begun, until the next has ended."""
STEP_SECONDS = 180.0
"""The time limit of a step: SecantusDB reads a whole collection first, perhaps from the disk."""


def rest_after(worked: float, lasted: float) -> float:
    """The seconds to rest after a pass that worked and lasted for so many seconds."""
    return max(MIN_PAUSE_SECONDS, min(worked / USUAL_SHARE, CYCLE_SECONDS) - lasted)


def share_of(done: float | None, worked: float, lasted: float) -> float:
    """The share of time for a pass of which the part ``done`` took so many seconds; None if that
    part is unknown."""
    if not done or done >= 1:
        return MAX_SHARE
    left = worked * (1 - done) / done
    return min(HURRY_SHARE, max(MAX_SHARE, left / max(1.0, PASS_SECONDS - lasted)))


class BackgroundStates:
    """The leader calls :meth:`tick` every second. ``report`` receives the number of accounts by
    state, and the time of the pass (ms)."""

    def __init__(
        self,
        state_pass: StatePass,
        clock: MonotonicClock,
        report: Callable[[Mapping[str, int], int], None] = lambda *_: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pass = state_pass
        self._clock = clock
        self._report = report
        self._work = BoundedWork(
            state_pass.steps,
            clock,
            tick_seconds=TICK_SECONDS,
            max_share=MAX_SHARE,
            rest=self._rest,
            sleep=sleep,
        )

    def tick(self) -> bool:
        """Compute for about :data:`TICK_SECONDS` if due; whether a pass ended."""
        work = self._work
        done = self._pass.done if work.is_under_way else None
        work.max_share = share_of(done, work.worked, self._lasted())
        with deadline(STEP_SECONDS):
            ended = work.tick()
        if ended:
            found = self._pass.summary
            self._report(found.counts(), found.at_ms)
        return ended

    def _rest(self, worked: float) -> float:
        return rest_after(worked, self._lasted() if worked else 0.0)

    def _lasted(self) -> float:
        return self._clock.monotonic() - self._work.began
