"""What is measured about the rest: requests, jobs, the database, incidents."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dmstats.ops.metrics.buckets import FAST


class HouseMetrics:
    """The hooks of the request log, the scheduler, the database client and the watchdog."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Histogram(
            "dmstats_http_request_seconds",
            "Time to answer a request, webhooks and streams excepted.",
            ["route", "status"], buckets=FAST, registry=registry,
        )  # fmt: skip
        self._job_failures = Counter(
            "dmstats_job_failures_total", "Scheduled jobs that raised.", ["job"], registry=registry
        )
        self._database = Counter(
            "dmstats_database_errors_total",
            "Commands and heartbeats that MongoDB failed, conflicts excepted.",
            ["command"], registry=registry,
        )  # fmt: skip
        self._incidents = Gauge(
            "dmstats_incident_open", "1 while the watchdog sees this incident.",
            ["incident"], registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; ``route`` is the rule it matched, never the path it asked for."""
        self._requests.labels(route, str(status)).observe(seconds)

    def job_failed(self, name: str) -> None:
        self._job_failures.labels(name).inc()

    def database_failed(self, command: str) -> None:
        """MongoDB failed a ``command`` (its name alone)."""
        self._database.labels(command).inc()

    def incident(self, name: str, is_open: bool) -> None:  # noqa: FBT001 - the state itself
        """An incident began or ended."""
        self._incidents.labels(name).set(is_open)
