"""Metrics of refreshes, snapshot reads, audits and the lease."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dmstats.ops.metrics.buckets import FAST


class SnapshotMetrics:
    """The hooks of ``snapshot``, except ``viewers``, which the streams provide."""

    def __init__(self, registry: CollectorRegistry) -> None:
        reads = Counter(
            "dmstats_snapshot_reads_total", "Snapshot reads, from a cache (hit) or not (miss).",
            ["cache"], registry=registry,
        )  # fmt: skip
        self._hit = reads.labels("hit").inc
        self._miss = reads.labels("miss").inc
        self._reads_since_log = [0, 0]
        self._computed = Gauge(
            "dmstats_snapshot_computed_timestamp_seconds",
            "When the newest snapshot known to any worker was computed; 0 if none yet.",
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self._drift = Gauge(
            "dmstats_audit_drift",
            "The difference between the counters and the ledger in the last audit.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._audited = Gauge(
            "dmstats_audit_timestamp_seconds", "When the last audit ended; 0 if none yet.",
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self._odd = Gauge(
            "dmstats_odd_documents",
            "Accounts with unreadable values or a non-string id in the last scheduled audit.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._states = Gauge(
            "dmstats_accounts_in_state",
            "Accounts in this state (docs/http.md), as of the last pass of this host's leader.",
            ["state"], registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._states_at = Gauge(
            "dmstats_account_states_timestamp_seconds",
            "When the last pass over the accounts ended; 0 if none yet.",
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self._deferred = Gauge(
            "dmstats_deferred_accounts",
            "Accounts whose DMs wait in the backlog because their document cannot be changed.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._refreshes = Histogram(
            "dmstats_refresh_seconds", "Time of a refresh, including queries and storing.",
            buckets=FAST, registry=registry,
        )  # fmt: skip
        self._queries = Counter(
            "dmstats_refresh_queries_total", "MongoDB queries of all refreshes.", registry=registry
        )
        publishes = Counter(
            "dmstats_publishes_total", "Publishes sent, or held back by the limit (limited).",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self._published = publishes.labels("published").inc
        self._limited = publishes.labels("limited").inc
        self._leader = Gauge(
            "dmstats_lease_held", "1 in the leader process.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._lease_changes = Counter(
            "dmstats_lease_changes_total", "Times a process became or stopped being the leader.",
            registry=registry,
        )  # fmt: skip
        self._redis_failures = Counter(
            "dmstats_redis_failures_total", "Failed Redis calls, by purpose.",
            ["what"], registry=registry,
        )  # fmt: skip

    def cache_hit(self) -> None:
        self._reads_since_log[0] += 1
        self._hit()

    def cache_miss(self) -> None:
        self._reads_since_log[1] += 1
        self._miss()

    def hit_ratio(self) -> float | None:
        (hits, misses), self._reads_since_log = self._reads_since_log, [0, 0]
        return round(hits / (hits + misses), 4) if hits + misses else None

    def figures_adopted(self, computed_ms: int, audit: tuple[int, int] | None) -> None:
        self._computed.set(computed_ms / 1000)
        if audit is not None:
            audited_ms, drift = audit
            self._audited.set(audited_ms / 1000)
            self._drift.set(drift)

    def odd_documents(self, number: int) -> None:
        """A scheduled audit found this number of accounts with unreadable values."""
        self._odd.set(number)

    def account_states(self, counts: Mapping[str, int], at_ms: int) -> None:
        """A pass over the accounts ended; ``counts`` has every state."""
        for state, accounts in counts.items():
            self._states.labels(state).set(accounts)
        self._states_at.set(at_ms / 1000)

    def deferred_accounts(self, number: int) -> None:
        """The leader could not add the DMs of this number of accounts to their documents."""
        self._deferred.set(number)

    def refreshed(self, seconds: float, queries: int) -> None:
        self._refreshes.observe(seconds)
        self._queries.inc(queries)

    def published(self) -> None:
        self._published()

    def publish_limited(self) -> None:
        self._limited()

    def lease_changed(self, held: bool) -> None:  # noqa: FBT001 - the state itself
        self._leader.set(held)
        self._lease_changes.inc()

    def redis_failed(self, what: str) -> None:
        self._redis_failures.labels(what).inc()
