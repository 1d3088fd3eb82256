"""The names of our keys and channels in Redis, each with the installation's prefix.

Several installations may share one Redis server, and Pub/Sub ignores database numbers. Without a
prefix, one installation would show the figures of another.
"""

from __future__ import annotations

from collections.abc import Callable

from redis.exceptions import RedisError

from dmstats.core.clock import MonotonicClock
from dmstats.core.errors import DmstatsError

RETRY_SECONDS = 1.0


class InstallationUnknown(RedisError):
    """The installation's name, stored in MongoDB, could not be read, so Redis cannot be used."""


class Keyspace:
    """Calls ``identify`` (it may do IO and raise a :class:`DmstatsError`) until it succeeds once.

    A failed call is not repeated for one second. Failures are raised as
    :class:`InstallationUnknown`, a ``RedisError``, so that callers treat them as a Redis outage.
    """

    def __init__(self, identify: Callable[[], str], clock: MonotonicClock) -> None:
        self._identify = identify
        self._clock = clock
        self._retry_at = float("-inf")
        self._installation: str | None = None

    @property
    def installation(self) -> str:
        """The installation's name: the database name and a random id."""
        # No lock is needed: concurrent calls get the same result.
        if self._installation is None:
            self._installation = self._ask()
        return self._installation

    def key(self, name: str) -> str:
        """The full name of the key or channel ``name`` in Redis."""
        return f"{self.installation}:{name}"

    def _ask(self) -> str:
        if self._clock.monotonic() < self._retry_at:
            raise InstallationUnknown("MongoDB did not answer a moment ago.")
        try:
            return self._identify()
        except DmstatsError as error:
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            raise InstallationUnknown(str(error)) from error
