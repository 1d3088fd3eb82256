"""The metrics hooks of the streams."""

from __future__ import annotations

from typing import Protocol


class SseReporter(Protocol):
    """Each hook returns immediately and never raises."""

    def viewers_changed(self, viewers: int) -> None:
        """The number of open streams in this process changed."""

    def hub_connected(self, connected: bool) -> None:  # noqa: FBT001 - the state itself
        """The subscription was established or lost."""

    def foreign_message(self) -> None:
        """A message on the channel was not a snapshot."""

    def stream_refused(self) -> None:
        """A stream was refused because the limit is reached."""

    def stream_dropped(self) -> None:
        """A stream was dropped because its client does not read."""
