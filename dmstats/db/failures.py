"""Reports every failed MongoDB command and heartbeat."""

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
"""NamespaceExists, WriteConflict, NoSuchTransaction: two committers collided and one retries."""
HEARTBEAT = "heartbeat"


class Failures(CommandListener, ServerHeartbeatListener):
    """Calls ``report`` with the failed command's name, or ``heartbeat``; ignores conflicts.

    An unreachable server causes only failed heartbeats, since no command is sent.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def failed(self, event: CommandFailedEvent | ServerHeartbeatFailedEvent) -> None:
        if isinstance(event, ServerHeartbeatFailedEvent):
            self._report(HEARTBEAT)
        elif event.failure.get("code") not in EXPECTED:
            self._report(event.command_name)

    def started(self, event: CommandStartedEvent | ServerHeartbeatStartedEvent) -> None:
        """Ignored."""

    def succeeded(self, event: CommandSucceededEvent | ServerHeartbeatSucceededEvent) -> None:
        """Ignored."""
