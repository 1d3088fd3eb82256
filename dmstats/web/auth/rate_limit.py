"""How often a password may be tried: by account and by address."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from functools import cached_property

import redis
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from dmstats.core.errors import TooManyRequests
from dmstats.core.keyspace import Keyspace

logger = logging.getLogger(__name__)

PREFIX = "dmstats:limits"
PER_ACCOUNT: tuple[RateLimitItem, ...] = (RateLimitItemPerMinute(5), RateLimitItemPerHour(20))
PER_ADDRESS: RateLimitItem = RateLimitItemPerMinute(30)


class SignInRateLimit:
    """Moving windows shared through Redis; without Redis each worker keeps its own."""

    def __init__(self, client: redis.Redis, keys: Keyspace) -> None:
        self._client = client
        self._keys = keys

    def attempt(self, account: str, address: str | None) -> None:
        """Take one attempt, before the password is looked at; raises :class:`TooManyRequests`.

        Taken beforehand, attempts that run at the same time cannot all slip through.
        """
        keys = [(PER_ADDRESS, _place(address))]
        keys += [(limit, _account(account)) for limit in PER_ACCOUNT]
        try:
            self._take(self._shared, keys)
        except redis.RedisError as error:
            logger.warning("throttle_local", extra={"error": type(error).__name__})
            self._take(self._local, keys)

    def succeeded(self, account: str) -> None:
        """Give the account's attempts back: only failures count."""
        limiters = [self._local] if "_local" in self.__dict__ else []
        try:
            for limiter in [*limiters, self._shared]:
                for limit in PER_ACCOUNT:
                    limiter.clear(limit, _account(account))
        except redis.RedisError as error:
            logger.warning("throttle_not_cleared", extra={"error": type(error).__name__})

    def _take(
        self, limiter: MovingWindowRateLimiter, keys: list[tuple[RateLimitItem, str]]
    ) -> None:
        for limit, key in keys:
            if not limiter.hit(limit, key):
                # The library reads the machine's clock itself, so must this difference.
                wait = limiter.get_window_stats(limit, key).reset_time - time.time()
                raise TooManyRequests(
                    "Too many attempts to sign in. Wait a moment, then try again.",
                    retry_after=max(1.0, wait),
                )

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


def _account(account: str) -> str:
    # A digest: bounded in length, and no address of a person in Redis.
    return "account-" + hashlib.sha256(account.encode("utf-8", "replace")).hexdigest()[:32]


def _place(address: str | None) -> str:
    """The address, or for IPv6 its /64: the whole of it belongs to one customer."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "address-unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and not parsed.ipv4_mapped:
        return f"address-{ipaddress.ip_network((parsed, 64), strict=False).network_address}"
    return f"address-{parsed}"
