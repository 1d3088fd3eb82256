"""Long work of the leader in short steps with a bounded share of the time."""

from __future__ import annotations

from collections.abc import Callable, Generator

from dmstats.core.clock import MonotonicClock

PAUSED_SECONDS = 0.002
"""Work between two pauses: each costs some hundred microseconds of CPU time."""


class BoundedWork:
    """Runs generators one after the other; each ``yield`` is a point where work may pause.

    ``begin`` creates the next one. A call of :meth:`tick` lasts about ``tick_seconds``, and the
    pause after it depends on how long it worked, so that work takes at most ``max_share`` of the
    time; the caller may change that between two ticks. With ``sleep``, it also lets others run
    after each step, and pauses in that proportion after some steps, so that deliveries, which wait
    for the database several times, are rarely delayed by them. ``rest`` maps the seconds that a run
    worked to the seconds to rest after it; failed runs count as 0. ``worked`` is that of the
    present or last run, and ``began`` its beginning, by the clock.
    """

    def __init__(
        self,
        begin: Callable[[], Generator[object, None, None]],
        clock: MonotonicClock,
        *,
        tick_seconds: float,
        max_share: float,
        rest: Callable[[float], float],
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._begin = begin
        self._clock = clock
        self._tick_seconds = tick_seconds
        self.max_share = max_share
        self._rest = rest
        self._sleep = sleep
        self._worked = self.worked = 0.0
        self.began = float("-inf")
        self._due = float("-inf")
        self._steps: Generator[object, None, None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a run has begun and not ended."""
        return self._steps is not None

    def tick(self) -> bool:
        """Work if it is due; whether a run ended. Raises what the work raises; the next run then
        starts again."""
        started = self._clock.monotonic()
        if started < self._due:
            return False
        # Set first, so that failing work is not retried at every tick.
        self._due = started + self._rest(0.0)
        ended = self._go_on(started)
        self._due = started + self._worked / self.max_share
        self.worked += self._worked
        if ended:
            self._due += self._rest(self.worked)
        return ended

    def leave(self) -> None:
        """Close a run that has not ended."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _go_on(self, started: float) -> bool:
        if self._steps is None:
            self._steps, self.worked, self.began = self._begin(), 0.0, started
        self._worked, step_began, unpaused = 0.0, started, 0.0
        try:
            for _ in self._steps:
                now = self._clock.monotonic()
                took, left = now - step_began, started + self._tick_seconds - now
                self._worked += took
                if left <= 0:
                    return False
                unpaused += took
                if self._sleep is not None:
                    is_due = unpaused >= PAUSED_SECONDS
                    self._sleep(min(left, unpaused / self.max_share - unpaused) if is_due else 0.0)
                    unpaused = 0.0 if is_due else unpaused
                step_began = self._clock.monotonic()
        except BaseException:
            self._steps = None
            raise
        self._worked += self._clock.monotonic() - step_began
        self._steps = None
        return True
