"""Aborts transactions whose process is dead, so that other committers need not wait for the server.

A worker that is killed inside its transaction leaves it open, holding the global document. On the
same host its locked file says at once that it died (:mod:`dmstats.commit.session_files`), and the
file's age that it is stopped. For other hosts, a committer that keeps meeting conflicts asks the
server which transactions of ours are open for longer than any commit may take. The server's own
transactionLifetimeLimitSeconds is the last net.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from dmstats.commit.session_files import SessionRegistry
from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError

log = logging.getLogger(__name__)

HOST_CHECK_SECONDS = 0.05
SERVER_CHECK_SECONDS = 1.0
SERVER_CHECK_CONFLICTS = 4
STOPPED_SECONDS = 5.0
"""A neighbour that has not touched its file for so long is stopped. If it does go on, it has lost
one transaction, which it makes again."""

REPEAT_EVERY_SECONDS = 0.25
REPEAT_FOR_SECONDS = 15.0
"""The server may work on what a dead process sent only after its session was ended: the
transaction that this opens has no owner any more, so the session is ended again."""


class OrphanedTransactionReaper:
    """Ends the sessions of committers that died.

    ``find_open`` returns the sessions with an abandoned transaction, as the server sees it;
    ``kill`` ends a session on the server.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        find_open: Callable[[], list[bytes]],
        kill: Callable[[bytes], None],
        own_session: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._find_open = find_open
        self._kill = kill
        self._own_session = own_session
        self._clock = clock
        self._registered = False
        self._host_checked_at = float("-inf")
        self._server_checked_at = float("-inf")
        self._repeated_at = float("-inf")
        self._ended: dict[bytes, float] = {}

    def tick(self) -> None:
        """Register this committer once, and free what dead neighbours hold; every second or so.

        The first tick of a worker frees what its predecessor held.
        """
        if not self._registered:
            session_id = self._own_session()
            self._registered = True
            try:
                self._registry.register(session_id)
            except OSError as error:
                # Then its death is found by the server's list of open transactions only.
                log.warning("session_file_not_written", extra={"reason": error.strerror})
        with contextlib.suppress(OSError):
            self._registry.touch()
        self.end_dead_sessions()

    def end_dead_sessions(self) -> None:
        """End the sessions of this host's dead committers."""
        for session_id in self._registry.dead():
            self._kill(session_id)
            self._ended[session_id] = self._clock.monotonic()
            log.warning("orphaned_transaction_ended", extra={"session": session_id.hex()})

    def on_conflict(self, in_a_row: int) -> None:
        """Look for a dead owner behind a conflict, the ``in_a_row``-th, not too often."""
        now = self._clock.monotonic()
        try:
            if now - self._host_checked_at >= HOST_CHECK_SECONDS:
                self._host_checked_at = now
                self.end_dead_sessions()
            self._repeat_kills(now)
            if (
                in_a_row >= SERVER_CHECK_CONFLICTS
                and now - self._server_checked_at >= SERVER_CHECK_SECONDS
            ):
                self._server_checked_at = now
                for session_id in [*self._registry.stopped(STOPPED_SECONDS), *self._find_open()]:
                    self._kill(session_id)
                    log.warning("orphaned_transaction_ended", extra={"session": session_id.hex()})
        except DmstatsError as error:
            log.warning("orphan_reaper_failed", extra={"reason": error.reason})

    def unregister(self) -> None:
        """Remove this committer's file, at an orderly end."""
        self._registry.unregister()

    def _repeat_kills(self, now: float) -> None:
        if now - self._repeated_at < REPEAT_EVERY_SECONDS:
            return
        self._repeated_at = now
        for session_id, ended in list(self._ended.items()):
            if now - ended > REPEAT_FOR_SECONDS:
                del self._ended[session_id]
            else:
                self._kill(session_id)
