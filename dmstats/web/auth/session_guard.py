"""Whether a session still holds, for requests and for open streams."""

from __future__ import annotations

import math
from typing import Protocol

from dmstats.core.clock import Clock
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import Session
from dmstats.web.auth.outage_grace import OutageGrace

LOOK_SECONDS = 15.0
"""How often open streams are checked one by one, even if nothing was ended on purpose."""


class Sessions(Protocol):
    """The part of the stores that is used here; :meth:`standing` may return other keys too."""

    def find(self, key: str) -> tuple[Session, Admin] | None: ...

    def last_ending(self) -> str | None: ...

    def standing(self, keys: set[str]) -> set[str]: ...


class SessionGuard:
    """One per worker. What was ended anywhere is refused at the next request everywhere, since
    each request asks; two documents are read by their ``_id``."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._grace = OutageGrace(self._find, lambda found: found[0].ends_ms, clock)
        self._mark: str | None = None
        self._looked_at = -math.inf
        self._looked: frozenset[str] = frozenset()

    def find(self, key: str, *, reading: bool) -> tuple[Session, Admin] | None:
        """The session with that key and its admin; None if it has ended.

        Raises :class:`StoreUnavailable` while MongoDB is away; see :class:`OutageGrace`.
        """
        return self._grace.find(key, reading=reading)

    def forget(self, key: str) -> None:
        """This worker has ended the session: no grace for it."""
        self._grace.forget(key)

    def _find(self, key: str) -> tuple[Session, Admin] | None:
        return self._sessions.find(key)

    def ended(self, keys: set[str]) -> set[str]:
        """Those sessions of open streams that have ended. Cheap: mostly one small read.

        Raises :class:`StoreUnavailable`.
        """
        mark, now = self._sessions.last_ending(), self._clock.monotonic()
        fresh = now - self._looked_at < LOOK_SECONDS
        if fresh and mark == self._mark and keys <= self._looked:
            return set()
        standing = self._sessions.standing(keys)
        self._mark, self._looked_at, self._looked = mark, now, frozenset(standing)
        for key in keys - standing:
            self.forget(key)
        return keys - standing
