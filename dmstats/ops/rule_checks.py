"""Checks the rules that admins made against the newest snapshot and the last hours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from dmstats.core.errors import DmstatsError
from dmstats.db.alerting import OUTSIDE, AlertingStore, Rule
from dmstats.db.dashboard.snapshot_store import SnapshotStore, StoredSnapshot
from dmstats.db.incidents import IncidentRecord
from dmstats.ops.incidents import RULE, Incident, kind_of
from dmstats.ops.rules import (
    LastHour,
    figures_of,
    hours_of,
    incident_name,
    passed,
    since_when,
    unexpected,
)

logger = logging.getLogger(__name__)

Hours = Callable[[str, int], Sequence[tuple[int, int | None, int | None]]]


class RuleChecks:
    """``last_hours`` answers for a figure and a number of full hours what they had, and from where
    to where was expected."""

    def __init__(self, store: AlertingStore, snapshots: SnapshotStore, last_hours: Hours) -> None:
        self._store = store
        self._snapshots = snapshots
        self._last_hours = last_hours

    def check(self, records: Sequence[IncidentRecord]) -> Iterator[tuple[str, Incident | None]]:
        """The incident of each rule, None if there is none; also of rules that were deleted and
        have one in ``records``. What cannot be judged now is left out, and keeps its state."""
        try:
            rules = self._store.rules()
            snapshot = self._snapshots.load() if rules else None
        except DmstatsError as error:
            logger.info("rules_not_checked", extra={"reason": error.reason})
            return
        known = {incident_name(rule) for rule in rules}
        for record in records:
            if is_open_rule(record) and record.name not in known:
                yield record.name, None
        for rule in rules:
            try:
                yield from self._one(rule, snapshot)
            except DmstatsError as error:
                logger.info(
                    "incident_check_failed",
                    extra={"incident": incident_name(rule), "reason": error.reason},
                )

    def _one(
        self, rule: Rule, snapshot: StoredSnapshot | None
    ) -> Iterator[tuple[str, Incident | None]]:
        if rule.sense == OUTSIDE:
            hours = self._last_hours(rule.figure, hours_of(rule))
            yield incident_name(rule), unexpected(rule, [LastHour(*hour) for hour in hours])
            return
        value = figures_of(snapshot.body).get(rule.figure) if snapshot else None
        if snapshot is None or value is None:
            return
        since = since_when(rule, value, snapshot.computed_ms)
        if since != rule.since:
            self._store.note_since(rule, since)
        yield incident_name(rule), passed(rule, value, since, snapshot.computed_ms)


def is_open_rule(record: IncidentRecord) -> bool:
    """Whether it is the incident of a rule, and not over."""
    return kind_of(record.name) == RULE and not record.ended
