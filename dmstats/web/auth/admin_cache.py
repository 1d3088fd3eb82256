"""Who may be signed in right now, remembered for some seconds by each worker."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from dmstats.core.clock import Clock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.admin_store import Admin

logger = logging.getLogger(__name__)

TTL = 10.0
"""Seconds until a disabled admin or an ended session is noticed by another worker."""

RETRY = 1.0
"""Seconds between looks at the store for a session that is newer than the list, or while there
is no list at all."""


class AdminCache:
    """All admins from one query every :data:`TTL` seconds, however many requests ask.

    While the store is away the last known list stays in force: nobody can be disabled meanwhile.
    """

    def __init__(self, load: Callable[[], list[Admin]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._admins: dict[str, Admin] | None = None
        self._asked_at = -math.inf
        self._failure = ""

    def find(self, admin_id: str, session_epoch: int) -> Admin | None:
        """The admin whose session of that epoch is valid, else None.

        Raises :class:`StoreUnavailable` only if no list was ever read.
        """
        admin = self._read(TTL).get(admin_id)
        if admin is None or admin.session_epoch < session_epoch:
            # Sessions are signed: this one proves a change that the list has not seen yet.
            admin = self._read(RETRY).get(admin_id)
        if admin is None or admin.disabled or admin.session_epoch != session_epoch:
            return None
        return admin

    def forget(self) -> None:
        """Read again at the next question: this worker has just changed something."""
        self._asked_at = self._clock.monotonic() - TTL

    def _read(self, max_age: float) -> dict[str, Admin]:
        known = self._admins
        max_age = RETRY if known is None else max_age
        if known is not None and self._age() < max_age:
            return known
        # One asks; whoever has a list that will do meanwhile does not wait for it.
        if not self._lock.acquire(blocking=max_age < TTL):
            return known or {}
        try:
            if self._age() >= max_age:
                self._ask()
        finally:
            self._lock.release()
        if self._admins is None:
            raise StoreUnavailable(self._failure)
        return self._admins

    def _age(self) -> float:
        return self._clock.monotonic() - self._asked_at

    def _ask(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            self._admins = {admin.id: admin for admin in self._load()}
        except StoreUnavailable as error:
            logger.warning("admins_not_read", extra={"error": error.reason})
            self._failure = str(error)
            asked_at = self._clock.monotonic()
        self._asked_at = asked_at
