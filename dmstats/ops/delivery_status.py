"""The dashboard's warnings: failing deliveries, and deliveries that stopped arriving."""

from __future__ import annotations

import msgspec
from redis.exceptions import RedisError

from dmstats.core.clock import MINUTE_MS, Clock, rfc3339
from dmstats.ops.delivery_log import DeliveryLog, SharedDeliveryLog, merge_records
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.incidents import CUT_OFF_MS, SILENT

CACHE_SECONDS = 5.0
WARN_AFTER_MS = MINUTE_MS
"""Shorter failures are not shown: a retry resolves them."""


class Warnings(msgspec.Struct, frozen=True, rename="camel"):
    """Times in RFC 3339, None if all is well. ``disabled_at`` is when Meta may disable delivery."""

    failing_since: str | None = None
    disabled_at: str | None = None
    silent_since: str | None = None
    silence: str | None = None


class DeliveryStatus:
    """The current warnings, cached for :data:`CACHE_SECONDS` for all admins of a worker.

    It does not query MongoDB, so that it can report an outage of it. Without Redis it knows only
    this worker's deliveries, and cannot report missing ones.
    """

    def __init__(
        self,
        shared_delivery_log: SharedDeliveryLog,
        deliveries: DeliveryLog,
        book: IncidentBook,
        clock: Clock,
    ) -> None:
        self._shared_delivery_log = shared_delivery_log
        self._deliveries = deliveries
        self._book = book
        self._clock = clock
        self._kept: tuple[float, Warnings] | None = None

    def current(self) -> Warnings:
        """The current warnings."""
        now = self._clock.monotonic()
        if self._kept is None or now - self._kept[0] >= CACHE_SECONDS:
            self._kept = (now, self._read())
        return self._kept[1]

    def _read(self) -> Warnings:
        record, silence = self._deliveries.record, None
        try:
            record = merge_records([record, self._shared_delivery_log.read()])
            silence = next(
                (each for each in self._book.cached().values()
                 if each.name == SILENT and not each.ended), None,
            )  # fmt: skip
        except RedisError:
            pass
        since = record.failing_since
        failing = bool(since) and self._clock.now_ms() - since >= WARN_AFTER_MS
        return Warnings(
            failing_since=rfc3339(since) if failing else None,
            disabled_at=rfc3339(since + CUT_OFF_MS) if failing else None,
            silent_since=rfc3339(silence.since) if silence else None,
            silence=silence.text if silence else None,
        )
