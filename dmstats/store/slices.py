"""Reads the ledger's rows slice by slice, so that no read holds up the counting for long.

A row's id begins with its hour, then comes a digest: any range of ids holds its share of the hour's
rows. One read over a whole hour may keep a small database busy for seconds, and every commit waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dmstats.clock import HOUR_MS
from dmstats.store.client import Document

PREFIX_BYTES, ID_BYTES = 8, 20
"""Slices are cut by the first bytes of an id: four of the hour, four of the digest."""
IDS_OF_AN_HOUR = 1 << 32
IDS_OF_LATE_ROWS = range(IDS_OF_AN_HOUR)
"""Late rows have no hour in their ids, but zeros."""

SLICE_SECONDS = 0.1
"""How long the read of one slice should take; as long is the rest after it, at most."""
LEAST_ROWS = 1_000
"""So many are read at once however long it takes: what is left then is not theirs."""
FIRST_SLICE = IDS_OF_AN_HOUR >> 6
MOST_GROWTH = 4.0
LEAST_SECONDS = 0.001


def ids_of(first: int, last: int) -> range:
    """The prefixes of the ids of some hours, by their starts in ms; both included."""
    return range(first // HOUR_MS * IDS_OF_AN_HOUR, (last // HOUR_MS + 1) * IDS_OF_AN_HOUR)


def in_slices(
    ids: range,
    read: Callable[[Document], Sequence[Document]],
    timer: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Document]:
    """What ``read`` finds for one condition on ``_id`` after another; together they cover ``ids``.

    ``read`` returns groups of ``n`` rows each. The next slice is as large as the time of the last
    one allows. ``timer`` and ``sleep`` are in seconds.
    """
    start, width = ids.start, FIRST_SLICE
    while start < ids.stop:
        stop = min(ids.stop, start + width)
        began = timer()
        found = read(_between(start, stop))
        took = timer() - began
        yield from found
        if stop < ids.stop:
            sleep(min(took, SLICE_SECONDS))
        by_time = SLICE_SECONDS / max(took, LEAST_SECONDS)
        by_rows = LEAST_ROWS / max(1, sum(group["n"] for group in found))
        start, width = stop, max(1, int(width * min(MOST_GROWTH, max(by_time, by_rows))))


def _between(start: int, stop: int) -> Document:
    """The ids from one prefix up to another, the latter excluded.

    MongoDB compares binary data by its length first: the bounds must be as long as the ids.
    """
    low, high = (
        prefix.to_bytes(PREFIX_BYTES, "big").ljust(ID_BYTES, b"\0") for prefix in (start, stop)
    )
    return {"$gte": low, "$lt": high}
