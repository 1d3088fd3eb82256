"""What counting hands to the store: ledger rows and counter deltas, data without behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

SENT = "sent"
RECEIVED = "received"
DIRECT_MESSAGES = frozenset({SENT, RECEIVED})
OTHER_KINDS = ("unsent", "reaction", "seen", "postback", "referral", "edit", "unknown")
KINDS = (SENT, RECEIVED, *OTHER_KINDS)

CANARY = "canary"
"""The kind of the service's own test event: it has its row in the ledger, and is in no total."""
CANARY_ACCOUNT = "dmstats-canary"
"""Whose events those are; Meta's ids are numbers."""

SIMULATED = "simulated-"
"""Begins the ids of the accounts that `dmstats simulate` makes up; Meta's ids are numbers."""
SIMULATED_RANGE: Mapping[str, str] = {"$gte": SIMULATED, "$lt": "simulated."}
"""The condition on an account's id that holds for these alone; "." comes right after "-"."""

OTHER_PARTITION = "other"
"""Holds the late events: their own day's partition may be gone, or not be believed."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """One event as the ledger keeps it: no text and no person's id.

    ``row_id`` is 20 bytes: the event's hour since the epoch (4, big-endian; zero in the partition
    ``other``) and a 16-byte digest of what makes the event itself. ``partition`` is the event's
    UTC day, ``YYYYMMDD``, or ``other`` for a ``late`` one. ``time_ms`` is the time it is counted
    by: its own, or its arrival where its own cannot be believed. ``name`` is an unknown event's
    name, else empty. ``elsewhere`` is the partition and id that an earlier or later delivery of
    the same event may have been given, when its time was judged by another clock.
    """

    row_id: bytes
    partition: str
    account: str
    kind: str
    time_ms: int
    arrived_ms: int
    late: bool = False
    name: str = ""
    alternate_id: tuple[str, bytes] | None = None


class AccountDelta(msgspec.Struct, gc=False):
    """What one transaction adds to one account; times in ms since the epoch, 0 for none.

    ``month`` is the newest month of the delta's events and ``month_sent`` how many of ``sent``
    belong to it.
    """

    sent: int = 0
    received: int = 0
    month: str = ""
    month_sent: int = 0
    last_sent_ms: int = 0
    last_received_ms: int = 0


class Deltas(msgspec.Struct):
    """What one transaction adds, merged: one write per account, hour and day, one for the rest.

    ``hours`` and ``days`` map the start of the hour or day (ms since the epoch) to the increments
    of its fields; ``totals`` holds the increments of the global document, dotted where nested.
    ``canary_ms`` is the time of the newest canary, 0 for none. ``deferred`` names the accounts
    whose documents are not to be changed now, with the reason: their increments go to the backlog.
    """

    accounts: Mapping[str, AccountDelta]
    hours: Mapping[int, Mapping[str, int]]
    days: Mapping[int, Mapping[str, int]]
    totals: Mapping[str, int]
    last_event_ms: int = 0
    canary_ms: int = 0
    deferred: dict[str, str] = msgspec.field(default_factory=dict)

    def defer(self, accounts: Iterable[str], reason: str) -> None:
        """Have the increments of ``accounts`` kept in the backlog, for ``reason``."""
        for account in accounts:
            self.deferred.setdefault(account, reason)
