"""How many accounts are in which state, and their sums, as the last pass over them found.

Kept by every filter that lists offer, so counts and totals are read and not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from dmstats.core.clock import to_datetime
from dmstats.db import typed
from dmstats.db.client import Document
from dmstats.db.states.state_record import AccountState, State

SUMMARY = "accountStates"
"""The document of ``stats_cache`` that has it."""
ALL = ""
"""The cells of accounts in any state or none."""
MAX_SUM = 2**62
"""Sums shown stop here, and at its negative: the platform's counters may hold any number."""


class Totals(msgspec.Struct):
    """Of some accounts: their number, and the sums of their counters."""

    accounts: int = 0
    month_sent: int = 0
    sent: int = 0
    received: int = 0

    def add(self, accounts: int, month_sent: int, sent: int, received: int) -> None:
        """Add the sums of so many more accounts."""
        self.accounts += accounts
        self.month_sent += month_sent
        self.sent += sent
        self.received += received

    def limited(self) -> Totals:
        """With sums that the database can hold."""
        sums = (max(-MAX_SUM, min(n, MAX_SUM)) for n in (self.month_sent, self.sent, self.received))
        return Totals(self.accounts, *sums)


class StateFilter(msgspec.Struct, frozen=True):
    """Which accounts a list shows; None for any."""

    state: State | None = None
    active: bool | None = None
    limited: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets every account through."""
        return self.state is None and self.active is None and self.limited is None

    def condition(self) -> Document:
        """As a query of ``dmstats_account_states``."""
        found: Document = {} if self.state is None else {"states": self.state.value}
        if self.active is not None:
            found["active"] = self.active
        if self.limited is not None:
            found["limited"] = self.limited
        return found


Cell = tuple[str, bool, bool]
"""A state or :data:`ALL`, whether active, and whether there is a limit."""


class Summary(msgspec.Struct):
    """The result of a pass that ended at ``at_ms``. ``month_sent`` is of ``month``."""

    at_ms: int
    month: str
    cells: dict[Cell, Totals] = msgspec.field(default_factory=dict)

    def add(self, state: AccountState, times: int = 1) -> None:
        """Count one account; -1 times takes it out again."""
        month_sent = (state.month_sent or 0) if state.month == self.month else 0
        sums = (month_sent, state.sent or 0, state.received or 0)
        for name in (ALL, *state.states):
            key = (name, state.active, state.limited)
            cell = self.cells.get(key)
            if cell is None:
                cell = self.cells[key] = Totals()
            cell.add(times, *(times * n for n in sums))
            if not cell.accounts:
                del self.cells[key]

    def totals(self, wanted: StateFilter) -> Totals:
        """Of the accounts that ``wanted`` lets through."""
        found = Totals()
        for (state, active, limited), cell in self.cells.items():
            if (
                state == (wanted.state or ALL)
                and wanted.active in (None, active)
                and wanted.limited in (None, limited)
            ):
                found.add(*msgspec.structs.astuple(cell))
        return found.limited()

    def counts(self) -> dict[str, int]:
        """The number of accounts by state; every state is in it."""
        return {state.value: self.totals(StateFilter(state)).accounts for state in State}

    def document(self) -> Document:
        """As it is stored."""
        cells = [
            [*cell, *msgspec.structs.astuple(totals.limited())]
            for cell, totals in self.cells.items()
        ]
        return {"at": to_datetime(self.at_ms), "month": self.month, "cells": cells}


def summary(found: Mapping[str, object]) -> Summary | None:
    """Parse the stored document; None if it cannot be read."""
    at_ms, month = typed.own_moment(found.get("at")), typed.month(found.get("month"))
    try:
        cells = msgspec.convert(typed.json_ready(found.get("cells")), list[_Stored])
    except msgspec.ValidationError:
        return None
    if at_ms is None or month is None:
        return None
    return Summary(at_ms, month, dict(_cells(cells)))


_Stored = tuple[str, bool, bool, int, int, int, int]


def _cells(cells: Iterable[_Stored]) -> Iterator[tuple[Cell, Totals]]:
    for state, active, limited, *sums in cells:
        yield (state, active, limited), Totals(*sums)
