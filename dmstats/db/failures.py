"""Tells of every command and heartbeat that MongoDB failed."""

from __future__ import annotations

from collections.abc import Callable

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

EXPECTED = frozenset({48, 112, 251})
"""NamespaceExists, WriteConflict, NoSuchTransaction: two committers met, and one tries again."""
HEARTBEAT = "heartbeat"


class Failures(CommandListener, ServerHeartbeatListener):
    """Calls ``tell`` with the failed command's name, or ``heartbeat``; conflicts are not told.

    A server that cannot be reached shows as failed heartbeats alone: no command gets that far.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def failed(self, event: CommandFailedEvent | ServerHeartbeatFailedEvent) -> None:
        if isinstance(event, ServerHeartbeatFailedEvent):
            self._tell(HEARTBEAT)
        elif event.failure.get("code") not in EXPECTED:
            self._tell(event.command_name)

    def started(self, event: CommandStartedEvent | ServerHeartbeatStartedEvent) -> None:
        """Nothing failed."""

    def succeeded(self, event: CommandSucceededEvent | ServerHeartbeatSucceededEvent) -> None:
        """Nothing failed."""
