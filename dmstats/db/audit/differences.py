"""Differences between counters and the ledger, and their causes."""

from __future__ import annotations

from typing import Literal

import msgspec

Place = Literal["hours", "minutes", "days", "accounts", "months", "global"]
Why = Literal["", "changed", "replaced", "deleted"]
"""What the host platform did to an account: changed a counter, replaced the document (the new one
lacks ``ledgerBase``), or deleted it."""


class Difference(msgspec.Struct, frozen=True):
    """One counter's value and its expected value.

    ``key`` names the document: the start of an hour or day (ms since the epoch) or an Instagram
    id. ``month`` is the month of an account's monthly counter. ``unreadable`` marks a counter of
    ours that is not a number: a repair sets it, since it cannot be incremented. For an account,
    ``why`` says what the platform may have done, and ``offset`` is the resulting difference between
    the counter and base plus ledger.
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
    """The known difference of an account's counters from base plus ledger."""

    sent: int = 0
    received: int = 0
    month: str = ""
    month_sent: int = 0


class OddDocument(msgspec.Struct, frozen=True):
    """A document with unreadable values: its collection, ``_id`` as text, and the fields."""

    collection: str
    key: str
    fields: tuple[str, ...]
