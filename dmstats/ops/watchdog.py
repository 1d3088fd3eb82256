"""Detects incidents, and sends one alert when an incident starts and one when it is resolved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.clock import DAY_MS, MINUTE_MS, Clock, rfc3339
from dmstats.core.errors import DmstatsError
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_repair import drop_field, dropping_wrong_type
from dmstats.db import typed
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.ops.delivery_log import EpochMs, SharedDeliveryLog
from dmstats.ops.incidents import (
    CANARIES,
    DRIFT,
    FAILING,
    SILENT,
    WINDOW_MINUTES,
    Incident,
    drifted,
    failing,
    silent,
    unreturned,
)
from dmstats.ops.notifier import Notice, Notifier

logger = logging.getLogger(__name__)

KEY = "dmstats:incidents"
WEEKS = 4


class IncidentMetrics(Protocol):
    """Metrics hooks of the watchdog."""

    def incident(self, name: str, is_open: bool) -> None: ...  # noqa: FBT001 - the state itself
    def redis_failed(self, what: str) -> None: ...


class OpenIncident(msgspec.Struct):
    """``since`` is in ms since the epoch; ``notified`` is whether the alert was sent."""

    since: EpochMs
    text: str
    notified: bool = msgspec.field(default=False, name="told")


class Watchdog:
    """The leader calls :meth:`tick`. Open incidents are stored in Redis, so that the next leader
    does not repeat their alerts. Without Redis there is no leader and no check.

    ``canaries_lost`` returns the number of consecutive lost canaries.
    """

    def __init__(
        self,
        shared_delivery_log: SharedDeliveryLog,
        baseline: Baseline,
        snapshots: SnapshotStore,
        notifier: Notifier,
        client: redis.Redis,
        keys: Keyspace,
        clock: Clock,
        metrics: IncidentMetrics,
        canaries_lost: Callable[[], int] = lambda: 0,
    ) -> None:
        self._shared_delivery_log = shared_delivery_log
        self._baseline = baseline
        self._snapshots = snapshots
        self._notifier = notifier
        self._redis = client
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._canaries_lost = canaries_lost

    def tick(self) -> None:
        """Run all checks once; if a check fails, its incident keeps its state."""
        try:
            self._tick()
        except RedisError:
            self._metrics.redis_failed("watchdog")

    def _tick(self) -> None:
        key = self._keys.key(KEY)
        for name, incident in self._check():
            with dropping_wrong_type(self._redis, key):
                kept: Any = self._redis.hget(key, name)
            before = kept_incident(kept)
            if incident is not None:
                self._update(incident, before)
            elif before is not None:
                self._end(name, before)
            elif kept is not None:
                drop_field(self._redis, key, name)
            self._metrics.incident(name, incident is not None)

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

    def _update(self, incident: Incident, before: OpenIncident | None) -> None:
        state = before or OpenIncident(self._clock.now_ms(), incident.text)
        if before is None:
            logger.warning("incident", extra={"incident": incident.name, "text": incident.text})
        if not state.notified:
            state.notified = self._notify(incident.name, "open", incident.text)
            self._redis.hset(self._keys.key(KEY), incident.name, msgspec.json.encode(state))

    def _end(self, name: str, before: OpenIncident) -> None:
        minutes = (self._clock.now_ms() - before.since) // MINUTE_MS
        logger.info("incident_resolved", extra={"incident": name, "minutes": minutes})
        # No alert for the end if the alert for the start was never sent.
        text = f"Over after {minutes} minutes: {before.text}"
        if not before.notified or self._notify(name, "over", text):
            self._redis.hdel(self._keys.key(KEY), name)

    def _notify(self, name: str, state: str, text: str) -> bool:
        return self._notifier.notify(Notice(name, state, text, rfc3339(self._clock.now_ms())))


def kept_incident(kept: bytes | str | None) -> OpenIncident | None:
    """Decode an open incident from Redis; None if there is none or it is invalid."""
    try:
        return msgspec.json.decode(kept, type=OpenIncident) if kept else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


CHECKS: dict[str, Callable[[Watchdog, int], Incident | None]] = {
    FAILING: Watchdog.failure,
    SILENT: Watchdog.silence,
    CANARIES: Watchdog.canaries,
    DRIFT: Watchdog.drift,
}
