"""`dmstats forget-account`: one account goes from everywhere, and every total stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import msgspec
import pytest
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from dmstats.audit.auditor import Outcome
from dmstats.commit.increments import merge
from dmstats.core.clock import DAY_MS, HOUR_MS, SystemClock, to_datetime
from dmstats.core.errors import BadRequest, Conflict, DmstatsError, StoreUnavailable
from dmstats.core.records import LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.account_marks import AccountMarks
from dmstats.db.audit.activity_store import Activities
from dmstats.db.client import OPERATION_MS, connect
from dmstats.db.counting import forgetting
from dmstats.db.counting.forgetting import Forgetting, Forgotten
from dmstats.db.counting.ledger import Ledger
from dmstats.db.send_store import Send, SendStore, State, Verdict
from dmstats.db.transaction_runner import TransactionRunner
from tests.auditing import Auditing, auditing, event
from tests.live.test_purge import PAUSE_SECONDS, close

pytestmark = pytest.mark.live

MINE = "17841400000000077"
TOTALS = ("dmstats_hours", "dmstats_days", "dmstats_ledger_archive_hours")


@pytest.fixture
def store(mongo: Any) -> Iterator[Auditing]:
    with auditing(mongo, SystemClock()) as store:
        yield store


def forget(store: Auditing, account: str = MINE) -> Forgotten:
    return Forgetting(store.mongo, store.ledger, store.clock).run(account, lambda rows: None)


def late(time_ms: int, **of: Any) -> LedgerRow:
    """A late event that arrives now: the server deletes what arrived long ago, once it is
    archived."""
    return msgspec.structs.replace(
        event(time_ms, late=True, **of), arrived_ms=SystemClock().now_ms()
    )


def traffic(now_ms: int, account: str = MINE) -> list[LedgerRow]:
    """Both kinds, another one, earlier hours, days and months, some late."""
    # Of the same day at any time of day: the day before may be archived.
    earlier = max(now_ms - HOUR_MS, now_ms // DAY_MS * DAY_MS)
    return [
        event(now_ms, account=account),
        event(now_ms, account=account, kind="received"),
        event(earlier, account=account, kind="seen"),
        event(now_ms - 2 * DAY_MS, account=account),
        event(now_ms - 2 * DAY_MS, account=account, kind="received"),
        late(now_ms - 62 * DAY_MS, account=account),
        late(now_ms - DAY_MS, account=account, kind="received"),
    ]


def totals(store: Auditing) -> dict[str, Any]:
    found: dict[str, Any] = {name: list(store.db[name].find(sort=[("_id", 1)])) for name in TOTALS}
    found["archive"] = store.db["dmstats_ledger_archive"].find_one({"_id": "totals"})
    return found | {"global": store.total()}


def named(store: Auditing, account: str = MINE) -> list[str]:
    """The collections in which the id stands anywhere."""
    names = store.db.list_collection_names()
    return sorted(name for name in names if account in repr(list(store.db[name].find())))


def account_of(store: Auditing) -> dict[str, Any]:
    """Its document; empty if there is none."""
    return one(store, "instagram_accounts", {"instagramId": MINE})


def one(store: Auditing, collection: str, wanted: dict[str, Any]) -> dict[str, Any]:
    return store.db[collection].find_one(wanted) or {}


def leave_traces(store: Auditing) -> None:
    """Whatever may name an account, besides its rows and counters."""
    database = store.db
    difference = {"place": "accounts", "key": MINE, "field": "dmUsed"}
    other = {"place": "accounts", "key": "a", "field": "dmUsed"}
    database["dmstats_audit_repairs"].insert_one({"version": 1, "differences": [other, difference]})
    rejected = [{"path": "x", "kind": "", "account": each} for each in (MINE, "a")]
    database["dmstats_deliveries"].insert_one({"_id": "partial-1-a", "rejected": rejected})
    database["dmstats_account_marks"].insert_one({"_id": MINE})
    database["dmstats_account_edits"].insert_one({"_id": MINE, "fields": {"username": "cafe"}})
    named = {"instagramId": MINE}
    database["instagram_accounts"].update_one(named, {"$set": {"username": "cafe"}})
    sends = SendStore(store.mongo, store.work)
    now = store.clock.now_ms()
    told = [Send(bytes([n]) * 16, MINE, now - HOUR_MS) for n in (1, 2)]
    sends.add(told)
    sends.settle({told[0].digest: Verdict(State.ECHOED, None)})
    odd = [{"collection": "c", "key": each, "fields": []} for each in (MINE, "a")]
    database["stats_cache"].update_one({"_id": "audit"}, {"$set": {"oddDocuments": odd}})
    database["stats_cache"].insert_one({"_id": "snapshot", "floor": 99})
    database["dmstats_audit_runs"].insert_one({"_id": "dead", "kind": "k", "generation": 0,
                                               "splits": [MINE]})  # fmt: skip
    database["dmstats_audit_pages"].insert_one(
        {"_id": "dead:0", "pass": "dead", "accounts": [MINE]}
    )


def test_it_works(store: Auditing) -> None:
    """From the ledger, the archive and every trace; an audit finds no drift before and after."""
    now = store.clock.now_ms()
    store.count(*store.traffic(now), *traffic(now), *traffic(now - DAY_MS))
    close(store, 2, 3)
    store.archive.archive_late(now + 3 * DAY_MS)
    store.count(late(now - 20 * DAY_MS, account=MINE))
    assert store.found() == set()
    leave_traces(store)
    assert len(named(store)) >= 10
    before = totals(store)
    assert forget(store) == Forgotten(sent=5, received=4, other=2, document="deleted")
    assert named(store) == []
    assert totals(store) == before
    assert store.found() == set()
    assert store.changed(repair=True) == set()
    assert named(store) == []
    assert totals(store) == before
    assert one(store, "stats_cache", {"_id": "snapshot"})["floor"] == 0
    assert forget(store) == Forgotten()


class Scans(CommandListener):
    """The time limits of the commands that look for the account by a field without an index."""

    def __init__(self) -> None:
        self.limits_ms: dict[str, int] = {}

    def started(self, event: CommandStartedEvent) -> None:
        command = event.command
        updates = command.get("updates") or [{"q": command.get("filter", {})}]
        if list(updates[0]["q"]) in (["account"], ["rejected.account"], ["differences.key"]):
            self.limits_ms[command[event.command_name]] = command["maxTimeMS"]

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def test_reading_whole_collections_has_a_long_deadline(store: Auditing, mongodb_uri: str) -> None:
    """No index finds an account's rows, which may be millions."""
    store.count(*traffic(store.clock.now_ms()))
    leave_traces(store)
    scans: Any = Scans()
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=store.db.name)
    with closing(connect(settings, failures=scans)) as watched:
        ledger = Ledger(watched, retention_hours=168)
        Forgetting(watched, ledger, store.clock).run(MINE, lambda rows: None)
    assert {"dmstats_sends", "dmstats_deliveries", "dmstats_audit_repairs"} < scans.limits_ms.keys()
    assert any(name.startswith("dmstats_ledger_2") for name in scans.limits_ms)
    assert min(scans.limits_ms.values()) > OPERATION_MS
    assert named(store) == []


