"""The background audit: runs in short steps with a bounded share of the time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator

from dmstats.audit.auditor import Auditor, Outcome, Progress
from dmstats.core.clock import Clock

logger = logging.getLogger(__name__)

KIND = "schedule"
TICK_SECONDS = 0.5
MAX_SHARE = 0.02
"""The largest share of time for auditing: the pause after each tick depends on its duration."""
PAUSE_SECONDS = 240.0
"""The pause after a finished run or a failure."""


class BackgroundAudit:
    """The leader calls :meth:`tick` every few seconds. ``report_odd`` receives the number of
    accounts with unreadable values."""

    def __init__(
        self,
        auditor: Auditor,
        clock: Clock,
        report_odd: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._report_odd = report_odd
        self._auditor = auditor
        self._clock = clock
        self._due = float("-inf")
        self._outcome = Outcome()
        self._steps: Generator[Progress, None, None] | None = None

    def tick(self) -> bool:
        """Audit for about :data:`TICK_SECONDS` if due; whether a run ended."""
        started = self._clock.monotonic()
        if started < self._due:
            return False
        # Set first, so that a failing audit is not retried at every tick.
        self._due = started + PAUSE_SECONDS
        ended = self._go_on(started)
        took = self._clock.monotonic() - started
        self._due = started + took / MAX_SHARE + (PAUSE_SECONDS if ended else 0.0)
        return ended

    def leave(self) -> None:
        """At shutdown, allow the next leader to continue an interrupted run."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _go_on(self, started: float) -> bool:
        if self._steps is None:
            self._outcome = Outcome()
            self._steps = self._auditor.steps(KIND, self._outcome)
        try:
            for _ in self._steps:
                if self._clock.monotonic() - started >= TICK_SECONDS:
                    return False
        except BaseException:
            self._steps = None
            raise
        self._steps = None
        self._report()
        return True

    def _report(self) -> None:
        drift = self._outcome.drift
        places = Counter(difference.place for difference in self._outcome.differences)
        level = logging.ERROR if drift else logging.INFO
        changed = len({difference.key for difference in self._outcome.changed})
        odd = len(self._outcome.odd)
        result = {"drift": drift, "places": dict(places), "changed": changed, "odd": odd}
        self._report_odd(odd)
        logger.log(level, "audit_finished", extra=result)
