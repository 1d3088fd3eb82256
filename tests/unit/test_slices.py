"""Slices of the ledger: nothing is left out or read twice, and none takes long."""

from __future__ import annotations

import random
from typing import Any

from dmstats.clock import HOUR_MS
from dmstats.counting.events import read_events
from dmstats.store.slices import IDS_OF_AN_HOUR, SLICE_SECONDS, ids_of, in_slices
from dmstats.traffic.bodies import Traffic

HOUR = 493_400 * HOUR_MS
RATE = 10_000
"""Rows that this database reads in a second."""


class Slow:
    """Rows, and a clock that their reading moves."""

    def __init__(self, rows: list[bytes], *, at_least: float = 0.0005) -> None:
        self.rows = sorted(rows)
        self.at_least = at_least
        self.now = 0.0
        self.took: list[float] = []
        self.rested = 0.0

    def read(self, condition: dict[str, bytes]) -> list[dict[str, Any]]:
        found = [row for row in self.rows if condition["$gte"] <= row < condition["$lt"]]
        self.took.append(self.at_least + len(found) / RATE)
        self.now += self.took[-1]
        return [{"_id": row, "n": 1} for row in found]

    def sleep(self, seconds: float) -> None:
        self.rested += seconds
        self.now += seconds

    def slices(self, ids: range) -> list[bytes]:
        return [group["_id"] for group in in_slices(ids, self.read, lambda: self.now, self.sleep)]


def rows_of(hour: int, number: int) -> list[bytes]:
    return [(hour // HOUR_MS).to_bytes(4, "big") + random.randbytes(16) for _ in range(number)]


def test_it_works() -> None:
    before, rows = rows_of(HOUR - HOUR_MS, 50), rows_of(HOUR, 20_000) + rows_of(HOUR + HOUR_MS, 10)
    after = rows_of(HOUR + 2 * HOUR_MS, 50)
    slow = Slow(before + rows + after)
    assert slow.slices(ids_of(HOUR, HOUR + HOUR_MS)) == sorted(rows)


def test_no_slice_takes_long_and_each_is_followed_by_as_long_a_rest() -> None:
    slow = Slow(rows_of(HOUR, 60_000))
    slow.slices(ids_of(HOUR, HOUR))
    assert max(slow.took) < 2 * SLICE_SECONDS
    assert slow.rested > 0.9 * (sum(slow.took) - slow.took[-1])


def test_a_database_that_is_busy_with_others_is_not_asked_more_often() -> None:
    busy = Slow(rows_of(HOUR, 20_000), at_least=1.0)
    busy.slices(ids_of(HOUR, HOUR))
    assert len(busy.took) < 50
    assert busy.rested <= SLICE_SECONDS * len(busy.took)


def test_what_is_quick_takes_few_slices() -> None:
    slow = Slow(rows_of(HOUR, 100))
    slow.slices(ids_of(HOUR, HOUR + 23 * HOUR_MS))
    assert len(slow.took) < 10


def test_the_bounds_are_as_long_as_the_ids() -> None:
    """MongoDB compares binary data by length first: shorter bounds would hold no row at all."""
    conditions: list[dict[str, Any]] = []

    def read(condition: dict[str, Any]) -> list[dict[str, Any]]:
        conditions.append(condition)
        return []

    list(in_slices(range(IDS_OF_AN_HOUR), read, lambda: 0.0, lambda _: None))
    delivery = Traffic(seed=1, accounts=3, duplicates=0, batch=(1, 1)).delivery(HOUR)
    (row,) = read_events(delivery.body, arrived_ms=HOUR, max_age_ms=24 * HOUR_MS).rows
    lengths = {len(bound) for condition in conditions for bound in condition.values()}
    assert lengths == {len(row.row_id)}
