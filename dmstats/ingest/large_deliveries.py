"""Limits on large deliveries, so that they cannot starve others: a memory budget, sliced commits.

A body may be 4 MiB, and thousands of connections may each send one at the same time, unsigned
ones included.
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
"""Meta's deliveries are far smaller. Larger bodies have a separate budget, so that they cannot use
up the memory for deliveries."""
SMALL_TOTAL = 64 * 1024 * 1024
LARGE_TOTAL = 32 * 1024 * 1024


class BodyBudget:
    """The memory budget of one worker; grants a :class:`BodyLease` per request."""

    def __init__(self, *, small_total: int = SMALL_TOTAL, large_total: int = LARGE_TOTAL) -> None:
        self._left = {False: small_total, True: large_total}

    def lease(self, declared: int | None) -> BodyLease:
        """A lease for a body of ``declared`` bytes; None if the length is not known in advance."""
        return BodyLease(self._left, large=declared is None or declared > SMALL)


class BodyLease:
    """The bytes of one body that have arrived; as a context manager, releases them at the end."""

    def __init__(self, left: dict[bool, int], *, large: bool) -> None:
        self._left = left
        self._large = large
        self._taken = 0

    def grow(self, size: int) -> None:
        """Account for ``size`` more bytes; raises :class:`Unavailable` if the budget is used up."""
        if size > self._left[self._large]:
            self.release()
            raise Unavailable("Too many bodies are being received", retry_after=1)
        self._left[self._large] -= size
        self._taken += size

    def release(self) -> None:
        """Return all bytes to the budget: the body was dropped, or its signature is valid."""
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
"""Events per slice; Meta sends at most 1,000. Even a slow database looks up 500 in a second."""
BEGIN_SECONDS = 2.2
"""No slice starts later than this: the sender times out after 5 s, and a slice may take 1.8 s."""
MAX_REMEMBERED = 64


class Submit(Protocol):
    """Counts rows, and returns when that is durable."""

    def __call__(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> CommitOutcome: ...


class SlicedSubmission:
    """Counts large deliveries slice by slice.

    If a delivery runs out of time, this worker remembers the progress in memory, by the digest of
    the body, and resumes there at the retry. This only saves time: the ledger recognises the
    counted events in any case.
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

        Raises :class:`Unavailable` if some of the events were not counted in time.
        """
        if len(rows) <= self._size:
            return self._submit(rows, rejected=rejected)
        digest = hashlib.sha256(body).digest()
        done = min(self._done.pop(digest, 0), len(rows))
        counted = CommitOutcome(duplicates=sum(row.kind != CANARY for row in rows[:done]))
        while True:
            last = done + self._size >= len(rows)
            try:
                # Unreadable entries are reported once, with the last slice.
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
                raise Unavailable(f"{done} of {len(rows)} events are counted so far")

    def _remember(self, digest: bytes, done: int) -> None:
        if done:
            self._done[digest] = done
            while len(self._done) > MAX_REMEMBERED:
                self._done.popitem(last=False)


def add(total: CommitOutcome, part: CommitOutcome) -> None:
    """Add a slice's outcome to the delivery's."""
    for name in part.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(part, name))
