"""The range of an hour's rows, as MongoDB compares binary data."""

from __future__ import annotations

from dmstats.core.clock import HOUR_MS
from dmstats.db.audit.recount import ids_between
from dmstats.ingest.events import read_events
from dmstats.simulator.bodies import Traffic

HOUR = 493_400 * HOUR_MS


def row_id(at_ms: int) -> bytes:
    delivery = Traffic(seed=1, accounts=3, duplicates=0, batch=(1, 1)).delivery(at_ms)
    (row,) = read_events(delivery.body, arrived_ms=at_ms, max_age_ms=24 * HOUR_MS).rows
    assert row.time_ms // HOUR_MS == at_ms // HOUR_MS
    return row.row_id


def within(value: bytes, bounds: dict[str, bytes]) -> bool:
    """By length first, then byte by byte: the manual's comparison order of BinData."""
    low, high = bounds["$gte"], bounds["$lt"]
    return (len(low), low) <= (len(value), value) < (len(high), high)


def test_a_row_lies_in_its_hour_and_in_no_other() -> None:
    late_in_it = HOUR + HOUR_MS - 1
    assert within(row_id(late_in_it), ids_between(HOUR, HOUR)["_id"])
    assert within(row_id(late_in_it), ids_between(HOUR - 5 * HOUR_MS, HOUR)["_id"])
    assert not within(row_id(late_in_it), ids_between(HOUR - HOUR_MS, HOUR - HOUR_MS)["_id"])
    assert not within(row_id(late_in_it), ids_between(HOUR + HOUR_MS, HOUR + HOUR_MS)["_id"])


def test_each_bound_of_a_day_belongs_to_one_hour() -> None:
    first, last = bytes.fromhex("00078758") + bytes(16), bytes.fromhex("00078758") + b"\xff" * 16
    hour = ids_between(HOUR, HOUR)["_id"]
    assert within(first, hour)
    assert within(last, hour)
