"""The data that counting passes to the store: ledger rows and counter deltas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

SENT = "sent"
RECEIVED = "received"
DIRECT_MESSAGES = frozenset({SENT, RECEIVED})
OTHER_KINDS = ("unsent", "reaction", "seen", "postback", "referral", "edit", "unknown")
KINDS = (SENT, RECEIVED, *OTHER_KINDS)

CANARY = "canary"
"""The kind of the service's own test events. They have ledger rows but are in no total."""
CANARY_ACCOUNT = "dmstats-canary"
"""The account of those events; Meta's ids are numbers, so it cannot collide."""

SIMULATED = "simulated-"
"""The prefix of simulated account ids; Meta's ids are numbers, so they cannot collide."""
SIMULATED_RANGE: Mapping[str, str] = {"$gte": SIMULATED, "$lt": "simulated."}
"""A filter that matches only simulated account ids; "." is the character after "-"."""

OTHER_PARTITION = "other"
"""The partition of late events: their own day's may be archived, or their time is not credible."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """One event as stored in the ledger, without message text or user ids.

    ``row_id`` is 20 bytes: the event's hour since the epoch (4, big-endian; zero in the partition
    ``other``) and the 16-byte digest of the event's identity; it is the idempotency key.
    ``partition`` is the event's UTC day, ``YYYYMMDD``, or ``other`` if it is ``late``. ``time_ms``
    is the time it is counted at: its own timestamp, or its arrival if that is not credible.
    ``name`` is the name of an unknown event, otherwise empty. ``alternate_id`` is the partition and
    id that another delivery of the same event may get if it is late by that worker's clock.
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
    """The increments of one account in one transaction; times in ms since the epoch, 0 for none.

    ``month`` is the newest month of the events, and ``month_sent`` the part of ``sent`` in it.
    """

    sent: int = 0
    received: int = 0
    month: str = ""
    month_sent: int = 0
    last_sent_ms: int = 0
    last_received_ms: int = 0


class Deltas(msgspec.Struct):
    """The merged increments of one transaction: one write per account, hour, day, and for totals.

    ``hours`` and ``days`` map the start of the hour or day (ms since the epoch) to the increments
    of its fields. ``totals`` holds the increments of the global document, with dotted names for
    nested fields. ``canary_ms`` is the time of the newest canary, 0 for none. ``deferred`` maps
    accounts whose increments go to the backlog to the reason why the database refuses the account;
    it is empty if the account can be changed, but not in this transaction.
    """

    accounts: Mapping[str, AccountDelta]
    hours: Mapping[int, Mapping[str, int]]
    days: Mapping[int, Mapping[str, int]]
    totals: Mapping[str, int]
    last_event_ms: int = 0
    canary_ms: int = 0
    deferred: dict[str, str] = msgspec.field(default_factory=dict)

    def defer(self, accounts: Iterable[str], reason: str = "") -> None:
        """Send the increments of ``accounts`` to the backlog; see ``deferred`` for ``reason``."""
        for account in accounts:
            self.deferred.setdefault(account, reason)
