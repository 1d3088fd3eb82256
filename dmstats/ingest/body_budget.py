"""How much memory the bodies may take together that nobody has vouched for yet.

A body may have 4 MiB, and thousands of connections may send one at the same time, signed or not.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from dmstats.core.errors import Unavailable

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
