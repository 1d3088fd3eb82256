"""Back-off between the committers of several hosts, which contend for the global document.

They do not know of each other. A conflict says that another committer holds the document, and the
time waited says about how many there are. Without a pause, the committer that has just committed
would be the first to return, and the others would wait for a second. Pure, but for the jitter.
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

        The wait and the pause before it are about one commit of each other host. One of them
        commits while this one does everything else; the pause leaves room for the rest.
        """
        self.pause = min(LONGEST_SECONDS, max(0.0, self.pause + waited - took))
        self._longest = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, took / LOOKS_PER_COMMIT))
