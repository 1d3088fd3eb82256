"""Leaving accounts out of what an audit published."""

from __future__ import annotations

from typing import Any

import pytest

from dmstats.core.clock import ManualClock
from dmstats.db.audit import activity_store
from dmstats.db.audit.activity_store import AccountActivity, Activities, ActivityWriter, leave_out
from dmstats.db.client import Mongo
from dmstats.db.states.rhythms import Rhythm, Rhythms, account_of
from tests.service.admin_site import mock_mongo

ACTIVITY = AccountActivity([2], [3], [4], [5])
RHYTHM = Rhythm(1, (1,))
MINE = ("5", "5\0")


@pytest.fixture
def mongo() -> Mongo:
    return mock_mongo()


def publish(mongo: Mongo, clock: ManualClock, active: str, rhythmic: str) -> None:
    clock.advance(1)
    now = clock.now_ms()
    writer = ActivityWriter(mongo, f"pass of {now}")
    activities, rhythms = dict.fromkeys(active, ACTIVITY), dict.fromkeys(rhythmic, RHYTHM)
    writer.keep("", now, now, activities, rhythms, hours=1, days=1)
    assert writer.publish([], now)


def sent(mongo: Mongo, account: str) -> int:
    found = Activities(mongo).of(account)
    assert found is not None
    return sum(counts[0] for counts in found.days.values())


@pytest.mark.parametrize(
    ("active", "rhythmic", "left"),
    [("5", "56", ["6"]), ("57", "567", ["6"]), ("56", "5", ["6"]), ("5", "5", [])],
)
def test_the_others_of_a_chunk_that_began_with_it_stay(
    mongo: Mongo,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    active: str,
    rhythmic: str,
    left: list[str],
) -> None:
    monkeypatch.setattr(activity_store, "CHUNK", 2)
    publish(mongo, clock, "34" + active, "34" + rhythmic)
    others = Rhythms(mongo).between("", "").keys() - {"5"}
    leave_out(mongo.db, *MINE)
    assert "'5'" not in repr(list(mongo.db["dmstats_account_activity"].find()))
    assert [first for first, _ in Rhythms(mongo).published()][:2] == ["", *left[:1]]
    assert Rhythms(mongo).between("", "").keys() == others
    for account in "34" + active:
        assert sent(mongo, account) == (0 if account == "5" else 4)


@pytest.mark.parametrize("chunk", [2, 200])
def test_an_audit_is_published_during_a_read(
    mongo: Mongo, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(activity_store, "CHUNK", chunk)
    publish(mongo, clock, "3456", "3456")
    meanwhile = iter(["34567"])

    def also_publishes(entry: object) -> str | None:
        for accounts in meanwhile:
            publish(mongo, clock, accounts, accounts)
        return account_of(entry)

    monkeypatch.setattr(activity_store, "account_of", also_publishes)
    leave_out(mongo.db, *MINE)
    assert [sent(mongo, account) for account in "34567"] == [4, 4, 0, 4, 4]
    assert Rhythms(mongo).between("", "").keys() == set("3467")


@pytest.mark.parametrize("garbage", [None, 1, [], [1], [None, b""], {}], ids=repr)
def test_entries_that_cannot_be_read_stop_nothing(
    mongo: Mongo, clock: ManualClock, garbage: Any
) -> None:
    publish(mongo, clock, "56", "56")
    mongo.db["dmstats_account_activity"].update_many({}, {"$push": {"accounts": garbage}})
    leave_out(mongo.db, *MINE)
    assert Rhythms(mongo).between("", "").keys() == {"6"}
    assert "'5'" not in repr(list(mongo.db["dmstats_account_activity"].find()))