def test_the_sums_of_lost_dms_go_on_without_the_account(store: Auditing) -> None:
    sends, now = SendStore(store.mongo, store.work), store.clock.now_ms()
    told = [Send(bytes([n]) * 16, MINE, now - HOUR_MS) for n in (1, 2, 3)]
    sends.add(told)
    sends.settle({told[0].digest: Verdict(State.ECHOED, None)})
    forget(store)
    assert sends.add(told) == 0, "known"
    sends.settle({each.digest: Verdict(State.LOST, None) for each in told[1:]})
    days = sends.totals(now - DAY_MS, now)
    assert (sum(day.echoed for day in days), sum(day.lost for day in days)) == (1, 2)
    assert sends.worst(now - DAY_MS, 9) == []
    assert named(store) == []


def test_one_that_is_left_only_among_the_sends(store: Auditing) -> None:
    now, marks = store.clock.now_ms(), AccountMarks(store.mongo)
    sends = SendStore(store.mongo, store.work)
    for settled in (False, True):
        told = [Send(bytes([7 + settled]) * 16, MINE, now)]
        sends.add(told)
        if settled:
            sends.settle({told[0].digest: Verdict(State.ECHOED, None)})
        assert marks.is_known(MINE, now)
        assert forget(store) == Forgotten()
        assert not marks.is_known(MINE, now)
        assert named(store) == []


def test_what_is_left_in_the_ledger_is_archived_with_the_day(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*traffic(now), *store.traffic(now))
    forget(store)
    close(store, 0, 1, 2, 3)
    store.archive.archive_late(now + 3 * DAY_MS)
    assert store.db["dmstats_ledger_archive_hours"].count_documents({}) > 1
    assert store.found() == set()
    assert named(store) == []


