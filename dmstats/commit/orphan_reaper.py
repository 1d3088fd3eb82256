"""Aborts transactions whose process is dead, so that other committers do not wait for the server.

A worker that is killed during a transaction leaves it open, with a lock on the global document.
On the same host, the released lock on its session file shows immediately that it died, and the
age of the file that it is stopped (:mod:`dmstats.commit.session_files`). Across hosts, a committer
that keeps getting conflicts asks the server for our transactions that have been open for longer
than any commit may take. The last resort is the server's transactionLifetimeLimitSeconds.
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
"""A committer that has not touched its file for this long counts as stopped. If it resumes, it has
lost one transaction and repeats it."""

REPEAT_EVERY_SECONDS = 0.25
REPEAT_FOR_SECONDS = 15.0
"""The server may process a dead process's last message only after its session was ended. That opens
a transaction without an owner, so the session is ended again for a while."""


class OrphanedTransactionReaper:
    """Ends the sessions of committers that died.

    ``find_open`` returns the sessions that hold an abandoned transaction according to the server.
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
        """Register this committer once and end dead sessions of this host; call it every second.

        The first tick of a worker aborts the transaction that its predecessor left open.
        """
        if not self._registered:
            session_id = self._own_session()
            self._registered = True
            try:
                self._registry.register(session_id)
            except OSError as error:
                # Other committers can then detect its death only through the server.
                log.warning("session_file_not_written", extra={"reason": error.strerror})
        with contextlib.suppress(OSError):
            self._registry.touch()
        self.end_dead_sessions()
        # Not only after conflicts: a transaction that locks only an account causes two at most,
        # since that account's counters are then deferred.
        self._repeat_kills(self._clock.monotonic())

    def end_dead_sessions(self) -> None:
        """End the sessions of this host's dead committers."""
        for session_id in self._registry.dead():
            self._kill(session_id)
            self._ended[session_id] = self._clock.monotonic()
            log.warning("orphaned_transaction_ended", extra={"session": session_id.hex()})

    def on_conflict(self, in_a_row: int) -> None:
        """Check, at a limited rate, whether a dead process causes this conflict, the
        ``in_a_row``-th in succession."""
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
        """Remove this committer's session file at a clean shutdown."""
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
