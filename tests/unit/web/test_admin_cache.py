from __future__ import annotations

import threading

import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.admin_store import Admin
from dmstats.web.auth.admin_cache import RETRY, TTL, AdminCache


class Loads:
    """A store of one admin that counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0
        self.away = False
        self.epoch = 1
        self.disabled = False

    def __call__(self) -> list[Admin]:
        self.count += 1
        if self.away:
            raise StoreUnavailable("away")
        return [Admin("a", "a@b.c", self.disabled, self.epoch, None)]


@pytest.fixture
def load() -> Loads:
    return Loads()


@pytest.fixture
def admin_cache(load: Loads, clock: ManualClock) -> AdminCache:
    return AdminCache(load, clock)


def test_it_works(admin_cache: AdminCache) -> None:
    admin = admin_cache.find("a", 1)
    assert admin is not None
    assert admin.email == "a@b.c"
    assert admin_cache.find("a", 0) is None
    assert admin_cache.find("b", 1) is None


def test_one_query_serves_ten_seconds(
    admin_cache: AdminCache, load: Loads, clock: ManualClock
) -> None:
    for _ in range(100):
        assert admin_cache.find("a", 1)
        clock.advance(TTL / 101)
    assert load.count == 1
    clock.advance(1)
    assert admin_cache.find("a", 1)
    assert load.count == 2


def test_a_disabled_admin_is_noticed(
    admin_cache: AdminCache, load: Loads, clock: ManualClock
) -> None:
    assert admin_cache.find("a", 1)
    load.disabled = True
    assert admin_cache.find("a", 1)
    clock.advance(TTL)
    assert admin_cache.find("a", 1) is None


def test_what_this_worker_changed_is_seen_at_once(admin_cache: AdminCache, load: Loads) -> None:
    assert admin_cache.find("a", 1)
    load.disabled = True
    admin_cache.forget()
    assert admin_cache.find("a", 1) is None


def test_a_session_newer_than_the_list_is_looked_up(
    admin_cache: AdminCache, load: Loads, clock: ManualClock
) -> None:
    assert admin_cache.find("a", 1)
    load.epoch = 2
    assert admin_cache.find("a", 2) is None, "not more than once a second"
    clock.advance(RETRY)
    assert admin_cache.find("a", 2)
    assert load.count == 2
    clock.advance(RETRY)
    assert admin_cache.find("a", 1) is None
    assert load.count == 2, "an old session is no reason to ask"


def test_while_the_store_is_away_the_last_list_holds(
    admin_cache: AdminCache, load: Loads, clock: ManualClock
) -> None:
    assert admin_cache.find("a", 1)
    load.away = True
    clock.advance(TTL)
    for _ in range(10):
        assert admin_cache.find("a", 1)
    assert load.count == 2


def test_without_any_list_it_fails_fast_and_recovers(
    admin_cache: AdminCache, load: Loads, clock: ManualClock
) -> None:
    load.away = True
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            admin_cache.find("a", 1)
    assert load.count == 1
    load.away = False
    clock.advance(RETRY)
    assert admin_cache.find("a", 1)


def test_many_at_once_make_one_query(clock: ManualClock) -> None:
    entered, release, calls = threading.Event(), threading.Event(), []

    def slow() -> list[Admin]:
        calls.append(1)
        entered.set()
        assert release.wait(10)
        return [Admin("a", "a@b.c", False, 1, None)]

    admin_cache = AdminCache(slow, clock)
    found: list[Admin | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(admin_cache.find("a", 1))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    release.set()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert [admin is not None for admin in found] == [True] * 8


def test_no_request_waits_for_a_query_while_there_is_a_list(clock: ManualClock) -> None:
    entered, release = threading.Event(), threading.Event()
    release.set()

    def slow() -> list[Admin]:
        entered.set()
        assert release.wait(10)
        return [Admin("a", "a@b.c", False, 1, None)]

    admin_cache = AdminCache(slow, clock)
    assert admin_cache.find("a", 1)
    clock.advance(TTL)
    entered.clear()
    release.clear()
    asker = threading.Thread(target=lambda: admin_cache.find("a", 1))
    asker.start()
    assert entered.wait(10)
    assert admin_cache.find("a", 1), "answered from the old list, while the query still runs"
    assert asker.is_alive()
    release.set()
    asker.join(10)
