"""The audit on schedule: a little at a time, one pass after another, at a bounded cost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator

from dmstats.audit.auditor import Auditor, Outcome, Progress
from dmstats.core.clock import Clock

logger = logging.getLogger(__name__)

KIND = "schedule"
TICK_SECONDS = 0.5
LARGEST_SHARE = 0.02
"""The share of the time that auditing may take: each tick is followed by a pause to match."""
PAUSE_SECONDS = 240.0
"""From the end of a pass, or a failure, to the next."""


class BackgroundAudit:
    """Call :meth:`tick` every few seconds, where the lease is held. ``report_odd`` is told how many
    accounts have values that cannot be read."""

    def __init__(
        self,
        auditor: Auditor,
        clock: Clock,
        report_odd: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._tell_odd = report_odd
        self._auditor = auditor
        self._clock = clock
        self._due = float("-inf")
        self._outcome = Outcome()
        self._steps: Generator[Progress, None, None] | None = None

    def tick(self) -> bool:
        """Audit for a moment if it is time; whether a pass ended."""
        started = self._clock.monotonic()
        if started < self._due:
            return False
        # Set first: what fails is not tried again at every tick.
        self._due = started + PAUSE_SECONDS
        ended = self._go_on(started)
        took = self._clock.monotonic() - started
        self._due = started + took / LARGEST_SHARE + (PAUSE_SECONDS if ended else 0.0)
        return ended

    def leave(self) -> None:
        """Leave the rest of an interrupted pass to the next leader, at shutdown."""
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
        told = {"drift": drift, "places": dict(places), "changed": changed, "odd": odd}
        self._tell_odd(odd)
        logger.log(level, "audit_finished", extra=told)
