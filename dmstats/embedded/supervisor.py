"""Supervises child processes: restarts them with back-off, and stops them in order."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError
from dmstats.core.stopping import Stop
from dmstats.embedded.child import Child, Program

TICK_SECONDS = 0.2
BACK_OFF_SECONDS = 0.5
BACK_OFF_CAP_SECONDS = 15.0
HEALTHY_SECONDS = 5.0
"""After running this long, a child's failure count is reset."""

SURVIVOR_SECONDS = 3.0
"""How long a dead child's own children may take to finish before the restart."""

LOG_BYTES = 10_000_000
"""A larger log file is renamed to NAME.1 at the next start."""


class Ended(DmstatsError):
    """A child that must not be restarted has ended; ``code`` is its exit status."""

    title = "Ended"

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with exit status {code}; see the lines above")
        self.code = code


class Stopping(DmstatsError):
    """A stop was requested during a wait."""


class Supervisor:
    """Children in the order of their start; they are stopped in reverse order.

    Only for the main thread: the kernel ties the parent-death signal to the starting thread.
    """

    def __init__(
        self,
        clock: Clock,
        stop: Stop,
        say: Callable[[str], None],
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._say = say
        self._rng = rng or random.Random()  # noqa: S311  jitter, no secret
        self._children: list[Child] = []

    def start(self, program: Program) -> Child:
        """Start ``program`` and keep it running from now on."""
        if program.log and program.log.exists() and program.log.stat().st_size > LOG_BYTES:
            program.log.replace(program.log.with_name(program.log.name + ".1"))
        child = Child(program)
        self._children.append(child)
        child.start(self._clock.monotonic())
        return child

    def drop(self, child: Child) -> None:
        """Stop ``child`` for good."""
        self._children.remove(child)
        child.stop()

    def check_children(self) -> None:
        """Check every child once and restart it if due; raises :class:`Ended` otherwise."""
        now = self._clock.monotonic()
        for child in self._children:
            if child.process is None:
                self._restart(child, now)
                continue
            code = child.process.poll()
            if code is not None:
                child.exited(now)
                if code >= 0 and not child.program.always_restart:
                    raise Ended(child.program.name, code)
                self._schedule(child, code, now)

    def _restart(self, child: Child, now: float) -> None:
        if now >= child.due and (now >= child.died + SURVIVOR_SECONDS or not child.has_survivors()):
            child.stop()
            child.start(now)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Supervise until ``condition`` holds; returns whether it did within ``seconds``.

        Raises :class:`Stopping` if a stop was requested, before it evaluates ``condition``.
        """
        deadline = self._clock.monotonic() + seconds
        pause = 0.0
        while True:
            if self._stop.wait(pause):
                raise Stopping
            if condition():
                return True
            if self._clock.monotonic() > deadline:
                return False
            self.check_children()
            pause = TICK_SECONDS

    def run(self) -> None:
        """Supervise the children until a stop is requested."""
        while not self._stop.wait(TICK_SECONDS):
            self.check_children()

    def stop_all(self) -> None:
        """Stop every child, the last started first."""
        while self._children:
            self._children.pop().stop()

    def _schedule(self, child: Child, code: int, now: float) -> None:
        child.failures = 1 if now - child.started >= HEALTHY_SECONDS else child.failures + 1
        delay = back_off(child.failures, self._rng)
        child.due = now + delay
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._say(f"{child.program.name} ended ({how}); restarting it in {delay:.1f} s")


def back_off(failures: int, rng: random.Random) -> float:
    """Seconds before the next start: capped exponential back-off with jitter."""
    full = min(BACK_OFF_CAP_SECONDS, BACK_OFF_SECONDS * 2.0 ** min(failures - 1, 16))
    return full * rng.uniform(0.5, 1.0)
