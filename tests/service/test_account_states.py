"""Passes over the accounts: what they write, and when they run."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, hour_start, month_of, to_datetime
from dmstats.core.errors import StoreUnavailable
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.client import Mongo
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_record import State
from dmstats.db.states.state_store import BATCH
from dmstats.db.states.summary import SUMMARY, StateFilter, summary
from dmstats.ops.metrics import Metrics
from dmstats.states import background, passes
from dmstats.states.background import BackgroundStates
from dmstats.states.passes import StatePass
from dmstats.states.walks import RhythmWalk
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


def go_over(states_pass: StatePass) -> None:
    for _ in states_pass.steps():
        pass


def send(mongo: Mongo, account: str, n: int, at_ms: int) -> None:
    """Count ``n`` DMs that were sent at ``at_ms``, as a commit does."""
    mongo.db["instagram_accounts"].update_one(
        {"instagramId": account},
        {"$inc": {"dmUsed": n}, "$max": {"lastDMSent": to_datetime(at_ms)}},
    )
    mongo.db["dmstats_hours"].update_one(
        {"_id": to_datetime(hour_start(at_ms))}, {"$inc": {"sent": n}}, upsert=True
    )


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


def test_what_has_not_changed_is_not_decoded(mongo: Mongo, clock: ManualClock) -> None:
    add(mongo, *({"instagramId": str(n), **used(9)} for n in range(10, 20)))
    store = MockStateStore(mongo)
    work = StatePass(store, Rhythms(mongo), clock, hourly_limit=200)
    go_over(work)
    assert store.decoded == 10
    go_over(work)
    assert store.decoded == 10
    mongo.db["instagram_accounts"].update_one({"instagramId": "12"}, {"$set": used(10)})
    go_over(work)
    assert store.decoded == 11
    assert work.summary.counts()["near-limit"] == 9
    publish(mongo, {"13": Rhythm(1, (1,))}, clock.now_ms())
    go_over(work)
    assert store.decoded == 21


def test_of_two_documents_of_an_account_the_first_counts(mongo: Mongo, clock: ManualClock) -> None:
    mongo.db["instagram_accounts"].drop_indexes()
    add(mongo, {"_id": 1, "instagramId": "a", **used(9)}, {"_id": 2, "instagramId": "a"})
    store = MockStateStore(mongo)
    work = StatePass(store, Rhythms(mongo), clock)
    accounts = mongo.db["instagram_accounts"]
    go_over(work)
    accounts.update_one({"_id": 2}, {"$set": {"dmUsed": 3}})
    go_over(work)
    assert (store.written, states(mongo)) == (["a"], {"a": ["near-limit"]})
    accounts.update_many({}, {"$set": {"dmReceived": 3}})
    go_over(work)
    assert (store.written, states(mongo)) == (["a", "a"], {"a": ["near-limit"]})
    accounts.delete_one({"_id": 1})
    go_over(work)
    assert (store.deleted, states(mongo)) == ([], {"a": []})
    accounts.delete_one({"_id": 2})
    go_over(work)
    assert (store.deleted, states(mongo), work.summary.cells) == (["a"], {}, {})


def test_fields_on_which_no_state_depends(mongo: Mongo, clock: ManualClock) -> None:
    """If many accounts change in these alone, they are not read any more."""
    add(mongo, *({"instagramId": f"{n:03}", **used(9)} for n in range(600)))
    accounts, store = mongo.db["instagram_accounts"], MockStateStore(mongo)
    work = StatePass(store, Rhythms(mongo), clock)
    go_over(work)
    for n in range(3):
        accounts.update_many({}, {"$set": {"followers": n}})
        store.decoded = 0
        go_over(work)
        assert store.decoded == (BATCH + 600 if n == 0 else 0)
        assert work.summary.counts()["near-limit"] == 600
    assert store.is_narrow


@pytest.mark.parametrize(("size", "is_narrow"), [(10, False), (2000, True)])
def test_large_documents_are_not_read_as_a_whole(
    mongo: Mongo, clock: ManualClock, size: int, is_narrow: bool
) -> None:
    accounts = ({"instagramId": f"{n:03}", "biography": "x" * size} for n in range(30))
    add(mongo, *accounts)
    store = MockStateStore(mongo)
    work = StatePass(store, Rhythms(mongo), clock)
    for _ in range(3):
        go_over(work)
    assert store.is_narrow == is_narrow
    assert store.decoded == (60 if is_narrow else 30)


@pytest.mark.parametrize("stored", [None, {"kept": b"x"}], ids=repr)
def test_states_that_something_else_changes(
    mongo: Mongo, clock: ManualClock, stored: dict[str, bytes] | None
) -> None:
    """They are right again after the account's next change, and the sums after the next pass."""
    add(mongo, {"instagramId": "1", **used(9)}, {"instagramId": "2", **used(9)})
    work = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
    go_over(work)
    kept = mongo.db["dmstats_account_states"]
    if stored:
        kept.update_one({"_id": "1"}, {"$set": stored})
    else:
        kept.delete_one({"_id": "1"})
    mongo.db["instagram_accounts"].update_one({"instagramId": "1"}, {"$set": used(10)})
    go_over(work)
    assert states(mongo) == {"1": ["over-limit"], "2": ["near-limit"]}
    clock.advance(passes.FULL_MS / 1000 if stored is None else 1)
    go_over(work)
    assert (work.summary.counts()["near-limit"], work.summary.counts()["over-limit"]) == (1, 1)


