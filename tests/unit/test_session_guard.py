from __future__ import annotations

import threading

import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import Session
from dmstats.web.auth.outage_grace import GRACE_SECONDS, RETRY_SECONDS
from dmstats.web.auth.session_guard import LOOK_SECONDS, SessionGuard

ADA = Admin("a", "a@b.c", False, 1, None)


class FakeSessions:
    """A store that counts how often it is asked."""

    def __init__(self, clock: ManualClock) -> None:
        end = clock.now_ms() + 12 * 3_600_000
        self.open = {key: Session(key, "a", 1, 0, 0, end) for key in ("one", "two")}
        self.mark = "m0"
        self.asked = self.looked = 0
        self.away = False

    def find(self, key: str) -> tuple[Session, Admin] | None:
        self.asked += 1
        self._reached()
        session = self.open.get(key)
        return (session, ADA) if session else None

    def last_ending(self) -> str | None:
        self._reached()
        return self.mark

    def standing(self, keys: set[str]) -> set[str]:
        self.looked += 1
        self._reached()
        return keys & set(self.open)

    def end(self, key: str, mark: str) -> None:
        del self.open[key]
        self.mark = mark

    def _reached(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


@pytest.fixture
def sessions(clock: ManualClock) -> FakeSessions:
    return FakeSessions(clock)


@pytest.fixture
def guard(sessions: FakeSessions, clock: ManualClock) -> SessionGuard:
    return SessionGuard(sessions, clock)


def holds(guard: SessionGuard, key: str = "one", *, reading: bool = True) -> bool:
    return guard.find(key, reading=reading) is not None


def test_it_works(guard: SessionGuard, sessions: FakeSessions) -> None:
    found = guard.find("one", reading=True)
    assert found is not None
    assert found[1] is ADA
    assert not holds(guard, "three")
    sessions.end("one", "m1")
    assert not holds(guard), "the very next request is refused"
    assert holds(guard, "two")


class TestWhileTheDatabaseIsAway:
    def test_known_sessions_may_read_for_a_while(
        self, guard: SessionGuard, sessions: FakeSessions, clock: ManualClock
    ) -> None:
        assert holds(guard)
        sessions.away = True
        clock.advance(GRACE_SECONDS - 1)
        assert holds(guard)
        clock.advance(1)
        with pytest.raises(StoreUnavailable):
            holds(guard)

    def test_nothing_is_changed_and_nobody_new_comes_in(
        self, guard: SessionGuard, sessions: FakeSessions
    ) -> None:
        assert holds(guard)
        sessions.away = True
        with pytest.raises(StoreUnavailable):
            holds(guard, reading=False)
        with pytest.raises(StoreUnavailable):
            holds(guard, "two")

    def test_the_end_of_the_session_stays_its_end(
        self, guard: SessionGuard, sessions: FakeSessions, clock: ManualClock
    ) -> None:
        assert holds(guard)
        sessions.away = True
        clock.step(12 * 3600)
        assert not holds(guard)

    def test_what_this_worker_ended_has_no_grace(
        self, guard: SessionGuard, sessions: FakeSessions
    ) -> None:
        assert holds(guard)
        sessions.away = True
        guard.forget("one")
        with pytest.raises(StoreUnavailable):
            holds(guard)

    def test_it_is_tried_once_a_second(
        self, guard: SessionGuard, sessions: FakeSessions, clock: ManualClock
    ) -> None:
        assert holds(guard)
        sessions.away = True
        assert all(holds(guard) for _ in range(10))
        with pytest.raises(StoreUnavailable):
            holds(guard, "two")
        assert sessions.asked == 2
        clock.advance(RETRY_SECONDS)
        sessions.away = False
        assert holds(guard, "two")
        assert not holds(guard, "three"), "asked at each request again"

    def test_one_request_tries_and_the_others_do_not_wait(
        self, sessions: FakeSessions, clock: ManualClock
    ) -> None:
        entered, release = threading.Event(), threading.Event()
        guard = SessionGuard(sessions, clock)
        assert holds(guard)
        sessions.away = True
        assert holds(guard)
        clock.advance(RETRY_SECONDS)

        def slow(key: str) -> None:
            entered.set()
            assert release.wait(10)
            raise StoreUnavailable("silent")

        sessions.find = slow  # type: ignore[method-assign]
        asker = threading.Thread(target=lambda: holds(guard))
        asker.start()
        assert entered.wait(10)
        assert holds(guard)
        assert asker.is_alive()
        release.set()
        asker.join(10)


class TestOpenStreams:
    def test_each_session_ends_on_its_own(
        self, guard: SessionGuard, sessions: FakeSessions
    ) -> None:
        assert guard.ended({"one", "two"}) == set()
        sessions.end("one", "m1")
        assert guard.ended({"one", "two"}) == {"one"}
        assert guard.ended({"two"}) == set()

    def test_one_small_read_is_enough_while_nothing_ends(
        self, guard: SessionGuard, sessions: FakeSessions, clock: ManualClock
    ) -> None:
        for _ in range(20):
            assert guard.ended({"one", "two"}) == set()
        assert sessions.looked == 1
        del sessions.open["one"]  # by hand, or by the TTL index: nothing is marked
        assert guard.ended({"one", "two"}) == set()
        clock.advance(LOOK_SECONDS)
        assert guard.ended({"one", "two"}) == {"one"}

    def test_a_stream_that_opens_late_is_looked_at(
        self, guard: SessionGuard, sessions: FakeSessions
    ) -> None:
        sessions.end("two", "m1")
        assert guard.ended({"one"}) == set()
        assert guard.ended({"one", "two"}) == {"two"}

    def test_an_outage_ends_none(self, guard: SessionGuard, sessions: FakeSessions) -> None:
        assert guard.ended({"one"}) == set()
        sessions.end("one", "m1")
        sessions.away = True
        with pytest.raises(StoreUnavailable):
            guard.ended({"one"})
        sessions.away = False
        assert guard.ended({"one"}) == {"one"}
