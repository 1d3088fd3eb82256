"""One batch, one transaction, on a real MongoDB-protocol server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import gevent
import pytest
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect

import migrations
from dmstats.commit.batch_writer import BatchWriter
from dmstats.commit.group_commit import Committer
from dmstats.commit.increments import merge
from dmstats.commit.limits import PROBE_AGAIN_SECONDS
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, SystemClock, to_datetime
from dmstats.core.errors import Conflict, PoisonError, StoreUnavailable, Unavailable
from dmstats.core.records import RECEIVED, SENT, LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo
from dmstats.db.collection_names import LEDGER_PREFIX
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.reconciliation import PlaceSums, read_place_sums
from dmstats.db.transactions import Transactions, kill_session
from dmstats.ops.metrics import Metrics

pytestmark = pytest.mark.live


class Store:
    """A committer's store on its own session."""

    def __init__(self, mongo: Mongo, clock: ManualClock) -> None:
        self.mongo = mongo
        self.clock = clock
        self.ledger = Ledger(mongo, retention_hours=168)
        self.transactions = Transactions(mongo)
        self.batches = Batches(mongo, self.ledger, self.transactions, clock)

    def count(self, *rows: LedgerRow) -> None:
        assert self.batches.find_existing(rows, seconds=5) == set()
        self.batches.write(rows, merge(rows), seconds=5)

    def account(self, name: str = "a") -> dict[str, Any]:
        found = self.mongo.db["instagram_accounts"].find_one({"instagramId": name}, {"_id": False})
        assert found is not None
        return found

    def tallies(self) -> set[tuple[int, int]]:
        return {
            (each.sent, each.received) for each in read_place_sums(self.mongo, self.ledger).values()
        }


@pytest.fixture(params=[True, False], ids=["bulk write", "separate messages"])
def store(
    mongo: Mongo,
    clock: ManualClock,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Store]:
    if request.param:
        assert mongo.transactional()
        assert mongo.has_bulk_write
    else:
        monkeypatch.setattr(Mongo, "has_bulk_write", False)
    migrations.apply(mongo, Settings())
    store = Store(mongo, clock)
    yield store
    store.transactions.close()


def refuse_rows_of(mongo: Mongo, account: str, *, partition: str) -> None:
    mongo.db.command("collMod", LEDGER_PREFIX + partition, validator={"account": {"$ne": account}})


def row(
    name: str, time_ms: int, *, kind: str = SENT, account: str = "a", partition: str = ""
) -> LedgerRow:
    day = partition or to_datetime(time_ms).strftime("%Y%m%d")
    return LedgerRow(name.encode().rjust(20), day, account, kind, time_ms, time_ms)


def test_it_works(store: Store, clock: ManualClock) -> None:
    now = clock.now_ms()
    store.count(row("1", now), row("2", now, kind=RECEIVED, account="b"), row("3", now - DAY_MS))
    assert store.tallies() == {(2, 1)}
    assert store.account() == {
        "instagramId": "a", "isActive": True, "createdAt": to_datetime(now), "dmUsed": 2,
        "dmReceived": 0, "monthlyDmUsed": 2, "currentMonth": "2026-11",
        "lastDMSent": to_datetime(now),
        "ledgerBase": {"sent": 0, "received": 0, "month": "", "monthSent": 0},
    }  # fmt: skip
    assert store.account("b")["lastDMReceived"] == to_datetime(now)
    hour = store.mongo.db["dmstats_hours"].find_one({"_id": datetime(2026, 11, 15, 12, tzinfo=UTC)})
    assert hour == {
        "_id": datetime(2026, 11, 15, 12, tzinfo=UTC), "sent": 1, "received": 1,
        "minutes": {"34": {"sent": 1, "received": 1}},
    }  # fmt: skip
    total = store.mongo.db["stats_cache"].find_one({"_id": "global"})
    assert total is not None
    assert (total["dmsSent"], total["lastEventAt"]) == (2, to_datetime(now))


def test_the_ledger_holds_no_text_and_no_person(store: Store, clock: ManualClock) -> None:
    store.count(row("1", clock.now_ms()))
    (found,) = store.mongo.db["dmstats_ledger_20261115"].find()
    assert set(found) == {"_id", "account", "kind", "time", "arrived"}