def test_the_same_event_is_not_counted_again(store: Auditing) -> None:
    rows = traffic(store.clock.now_ms())
    store.count(*rows)
    forget(store)
    assert store.batches.find_existing(rows, seconds=5) == {row.row_id for row in rows}


def test_later_dms_are_a_new_accounts(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*traffic(now))
    forget(store)
    store.count(event(now, account=MINE), event(now, account=MINE, kind="received"))
    found = account_of(store)
    assert (found["dmUsed"], found["dmReceived"], found["monthlyDmUsed"]) == (1, 1, 1)
    assert found["createdAt"] >= to_datetime(now)
    assert store.changed() == set()
    assert forget(store) == Forgotten(sent=1, received=1, document="deleted")


def test_the_platforms_document_stays_without_our_counts(store: Auditing) -> None:
    """It keeps what the platform had counted before, and what it changed since."""
    now = store.clock.now_ms()
    accounts, month = store.db["instagram_accounts"], to_datetime(now).strftime("%Y-%m")
    accounts.insert_one({"instagramId": MINE, "username": "cafe", "isActive": True, "dmUsed": 40,
                         "monthlyDmUsed": 4, "currentMonth": month})  # fmt: skip
    store.count(*traffic(now))
    close(store, 2)
    accounts.update_one({"instagramId": MINE}, {"$inc": {"dmUsed": 10}})
    assert store.changed() == {(MINE, "dmUsed", "changed")}
    accounts.update_one({"instagramId": MINE}, {"$inc": {"dmReceived": 3}})  # no audit has seen it
    assert forget(store).document == "kept"
    found = account_of(store)
    del found["_id"]
    assert found == {"instagramId": MINE, "username": "cafe", "isActive": True, "dmUsed": 50,
                     "dmReceived": 3, "monthlyDmUsed": 4, "currentMonth": month}  # fmt: skip
    assert named(store) == ["instagram_accounts"]
    assert store.changed() == set()
    store.count(event(now, account=MINE))
    assert store.changed() == set()


def test_an_account_that_the_platform_deleted_or_replaced(store: Auditing) -> None:
    now, accounts = store.clock.now_ms(), store.db["instagram_accounts"]
    store.count(*traffic(now), *store.traffic(now))
    accounts.delete_one({"instagramId": MINE})
    assert {each[0] for each in store.changed()} == {MINE}
    assert forget(store).document == "none"
    store.count(*traffic(now))
    accounts.replace_one({"instagramId": MINE}, {"instagramId": MINE, "dmUsed": 7})
    assert forget(store).document == "kept"
    assert account_of(store)["dmUsed"] == 7
    assert store.changed() == set()
    assert named(store) == ["instagram_accounts"]
    accounts.replace_one({"instagramId": MINE}, {"instagramId": int(MINE), "dmUsed": 7})
    assert forget(store).document == "kept", "the platform has it under a number"


def test_the_backlog_is_removed(store: Auditing) -> None:
    """Of an account that the platform was changing, and of one whose counter is no number."""
    now, backlog = store.clock.now_ms(), store.db["dmstats_account_backlog"]
    store.count(event(now, account=MINE))
    rows = [event(now, account=MINE), event(now, account=MINE, kind="received")]
    defer(store, rows)
    assert backlog.count_documents({}) == 1
    assert store.changed() == set()
    assert forget(store).document == "deleted"
    assert named(store) == []
    assert store.changed() == set()
    accounts = store.db["instagram_accounts"]
    accounts.insert_one({"instagramId": MINE, "username": "cafe", "dmUsed": "seven"})
    defer(store, [event(now, account=MINE), event(now, account=MINE)], reason="no number")
    assert forget(store) == Forgotten(sent=2, document="kept")
    assert named(store) == ["instagram_accounts"]
    assert account_of(store)["dmUsed"] == "seven"
    assert store.changed() == set()


def defer(store: Auditing, rows: list[LedgerRow], *, reason: str = "") -> None:
    deltas = merge(rows)
    deltas.defer([MINE], reason)
    store.batches.find_existing(rows, seconds=5)
    store.batches.write(rows, deltas, seconds=5)


