"""How the committers of several hosts share the global document, which one at a time can have.

Nobody tells them of each other: a conflict says that another has it, and how long one waited, how
many there are. Without this whoever has just committed is the first to come back, and the others
wait for a second. Pure, but for chance.
"""

from __future__ import annotations

import random

SHORTEST_SECONDS, LONGEST_SECONDS = 0.004, 0.1
"""The bounds of the longest back-off; no pause is longer, either."""
FIRST_SECONDS = 0.002
LOOKS_PER_COMMIT = 2


class ContentionBackoff:
    """``pause`` is for how many seconds to leave the document to others before the next batch."""

    def __init__(self) -> None:
        self.pause = 0.0
        self._longest = LONGEST_SECONDS

    def back_off(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th conflict: doubling, half of it at random, and at
        most half a commit, so that the moment in which the document is free is not missed."""
        ceiling = min(self._longest, FIRST_SECONDS * 2 ** min(attempt, 16))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret

    def written(self, *, waited: float, took: float) -> None:
        """A batch took so many seconds, after those in which it ``waited`` for others.

        With the pause before it that is about a commit of each other host. One of them does its
        own in the time that this one needs for everything else; for the rest there is the pause.
        """
        self.pause = min(LONGEST_SECONDS, max(0.0, self.pause + waited - took))
        self._longest = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, took / LOOKS_PER_COMMIT))
