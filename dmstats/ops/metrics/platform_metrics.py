"""Metrics of requests, jobs, the database, incidents and the canary."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dmstats.ops.metrics.buckets import FAST, SLOW


class PlatformMetrics:
    """The hooks of the request log, the scheduler, the database client, watchdog and canary."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Histogram(
            "dmstats_http_request_seconds",
            "Time to answer a request, except webhooks and streams.",
            ["route", "status"], buckets=FAST, registry=registry,
        )  # fmt: skip
        self._job_failures = Counter(
            "dmstats_job_failures_total", "Scheduled jobs that failed.", ["job"], registry=registry
        )
        self._database = Counter(
            "dmstats_database_errors_total",
            "MongoDB commands and heartbeats that failed, except write conflicts.",
            ["command"], registry=registry,
        )  # fmt: skip
        self._incidents = Gauge(
            "dmstats_incident_open", "1 while this incident is open.",
            ["incident"], registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

        self._canaries = Counter(
            "dmstats_canaries_total", "Canaries that reached the stream (shown) or did not (lost).",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self._canary = Histogram(
            "dmstats_canary_seconds",
            "Duration of a canary's stages: POST to 200 (counted), refresh to stream (streamed), "
            "and POST to stream including the wait for the refresh (shown).",
            ["stage"], buckets=SLOW, registry=registry,
        )  # fmt: skip

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; ``route`` is the matched URL rule, never the requested path."""
        self._requests.labels(route, str(status)).observe(seconds)

    def job_failed(self, name: str) -> None:
        self._job_failures.labels(name).inc()

    def database_failed(self, command: str) -> None:
        """A MongoDB ``command`` (its name only) failed."""
        self._database.labels(command).inc()

    def incident(self, name: str, is_open: bool) -> None:  # noqa: FBT001 - the state itself
        """An incident began or ended."""
        self._incidents.labels(name).set(is_open)

    def canary_shown(self, stages: Mapping[str, float]) -> None:
        """A canary came back; ``stages`` in seconds."""
        self._canaries.labels("shown").inc()
        for stage, seconds in stages.items():
            self._canary.labels(stage).observe(seconds)

    def canary_lost(self) -> None:
        """A canary did not come back."""
        self._canaries.labels("lost").inc()
