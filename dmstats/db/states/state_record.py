"""One account's states, and what its lists are sorted and filtered by, as a document."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

import msgspec

from dmstats.core.clock import to_datetime
from dmstats.db.client import Document

SORT_COLUMNS = (
    "username", "monthlyDmUsed", "limitUsed", "dmUsed", "dmReceived", "lastDMSent", "createdAt",
)  # fmt: skip
"""The columns of ``order``."""

DIGEST_BYTES = 8
MAX_SHARE = 10**9
NO_NAME = "\uffff"
"""Sorts after every name."""


class State(StrEnum):
    """What an account may be in. Several may hold at once."""

    OVER_LIMIT = "over-limit"
    NEAR_LIMIT = "near-limit"
    SILENT = "silent"
    SURGING = "surging"
    INACTIVE_SENDING = "inactive-sending"
    NEEDS_ATTENTION = "needs-attention"
    NEW = "new"


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """The states of one account, and its counters as they were then; None if unknown.

    ``month_sent`` is of ``month``. ``share`` is the used part of the month's limit. Times are in
    ms since the epoch. ``inactive_since_ms`` is when it was first seen inactive.
    """

    account: str
    states: tuple[State, ...]
    username: str | None
    active: bool
    limited: bool
    month: str
    month_sent: int | None
    share: float | None
    sent: int | None
    received: int | None
    last_sent_ms: int | None
    created_ms: int | None
    inactive_since_ms: int | None

    def digest(self) -> bytes:
        """Differs if anything in it differs."""
        return blake2b(msgspec.msgpack.encode(self), digest_size=DIGEST_BYTES).digest()

    def document(self) -> Document:
        """One document of ``dmstats_account_states``.

        ``order`` has a text for each column by which lists can be sorted. It ends with the id, so
        it is unique, and one index on one field serves any page. For a monthly figure it begins
        with the month, so that no document has to be rewritten when a month begins.
        """
        share = None if self.share is None else min(int(self.share * 1000), MAX_SHARE)
        since = self.inactive_since_ms
        return {
            "_id": self.account,
            "digest": self.digest(),
            "states": list(map(str, self.states)),
            "active": self.active,
            "limited": self.limited,
            "inactiveSince": None if since is None else to_datetime(since),
            "order": {
                "username": f"{self.username or NO_NAME}\0{self.account}",
                "monthlyDmUsed": f"{self.month} {_sortable(self.month_sent)}:{self.account}",
                "limitUsed": f"{self.month} {_sortable(share)}:{self.account}",
                "dmUsed": f"{_sortable(self.sent)}:{self.account}",
                "dmReceived": f"{_sortable(self.received)}:{self.account}",
                "lastDMSent": f"{_sortable(self.last_sent_ms)}:{self.account}",
                "createdAt": f"{_sortable(self.created_ms)}:{self.account}",
            },
        }


def _sortable(n: int | None) -> str:
    """Texts in the order of the numbers from 0 up; unknown is before them."""
    return "-" if n is None else f"{max(0, n):019d}"