def test_what_is_known_is_found_here_and_elsewhere(store: Store, clock: ManualClock) -> None:
    first = row("1", clock.now_ms())
    store.count(first)
    moved = LedgerRow(
        b"elsewhere", "other", "a", SENT, 1, 1, True, "", (first.partition, first.row_id)
    )
    new = row("2", clock.now_ms())
    assert store.batches.find_existing([first, new], seconds=5) == {first.row_id}
    assert store.batches.find_existing([moved, new], seconds=5) == {moved.row_id}


def test_a_newer_month_moves_the_account_on_and_an_older_one_does_not(
    store: Store, clock: ManualClock
) -> None:
    december = datetime(2026, 12, 1, tzinfo=UTC)
    december_ms = int(december.timestamp() * 1000)
    store.count(row("1", december_ms - 5), row("2", december_ms - 6))
    store.count(row("3", december_ms + 5))
    assert (store.account()["currentMonth"], store.account()["monthlyDmUsed"]) == ("2026-12", 1)
    store.count(row("4", december_ms - 7), row("5", december_ms - 8, kind=RECEIVED))
    account = store.account()
    assert (account["dmUsed"], account["monthlyDmUsed"]) == (4, 1)
    assert account["lastDMSent"] == to_datetime(december_ms + 5)
    days = {day["_id"].day: day["sent"] for day in store.mongo.db["dmstats_days"].find()}
    assert days == {30: 3, 1: 1}


def test_an_account_of_the_host_platform_is_taken_over_as_it_is(
    store: Store, clock: ManualClock
) -> None:
    store.mongo.db["instagram_accounts"].insert_one(
        {"instagramId": "a", "username": "shop", "isActive": False, "dmUsed": 100}
    )
    store.count(row("1", clock.now_ms()))
    account = store.account()
    assert (account["dmUsed"], account["monthlyDmUsed"], account["isActive"]) == (101, 1, False)
    assert account["username"] == "shop"


def test_a_batch_is_all_or_nothing(store: Store, clock: ManualClock) -> None:
    rows = [row("1", clock.now_ms(), account="b"), row("2", clock.now_ms())]
    store.ledger.prepare(rows)
    refuse_rows_of(store.mongo, "a", partition=rows[0].partition)
    with pytest.raises(PoisonError):
        store.batches.write(rows, merge(rows), seconds=5)
    assert read_place_sums(store.mongo, store.ledger)["ledger"] == PlaceSums()
    assert store.batches.find_existing(rows, seconds=5) == set()


def test_a_refused_event_is_kept_and_counts_as_rejected(store: Store, clock: ManualClock) -> None:
    refused = row("1", clock.now_ms())
    store.ledger.prepare([refused])
    store.batches.reject(refused, seconds=5)
    assert store.batches.find_existing([refused], seconds=5) == {refused.row_id}
    assert store.tallies() == {(0, 0)}
    total = store.mongo.db["stats_cache"].find_one({"_id": "global"})
    assert total is not None
    assert total["rejected"] == 1


