"""A counter that does not say what the ledger says, and why."""

from __future__ import annotations

from typing import Literal

import msgspec

Place = Literal["hours", "minutes", "days", "accounts", "months", "global"]
Why = Literal["", "changed", "replaced", "deleted"]
"""What the host platform did to an account: set a counter, put another document in its place (ours
had ``ledgerBase``), or removed it."""


class Difference(msgspec.Struct, frozen=True):
    """What one counter holds and what it should.

    ``key`` names the document: the start of an hour or day (ms since the epoch) or an Instagram
    id. ``month`` is the month of an account's monthly counter. ``unreadable`` marks a counter of
    ours whose value is no number: it is set, as nothing can be added to it. For an account ``why``
    says what may have happened to it, and ``offset`` is by how much its counter is then known to
    differ from base and ledger.
    """

    place: Place
    key: str
    field: str
    counted: int
    expected: int
    month: str = ""
    unreadable: bool = False
    why: Why = ""
    offset: int = 0

    @property
    def missing(self) -> int:
        """What must be added to the counter."""
        return self.expected - self.counted


class Offset(msgspec.Struct, frozen=True):
    """By how much an account's counters are known to differ from base and ledger."""

    sent: int = 0
    received: int = 0
    month: str = ""
    month_sent: int = 0


class OddDocument(msgspec.Struct, frozen=True):
    """A document with values that cannot be read: its collection, its ``_id`` as text, which."""

    collection: str
    key: str
    fields: tuple[str, ...]
