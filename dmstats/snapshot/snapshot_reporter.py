"""The metrics that this package reports, as an interface."""

from __future__ import annotations

from typing import Protocol


class SnapshotReporter(Protocol):
    """Called by this package; each method returns immediately and never raises."""

    def cache_hit(self) -> None:
        """A reader was served from its worker's copy or from Redis."""

    def cache_miss(self) -> None:
        """A reader had to go to the stored snapshot, or compute."""

    def hit_ratio(self) -> float | None:
        """Hits divided by reads in this process since the last call; None without reads."""

    def figures_adopted(self, computed_ms: int, audit: tuple[int, int] | None) -> None:
        """This process has a newer snapshot: its time, and (time, drift) of the last audit."""

    def refreshed(self, seconds: float, queries: int) -> None:
        """A snapshot was computed and stored."""

    def published(self) -> None:
        """A snapshot was published."""

    def publish_limited(self) -> None:
        """A snapshot was not published: the last publish is too recent."""

    def lease_changed(self, held: bool) -> None:  # noqa: FBT001 - the state itself
        """This process became the leader, or stopped being it."""

    def redis_failed(self, what: str) -> None:
        """Redis did not answer to ``what`` (a fixed name such as ``cache``)."""

    def viewers(self) -> int:
        """The number of streams that this process serves."""
