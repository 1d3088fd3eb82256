"""The accounts' states on a real server: from an audit's rhythms to a page, by indexes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, hour_start, to_datetime
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.account_order import Sort
from dmstats.db.dashboard.state_directory import StateDirectory
from dmstats.db.states.rhythms import Rhythms
from dmstats.db.states.state_record import State
from dmstats.db.states.state_store import StateStore
from dmstats.db.states.summary import StateFilter
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.states import background
from dmstats.states.background import BackgroundStates
from dmstats.states.passes import StatePass
from tests.auditing import Auditing, auditing, event

pytestmark = pytest.mark.live


def states_job(store: Auditing) -> BackgroundStates:
    states = StateStore(store.mongo, TransactionRunner(store.mongo))
    work = StatePass(states, Rhythms(store.mongo), store.clock, monthly_limit=20)
    return BackgroundStates(work, store.clock, sleep=lambda _: None)


def test_it_works(mongo: Any, clock: ManualClock) -> None:
    with auditing(mongo, clock) as store:
        now = clock.now_ms()
        for day in range(6):
            store.count(*(event(now - day * DAY_MS, account=name) for name in "ab"))
        store.audit()
        assert Rhythms(mongo).between("", "").keys() == {"a", "b"}
        rhythm = Rhythms(mongo).between("b", "")["b"]
        assert (rhythm.hour, rhythm.recent, rhythm.used) == (hour_start(now) // HOUR_MS, 1, 6)
        assert rhythm.days == (1,) * 6
        # The next audit goes on from what this one has kept.
        clock.advance(3 * 86_400)
        store.count(event(clock.now_ms(), account="a"))
        store.audit()
        assert Rhythms(mongo).between("", "")["a"].days == (1, 1, 1, 1, 1, 1, 0, 0, 1)
        store.db["instagram_accounts"].update_one(
            {"instagramId": "a"}, {"$set": {"monthlyDmLimit": 7, "username": "a.shop"}}
        )
        job = states_job(store)
        assert job.tick()
        page = StateDirectory(mongo).page(
            StateFilter(State.OVER_LIMIT), Sort("limitUsed", True), None, 10
        )
        assert page.ids == ["a"]
        summary = StateDirectory(mongo).summary()
        assert summary is not None
        assert summary.counts() == {
            "over-limit": 1, "near-limit": 0, "over-hour-limit": 0, "near-hour-limit": 0,
            "silent": 0, "surging": 0, "inactive-sending": 0,
            "needs-attention": 0, "new": 2,
        }  # fmt: skip
        assert summary.totals(StateFilter()).sent == 13
        found, complete = AccountDirectory(mongo).matches("SHO")
        assert ([row["instagramId"] for row in found], complete) == (["a"], True)
        store.db["instagram_accounts"].delete_one({"instagramId": "a"})
        clock.advance(2 * background.MIN_PAUSE_SECONDS)
        assert job.tick()
        assert StateDirectory(mongo).of(["a", "b"]) == {"b": [State.NEW]}


def test_what_the_database_refuses_ends_no_pass(mongo: Any, clock: ManualClock) -> None:
    with auditing(mongo, clock) as store:
        store.db["instagram_accounts"].insert_many([{"instagramId": name} for name in "abc"])
        store.db.command("collMod", "dmstats_account_states", validator={"_id": {"$ne": "b"}})
        assert states_job(store).tick()
        assert StateDirectory(mongo).of(["a", "b", "c"]).keys() == {"a", "c"}


def test_a_page_reads_what_it_shows(mongo: Any, clock: ManualClock) -> None:
    """By the server's own plan: the collection is never scanned."""
    with auditing(mongo, clock) as store:
        last = to_datetime(clock.now_ms())
        store.db["instagram_accounts"].insert_many(
            {"instagramId": f"{n:03}", "lastDMSent": last - timedelta(minutes=n)}
            for n in range(300)
        )
        job = states_job(store)
        while not job.tick():
            clock.advance(60)
        directory = StateDirectory(mongo)
        first = directory.page(StateFilter(), Sort("lastDMSent", True), None, 100)
        second = directory.page(StateFilter(), Sort("lastDMSent", True), first.after, 200)
        assert first.ids + second.ids == [f"{n:03}" for n in range(300)]
        assert second.after is None
        assert first.after is not None
        find = {
            "find": "dmstats_account_states",
            "filter": {"order.lastDMSent": {"$lt": first.after.value}},
            "sort": {"order.lastDMSent": -1},
            "limit": 51,
        }
        plan = str(store.db.command("explain", find, verbosity="queryPlanner"))
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan
