"""The background audit: runs in short steps with a bounded share of the time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator

from dmstats.audit.auditor import Auditor, Outcome, Progress
from dmstats.core.bounded_work import BoundedWork
from dmstats.core.clock import MonotonicClock

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
        clock: MonotonicClock,
        report_odd: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._report_odd = report_odd
        self._auditor = auditor
        self._outcome = Outcome()
        self._work = BoundedWork(
            self._begin,
            clock,
            tick_seconds=TICK_SECONDS,
            max_share=MAX_SHARE,
            rest=lambda _: PAUSE_SECONDS,
        )

    def tick(self) -> bool:
        """Audit for about :data:`TICK_SECONDS` if due; whether a run ended."""
        ended = self._work.tick()
        if ended:
            self._report()
        return ended

    def leave(self) -> None:
        """At shutdown, allow the next leader to continue an interrupted run."""
        self._work.leave()

    def _begin(self) -> Generator[Progress, None, None]:
        self._outcome = Outcome()
        return self._auditor.steps(KIND, self._outcome)

    def _report(self) -> None:
        drift = self._outcome.drift
        places = Counter(difference.place for difference in self._outcome.differences)
        level = logging.ERROR if drift else logging.INFO
        changed = len({difference.key for difference in self._outcome.changed})
        odd = len(self._outcome.odd)
        result = {"drift": drift, "places": dict(places), "changed": changed, "odd": odd}
        self._report_odd(odd)
        logger.log(level, "audit_finished", extra=result)
