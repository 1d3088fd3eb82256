"""What the live wing reports about itself, for whoever keeps the metrics."""

from __future__ import annotations

from typing import Protocol


class SseReporter(Protocol):
    """The hooks that this wing calls; each returns at once and never raises."""

    def viewers_changed(self, viewers: int) -> None:
        """How many streams are open in this process now."""

    def hub_connected(self, connected: bool) -> None:  # noqa: FBT001 - the state itself
        """The subscription was made, or lost."""

    def foreign_message(self) -> None:
        """Somebody published on the channel what is no snapshot."""

    def stream_refused(self) -> None:
        """A stream was refused: the cap is reached."""

    def stream_dropped(self) -> None:
        """A stream was dropped: its client does not read."""
