"""Metrics of the webhook and the commits."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dmstats.core.records import KINDS
from dmstats.ops.metrics.buckets import FAST, SIZES

COMMON_STATUSES = (200, 401, 503)
OBJECTS = frozenset(
    {"ad_account", "application", "catalog", "certificate_transparency", "group", "page",
     "payments", "permissions", "threads", "user", "whatsapp_business_account",
     "workplace_security"}
)  # fmt: skip
"""Meta's other objects; label values are limited to these, because senders control the name."""


class CommitMetrics:
    """The hooks of ``ingest`` and ``commit``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deliveries = Histogram(
            "dmstats_webhook_delivery_seconds", "Time from a POST's arrival to its answer.",
            ["status"], buckets=FAST, registry=registry,
        )  # fmt: skip
        self._delivery = {
            status: self._deliveries.labels(str(status)).observe for status in COMMON_STATUSES
        }
        outcomes = Counter(
            "dmstats_webhook_events_total", "Events by outcome.",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self._outcome = {
            name: outcomes.labels(name).inc
            for name in ("counted", "duplicate", "ignored", "rejected", "refused", "failed")
        }
        self._objects = Counter(
            "dmstats_webhook_other_objects_total",
            "Ignored entries of signed deliveries whose object is not Instagram.",
            ["object"], registry=registry,
        )  # fmt: skip
        kinds = Counter(
            "dmstats_events_counted_total", "Events counted, by kind.", ["kind"], registry=registry
        )
        self._kind = {name: kinds.labels(name).inc for name in KINDS}
        self._queue = Gauge(
            "dmstats_commit_queue_events", "Events waiting to be committed.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._commits = Histogram(
            "dmstats_commit_seconds", "Time to commit a batch, including look-up and retries.",
            buckets=FAST, registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "dmstats_commit_batch_events", "New events per committed batch.",
            buckets=SIZES, registry=registry,
        )  # fmt: skip
        self._conflicts = Counter(
            "dmstats_commit_conflicts_total",
            "Write conflicts with another transaction, each followed by a retry.",
            registry=registry,
        )  # fmt: skip
        self._retries = Counter(
            "dmstats_commit_retries_total",
            "Commit commands that were repeated because their outcome was unknown.",
            registry=registry,
        )

    def delivery(self, status: int, seconds: float) -> None:
        observe = self._delivery.get(status)
        if observe is None:
            observe = self._delivery[status] = self._deliveries.labels(str(status)).observe
        observe(seconds)

    def events_ignored(self, events: int) -> None:
        self._outcome["ignored"](events)

    def object_ignored(self, name: str, events: int) -> None:
        """Entries of an object other than Instagram were ignored."""
        self._objects.labels(name if name in OBJECTS else "other").inc(events)

    def events_refused(self, events: int) -> None:
        self._outcome["refused"](events)

    def events_queued(self, events: int) -> None:
        self._queue.set(events)

    def events_counted(self, kinds: Mapping[str, int], duplicates: int, rejected: int) -> None:
        """A committed batch's events: the new ones by kind, and the others."""
        for kind, events in kinds.items():
            self._kind[kind](events)
        if duplicates:
            self._outcome["duplicate"](duplicates)
        if rejected:
            self._outcome["rejected"](rejected)

    def batch_committed(self, events: int, seconds: float) -> None:
        self._outcome["counted"](events)
        self._batches.observe(events)
        self._commits.observe(seconds)

    def batch_failed(self, events: int) -> None:
        self._outcome["failed"](events)

    def batch_conflicted(self) -> None:
        self._conflicts.inc()

    def commit_retried(self) -> None:
        self._retries.inc()
