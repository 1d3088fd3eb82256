"""What keeps large deliveries from harming others: bounded memory, and commits in slices.

A body may have 4 MiB, and thousands of connections may send one at the same time, signed or not.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from dmstats.commit.batch import CommitOutcome
from dmstats.core.clock import Clock
from dmstats.core.errors import Unavailable
from dmstats.core.records import CANARY, LedgerRow

SMALL = 256 * 1024
"""Meta's deliveries are far below. Large bodies have bytes of their own, so that they cannot keep
deliveries out."""
SMALL_TOTAL = 64 * 1024 * 1024
LARGE_TOTAL = 32 * 1024 * 1024


class BodyBudget:
    """Of one worker: hands out a :class:`BodyLease` per request."""

    def __init__(self, *, small_total: int = SMALL_TOTAL, large_total: int = LARGE_TOTAL) -> None:
        self._left = {False: small_total, True: large_total}

    def lease(self, declared: int | None) -> BodyLease:
        """For a body of ``declared`` bytes; None where its length is not known beforehand."""
        return BodyLease(self._left, large=declared is None or declared > SMALL)


class BodyLease:
    """The bytes of one body that have arrived; a context manager that gives them back."""

    def __init__(self, left: dict[bool, int], *, large: bool) -> None:
        self._left = left
        self._large = large
        self._taken = 0

    def grow(self, size: int) -> None:
        """``size`` more bytes have arrived; raises :class:`Unavailable` if that is too much."""
        if size > self._left[self._large]:
            self.release()
            raise Unavailable("Too many bodies are being received", retry_after=1)
        self._left[self._large] -= size
        self._taken += size

    def release(self) -> None:
        """Give all of it back: the body was dropped, or is known to be Meta's."""
        self._left[self._large] += self._taken
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


SLICE = 500
"""Events; what Meta sends has at most 1,000. A slow database looks so many up within a second."""
BEGIN_SECONDS = 2.2
"""No slice is begun later: the sender gives up at 5 s, and a slice may take 1.8."""
MOST_REMEMBERED = 64


class Submit(Protocol):
    """Counts rows, and returns when that is durable."""

    def __call__(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> CommitOutcome: ...


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
    ) -> CommitOutcome:
        """Count the ``rows`` of ``body``, which arrived at ``started`` (monotonic).

        Raises :class:`Unavailable` if not all of it was counted in time.
        """
        if len(rows) <= self._size:
            return self._submit(rows, rejected=rejected)
        digest = hashlib.sha256(body).digest()
        done = min(self._done.pop(digest, 0), len(rows))
        counted = CommitOutcome(duplicates=sum(row.kind != CANARY for row in rows[:done]))
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


def add(total: CommitOutcome, part: CommitOutcome) -> None:
    """Add a slice's outcome to the delivery's."""
    for name in part.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(part, name))
