"""A delivery of many events in slices, so that none is too large ever to be counted."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from dmstats.commit.batch import Counted
from dmstats.core.clock import Clock
from dmstats.core.errors import Unavailable
from dmstats.core.records import CANARY, LedgerRow

SLICE = 500
"""Events; what Meta sends has at most 1,000. A slow database looks so many up within a second."""
BEGIN_SECONDS = 2.2
"""No slice is begun later: the sender gives up at 5 s, and a slice may take 1.8."""
MOST_REMEMBERED = 64


class Submit(Protocol):
    """Counts rows, and returns when that is durable."""

    def __call__(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> Counted: ...


class SlicedSubmission:
    """Counts large deliveries slice by slice.

    What was counted of a delivery that ran out of time is remembered by the digest of its body (in
    this worker's memory; the ledger knows it anyway): when it is sent again it goes on from there.
    """

    def __init__(self, submit: Submit, clock: Clock, *, size: int = SLICE) -> None:
        self._submit = submit
        self._clock = clock
        self._size = size
        self._done: OrderedDict[bytes, int] = OrderedDict()

    def submit(
        self, rows: Sequence[LedgerRow], *, rejected: int, body: bytes, started: float
    ) -> Counted:
        """Count the ``rows`` of ``body``, which arrived at ``started`` (monotonic).

        Raises :class:`Unavailable` if not all of it was counted in time.
        """
        if len(rows) <= self._size:
            return self._submit(rows, rejected=rejected)
        digest = hashlib.sha256(body).digest()
        done = min(self._done.pop(digest, 0), len(rows))
        counted = Counted(duplicates=sum(row.kind != CANARY for row in rows[:done]))
        while True:
            last = done + self._size >= len(rows)
            try:
                # What is unreadable is told once, with the last slice.
                add(
                    counted,
                    self._submit(rows[done : done + self._size], rejected=rejected if last else 0),
                )
            except Unavailable:
                self._remember(digest, done)
                raise
            done += self._size
            if last:
                return counted
            if self._clock.monotonic() - started > BEGIN_SECONDS:
                self._remember(digest, done)
                raise Unavailable(f"{done} of {len(rows)} events are counted, the rest is not yet")

    def _remember(self, digest: bytes, done: int) -> None:
        if done:
            self._done[digest] = done
            while len(self._done) > MOST_REMEMBERED:
                self._done.popitem(last=False)


def add(total: Counted, part: Counted) -> None:
    """Add a slice's outcome to the delivery's."""
    for name in part.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(part, name))
