"""What each account did, as audits write it and pages read it, on a real server."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from dmstats.audit.account_activity import buckets
from dmstats.audit.auditor import Outcome, Progress
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, day_start, hour_start, to_datetime
from dmstats.core.records import RECEIVED, LedgerRow
from dmstats.db.audit import activity_store as activity_module
from dmstats.db.audit import runs as passes_module
from dmstats.db.audit.account_days import AccountDays
from dmstats.db.audit.activity_store import Activities
from dmstats.db.audit.archive import Archive
from dmstats.db.collection_names import ACCOUNT_ACTIVITY
from dmstats.db.states.rhythms import INDEX
from dmstats.history.account import AccountRequest, account_history
from tests.auditing import Auditing, auditing, event

pytestmark = pytest.mark.live

Periods = dict[int, tuple[int | None, int | None]]


@pytest.fixture
def store(mongo: Any, clock: ManualClock) -> Iterator[Auditing]:
    with auditing(mongo, clock) as store:
        yield store


@pytest.fixture
def now(clock: ManualClock) -> int:
    return clock.now_ms()


def shown(store: Auditing, account: str) -> tuple[Periods, Periods]:
    """The hours and days of an account in which there was something, or nothing is known."""
    found = Activities(store.mongo).of(account)
    assert found is not None
    hours, days = (
        {start: (sent, got) for start, sent, got in periods if sent != 0 or got != 0}
        for periods in buckets(found)
    )
    return hours, days


def known(periods: Periods) -> Periods:
    return {start: counts for start, counts in periods.items() if counts != (None, None)}


def dms(time_ms: int, sent: int, received: int = 0, *, account: str = "a") -> list[LedgerRow]:
    rows = [event(time_ms, account=account) for _ in range(sent)]
    return rows + [event(time_ms, account=account, kind=RECEIVED) for _ in range(received)]


def test_it_works(store: Auditing, now: int) -> None:
    store.count(*dms(now, 3, 1), *dms(now - 2 * HOUR_MS, 2), *dms(now, 5, account="b"))
    assert Activities(store.mongo).of("a") is None
    store.audit()
    hours, days = shown(store, "a")
    hour, day = hour_start(now), day_start(now)
    assert known(hours) == {hour - 2 * HOUR_MS: (2, 0), hour: (3, 1)}
    assert known(days) == {day: (5, 1)}
    # Counting began two hours ago: before that nothing is known.
    assert [*hours.values()].count((None, None)) == 21
    assert known(shown(store, "unknown")[0]) == {}


def test_the_next_audit_replaces_it(store: Auditing, clock: ManualClock, now: int) -> None:
    store.count(*dms(now, 3))
    store.audit()
    clock.advance(3600)
    store.count(*dms(clock.now_ms(), 4))
    assert known(shown(store, "a")[0]) == {hour_start(now): (3, 0)}
    store.audit()
    hour = hour_start(clock.now_ms())
    assert known(shown(store, "a")[0]) == {hour - HOUR_MS: (3, 0), hour: (4, 0)}
    assert store.db[ACCOUNT_ACTIVITY].count_documents({"_id": {"$ne": INDEX}}) == 2


def test_an_audit_that_has_not_ended_shows_nothing(
    store: Auditing, clock: ManualClock, now: int
) -> None:
    store.count(*dms(now, 3))
    store.audit()
    store.count(*dms(now, 1))
    steps = store.auditor().steps("schedule", Outcome())
    for step in steps:
        if step.what == "accounts and totals":
            break
    assert known(shown(store, "a")[0]) == {hour_start(now): (3, 0)}
    # Given up: another one of its kind begins anew, and takes what it has left with it.
    clock.advance(passes_module.ABANDONED_MS / 1000 + 1)
    store.audit(kind="other")
    store.audit(kind="other")
    keys = {chunk["pass"] for chunk in store.db[ACCOUNT_ACTIVITY].find({"_id": {"$ne": INDEX}})}
    assert len(keys) == 1
    steps.close()


def until_accounts(store: Auditing, kind: str) -> Generator[Progress, None, None]:
    """An audit that has looked at the accounts, and has not said so yet."""
    steps = store.auditor().steps(kind, Outcome())
    for step in steps:
        if step.what == "accounts and totals":
            break
    return steps


def test_an_audit_beside_another_leaves_its_chunks_alone(
    store: Auditing, clock: ManualClock, now: int
) -> None:
    store.count(*dms(now, 3))
    store.audit(kind="command")
    clock.advance(60)
    steps = until_accounts(store, "schedule")
    store.audit(kind="command")
    for _ in steps:
        pass
    assert known(shown(store, "a")[0]) == {hour_start(now): (3, 0)}


def test_a_slow_audit_does_not_put_back_what_a_newer_one_said(
    store: Auditing, clock: ManualClock, now: int
) -> None:
    store.count(*dms(now, 3))
    slow = until_accounts(store, "schedule")
    clock.advance(60)
    store.count(*dms(now, 4))
    store.audit(kind="command")
    clock.advance(60)
    for _ in slow:
        pass
    assert known(shown(store, "a")[0]) == {hour_start(now): (7, 0)}
    assert store.db[ACCOUNT_ACTIVITY].count_documents({"_id": {"$ne": INDEX}}) == 2
    store.count(*dms(now, 1))
    store.audit(kind="schedule")
    assert known(shown(store, "a")[0]) == {hour_start(now): (8, 0)}


def test_activity_written_under_a_fast_clock_is_replaced_by_later_audits(
    store: Auditing, clock: ManualClock, now: int
) -> None:
    store.count(*dms(now, 3))
    clock.advance(DAY_MS / 1000)
    store.audit()
    clock.advance(-DAY_MS / 1000)
    store.count(*dms(now, 1))
    store.audit()
    assert known(shown(store, "a")[0]) == {hour_start(now): (4, 0)}


def test_an_audit_that_another_process_continues(
    store: Auditing, clock: ManualClock, now: int
) -> None:
    store.count(*dms(now, 3))
    until_accounts(store, "schedule").close()
    clock.advance(60)
    store.audit(kind="schedule")
    assert known(shown(store, "a")[0]) == {hour_start(now): (3, 0)}
    assert store.db[ACCOUNT_ACTIVITY].count_documents({"_id": {"$ne": INDEX}}) == 2


def test_many_accounts_in_several_parts_and_chunks(
    store: Auditing, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_module, "PART", 7)
    monkeypatch.setattr(activity_module, "CHUNK", 3)
    names = [f"{number:02}" for number in range(20)]
    for number, name in enumerate(names):
        store.count(*dms(now, number, 1, account=name))
    store.audit()
    hour = hour_start(now)
    for number, name in enumerate(names):
        assert known(shown(store, name)[0]) == {hour: (number, 1)}
    for name in ("", "00a", "10a", "zz"):
        assert known(shown(store, name)[0]) == {}
    assert store.db[ACCOUNT_ACTIVITY].count_documents({}) > 7


def test_all_accounts_together_did_what_the_hours_say(store: Auditing, now: int) -> None:
    store.count(*store.traffic(now))
    store.audit()
    accounts = [found["instagramId"] for found in store.db["instagram_accounts"].find()]
    hour = hour_start(now)
    sums = [known(shown(store, account)[0]).get(hour, (0, 0)) for account in accounts]
    document = store.db["dmstats_hours"].find_one({"_id": to_datetime(hour)}) or {}
    assert sum(sent or 0 for sent, _ in sums) == document.get("sent", 0)
    assert sum(got or 0 for _, got in sums) == document.get("received", 0)


def test_late_events_are_where_their_time_is(store: Auditing, now: int) -> None:
    store.count(*dms(now, 1), event(now - 5 * HOUR_MS, late=True), event(now, late=True))
    for _ in range(2):  # the second one finds the page of the late rows unchanged
        store.audit()
        hours, days = shown(store, "a")
        assert known(hours)[hour_start(now)] == (2, 0)
        assert known(days)[day_start(now)] == (3, 0)


def test_days_whose_rows_are_gone_are_unknown(store: Auditing, now: int) -> None:
    store.count(*dms(now - 3 * DAY_MS, 2), *dms(now - DAY_MS, 4), *dms(now, 1))
    store.audit()
    _, days = shown(store, "a")
    day = day_start(now)
    assert known(days) == {day - 3 * DAY_MS: (2, 0), day - DAY_MS: (4, 0), day: (1, 0)}
    assert days[day - 4 * DAY_MS] == (None, None)
    store.archive.close(to_datetime(now - 3 * DAY_MS).strftime("%Y%m%d"))
    assert store.audit().differences == []
    _, days = shown(store, "a")
    assert known(days) == {day - DAY_MS: (4, 0), day: (1, 0)}
    assert days[day - 3 * DAY_MS] == (None, None)


def test_archived_days_and_months_stay_known(store: Auditing, clock: ManualClock, now: int) -> None:
    past = AccountDays(store.mongo)
    old = now - 3 * DAY_MS
    store.count(*dms(old, 2, 1), *dms(old, 1, account="b"), *dms(now, 4))
    assert past.first_ms() is None
    store.archive.close(to_datetime(old).strftime("%Y%m%d"))
    store.count(event(old - HOUR_MS, late=True))
    store.archive.archive_late(now + 3 * DAY_MS)
    store.audit()
    month = f"{to_datetime(old):%Y-%m}"
    assert past.first_ms() == day_start(old)
    assert past.days("a", [month]) == {day_start(old): (3, 1)}
    assert past.days("b", [month, "2020-01"]) == {day_start(old): (1, 0)}
    assert past.months("a") == {month: (3, 1)}
    activity = Activities(store.mongo).of("a")
    assert activity is not None
    request = AccountRequest("a", "monday", "7d")
    found = account_history(request, activity, past, days_kept=731)
    assert [point["sent"] for point in found["points"]][3:] == [3, 0, 0, 4]
    stored = store.db["dmstats_account_days"].find_one({"_id": f"a:{month}"}) or {}
    assert stored["until"] > to_datetime(old + 731 * DAY_MS)


def test_days_are_not_kept_if_they_are_not_wanted(store: Auditing, now: int) -> None:
    archive = Archive(store.mongo, store.ledger, store.work, days_kept=0)
    store.count(*dms(now - 3 * DAY_MS, 2))
    archive.close(to_datetime(now - 3 * DAY_MS).strftime("%Y%m%d"))
    assert AccountDays(store.mongo).months("a") == {
        f"{to_datetime(now - 3 * DAY_MS):%Y-%m}": (2, 0)
    }
    assert store.db["dmstats_account_days"].count_documents({}) == 0


def test_reading_one_account_takes_two_documents(store: Auditing, now: int) -> None:
    for name in ("a", "b"):
        store.count(*dms(now, 1, account=name))
    store.audit()
    for document in store.db[ACCOUNT_ACTIVITY].find({}, {"_id": True}):
        find = {"find": ACCOUNT_ACTIVITY, "filter": {"_id": document["_id"]}}
        plan = store.db.command("explain", find, verbosity="executionStats")
        assert plan["executionStats"]["totalDocsExamined"] <= 1


def test_a_chunk_that_is_missing_is_no_figure(store: Auditing, now: int) -> None:
    store.count(*dms(now, 1))
    store.audit()
    store.db[ACCOUNT_ACTIVITY].delete_many({"_id": {"$ne": INDEX}})
    assert Activities(store.mongo).of("a") is None
