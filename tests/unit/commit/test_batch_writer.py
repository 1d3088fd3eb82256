"""Accounts whose documents the database refuses: their increments wait, nothing else does."""

from __future__ import annotations

import pytest

from dmstats.commit.batch_writer import DEFER_SECONDS, MAX_REFUSED, RefusedAccounts
from dmstats.commit.increments import merge
from dmstats.core.clock import ManualClock
from dmstats.core.errors import AccountRefused
from dmstats.core.records import Deltas, LedgerRow


@pytest.fixture
def refused(clock: ManualClock) -> RefusedAccounts:
    return RefusedAccounts(clock)


def deltas(*accounts: str) -> Deltas:
    return merge([LedgerRow(a.encode(), "20260101", a, "sent", 1, 1) for a in accounts])


def deferred(refused: RefusedAccounts, *accounts: str) -> dict[str, str]:
    found = deltas(*accounts)
    refused.defer(found)
    return found.deferred


def test_it_works(refused: RefusedAccounts, clock: ManualClock) -> None:
    refused.add(AccountRefused("bad", "unique index on userId"))
    assert deferred(refused, "bad", "good") == {"bad": "unique index on userId"}
    clock.advance(DEFER_SECONDS)
    assert deferred(refused, "bad", "good") == {}


def test_its_memory_is_bounded(refused: RefusedAccounts) -> None:
    for number in range(MAX_REFUSED + 5):
        refused.add(AccountRefused(str(number), "x"))
    assert len(refused._accounts) <= MAX_REFUSED
