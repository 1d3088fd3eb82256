from __future__ import annotations

import fakeredis
import pytest
import redis

from dmstats.core.clock import ManualClock
from dmstats.core.errors import TooManyRequests
from dmstats.web.auth import rate_limit as rate_limit_module
from dmstats.web.auth.rate_limit import PER_PLACE, PREFIX, RETRY_SECONDS, SignInRateLimit
from tests.keyspace import KEYS


def fill(rate_limit: SignInRateLimit, account: str, address: str | None, times: int) -> None:
    for _ in range(times):
        rate_limit.attempt(account, address)


def test_it_works(fake_redis: fakeredis.FakeRedis) -> None:
    rate_limit = SignInRateLimit(fake_redis, KEYS)
    fill(rate_limit, "a@b.c", "192.0.2.1", 5)
    with pytest.raises(TooManyRequests) as refused:
        rate_limit.attempt("a@b.c", "192.0.2.1")
    assert 1 <= (refused.value.retry_after or 0) <= 60
    rate_limit.attempt("other@b.c", "192.0.2.1")
    rate_limit.attempt("a@b.c", "192.0.2.2")


@pytest.mark.parametrize(
    ("account", "address", "allowed"),
    [("a@b.c", "192.0.2.1", 5), ("{n}@b.c", "192.0.2.1", 30), ("a@b.c", "192.0.2.{n}", 100)],
)
def test_each_limit(
    fake_redis: fakeredis.FakeRedis, account: str, address: str, allowed: int
) -> None:
    """For one account at one address, for one address, and for one account."""
    rate_limit = SignInRateLimit(fake_redis, KEYS)
    for n in range(allowed):
        rate_limit.attempt(account.format(n=n), address.format(n=n))
    with pytest.raises(TooManyRequests):
        rate_limit.attempt(account.format(n=allowed), address.format(n=allowed))