def test_a_shared_counter_that_is_not_a_number_affects_only_its_value(
    store: Store, clock: ManualClock
) -> None:
    store.mongo.db["stats_cache"].insert_one({"_id": "global", "dmsSent": "many", "late": 7})
    store.mongo.db["dmstats_hours"].insert_one(
        {"_id": to_datetime(clock.now_ms() // HOUR_MS * HOUR_MS), "sent": None, "minutes": "odd"}
    )
    one = row("1", clock.now_ms())
    for _ in range(2):
        try:
            store.count(one)
            break
        except Conflict:  # its counters were reset: the attempt is made again
            continue
    total = store.mongo.db["stats_cache"].find_one({"_id": "global"})
    assert total is not None
    assert (total["dmsSent"], total["late"]) == (1, 7)
    assert store.tallies() == {(1, 0)}


def test_the_same_event_in_two_transactions_counts_once(
    store: Store, mongo: Mongo, clock: ManualClock
) -> None:
    event = row("1", clock.now_ms())
    store.count(event)
    with pytest.raises(Conflict):
        store.batches.write([event], merge([event]), seconds=5)
    assert store.tallies() == {(1, 0)}


def test_an_event_counted_by_another_worker_is_a_conflict(store: Store, clock: ManualClock) -> None:
    """Two hosts whose clocks differ judge it differently, so no duplicate key tells."""
    now, told = clock.now_ms(), clock.now_ms() + HOUR_MS
    dated = row("1", told)
    late = LedgerRow(
        b"late", "other", "a", SENT, now, now, True, "", (dated.partition, dated.row_id)
    )
    assert store.batches.find_existing([late], seconds=5) == set()
    store.count(dated)
    with pytest.raises(Conflict):
        store.batches.write([late], merge([late]), seconds=5)
    assert store.batches.find_existing([late], seconds=5) == {late.row_id}
    assert store.tallies() == {(1, 0)}


def test_two_open_transactions_conflict_and_killing_one_frees_the_other(
    store: Store, mongo: Mongo, clock: ManualClock
) -> None:
    dead = mongo.client.start_session()
    dead.start_transaction()
    mongo.db["stats_cache"].update_one(
        {"_id": "global"}, {"$inc": {"dmsSent": 1}}, upsert=True, session=dead
    )
    event = row("1", clock.now_ms())
    with pytest.raises(Conflict):
        store.count(event)
    kill_session(mongo, bytes(dead.session_id["id"]))
    store.count(event)
    assert store.tallies() == {(1, 0)}
    dead.end_session()


def test_a_transaction_whose_end_was_lost_is_ended_without_another_event(
    store: Store, mongo: Mongo, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit of it reached the server, and it holds the global document there."""

    def lost(_: ClientSession, command: str) -> None:
        raise AutoReconnect(command)

    other = Store(mongo, clock)
    now = clock.now_ms()
    with monkeypatch.context() as patch:
        patch.setattr(ClientSession, "_finish_transaction_with_retry", lost)
        with pytest.raises(StoreUnavailable):
            store.count(row("1", now))
    with pytest.raises(Conflict):
        other.count(row("2", now))
    assert store.batches.abort_orphaned(seconds=5)
    other.count(row("2", now))
    assert store.tallies() == {(1, 0)}
    other.transactions.close()


def test_the_session_stays_the_same(store: Store, clock: ManualClock) -> None:
    session_id = store.transactions.session_id()
    assert len(session_id) == 16
    store.count(row("1", clock.now_ms()))
    assert store.transactions.session_id() == session_id


def test_partitions_are_dropped_when_no_retry_can_need_them(
    store: Store, clock: ManualClock
) -> None:
    for day in ("20261107", "20261108", "20261115"):
        store.ledger.create(day)
        store.ledger.create(day)
    assert store.ledger.partitions() == ["20261107", "20261108", "20261115"]
    assert store.ledger.expired(clock.now_ms()) == ["20261107"]
    assert store.ledger.expired(clock.now_ms() + 12 * HOUR_MS) == ["20261107", "20261108"]
    store.ledger.drop("20261107")
    assert store.ledger.partitions() == ["20261108", "20261115"]


def test_without_transactions_the_ledger_decides(store: Store, clock: ManualClock) -> None:
    old, new = row("1", clock.now_ms()), row("2", clock.now_ms())
    assert store.batches.write_unordered([old], merge, seconds=5) == {old.row_id}
    assert store.batches.write_unordered([old, new], merge, seconds=5) == {new.row_id}
    assert store.tallies() == {(2, 0)}


def test_the_topology_is_detected(store: Store) -> None:
    assert store.batches.transactional


def test_migrations_run_twice_change_nothing(store: Store, mongo: Mongo) -> None:
    before = mongo.db["instagram_accounts"].index_information()
    assert before["dmstats_instagramId_unique"]["unique"]
    assert migrations.apply(mongo, Settings()) == []
    assert mongo.db["instagram_accounts"].index_information() == before
    assert mongo.db["dmstats_migrations"].count_documents({}) == len(migrations.names())
    other = mongo.db["dmstats_ledger_other"].index_information()
    assert other["dmstats_arrived"]["expireAfterSeconds"] == 168 * 3600
    assert other["dmstats_arrived"]["partialFilterExpression"] == {"archived": True}


def test_a_delivery_of_very_many_accounts_and_hours_is_counted_in_the_end(
    store: Store, clock: ManualClock
) -> None:
    """It may take longer than the sender waits, but a retry goes on where the last one ended."""
    rows = [
        row(str(n), clock.now_ms() - n % 720 * HOUR_MS, account=str(n), partition="other")
        for n in range(400)
    ]
    system = SystemClock()
    committer = Committer(
        BatchWriter(store.batches, system, lambda attempt: None), system, Metrics()
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(Unavailable):
            committer.submit(rows)
            break
        gevent.sleep(PROBE_AGAIN_SECONDS)  # it refuses at once after two slow batches
    committer.stop(seconds=5)
    assert store.tallies() == {(400, 0)}
