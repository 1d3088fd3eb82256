"""The accounts whose documents the database lately refused to change."""

from __future__ import annotations

import logging

from dmstats.core.clock import Clock
from dmstats.core.errors import AccountRefused
from dmstats.core.records import Deltas

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
"""For so long an account's increments go to the backlog without another attempt."""
MOST = 10_000


class RefusedAccounts:
    """Remembers them for a while, so that each costs its neighbours in a batch one attempt."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, tuple[float, str]] = {}

    def add(self, error: AccountRefused) -> None:
        """The database refused to change that account's document."""
        log.warning("account_deferred", extra={"account": error.account, "reason": error.reason})
        if len(self._accounts) >= MOST:
            self._accounts.clear()
        until = self._clock.monotonic() + AGAIN_SECONDS
        self._accounts[error.account] = (until, str(error))

    def defer(self, deltas: Deltas) -> None:
        """Have the increments of those among ``deltas`` kept in the backlog."""
        now = self._clock.monotonic()
        for account in deltas.accounts.keys() & self._accounts.keys():
            until, reason = self._accounts[account]
            if until > now:
                deltas.defer((account,), reason)
            else:
                del self._accounts[account]