def test_twenty_an_hour(fake_redis: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one account at one address, however they are spread."""
    monkeypatch.setattr(rate_limit_module, "PER_PLACE", PER_PLACE[1:])
    rate_limit = SignInRateLimit(fake_redis, KEYS)
    fill(rate_limit, "a@b.c", "192.0.2.1", 20)
    with pytest.raises(TooManyRequests) as refused:
        rate_limit.attempt("a@b.c", "192.0.2.1")
    assert 60 < (refused.value.retry_after or 0) <= 3600


def test_workers_share_it(fake_redis: fakeredis.FakeRedis) -> None:
    fill(SignInRateLimit(fake_redis, KEYS), "a@b.c", "192.0.2.1", 5)
    with pytest.raises(TooManyRequests):
        SignInRateLimit(fake_redis, KEYS).attempt("a@b.c", "192.0.2.1")


def test_success_gives_the_attempts_back(fake_redis: fakeredis.FakeRedis) -> None:
    rate_limit = SignInRateLimit(fake_redis, KEYS)
    for _ in range(4):
        fill(rate_limit, "a@b.c", "192.0.2.1", 4)
        rate_limit.succeeded(rate_limit.attempt("a@b.c", "192.0.2.1"))


def test_one_ipv6_customer_is_one_address(fake_redis: fakeredis.FakeRedis) -> None:
    rate_limit = SignInRateLimit(fake_redis, KEYS)
    for n in range(30):
        rate_limit.attempt(f"{n}@b.c", f"2001:db8::{n:x}")
    with pytest.raises(TooManyRequests):
        rate_limit.attempt("x@b.c", "2001:db8::ffff:1")
    rate_limit.attempt("x@b.c", "2001:db8:0:1::1")
    for n in range(40):
        rate_limit.attempt(f"m{n}@b.c", f"::ffff:192.0.2.{n}")


def test_a_redis_that_hangs_costs_one_time_out(
    fake_redis: fakeredis.FakeRedis, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate_limit = SignInRateLimit(fake_redis, KEYS, clock)
    rate_limit.attempt("a@b.c", "192.0.2.1")
    asked: list[float] = []

    def hang(*_: object, **__: object) -> None:
        asked.append(clock.monotonic())
        raise redis.TimeoutError

    with monkeypatch.context() as hanging:
        hanging.setattr(type(rate_limit._shared.storage), "acquire_entry", hang)
        hanging.setattr(type(rate_limit._shared.storage), "clear", hang)
        for n in range(3):
            rate_limit.succeeded(rate_limit.attempt(f"{n}@b.c", "192.0.2.1"))
        assert asked == [0.0]
        clock.advance(RETRY_SECONDS)
        rate_limit.attempt("d@b.c", "192.0.2.1")
        assert asked == [0.0, RETRY_SECONDS]
    clock.advance(RETRY_SECONDS)
    fill(rate_limit, "a@b.c", "192.0.2.1", 4)
    with pytest.raises(TooManyRequests):
        rate_limit.attempt("a@b.c", "192.0.2.1")


def test_without_redis_each_worker_keeps_its_own() -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    rate_limit = SignInRateLimit(fakeredis.FakeRedis(server=server), KEYS)
    fill(rate_limit, "a@b.c", None, 4)
    taken = rate_limit.attempt("a@b.c", None)
    with pytest.raises(TooManyRequests):
        rate_limit.attempt("a@b.c", None)
    rate_limit.succeeded(taken)
    rate_limit.attempt("a@b.c", None)


def test_no_email_address_gets_into_redis(fake_redis: fakeredis.FakeRedis) -> None:
    SignInRateLimit(fake_redis, KEYS).attempt("ada@example.com", "192.0.2.1")
    keys = [key.decode() for key in fake_redis.scan_iter()]
    assert keys
    assert all(key.startswith(f"{KEYS.key(PREFIX)}:") for key in keys)
    assert not any("ada" in key for key in keys)
    assert all(fake_redis.ttl(key) > 0 for key in keys)


class TestStrangers:
    """From a hundred addresses, strangers have used up an account's attempts."""

    @pytest.fixture
    def rate_limit(self, fake_redis: fakeredis.FakeRedis) -> SignInRateLimit:
        rate_limit = SignInRateLimit(fake_redis, KEYS)
        for n in range(100):
            rate_limit.attempt("a@b.c", f"192.0.2.{n}")
        return rate_limit

    def test_no_more_of_them_get_through(self, rate_limit: SignInRateLimit) -> None:
        with pytest.raises(TooManyRequests):
            rate_limit.attempt("a@b.c", "198.51.100.1")
        rate_limit.attempt("other@b.c", "198.51.100.1")

    def test_a_known_address_is_not_blocked(self, rate_limit: SignInRateLimit) -> None:
        for _ in range(5):
            rate_limit.attempt("a@b.c", "198.51.100.1", known_place=lambda: True)
        with pytest.raises(TooManyRequests):
            rate_limit.attempt("a@b.c", "198.51.100.1", known_place=lambda: True)

    def test_a_known_browser_is_not_blocked(self, rate_limit: SignInRateLimit) -> None:
        for _ in range(5):
            rate_limit.attempt("a@b.c", "198.51.100.1", device="mine")
        with pytest.raises(TooManyRequests):
            rate_limit.attempt("a@b.c", "198.51.100.1", device="mine")
        rate_limit.attempt("a@b.c", "198.51.100.1", device="another")

    def test_a_copied_browser_does_not_lock_the_original_out(
        self, fake_redis: fakeredis.FakeRedis
    ) -> None:
        rate_limit = SignInRateLimit(fake_redis, KEYS)
        for _ in range(5):
            rate_limit.attempt("b@b.c", "192.0.2.1", device="copied")
        rate_limit.attempt("b@b.c", "198.51.100.1", device="copied")

    def test_an_admin_who_is_signed_in_can_still_confirm(self, rate_limit: SignInRateLimit) -> None:
        for _ in range(5):
            taken = rate_limit.confirm("session")
        with pytest.raises(TooManyRequests):
            rate_limit.confirm("session")
        rate_limit.succeeded(taken)
        rate_limit.confirm("session")
