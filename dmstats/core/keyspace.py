"""The names of our keys and channels in Redis: each behind a prefix of the installation.

Several installations may share one Redis server, and Pub/Sub knows no database numbers: without a
prefix one of them would show the other's figures.
"""

from __future__ import annotations

from collections.abc import Callable

from redis.exceptions import RedisError

from dmstats.core.clock import MonotonicClock
from dmstats.core.errors import DmstatsError

RETRY_SECONDS = 1.0


class InstallationUnknown(RedisError):
    """MongoDB could not be asked yet which installation this is, so Redis cannot be used either."""


class Keyspace:
    """Asks ``identify`` (it may do IO, and raise a :class:`DmstatsError`) until it answers once.

    After a failure it is not asked for a second. What fails is raised as
    :class:`InstallationUnknown`, so that whoever can do without Redis goes on.
    """

    def __init__(self, identify: Callable[[], str], clock: MonotonicClock) -> None:
        self._identify = identify
        self._clock = clock
        self._retry_at = float("-inf")
        self._installation: str | None = None

    @property
    def installation(self) -> str:
        """The installation's name: the database's and a random id."""
        # Without a lock: who asks at the same time is told the same.
        if self._installation is None:
            self._installation = self._ask()
        return self._installation

    def key(self, name: str) -> str:
        """What the key or channel ``name`` is called in Redis."""
        return f"{self.installation}:{name}"

    def _ask(self) -> str:
        if self._clock.monotonic() < self._retry_at:
            raise InstallationUnknown("MongoDB was just asked, and did not answer.")
        try:
            return self._identify()
        except DmstatsError as error:
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            raise InstallationUnknown(str(error)) from error
