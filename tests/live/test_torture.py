"""A short torture run, and that its recount finds errors; `make torture` runs longer ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from bson.decimal128 import Decimal128

from dmstats.commit.increments import merge
from dmstats.core.clock import SystemClock, to_datetime
from dmstats.core.records import LedgerRow
from dmstats.db.client import Mongo
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions
from tests.torture.kills import Kill
from tests.torture.platform import Platform, whole
from tests.torture.recount import Recount, recount
from tests.torture.report import Figures, lines, longest_gap, outside
from tests.torture.run import Options, torture

pytestmark = pytest.mark.live


@pytest.mark.slow(50)
def test_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.getrandbits(32)
    options = Options(
        seed=seed,
        seconds=25,
        min_kills=3,
        rate=80,
        every=2.5,
        kinds=("worker", "database", "redis", "worker paused", "launcher"),
    )
    said = [f"seed {seed}"]
    figures = torture(options, said.append)
    shown = "\n".join([*said, *lines(figures)])
    assert figures.exact, shown
    assert len(figures.kills) >= 3, shown
    assert figures.acknowledged > 500, shown


@pytest.fixture
def counted(mongo: Mongo) -> Iterator[dict[bytes, bool]]:
    """Ten counted events, as the load would remember them."""
    now_ms = SystemClock().now_ms()
    day = to_datetime(now_ms).strftime("%Y%m%d")
    rows = [
        LedgerRow(number.to_bytes(20, "big"), day, f"a{number % 3}", "sent", now_ms, now_ms)
        for number in range(1, 11)
    ]
    transactions = Transactions(mongo)
    batches = Batches(mongo, Ledger(mongo, retention_hours=168), transactions, SystemClock())
    batches.find_existing(rows, seconds=5)
    batches.write(rows, merge(rows), seconds=5)
    yield {row.row_id[4:]: True for row in rows}
    transactions.close()


def partition(mongo: Mongo) -> str:
    (name,) = mongo.db.list_collection_names(filter={"name": {"$regex": "^dmstats_ledger_2"}})
    return str(name)


def test_the_recount_finds_nothing_where_nothing_is_wrong(
    mongo: Mongo, counted: dict[bytes, bool]
) -> None:
    assert recount(mongo.db, counted).exact


def test_the_recount_finds_a_lost_event(mongo: Mongo, counted: dict[bytes, bool]) -> None:
    mongo.db[partition(mongo)].delete_one({})
    found = recount(mongo.db, counted)
    assert found.lost == 1
    assert found.drifts


def test_the_recount_finds_a_doubled_event(mongo: Mongo, counted: dict[bytes, bool]) -> None:
    row = mongo.db[partition(mongo)].find_one() or {}
    row["_id"] = bytes(4) + row["_id"][4:]
    mongo.db["dmstats_ledger_other"].insert_one(row)
    assert recount(mongo.db, counted).doubled == 1


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("stats_cache", {"$inc": {"dmsSent": 1}}),
        ("dmstats_hours", {"$inc": {"sent": -1}}),
        ("dmstats_days", {"$inc": {"sent": 1}}),
        ("instagram_accounts", {"$inc": {"dmUsed": 1}}),
        ("instagram_accounts", {"$inc": {"monthlyDmUsed": 1}}),
    ],
)
def test_the_recount_finds_a_counter_that_is_off(
    mongo: Mongo, counted: dict[bytes, bool], place: str, change: dict[str, dict[str, int]]
) -> None:
    mongo.db[place].update_one({}, change)
    assert not recount(mongo.db, counted).exact


def test_the_recount_reckons_with_what_the_platform_changed(
    mongo: Mongo, counted: dict[bytes, bool]
) -> None:
    platform = Platform(lambda: "", ["a0", "a1"], seed=1, rate=1)
    assert recount(mongo.db, counted, platform).exact
    mongo.db["instagram_accounts"].update_one({"instagramId": "a0"}, {"$inc": {"dmUsed": 7}})
    assert len(recount(mongo.db, counted, platform).drifts) == 1
    platform.changed["a0", "dmUsed"] += 7
    assert recount(mongo.db, counted, platform).exact
    waiting = {"_id": "a1\0x", "account": "a1", "sent": 1, "received": 0}
    mongo.db["dmstats_account_backlog"].insert_one(waiting)
    assert len(recount(mongo.db, counted, platform).drifts) == 1
    platform.uncertain.add("a1")
    assert recount(mongo.db, counted, platform).exact


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), (5.0, 5), (Decimal128("5"), 5), (1.5, None), (None, None), (True, None), ("5", None)],
)
def test_whole_numbers_of_the_platform(value: object, number: int | None) -> None:
    assert whole(value) == number


def test_what_is_outside_kills_is_measured() -> None:
    figures = Figures(
        seed=1, seconds=40, dms=0, acknowledged=0, settled=True, posts=0, retried=0, repeated=0,
        stepped=0, statuses={}, slow=0, recount=Recount(), audit="no drift", ended=40.0,
        answered=[0.0, 1.0, 9.0, 20.0, 21.5, 39.0, 40.0],
        refused=[(1.5, 8.0), (20.5, 21.0), (21.6, 30.5)],
        kills=[Kill("worker", 1.2), Kill("worker paused", 22.0, over=24.0)],
    )  # fmt: skip
    # From 0 to 1.2, from 6.2 to 22, from 29 to 40.
    assert outside(figures) == pytest.approx((28.0, 11.0, 0.5))
    assert not figures.steady


def test_a_gap_is_the_time_between_two_answers() -> None:
    answered = [1.0, 1.1, 4.0, 4.1, 9.0]
    assert longest_gap(answered, 1.05, 4.05) == pytest.approx(2.9)
    assert longest_gap(answered, 4.05, 6.0) == pytest.approx(1.9)
    assert Kill("worker", 1.0).alone
