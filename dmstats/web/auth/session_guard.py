"""Whether a session still holds: asked of the database, with a short grace while it is away."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from dmstats.core.clock import Clock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import Session

logger = logging.getLogger(__name__)

GRACE_SECONDS = 900.0
"""While MongoDB is away, a session that was found valid so recently may go on reading."""

REST_SECONDS = 1.0
"""Seconds between tries while MongoDB is away; one request tries, the others do not wait."""

LOOK_SECONDS = 15.0
"""How often open streams are checked one by one, even if no session was ended on purpose."""

MOST_KEPT = 5_000


class Sessions(Protocol):
    """The part of the session store that is needed here."""

    def find(self, key: str) -> tuple[Session, Admin] | None: ...

    def last_ending(self) -> str | None: ...

    def standing(self, keys: set[str]) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class _Kept:
    session: Session
    admin: Admin
    found_at: float


class SessionGuard:
    """One per worker. What was ended anywhere is refused at the next request everywhere, since
    each request asks; two documents are read by their ``_id``."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._rests_until = -math.inf
        self._failure: StoreUnavailable | None = None
        self._asking = False
        self._mark: str | None = None
        self._looked_at = -math.inf
        self._looked: frozenset[str] = frozenset()

    def find(self, key: str, *, reading: bool) -> tuple[Session, Admin] | None:
        """The session with that key and its admin; None if it has ended.

        Raises :class:`StoreUnavailable` while MongoDB is away, unless the request is only
        ``reading`` and this worker found the session valid within the grace.
        """
        if self._failure is None or not self._rests():
            try:
                return self._ask(key)
            except StoreUnavailable as error:
                self._rest(error)
        kept = self._kept.get(key)
        if kept and reading and self._clock.monotonic() - kept.found_at < GRACE_SECONDS:
            in_time = kept.session.ends_ms > self._clock.now_ms()
            return (kept.session, kept.admin) if in_time else None
        raise StoreUnavailable(str(self._failure))

    def forget(self, key: str) -> None:
        """This worker has ended the session: no grace for it."""
        self._kept.pop(key, None)

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

    def _ask(self, key: str) -> tuple[Session, Admin] | None:
        self._asking = True
        try:
            found = self._sessions.find(key)
        finally:
            self._asking = False
        self._failure = None
        self._kept.pop(key, None)
        if found is not None:
            self._kept[key] = _Kept(*found, self._clock.monotonic())
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found

    def _rests(self) -> bool:
        return self._asking or self._clock.monotonic() < self._rests_until

    def _rest(self, error: StoreUnavailable) -> None:
        if self._failure is None:
            logger.warning("sessions_not_read", extra={"error": error.reason})
        self._failure = error
        self._rests_until = self._clock.monotonic() + REST_SECONDS
