"""What the statistics wing reports about itself, for whoever keeps the metrics."""

from __future__ import annotations

from typing import Protocol


class SnapshotReporter(Protocol):
    """The hooks that this wing calls; each returns at once and never raises."""

    def cache_hit(self) -> None:
        """A reader was served from its worker's copy or from Redis."""

    def cache_miss(self) -> None:
        """A reader had to go to the stored snapshot, or compute."""

    def hit_ratio(self) -> float | None:
        """Hits over reads in this process since the last call; None if nobody read."""

    def figures_adopted(self, computed_ms: int, audit: tuple[int, int] | None) -> None:
        """A newer snapshot was seen: when it was computed, and (when, drift) of the last audit."""

    def refreshed(self, seconds: float, queries: int) -> None:
        """A snapshot was computed and stored."""

    def published(self) -> None:
        """A snapshot was published."""

    def publish_limited(self) -> None:
        """A snapshot was not published: the last publish is too recent."""

    def lease_changed(self, held: bool) -> None:  # noqa: FBT001 - the state itself
        """This process became the leader, or ceased to be it."""

    def redis_failed(self, what: str) -> None:
        """Redis did not answer to ``what`` (a fixed name such as ``cache``)."""

    def viewers(self) -> int:
        """How many streams this process serves."""