@pytest.mark.parametrize("name", ["MAX_DUE", "MAX_VANISHED"])
def test_too_much_to_remember(
    mongo: Mongo, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The next pass is then a full one."""
    monkeypatch.setattr(passes, name, 2)
    add(mongo, *({"instagramId": str(n), "isActive": False} for n in range(9)))
    work = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
    go_over(work)
    now = to_datetime(clock.now_ms() + HOUR_MS // 2)
    mongo.db["instagram_accounts"].update_many(
        {"instagramId": {"$gte": "5"}}, {"$set": {"lastDMSent": now}}
    )
    go_over(work)
    mongo.db["instagram_accounts"].delete_many({"instagramId": {"$lt": "5"}})
    go_over(work)
    go_over(work)
    assert states(mongo) == {str(n): [State.INACTIVE_SENDING] for n in range(5, 9)}
    assert work.summary.totals(StateFilter()).accounts == 4


@pytest.mark.parametrize("seed", range(8))
def test_skipping_changes_nothing(mongo: Mongo, clock: ManualClock, seed: int) -> None:
    """Each pass finds what one finds that decodes all."""
    chance = random.Random(seed)
    accounts, backlog = mongo.db["instagram_accounts"], mongo.db["dmstats_account_backlog"]
    work = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
    seen = set[str]()
    for _ in range(60):
        now = clock.now_ms()
        for _ in range(chance.randrange(4)):
            change: dict[str, Any] = chance.choice(
                [
                    {"lastDMSent": to_datetime(now + chance.choice([0, 0, 0, 2 * HOUR_MS]))},
                    {"isActive": chance.random() < 0.5},
                    {"createdAt": to_datetime(now - chance.randrange(8 * DAY_MS))},
                    used(chance.randrange(12), month_of(now)),
                    {"dmUsed": chance.choice([5, "x"])},
                ]
            )
            name = {"instagramId": str(chance.randrange(12))}
            accounts.update_one(name, {"$set": change}, upsert=True)
        if chance.random() < 0.1:
            accounts.delete_one({"instagramId": str(chance.randrange(12))})
        if chance.random() < 0.1:
            row = {"_id": str(chance.randrange(12)), "attention": chance.random() < 0.5}
            backlog.replace_one({"_id": row["_id"]}, row, upsert=True)
        if chance.random() < 0.1:
            rhythm = Rhythm(now // HOUR_MS, (1,), chance.randrange(9), 1, chance.randrange(200), 5)
            publish(mongo, {str(n): rhythm for n in range(0, 12, 2)}, now)
        clock.advance(chance.choice([60, 600, 3600, 40_000, 300_000]))
        go_over(work)
        again = MockStateStore(mongo)
        every = StatePass(again, Rhythms(mongo), clock)
        go_over(every)
        assert (again.written, again.deleted) == ([], [])
        assert every.summary == work.summary
        seen |= {state for state, n in work.summary.counts().items() if n}
    assert len(seen) >= 5


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
    monkeypatch.setattr(passes, "BATCH", 3)
    add(mongo, *({"instagramId": str(n)} for n in range(8)), {"instagramId": "x"})
    state_pass(mongo, clock)
    mongo.db["instagram_accounts"].delete_many({"instagramId": {"$ne": "x"}})
    store = MockStateStore(mongo)
    steps = StatePass(store, Rhythms(mongo), clock, monthly_limit=0).steps()
    assert [len(store.deleted) for _ in steps] == [3, 6, 6]
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
        return BackgroundStates(states, clock, sleep=clock.advance)

    def test_it_works_in_short_steps_with_long_pauses(
        self, job: BackgroundStates, mongo: Mongo, clock: ManualClock
    ) -> None:
        began = clock.monotonic()
        assert not job.tick()
        assert len(states(mongo)) == 250
        # It slept between two steps, until its second was over.
        assert clock.monotonic() - began == pytest.approx(background.TICK_SECONDS)
        clock.advance(0.15 / background.MAX_SHARE - background.TICK_SECONDS - 0.01)
        assert not job.tick()
        assert len(states(mongo)) == 250
        while not job.tick():
            clock.advance(0.1)
        assert len(states(mongo)) == 600
        assert clock.monotonic() - began >= 0.3 / background.MAX_SHARE
        clock.advance(background.MIN_PAUSE_SECONDS - 10)
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
        clock.advance(background.MIN_PAUSE_SECONDS + 1)
        while not job.tick():
            clock.advance(1)

    def test_it_reports_how_many_accounts_are_in_which_state(
        self, mongo: Mongo, clock: ManualClock
    ) -> None:
        add(mongo, {"instagramId": "1", **used(9)}, {"instagramId": "2", **used(8)})
        metrics = Metrics()
        work = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
        job = BackgroundStates(work, clock, metrics.account_states, sleep=clock.advance)
        assert job.tick()
        name, value = "dmstats_accounts_in_state", metrics.registry.get_sample_value
        assert [value(name, {"state": state}) for state in State] == [
            2.0 if state == State.NEAR_LIMIT else 0.0 for state in State
        ]
        at = value("dmstats_account_states_timestamp_seconds")
        assert at == clock.now_ms() / 1000


@pytest.mark.parametrize(
    ("worked", "lasted", "cycle"),
    [
        (0.01, 0.1, 60.1), (3, 23, 100), (12, 90, 400), (20, 120, 450), (100, 120, 450),
        (300, 600, 660),
    ],
)  # fmt: skip
def test_the_rest_after_a_pass(worked: float, lasted: float, cycle: float) -> None:
    """A minute after a short one; after a long one so that a state is not ten minutes old."""
    assert lasted + background.rest_after(worked, lasted) == pytest.approx(cycle, abs=0.1)


@pytest.mark.parametrize("work", [1.0, 5.0, 20.0, 40.0, 55.0, 100.0])
def test_a_long_pass_hurries(work: float) -> None:
    """In ticks of a second it ends in two minutes, if half of the time is enough."""
    worked = lasted = 0.0
    while worked < work:
        share = background.share_of(worked / work, worked, lasted)
        assert background.MAX_SHARE <= share <= background.HURRY_SHARE
        worked, lasted = worked + share, lasted + 1
    assert lasted <= max(background.PASS_SECONDS, work / background.HURRY_SHARE) * 1.1
    assert lasted >= min(background.PASS_SECONDS, work / background.MAX_SHARE) * 0.8
    longest = background.CYCLE_SECONDS + background.PASS_SECONDS
    assert longest <= 600


def test_the_part_that_is_done(mongo: Mongo, clock: ManualClock) -> None:
    """By what the last pass has counted, also if that was another leader's."""
    add(mongo, *({"instagramId": f"{n:03}"} for n in range(600)))
    first = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
    assert first.done is None
    for _ in first.steps():
        assert first.done is None
    second = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
    assert {second.done for _ in second.steps()} == {BATCH / 600, 2 * BATCH / 600, 1.0}


class TestTheHoursLimit:
    """200 an hour, of which a commit adds to the account and to the hour in which it was sent."""

    @pytest.fixture
    def states_pass(self, mongo: Mongo, clock: ManualClock) -> StatePass:
        clock.step(-(clock.now_ms() % HOUR_MS) / 1000)
        add(mongo, *({"instagramId": name, "dmUsed": 5000} for name in "abc"))
        store = MockStateStore(mongo)
        found = StatePass(store, Rhythms(mongo), clock, hourly_limit=200)
        go_over(found)
        return found

    def pass_time(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock, minutes: int, **rates: int
    ) -> None:
        """Each account sends so many a minute; a pass begins every five minutes."""
        for minute in range(1, minutes + 1):
            clock.advance(60)
            for name, n in rates.items():
                send(mongo, name, n, clock.now_ms() - 1)
            if minute % 5 == 0:
                go_over(states_pass)

    def test_near_and_over_it(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock
    ) -> None:
        self.pass_time(states_pass, mongo, clock, 50, a=4, b=3)
        assert states(mongo) == {"a": ["over-hour-limit"], "b": [], "c": []}
        self.pass_time(states_pass, mongo, clock, 5, a=4, b=3)
        assert states(mongo)["b"] == ["near-hour-limit"]
        # A busy hour is seen until the next one is over, too.
        self.pass_time(states_pass, mongo, clock, 60, b=1)
        assert states(mongo) == {"a": ["over-hour-limit"], "b": ["near-hour-limit"], "c": []}
        self.pass_time(states_pass, mongo, clock, 15, b=1)
        assert states(mongo) == {"a": [], "b": [], "c": []}

    def test_an_account_that_pauses_is_not_written(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock
    ) -> None:
        self.pass_time(states_pass, mongo, clock, 20, a=1)
        store = MockStateStore(mongo)
        later = StatePass(store, Rhythms(mongo), clock, hourly_limit=200)
        for _ in range(6):
            clock.advance(1800)
            go_over(later)
        assert store.written == []

    def test_no_alarm_of_what_was_sent_before_an_outage(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock
    ) -> None:
        """Three hours, 150 DMs in each, arrive within some minutes of the fourth."""
        outage_ms = clock.now_ms()
        self.pass_time(states_pass, mongo, clock, 200)
        for hour in range(3):
            for name in "abc":
                send(mongo, name, 150, outage_ms + hour * HOUR_MS)
        for _ in range(20):
            self.pass_time(states_pass, mongo, clock, 5, a=2)
            assert states(mongo) == {"a": [], "b": [], "c": []}

    def test_no_alarm_of_what_the_platform_writes(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock
    ) -> None:
        self.pass_time(states_pass, mongo, clock, 20, a=1)
        for n in (0, 900, 2**63 - 1, -(2**63), 1400):
            mongo.db["instagram_accounts"].update_one({"instagramId": "b"}, {"$set": {"dmUsed": n}})
            for _ in range(4):
                self.pass_time(states_pass, mongo, clock, 10, a=1)
                assert states(mongo) == {"a": [], "b": [], "c": []}

    def test_no_alarm_in_weeks_of_a_usual_rhythm(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock
    ) -> None:
        """Nights, weekends and a holiday; the busiest hours stay below 80% of the limit. Passes
        come at odd moments, and one in twenty is of a new leader."""
        chance, began_ms = random.Random(11), clock.now_ms()
        while (passed := clock.now_ms() - began_ms) < 9 * DAY_MS:
            hour, day = passed // HOUR_MS % 24, passed // DAY_MS
            rate = 0 if hour < 7 or day in (2, 5, 6) else 150 if hour in (9, 18) else 60
            seconds = chance.randrange(120, 700)
            clock.advance(seconds)
            send(mongo, "a", round(rate * seconds / 3600), clock.now_ms() - 1)
            if chance.random() < 0.05:
                store = MockStateStore(mongo)
                states_pass = StatePass(store, Rhythms(mongo), clock, hourly_limit=200)
            go_over(states_pass)
            assert states(mongo)["a"] == []

    def test_the_limit_of_nobody(self, mongo: Mongo, clock: ManualClock) -> None:
        add(mongo, {"instagramId": "a", "dmUsed": 5})
        without = StatePass(MockStateStore(mongo), Rhythms(mongo), clock)
        go_over(without)
        self.pass_time(without, mongo, clock, 60, a=100)
        assert states(mongo) == {"a": []}

    @pytest.mark.parametrize("stored", [None, "x", b"", b"\x90", 3, {"a": 1}])
    def test_odd_documents_stop_nothing(
        self, states_pass: StatePass, mongo: Mongo, clock: ManualClock, stored: object
    ) -> None:
        kept = {"kept": stored, "seen": stored}
        mongo.db["dmstats_account_states"].update_one({"_id": "a"}, {"$set": kept})
        self.pass_time(states_pass, mongo, clock, 60, b=1)
        mongo.db["dmstats_hours"].update_many({}, {"$set": {"sent": "x"}})
        self.pass_time(states_pass, mongo, clock, 5)
        assert states(mongo) == {"a": [], "b": [], "c": []}
