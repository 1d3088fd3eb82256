"""One account's states, and what its lists are sorted and filtered by, as a document."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dmstats.db.client import Document

SORT_COLUMNS = (
    "username", "monthlyDmUsed", "limitUsed", "dmUsed", "dmReceived", "lastDMSent", "createdAt",
)  # fmt: skip
"""The columns of ``order``."""

MAX_SHARE = 10**9
NO_NAME = "\uffff"
"""Sorts after every name."""


class State(StrEnum):
    """What an account may be in. Several may hold at once."""

    OVER_LIMIT = "over-limit"
    NEAR_LIMIT = "near-limit"
    OVER_HOUR_LIMIT = "over-hour-limit"
    NEAR_HOUR_LIMIT = "near-hour-limit"
    SILENT = "silent"
    SURGING = "surging"
    INACTIVE_SENDING = "inactive-sending"
    NEEDS_ATTENTION = "needs-attention"
    NEW = "new"


class HourCount(msgspec.Struct, array_like=True, frozen=True):
    """What an account has sent by hour, as far as passes have seen.

    ``hour`` is the last one with DMs, in hours since the epoch; ``base`` the counter ``dmUsed`` at
    its beginning, and ``used`` at the last look. ``before`` are the DMs of the hour before it, None
    if unknown.
    """

    hour: int
    base: int
    before: int | None
    used: int


class AccountState(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
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
    hour: HourCount | None = None

    def packed(self) -> bytes:
        """Differs if anything in it differs."""
        return msgspec.msgpack.encode(self)

    def document(self, seen: bytes = b"") -> Document:
        """One document of ``dmstats_account_states``; ``seen`` is the digest of the account's
        document.

        ``order`` has a text for each column by which lists can be sorted. It ends with the id, so
        it is unique, and one index on one field serves any page. For a monthly figure it begins
        with the month, so that no document has to be rewritten when a month begins.
        """
        share = None if self.share is None else min(int(self.share * 1000), MAX_SHARE)
        return {
            "_id": self.account,
            "kept": self.packed(),
            "seen": seen,
            "states": list(map(str, self.states)),
            "active": self.active,
            "limited": self.limited,
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


def unpacked(stored: object) -> AccountState | None:
    """Parse ``kept`` of a stored document; None if it cannot be read."""
    try:
        return _DECODER.decode(stored)  # type: ignore[arg-type]
    except (msgspec.DecodeError, TypeError, ValueError):
        return None


_DECODER = msgspec.msgpack.Decoder(AccountState)


def _sortable(n: int | None) -> str:
    """Texts in the order of the numbers from 0 up; unknown is before them."""
    return "-" if n is None else f"{max(0, n):019d}"