def test_the_last_hours_of_others_stay(store: Auditing) -> None:
    """Also where the account is the first of those that one document has."""
    now = store.clock.now_ms()
    store.count(*traffic(now), *store.traffic(now))
    store.audit()
    activities, index = Activities(store.mongo), store.db["dmstats_account_activity"]
    before = activities.of("a")
    chunk = one(store, index.name, {"_id": "index"})["chunks"][0][1]
    index.update_one({"_id": "index"}, {"$set": {"chunks": [["", "x"], [MINE, chunk]]}})
    forget(store)
    assert activities.of("a") == before
    assert named(store) == []


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_interrupted_run_is_consistent_and_can_be_repeated(
    store: Auditing, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    now = store.clock.now_ms()
    store.count(*traffic(now), *traffic(now), *store.traffic(now))
    if is_deleted:
        store.db["instagram_accounts"].delete_one({"instagramId": MINE})
        assert store.changed()
    before = totals(store)
    monkeypatch.setattr(forgetting, "ROWS_AT_ONCE", 2)

    def stop(done: int) -> None:
        if done >= 6:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        Forgetting(store.mongo, store.ledger, store.clock).run(MINE, stop)
    assert "dmstats_ledger_other" in named(store)
    assert store.changed() == set()
    assert forget(store).document == ("none" if is_deleted else "deleted")
    assert named(store) == []
    assert (store.changed(), totals(store)) == (set(), before)


def test_beside_live_traffic_of_the_account(store: Auditing) -> None:
    """Its DMs keep arriving: each is either forgotten or counted as a new account's, and an audit
    under way copes."""
    now = store.clock.now_ms()
    for _ in range(20):
        store.count(*traffic(now), event(now, account="b"))
    over, counted, started = threading.Event(), [20 * 4], threading.Event()

    def send() -> None:
        with auditing(store.mongo, SystemClock()) as other:
            while not over.wait(PAUSE_SECONDS):
                at = other.clock.now_ms()
                with suppress(Conflict):  # the committer would try again
                    other.count(event(at, account=MINE), event(at, account="b"))
                    counted.append(2)
                started.set()

    sender = threading.Thread(target=send)
    sender.start()
    started.wait()
    try:
        forgotten = forget(store)
    finally:
        over.set()
        sender.join()
    assert forgotten.document in {"new", "deleted"}
    assert store.changed() == set()
    assert store.total()["dmsSent"] == sum(counted)
    assert forgotten.sent + account_of(store).get("dmUsed", 0) == (
        sum(counted) // 2 + 20  # half of the sender's, and three of each four before
    )
    assert forget(store).document in {"deleted", "none"}
    assert named(store) == []
    assert store.changed() == set()


def test_dms_without_end_leave_a_new_account(
    store: Auditing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document that the platform owns keeps what is the platform's, besides the new DM."""
    now, accounts = store.clock.now_ms(), store.db["instagram_accounts"]
    accounts.insert_one({"instagramId": MINE, "username": "cafe", "dmUsed": 40})
    store.count(*traffic(now))
    accounts.update_one({"instagramId": MINE}, {"$inc": {"dmUsed": 10}})
    assert store.changed() == {(MINE, "dmUsed", "changed")}
    monkeypatch.setattr(forgetting, "PASSES", 1)

    def more(done: int) -> None:
        store.count(event(store.clock.now_ms(), account=MINE))

    found = Forgetting(store.mongo, store.ledger, store.clock).run(MINE, more)
    assert found.document == "new"
    left = account_of(store)["dmUsed"] - 50
    assert left == sum(
        store.db[name].count_documents({"account": MINE, "kind": "sent"})
        for name in store.db.list_collection_names(filter={"name": {"$regex": "^dmstats_ledger_2"}})
    )
    assert store.changed() == set()


def test_an_audit_under_way_copes(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*store.traffic(now), *traffic(now))
    outcome = Outcome()
    steps = store.auditor().steps("test", outcome)
    while "dmstats_audit_pages" not in named(store):
        next(steps)
    forget(store)
    for _ in steps:
        pass
    assert (outcome.differences, outcome.changed) == ([], [])
    assert named(store) == []


def test_what_it_refuses(store: Auditing, monkeypatch: pytest.MonkeyPatch) -> None:
    for account in ("", "simulated-1-1", "dmstats-canary"):
        with pytest.raises(BadRequest):
            forget(store, account)
    monkeypatch.setattr(TransactionRunner, "transactional", property(lambda self: False))
    with pytest.raises(DmstatsError, match="needs transactions"):
        forget(store)
