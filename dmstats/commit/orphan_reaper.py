"""Frees what a dead committer left locked, so that the others do not wait for the server to.

A worker that is killed inside its transaction leaves it open, holding the global document. Two
nets catch that: a neighbour's death is seen at once by its file's lock (``presence``), a whole
host's by its silence in MongoDB (``store/beats``). The server's own transactionLifetimeLimitSeconds
is the third.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from dmstats.commit.session_files import Presence
from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError

log = logging.getLogger(__name__)

LOCAL_EVERY_SECONDS = 0.05
SILENT_EVERY_SECONDS = 1.0
SILENT_AFTER_CONFLICTS = 4

AGAIN_EVERY_SECONDS = 0.25
AGAIN_FOR_SECONDS = 15.0
"""What the dead had sent may be worked on only after its session was ended: the transaction that
this opens has no owner any more, so the session is ended again."""


class Beats(Protocol):
    """The committers' heartbeats; see :class:`dmstats.db.counting.heartbeats.Beats`."""

    def beat(self, session_id: bytes) -> None: ...
    def silent(self) -> list[bytes]: ...
    def forget(self, session_id: bytes) -> None: ...


class Rescue:
    """Ends the sessions of committers that died; ``kill`` does it on the server."""

    def __init__(
        self,
        presence: Presence,
        beats: Beats,
        kill: Callable[[bytes], None],
        own_session: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._presence = presence
        self._beats = beats
        self._kill = kill
        self._own_session = own_session
        self._clock = clock
        self._announced = False
        self._local_at = float("-inf")
        self._silent_at = float("-inf")
        self._again_at = float("-inf")
        self._ended: dict[bytes, float] = {}

    def beat(self) -> None:
        """Tell the others that this committer lives, and look after them; every few seconds.

        The first beat of a worker frees what its predecessor held.
        """
        session_id = self._own_session()
        if not self._announced:
            self._presence.announce(session_id)
            self._announced = True
        self.free_neighbours()
        self._beats.beat(session_id)

    def free_neighbours(self) -> None:
        """End the sessions of this host's dead committers."""
        for session_id in self._presence.dead():
            self._end(session_id, "neighbour")

    def on_conflict(self, in_a_row: int) -> None:
        """Look for the dead behind a conflict, the ``in_a_row``-th, not too often."""
        now = self._clock.monotonic()
        try:
            if now - self._local_at >= LOCAL_EVERY_SECONDS:
                self._local_at = now
                self.free_neighbours()
            self._end_again(now)
            persistent = in_a_row >= SILENT_AFTER_CONFLICTS
            if persistent and now - self._silent_at >= SILENT_EVERY_SECONDS:
                self._silent_at = now
                for session_id in self._beats.silent():
                    self._end(session_id, "silent")
        except DmstatsError as error:
            log.warning("rescue_failed", extra={"reason": error.reason})

    def leave(self) -> None:
        """Say goodbye at an orderly end: nothing is left that needs a rescue."""
        self._presence.withdraw()
        try:
            self._beats.forget(self._own_session())
        except DmstatsError as error:
            log.info("beat_left_behind", extra={"reason": error.reason})

    def _end_again(self, now: float) -> None:
        if now - self._again_at < AGAIN_EVERY_SECONDS:
            return
        self._again_at = now
        for session_id, ended in list(self._ended.items()):
            if now - ended > AGAIN_FOR_SECONDS:
                del self._ended[session_id]
            else:
                self._kill(session_id)

    def _end(self, session_id: bytes, why: str) -> None:
        self._kill(session_id)
        self._beats.forget(session_id)
        self._ended[session_id] = self._clock.monotonic()
        log.warning("session_freed", extra={"session": session_id.hex(), "owner": why})
