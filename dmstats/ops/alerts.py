"""Notifies every channel of the beginning and the end of each incident: once, in that order.

An alert is delivered when the server answers 2xx. Otherwise it is retried at growing intervals, or
when the server asks for it. An alert can only be sent twice if the process dies in the milliseconds
between the server's answer and the record of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import redis

from dmstats.core.clock import DAY_MS, Clock, rfc3339
from dmstats.core.keyspace import Keyspace
from dmstats.db.incidents import Alert, IncidentRecord
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.notifier import OPEN, OVER, TEST, Channel, Notice, Outcome

logger = logging.getLogger(__name__)

FIRST_WAIT_MS = 15_000
MAX_WAIT_MS = 600_000
OLDEST_MS = DAY_MS
"""Older alerts are no longer sent."""
CLAIM_MS = 60_000
"""How long an attempt is claimed by the process that started it, in case that process dies."""
PARALLEL = 4

Pending = tuple[IncidentRecord, Alert]


def announce(record: IncidentRecord, state: str, channels: Sequence[Channel], now_ms: int) -> None:
    """Add the pending alerts to ``record``. The channels that get the beginning also get the
    end."""
    known = {alert.channel for alert in record.alerts}
    record.alerts += [
        Alert(channel.key, channel.label, state, due=now_ms)
        for channel in channels
        if (channel.wants(record.name) if state == OPEN else channel.key in known)
    ]


def next_due(attempts: int, retry_after: float | None, now_ms: int) -> int:
    """When to try again after ``attempts`` failures, in ms since the epoch."""
    wait = min(FIRST_WAIT_MS << min(attempts - 1, 16), MAX_WAIT_MS)
    return now_ms + max(wait, round((retry_after or 0.0) * 1000))


def is_about_the_alert(problem: str) -> bool:
    """Whether the server refused this one alert, so that others of the channel may be tried."""
    status = problem.removeprefix("status ")
    return status.startswith("4") and status not in ("408", "429")


class AlertSender:
    """Sends alerts that are due. After :meth:`stop`, it starts no further attempts."""

    def __init__(
        self,
        channels: Sequence[Channel],
        book: IncidentBook,
        client: redis.Redis,
        keys: Keyspace,
        clock: Clock,
        *,
        claim_ms: int = CLAIM_MS,
    ) -> None:
        self.channels = channels
        self._all_known = True
        self._claim_ms = claim_ms
        self._book = book
        self._redis = client
        self._keys = keys
        self._clock = clock
        self._saving = threading.Lock()
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def use(self, channels: Sequence[Channel], *, all_known: bool) -> None:
        """Send to these ``channels`` from now on; without ``all_known`` there may be others."""
        self.channels, self._all_known = channels, all_known

    def send(self, records: Sequence[IncidentRecord]) -> None:
        """One attempt for every alert that is due; channels in parallel, each in order.

        May raise ``RedisError``; then some are tried the next time.
        """
        self._give_up(records)
        jobs: list[Callable[[], None]] = []
        for channel in self.channels:
            waiting = [
                (record, alert)
                for record in records
                for alert in _in_order(record)
                if alert.channel == channel.key
            ]
            now = self._clock.now_ms()
            if channel.is_quiet(now):
                continue
            if any(alert.due <= now for _, alert in waiting) and now >= _closed_until(waiting):
                jobs.append(partial(self._work, channel, waiting))
        if jobs:
            with ThreadPoolExecutor(PARALLEL) as pool:
                for done in [pool.submit(job) for job in jobs]:
                    done.result()

    def _give_up(self, records: Sequence[IncidentRecord]) -> None:
        """Give up alerts that can no longer be sent: the channel was removed, or it is too late."""
        known = {channel.key for channel in self.channels}
        for record in records:
            changed = False
            for alert in record.alerts:
                late = self._clock.now_ms() - _at(record, alert) > OLDEST_MS
                removed = self._all_known and alert.channel not in known
                if not alert.settled and (late or removed):
                    alert.given_up = changed = True
                    alert.problem = alert.problem if late else "the address was removed"
                    logger.warning(
                        "alert_given_up",
                        extra={"incident": record.name, "channel": alert.label,
                               "reason": alert.problem},
                    )  # fmt: skip
            if changed:
                self._book.save(record)

    def _work(self, channel: Channel, waiting: Sequence[Pending]) -> None:
        """Try the alerts of one channel, oldest first, until its server is unreachable or refuses
        more."""
        for record, alert in waiting:
            open_first = alert.state == OVER and not all(
                other.settled
                for other in record.alerts
                if other.channel == alert.channel and other.state == OPEN
            )
            if self._stopping or open_first or alert.due > self._clock.now_ms():
                continue
            outcome = self._attempt(channel, record, alert)
            if outcome and not outcome.told and not is_about_the_alert(outcome.problem):
                return

    def _attempt(self, channel: Channel, record: IncidentRecord, alert: Alert) -> Outcome | None:
        """Send one alert and record the outcome; None if another process has sent it or is
        trying."""
        claim = self._keys.key(f"dmstats:alert:{record.id}:{alert.channel}:{alert.state}")
        if not self._redis.set(claim, b"1", nx=True, px=self._claim_ms):
            return None
        latest = self._book.latest(record.id)
        if latest is None or any(
            (other.channel, other.state) == (alert.channel, alert.state) and other.settled
            for other in latest.alerts
        ):
            return None
        outcome = channel.notify(_notice(record, alert), record.id)
        now = self._clock.now_ms()
        with self._saving:
            alert.attempts += 1
            alert.problem = outcome.problem
            if outcome.told:
                alert.told = now
            else:
                alert.due = next_due(alert.attempts, outcome.retry_after, now)
            self._book.save(record)
        fields = {"incident": record.name, "state": alert.state, "channel": alert.label}
        if outcome.told:
            logger.info("alert_sent", extra=fields)
        else:
            logger.warning("alert_not_sent", extra={**fields, "reason": outcome.problem})
            self._redis.delete(claim)
        return outcome


def _closed_until(waiting: Sequence[Pending]) -> int:
    """When the channel may be tried again, in ms since the epoch. A server that is unreachable or
    has asked for a delay gets no other alerts either."""
    return max(
        (alert.due for _, alert in waiting
         if alert.attempts and not is_about_the_alert(alert.problem)),
        default=0,
    )  # fmt: skip


def _in_order(record: IncidentRecord) -> list[Alert]:
    waiting = [alert for alert in record.alerts if not alert.settled]
    return sorted(waiting, key=lambda alert: alert.state != OPEN)


def _at(record: IncidentRecord, alert: Alert) -> int:
    return record.since if alert.state == OPEN else record.ended


def _notice(record: IncidentRecord, alert: Alert) -> Notice:
    text = record.text
    if alert.state == OVER:
        text = f"Over after {(record.ended - record.since) // 60_000} minutes: {text}"
    return Notice(record.name, alert.state, text, rfc3339(_at(record, alert)))


def send_test(channels: Sequence[Channel], now_ms: int) -> list[tuple[Channel, Outcome]]:
    """Send a test alert to every channel, once; the outcomes in the same order."""
    notice = Notice(
        TEST, TEST, "This is a test alert. Incidents will be reported here.", rfc3339(now_ms)
    )
    with ThreadPoolExecutor(PARALLEL) as pool:
        outcomes = pool.map(lambda each: each.notify(notice, f"test-{now_ms}"), channels)
        return list(zip(channels, outcomes, strict=True))
