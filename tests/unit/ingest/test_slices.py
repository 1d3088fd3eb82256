"""A delivery of many events is counted slice by slice, and goes on where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from dmstats.commit.batch import CommitOutcome
from dmstats.core.clock import ManualClock
from dmstats.core.errors import Unavailable
from dmstats.core.records import LedgerRow
from dmstats.ingest.large_deliveries import BEGIN_SECONDS, SLICE, SlicedSubmission


class Ledger:
    """Counts what it has not seen; each event takes ``seconds``, as a look-up of a repeated one."""

    def __init__(self, clock: ManualClock, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.seen: set[bytes] = set()
        self.sizes: list[int] = []
        self.failing = False

    def __call__(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> CommitOutcome:
        self.sizes.append(len(rows))
        self.clock.advance(len(rows) * self.seconds)
        if self.failing:
            raise Unavailable
        new = {row.row_id for row in rows} - self.seen
        self.seen |= new
        return CommitOutcome(sent=len(new), duplicates=len(rows) - len(new), rejected=rejected)


@cache
def rows(count: int) -> list[LedgerRow]:
    return [
        LedgerRow(number.to_bytes(20, "big"), "20261115", "1", "sent", 1, 1)
        for number in range(count)
    ]


def send(slices: SlicedSubmission, count: int, clock: ManualClock) -> CommitOutcome:
    return slices.submit(rows(count), rejected=2, body=b"%d" % count, started=clock.monotonic())


def test_it_works(clock: ManualClock) -> None:
    ledger = Ledger(clock)
    slices = SlicedSubmission(ledger, clock)
    assert send(slices, 3, clock) == CommitOutcome(sent=3, rejected=2)
    assert send(slices, 2 * SLICE + 1, clock) == CommitOutcome(
        sent=2 * SLICE - 2, duplicates=3, rejected=2
    )
    assert ledger.sizes == [3, SLICE, SLICE, 1]


@pytest.mark.parametrize("count", [1_000, 20_001, 160_000])
def test_any_number_is_counted_in_the_end(clock: ManualClock, count: int) -> None:
    ledger = Ledger(clock, seconds=0.0018)  # the embedded database, where all is repeated
    slices = SlicedSubmission(ledger, clock)
    sent, attempts = 0, 0
    while True:
        attempts += 1
        started = clock.monotonic()
        try:
            counted = send(slices, count, clock)
        except Unavailable:
            assert clock.monotonic() - started < BEGIN_SECONDS + 1.8
            continue
        sent = len(ledger.seen)
        break
    assert (sent, counted.sent + counted.duplicates, counted.rejected) == (count, count, 2)
    assert attempts == 1 or attempts < count / 1_000


def test_a_failed_slice_is_made_again_and_those_before_it_are_not(clock: ManualClock) -> None:
    ledger = Ledger(clock, seconds=0.004)
    slices = SlicedSubmission(ledger, clock)
    with pytest.raises(Unavailable, match="1000 of 1500"):
        send(slices, 1_500, clock)
    ledger.failing = True
    with pytest.raises(Unavailable):
        send(slices, 1_500, clock)
    ledger.failing = False
    assert send(slices, 1_500, clock) == CommitOutcome(sent=500, duplicates=1_000, rejected=2)
    assert ledger.sizes == [SLICE] * 4


def test_it_remembers_no_more_than_it_needs(clock: ManualClock) -> None:
    ledger = Ledger(clock, seconds=0.005)
    slices = SlicedSubmission(ledger, clock)
    for number in range(200):
        with pytest.raises(Unavailable):
            slices.submit(
                rows(1_000), rejected=0, body=b"%d" % number, started=clock.monotonic() - 2
            )
    assert len(slices._done) == 64
