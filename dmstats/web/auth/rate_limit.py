"""How often a password may be tried: by account and place, by account, and by address.

A limit by account alone would let anybody lock an admin out by trying wrong passwords. So it is
high, and does not hold where the admin has signed in before: at an address that is remembered, or
in a browser that brings our signed cookie.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property

import redis
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from dmstats.core.clock import MonotonicClock, SystemClock
from dmstats.core.errors import TooManyRequests
from dmstats.core.keyspace import Keyspace
from dmstats.web.auth.client_address import place_of

logger = logging.getLogger(__name__)

PREFIX = "dmstats:limits"
PER_PLACE: tuple[RateLimitItem, ...] = (RateLimitItemPerMinute(5), RateLimitItemPerHour(20))
"""For one account from one place, or from one known browser."""

PER_ACCOUNT: RateLimitItem = RateLimitItemPerHour(100)
"""For one account from all places where it has not signed in before; NIST 800-63B allows 100."""

PER_ADDRESS: RateLimitItem = RateLimitItemPerMinute(30)
"""For all accounts from one place."""

RETRY_SECONDS = 10.0

PER_REFUSAL: RateLimitItem = RateLimitItemPerMinute(1)
"""How often refusals of one address are recorded in the activity log."""

Taken = Sequence[tuple[RateLimitItem, str]]
"""What an attempt took; a success gives it back."""


def _no() -> bool:
    return False


class SignInRateLimit:
    """Moving windows shared through Redis; without Redis each worker keeps its own.

    After a failure Redis is not asked again for :data:`RETRY_SECONDS`: one that hangs would cost
    each sign-in several time-outs, and so all the time it has for MongoDB.
    """

    def __init__(
        self, client: redis.Redis, keys: Keyspace, clock: MonotonicClock | None = None
    ) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock or SystemClock()
        self._retry_at = float("-inf")

    def attempt(
        self,
        account: str,
        address: str | None,
        *,
        device: str | None = None,
        known_place: Callable[[], bool] = _no,
    ) -> Taken:
        """Take one attempt, before the password is looked at; raises :class:`TooManyRequests`.

        Because attempts are counted first, concurrent attempts cannot exceed the limit. ``account``
        is the normalised name. ``device`` names a browser that proves to have signed in to the
        account: it has attempts of its own, and only when they are used up those of everybody.
        ``known_place`` is asked, if need be, whether the account has signed in from ``address``.
        """
        place = place_of(address)
        if device is not None and (taken := self._own(account, device)):
            return taken
        key = _key("account", account, place)
        self._take([(PER_ADDRESS, f"address-{place}"), *((limit, key) for limit in PER_PLACE)])
        taken = [(limit, key) for limit in PER_PLACE]
        if not known_place():
            everywhere = (PER_ACCOUNT, _key("account", account))
            self._take([everywhere])
            taken.append(everywhere)
        return taken

    def knock(self, address: str | None) -> None:
        """Take one attempt of that address, for a sign-in that names no account beforehand; raises
        :class:`TooManyRequests`."""
        self._take([(PER_ADDRESS, f"address-{place_of(address)}")])

    def confirm(self, admin_id: str) -> Taken:
        """Take one attempt of a signed-in person, which strangers cannot use up.

        All sessions of the person share it: a new session gives no new attempts.
        """
        taken = [(limit, _key("confirm", admin_id)) for limit in PER_PLACE]
        self._take(taken)
        return taken

    def succeeded(self, taken: Taken) -> None:
        """Give back what an attempt took: only failures count."""
        limiters = [self._local] if "_local" in self.__dict__ else []
        limiters += [] if self._backs_off() else [self._shared]
        try:
            for limiter in limiters:
                for limit, key in taken:
                    limiter.clear(limit, key)
        except redis.RedisError as error:
            self._back_off()
            logger.warning("rate_limit_not_cleared", extra={"error": type(error).__name__})

    def is_first_refusal(self, address: str | None) -> bool:
        """Whether nothing from ``address`` was refused within the last minute, so that the activity
        log has one entry a minute."""
        try:
            self._take([(PER_REFUSAL, f"refused-{place_of(address)}")])
        except TooManyRequests:
            return False
        return True

    def _own(self, account: str, device: str) -> Taken:
        taken = [(limit, _key("device", account, device)) for limit in PER_PLACE]
        try:
            self._take(taken)
        except TooManyRequests:
            return []
        return taken

    def _take(self, wanted: Taken) -> None:
        if not self._backs_off():
            try:
                _hit(self._shared, wanted)
            except redis.RedisError as error:
                self._back_off()
                logger.warning("rate_limit_local", extra={"error": type(error).__name__})
            else:
                return
        _hit(self._local, wanted)

    def _backs_off(self) -> bool:
        return self._clock.monotonic() < self._retry_at

    def _back_off(self) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_SECONDS

    @cached_property
    def _shared(self) -> MovingWindowRateLimiter:
        storage = RedisStorage(
            "redis://",
            connection_pool=self._client.connection_pool,
            key_prefix=self._keys.key(PREFIX),
        )
        return MovingWindowRateLimiter(storage)

    @cached_property
    def _local(self) -> MovingWindowRateLimiter:
        # Made when first needed: this storage starts a timer thread.
        return MovingWindowRateLimiter(MemoryStorage())


def _hit(limiter: MovingWindowRateLimiter, wanted: Taken) -> None:
    for limit, key in wanted:
        if not limiter.hit(limit, key):
            # The library reads the machine's clock itself, so must this difference.
            wait = limiter.get_window_stats(limit, key).reset_time - time.time()
            raise TooManyRequests(
                "Too many attempts to sign in. Wait a moment, then try again.",
                retry_after=max(1.0, wait),
            )


def _key(kind: str, *parts: str) -> str:
    # A digest: bounded in length, and no address of a person in Redis.
    text = "\n".join(parts).encode("utf-8", "replace")
    return f"{kind}-{hashlib.sha256(text).hexdigest()[:32]}"
