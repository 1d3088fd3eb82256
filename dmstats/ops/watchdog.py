"""Detects incidents, and has one alert sent when an incident starts and one when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from redis.exceptions import RedisError

from dmstats.core.clock import DAY_MS, MINUTE_MS, Clock, rfc3339
from dmstats.core.errors import DmstatsError
from dmstats.db import typed
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.delivery_store import DeliveryStore, EventName
from dmstats.db.incidents import IncidentRecord, record_id
from dmstats.ops.alerts import AlertSender, announce
from dmstats.ops.channels import ChannelList, MadeChannel
from dmstats.ops.delivery_log import SharedDeliveryLog
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.incidents import (
    CANARIES,
    DRIFT,
    FAILING,
    NEW_NAME,
    RULE,
    SILENT,
    WINDOW_MINUTES,
    Incident,
    drifted,
    failing,
    silent,
    unheard_of,
    unreturned,
)
from dmstats.ops.notifier import OPEN, OVER
from dmstats.ops.rule_checks import RuleChecks, is_open_rule

logger = logging.getLogger(__name__)

WEEKS = 4


class IncidentMetrics(Protocol):
    """Metrics hooks of the watchdog."""

    def incident(self, name: str, is_open: bool) -> None: ...  # noqa: FBT001 - the state itself
    def redis_failed(self, what: str) -> None: ...


class Watchdog:
    """The leader calls :meth:`tick`. Without Redis there is no leader and no check.

    ``canaries_lost`` returns the number of consecutive lost canaries.
    """

    def __init__(
        self,
        shared_delivery_log: SharedDeliveryLog,
        baseline: Baseline,
        snapshots: SnapshotStore,
        book: IncidentBook,
        sender: AlertSender,
        clock: Clock,
        metrics: IncidentMetrics,
        canaries_lost: Callable[[], int] = lambda: 0,
        deliveries: DeliveryStore | None = None,
        channels: ChannelList | None = None,
        rules: RuleChecks | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._channels = channels
        self._rules = rules
        self._shared_delivery_log = shared_delivery_log
        self._baseline = baseline
        self._snapshots = snapshots
        self._book = book
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._canaries_lost = canaries_lost
        self._all_announced = False

    def tick(self) -> None:
        """Run all checks once and send the alerts that are due; if a check fails, its incident
        keeps its state."""
        try:
            self._tick()
        except RedisError:
            self._metrics.redis_failed("watchdog")

    def stop(self) -> None:
        """Send no more alerts."""
        self._sender.stop()

    def _tick(self) -> None:
        if self._channels is not None:
            found = self._channels.current()
            self._sender.use(found, all_known=self._channels.is_complete)
        records = self._book.pending()
        if self._channels is not None and self._channels.is_complete and not self._all_announced:
            self._announce_missing(records, self._channels.made_channels)
            self._all_announced = True
        for name, incident in self._check():
            self._settle(name, incident, records)
            self._metrics.incident(name, incident is not None)
        if self._rules is not None:
            self._check_rules(self._rules, records)
        records += self._new_names()
        self._sender.send(records)

    def _announce_missing(
        self, records: Sequence[IncidentRecord], channels: Sequence[MadeChannel]
    ) -> None:
        """Notify ``channels`` of incidents that began while the leader did not know them, because
        it started while MongoDB was unreachable."""
        for record in records:
            known = {alert.channel for alert in record.alerts}
            missing = [channel for channel in channels if channel.key not in known]
            if not record.ended and any(channel.wants(record.name) for channel in missing):
                announce(record, OPEN, missing, self._clock.now_ms())
                self._book.save(record)

    def _check_rules(self, rules: RuleChecks, records: list[IncidentRecord]) -> None:
        try:
            for name, incident in rules.check(records):
                self._settle(name, incident, records)
            self._metrics.incident(RULE, any(is_open_rule(record) for record in records))
        except RedisError:
            raise
        except Exception:
            # Rules are what people wrote: no mistake in them may keep other alerts from being sent.
            logger.exception("rules_failed")

    def _settle(self, name: str, incident: Incident | None, records: list[IncidentRecord]) -> None:
        before = [record for record in records if record.name == name and not record.ended]
        if incident is not None and not before:
            records.append(self._begin(incident))
        elif incident is None:
            for record in before:
                self._end(record)

    def _new_names(self) -> list[IncidentRecord]:
        """An incident for each name of events that came for the first time. It is over at once, so
        that there is one alert."""
        begun: list[IncidentRecord] = []
        if self._deliveries is None:
            return begun
        try:
            for name in self._deliveries.names(unreported=True):
                record = new_name(name)
                if self._book.stored(record.id) is None:
                    logger.warning("incident", extra={"incident": NEW_NAME, "text": record.text})
                    announce(record, OPEN, self._sender.channels, self._clock.now_ms())
                    self._book.save(record)
                    begun.append(record)
                self._deliveries.mark_reported(name, self._clock.now_ms())
        except DmstatsError as error:
            logger.info(
                "incident_check_failed", extra={"incident": NEW_NAME, "reason": error.reason}
            )
        return begun

    def _check(self) -> Iterator[tuple[str, Incident | None]]:
        now = self._clock.now_ms()
        for name, check in CHECKS.items():
            try:
                yield name, check(self, now)
            except DmstatsError as error:
                logger.info(
                    "incident_check_failed", extra={"incident": name, "reason": error.reason}
                )

    def failure(self, now: int) -> Incident | None:
        """Whether deliveries fail."""
        return failing(self._shared_delivery_log.read(), now)

    def silence(self, now: int) -> Incident | None:
        """Whether deliveries are expected but do not arrive."""
        ends = [now - week * 7 * DAY_MS for week in range(WEEKS + 1)]
        current, *usual = self._baseline.dms(ends, WINDOW_MINUTES)
        return silent(current, usual)

    def canaries(self, now: int) -> Incident | None:  # noqa: ARG002 - as the other looks
        """Whether test events come back."""
        return unreturned(self._canaries_lost())

    def drift(self, now: int) -> Incident | None:  # noqa: ARG002 - as the other looks
        """Whether the last audit found drift."""
        stored = self._snapshots.load()
        audit = typed.document(stored.body.get("audit")) if stored else {}
        return drifted(typed.integer(audit.get("drift")) or 0)

    def _begin(self, incident: Incident) -> IncidentRecord:
        now = self._clock.now_ms()
        record = IncidentRecord(record_id(now, incident.name), incident.name, incident.text, now)
        logger.warning("incident", extra={"incident": incident.name, "text": incident.text})
        announce(record, OPEN, self._sender.channels, now)
        self._book.save(record)
        return record

    def _end(self, record: IncidentRecord) -> None:
        now = self._clock.now_ms()
        record.ended = max(now, record.since + 1)
        minutes = (record.ended - record.since) // MINUTE_MS
        logger.info("incident_resolved", extra={"incident": record.name, "minutes": minutes})
        announce(record, OVER, self._sender.channels, now)
        self._book.save(record)


def new_name(name: EventName) -> IncidentRecord:
    """The incident that reports ``name``; the same each time."""
    incident = unheard_of(name.name, name.keys, rfc3339(name.first), unknown=name.unknown)
    key = record_id(name.first, f"{NEW_NAME}-{name.id}")
    return IncidentRecord(key, incident.name, incident.text, name.first, name.first + 1)


CHECKS: dict[str, Callable[[Watchdog, int], Incident | None]] = {
    FAILING: Watchdog.failure,
    SILENT: Watchdog.silence,
    CANARIES: Watchdog.canaries,
    DRIFT: Watchdog.drift,
}
