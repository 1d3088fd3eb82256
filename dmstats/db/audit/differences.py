"""A counter that does not say what the ledger says."""

from __future__ import annotations

from typing import Literal

import msgspec

Place = Literal["hours", "minutes", "days", "accounts", "months", "global"]


class Difference(msgspec.Struct, frozen=True):
    """What one counter holds and what it should.

    ``key`` names the document: the start of an hour or day (ms since the epoch) or an Instagram
    id. ``month`` is the month of an account's monthly counter. ``uncounted`` marks an account that
    nothing was ever counted for.
    """

    place: Place
    key: str
    field: str
    counted: int
    expected: int
    month: str = ""
    uncounted: bool = False

    @property
    def missing(self) -> int:
        """What must be added to the counter."""
        return self.expected - self.counted
