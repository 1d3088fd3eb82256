"""Passes over the accounts: what they write, and when they run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dmstats.core.clock import HOUR_MS, ManualClock, to_datetime
from dmstats.core.errors import StoreUnavailable
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.client import Mongo
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_record import State
from dmstats.db.states.summary import SUMMARY, summary
from dmstats.states import background
from dmstats.states.background import BackgroundStates, RhythmWalk, StatePass
from tests.service.admin_site import mock_mongo
from tests.states import MockStateStore, state_pass


@pytest.fixture
def mongo() -> Mongo:
    return mock_mongo()


def add(mongo: Mongo, *accounts: dict[str, Any]) -> None:
    mongo.db["instagram_accounts"].insert_many(accounts)


def states(mongo: Mongo) -> dict[str, list[str]]:
    return {row["_id"]: row["states"] for row in mongo.db["dmstats_account_states"].find()}


def publish(mongo: Mongo, rhythms: dict[str, Rhythm], now_ms: int, *, first: str = "") -> None:
    writer = ActivityWriter(mongo, f"pass of {now_ms}")
    writer.keep(first, now_ms, now_ms, {}, rhythms, hours=1, days=1)
    assert writer.publish([], now_ms)


def used(n: int, month: str = "2026-11") -> dict[str, Any]:
    return {"monthlyDmUsed": n, "currentMonth": month, "dmUsed": n, "monthlyDmLimit": 10}


def test_it_works(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, {"instagramId": "2", **used(9)}, {"instagramId": "1"}, {"instagramId": 3}, {})
    assert state_pass(mongo, clock).written == ["1", "2"]
    assert states(mongo) == {"1": [], "2": ["near-limit"]}
    found = summary(mongo.db["stats_cache"].find_one({"_id": SUMMARY}) or {})
    assert found is not None
    assert (found.at_ms, found.counts()["near-limit"]) == (clock.now_ms(), 1)


def test_only_what_changed_is_written(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, *({"instagramId": str(n)} for n in range(10, 20)))
    assert len(state_pass(mongo, clock).written) == 10
    clock.advance(600)
    assert state_pass(mongo, clock).written == []
    accounts = mongo.db["instagram_accounts"]
    accounts.update_one({"instagramId": "12"}, {"$set": used(10)})
    accounts.delete_one({"instagramId": "10"})
    accounts.delete_one({"instagramId": "15"})
    accounts.delete_one({"instagramId": "19"})
    add(mongo, {"instagramId": "11a"})
    again = state_pass(mongo, clock)
    assert (again.written, again.deleted) == (["11a", "12"], ["10", "15", "19"])
    assert len(states(mongo)) == 8


def test_a_silent_account_by_the_rhythm_of_the_last_audit(mongo: Mongo, clock: ManualClock) -> None:
    now = clock.now_ms()
    rhythm = Rhythm(now // HOUR_MS, (1,), pause_hours=1)
    last = to_datetime(now) - timedelta(hours=14)
    add(mongo, *({"instagramId": name, "lastDMSent": last} for name in ("a", "b", "c")))
    publish(mongo, {"a": rhythm, "c": rhythm}, now)
    state_pass(mongo, clock)
    assert states(mongo) == {"a": [], "b": [], "c": []}
    clock.advance(3601)
    state_pass(mongo, clock)
    assert states(mongo) == {"a": ["silent"], "b": [], "c": ["silent"]}
    mongo.db["instagram_accounts"].update_one(
        {"instagramId": "a"}, {"$set": {"lastDMSent": to_datetime(clock.now_ms())}}
    )
    state_pass(mongo, clock)
    assert states(mongo)["a"] == []


def test_an_audit_that_ends_during_a_pass(mongo: Mongo) -> None:
    def rhythms(used: int) -> dict[str, Rhythm]:
        return {f"{n:04}": Rhythm(1, (1,), used=used) for n in range(500)}

    publish(mongo, rhythms(1), 1_000)
    assert len(Rhythms(mongo).published()) == 3
    walk = RhythmWalk(Rhythms(mongo))
    assert walk.of("0001") == Rhythm(1, (1,), used=1)
    publish(mongo, rhythms(2), 2_000)
    # The chunk that it holds is of the audit before, and the next is looked for anew.
    assert walk.of("0002") == Rhythm(1, (1,), used=1)
    assert walk.of("0300") == Rhythm(1, (1,), used=2)
    assert walk.of("0300a") is None
    assert Rhythms(mongo).between("0100", "0102").keys() == {"0100", "0101"}
    assert len(Rhythms(mongo).between("0100", "")) == 400


def test_no_audit_and_an_audit_of_another_version(mongo: Mongo) -> None:
    assert RhythmWalk(Rhythms(mongo)).of("1") is None
    publish(mongo, {"1": Rhythm(1, (1,))}, 1_000)
    chunks = mongo.db["dmstats_account_activity"]
    chunks.update_many({"accounts.0": {"$exists": True}}, {"$set": {"accounts": [["1", b"\xc1"]]}})
    assert RhythmWalk(Rhythms(mongo)).of("1") is None
    chunks.delete_many({"_id": {"$ne": "index"}})
    assert RhythmWalk(Rhythms(mongo)).of("1") is None


def test_accounts_that_do_not_take_their_dms(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, {"instagramId": "1"}, {"instagramId": "2"})
    mongo.db["dmstats_account_backlog"].insert_many(
        [{"_id": "1", "attention": True}, {"_id": "x", "account": "2"}]
    )
    state_pass(mongo, clock)
    assert states(mongo) == {"1": [State.NEEDS_ATTENTION], "2": []}


def test_an_account_deactivated_a_while_ago(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, {"instagramId": "1", "isActive": False, "lastDMSent": to_datetime(clock.now_ms())})
    state_pass(mongo, clock)
    clock.advance(3600)
    state_pass(mongo, clock)
    assert states(mongo) == {"1": []}
    mongo.db["instagram_accounts"].update_one(
        {"instagramId": "1"}, {"$set": {"lastDMSent": to_datetime(clock.now_ms())}}
    )
    state_pass(mongo, clock)
    assert states(mongo) == {"1": [State.INACTIVE_SENDING]}


def test_an_id_that_no_index_takes_is_skipped(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, {"instagramId": "1" * 1001}, {"instagramId": "2"})
    assert state_pass(mongo, clock).written == ["2"]


def test_each_step_deletes_a_batch_at_most(
    mongo: Mongo, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "BATCH", 3)
    add(mongo, *({"instagramId": str(n)} for n in range(8)), {"instagramId": "x"})
    state_pass(mongo, clock)
    mongo.db["instagram_accounts"].delete_many({"instagramId": {"$ne": "x"}})
    store = MockStateStore(mongo)
    steps = StatePass(store, Rhythms(mongo), clock, monthly_limit=0).steps()
    assert [len(store.deleted) for _ in steps] == [3, 6, 8]
    assert states(mongo) == {"x": []}


class TestBackgroundStates:
    """Its share of the time, with a clock that each read advances."""

    @pytest.fixture
    def job(
        self, mongo: Mongo, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> BackgroundStates:
        add(mongo, *({"instagramId": f"{n:03}"} for n in range(600)))
        store = MockStateStore(mongo)
        usual = store.write

        def write(*args: Any) -> None:
            clock.advance(0.15)
            usual(*args)

        monkeypatch.setattr(store, "write", write)
        states = StatePass(store, Rhythms(mongo), clock, monthly_limit=0)
        return BackgroundStates(states, clock)

    def test_it_works_in_short_steps_with_long_pauses(
        self, job: BackgroundStates, mongo: Mongo, clock: ManualClock
    ) -> None:
        assert not job.tick()
        assert len(states(mongo)) == 500
        clock.advance(0.3 / background.MAX_SHARE - 1)
        assert not job.tick()
        clock.advance(1.01)
        assert job.tick()
        assert len(states(mongo)) == 600
        clock.advance(background.PASS_SECONDS - 10)
        assert not job.tick()

    def test_a_failure_is_not_tried_again_at_once(
        self, job: BackgroundStates, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures = iter([StoreUnavailable("away")])

        def refused(_: object) -> set[str]:
            for failure in failures:
                raise failure
            return set()

        monkeypatch.setattr(MockStateStore, "refused", refused)
        with pytest.raises(StoreUnavailable):
            job.tick()
        assert not job.tick()
        clock.advance(background.PASS_SECONDS + 1)
        job.tick()
        clock.advance(100)
        assert job.tick()
