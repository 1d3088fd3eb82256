"""Metrics of the dashboard streams."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class SseMetrics:
    """The hooks of ``sse``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._streams = Gauge(
            "dmstats_streams", "Open dashboard streams.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        ends = Counter(
            "dmstats_streams_lost_total", "Streams refused at the limit, or dropped as unread.",
            ["why"], registry=registry,
        )  # fmt: skip
        self._refused = ends.labels("refused").inc
        self._dropped = ends.labels("dropped").inc
        self._subscribed = Gauge(
            "dmstats_hub_connected", "Workers subscribed to published snapshots.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._foreign = Counter(
            "dmstats_foreign_messages_total", "Messages on the channel that are not snapshots.",
            registry=registry,
        )  # fmt: skip
        self._viewers = 0

    def viewers(self) -> int:
        """How many streams this process serves."""
        return self._viewers

    def viewers_changed(self, viewers: int) -> None:
        self._viewers = viewers
        self._streams.set(viewers)

    def hub_connected(self, connected: bool) -> None:  # noqa: FBT001 - the state itself
        self._subscribed.set(connected)

    def foreign_message(self) -> None:
        self._foreign.inc()

    def stream_refused(self) -> None:
        self._refused()

    def stream_dropped(self) -> None:
        self._dropped()
