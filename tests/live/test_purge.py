"""`dmstats simulate --purge`: what was simulated goes from everywhere, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from dmstats.audit.auditor import Outcome
from dmstats.commit.increments import merge
from dmstats.core.clock import DAY_MS, HOUR_MS, SystemClock, to_datetime
from dmstats.core.errors import Conflict, DmstatsError
from dmstats.core.records import SIMULATED, LedgerRow
from dmstats.db.audit.activity_store import Activities
from dmstats.db.counting.purge import Purge, Removed
from dmstats.db.counting.simulations import Simulations
from dmstats.db.transaction_runner import TransactionRunner
from tests.auditing import Auditing, auditing, event

pytestmark = pytest.mark.live

NAMES = ("dmstats_hours", "dmstats_days", "instagram_accounts", "dmstats_ledger_archive_hours",
         "dmstats_ledger_archive_accounts", "dmstats_simulations",
         "dmstats_ledger_archive_simulated")  # fmt: skip
DMS = ("sent", "received", "seen")
PAUSE_SECONDS = 0.02
"""Between the deliveries of traffic that goes on meanwhile; without it they take the whole
database."""
MINE = SIMULATED + "0123abcd-00001"


@pytest.fixture
def store(mongo: Any) -> Iterator[Auditing]:
    with auditing(mongo, SystemClock()) as store:
        yield store


def simulated(now_ms: int, *, account: str = MINE) -> list[LedgerRow]:
    """Of every kind, some in hours and days of their own, some late, one two months ago."""
    rows = [
        event(now_ms, account=account),
        event(now_ms + 1, account=account, kind="received"),
        event(now_ms - HOUR_MS, account=account),
        event(now_ms - 5 * HOUR_MS, account=account, kind="received"),
        event(now_ms - 2 * DAY_MS, account=account),
        event(now_ms - 62 * DAY_MS, account=account, late=True),
        event(now_ms - DAY_MS, account=account, late=True, kind="received"),
        event(now_ms, account=account, kind="unknown", name="optin"),
    ]
    kinds = ("unsent", "reaction", "seen", "postback", "referral", "edit")
    return rows + [event(now_ms - 3 * HOUR_MS, account=account, kind=kind) for kind in kinds]


def everything(store: Auditing) -> dict[str, Any]:
    """All documents that count anything, without zeros and times of writing."""
    database = store.db
    names = database.list_collection_names(
        filter={"name": {"$regex": "^dmstats_ledger_(other|[0-9])"}}
    )
    found = {name: sorted(map(repr, database[name].find())) for name in (*NAMES, *names)}
    total = nonzero(store.total())
    total.pop("updatedAt", None)
    archived = nonzero(database["dmstats_ledger_archive"].find_one({"_id": "totals"}) or {})
    found = {name: documents for name, documents in found.items() if documents}
    return found | {"global": total, "archive": archived}


def nonzero(document: dict[str, Any]) -> dict[str, Any]:
    kept = {
        field: nonzero(value) if isinstance(value, dict) else value
        for field, value in document.items()
    }
    return {field: value for field, value in kept.items() if value not in (0, {})}


def close(store: Auditing, *ago: int) -> None:
    """Archive the days of so many days ago, where anything was counted in them."""
    partitions = store.ledger.partitions()
    for days in ago:
        day = to_datetime(store.clock.now_ms() - days * DAY_MS).strftime("%Y%m%d")
        if day in partitions:
            store.archive.close(day)


def purge(store: Auditing) -> Removed:
    return Purge(store.mongo, store.ledger, merge).run(lambda rows: None)


def test_it_works(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*store.traffic(now - 2))
    before = everything(store)
    store.count(*simulated(now))
    store.count(*simulated(now, account=SIMULATED + "0123abcd-00002"))
    store.db["stats_cache"].update_one({"_id": "global"}, {"$inc": {"duplicates": 7}})
    Simulations(store.mongo).record("0123abcd", 7, now)
    assert store.found() == set()
    assert purge(store) == Removed(sent=8, received=6, other=14, accounts=2)
    assert store.found() == set()
    assert everything(store) == before
    assert purge(store) == Removed()


def test_nothing_but_simulated_traffic(store: Auditing) -> None:
    store.count(*simulated(store.clock.now_ms()))
    purge(store)
    assert store.found() == set()
    left = everything(store)
    assert set(left) <= {"global", "archive"}
    assert set(left["global"]) <= {"_id"}


def test_archived_rows_are_removed(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*store.traffic(now))
    store.count(*(event(now - ago * DAY_MS, kind=kind) for ago in (2, 3) for kind in DMS))
    close(store, 2, 3)
    store.archive.archive_late(now + 3 * DAY_MS)
    before = everything(store)
    generation = store.archive.finish_closing()
    store.count(*simulated(now), *simulated(now - DAY_MS))
    close(store, 2, 3)
    store.archive.archive_late(now + 3 * DAY_MS)
    assert store.archive.finish_closing() > generation
    assert store.db["dmstats_ledger_archive_simulated"].count_documents({}) > 3
    assert store.found() == set()
    assert purge(store).sent == 8
    assert store.found() == set()
    left = everything(store)
    for name in ("dmstats_hours", "dmstats_days", "instagram_accounts", "global", "archive",
                 "dmstats_ledger_archive_hours", "dmstats_ledger_archive_accounts"):  # fmt: skip
        assert left.get(name) == before.get(name), name
    assert "dmstats_ledger_archive_simulated" not in left
    days = [each["_id"] for each in store.db["dmstats_account_days"].find()]
    assert days
    assert not any(each.startswith("simulated") for each in days)


def test_the_activity_of_accounts_is_removed(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*store.traffic(now), *simulated(now))
    store.audit()
    activities = Activities(store.mongo)
    known, other = activities.of(MINE), activities.of("a")
    assert known is not None
    assert any(sum(counts) for counts in known.hours.values())
    purge(store)
    gone = activities.of(MINE)
    assert gone is not None
    assert not any(sum(counts) for counts in gone.hours.values())
    assert activities.of("a") == other


def test_other_traces_are_removed(store: Auditing) -> None:
    day = to_datetime(store.clock.now_ms())
    sums = [("", 9), (MINE, 4), ("a", 5)]
    for kept in ("dmstats_account_edits", "dmstats_account_marks", "dmstats_account_changes"):
        store.db[kept].insert_many([{"_id": MINE}, {"_id": "a"}])
    busy = SIMULATED + "busy"
    store.db["instagram_accounts"].insert_one({"instagramId": busy, "dmUsed": 3})
    store.db["dmstats_account_changes"].insert_one({"_id": busy, "sent": 3})
    store.db["dmstats_sends"].insert_many([{"_id": n, "account": n} for n in (MINE, "a")])
    store.db["dmstats_send_days"].insert_many([
        {"_id": f"20261115:{n}", "account": n, "day": day, "lost": lost, "late": 0, "echoed": 1}
        for n, lost in sums
    ])  # fmt: skip
    purge(store)
    for kept in ("edits", "marks"):
        assert store.db[f"dmstats_account_{kept}"].distinct("_id") == ["a"]
    assert store.db["dmstats_account_changes"].distinct("_id") == ["a", busy]
    assert store.db["dmstats_sends"].distinct("account") == ["a"]
    left = {each["account"]: each["lost"] for each in store.db["dmstats_send_days"].find()}
    assert left == {"": 5, "a": 5}


def test_the_top_accounts_are_computed_again(store: Auditing) -> None:
    store.db["stats_cache"].insert_one({"_id": "snapshot", "floor": 99})
    purge(store)
    assert store.db["stats_cache"].find_one({"_id": "snapshot"}) == {"_id": "snapshot", "floor": 0}


def test_beside_live_traffic_and_another_purge(store: Auditing) -> None:
    """Nothing of others is lost, and what two purges see goes once."""
    now = store.clock.now_ms()
    for _ in range(30):
        store.count(*simulated(now), event(now, account="b"))
    over = threading.Event()
    counted: list[int] = []

    def send() -> None:
        with auditing(store.mongo, SystemClock()) as other:
            while not over.wait(PAUSE_SECONDS):
                now = other.clock.now_ms()
                with suppress(Conflict):  # the committer would try again
                    other.count(event(now), event(now, account="b"))
                    counted.append(2)

    results: list[Removed] = []
    sender = threading.Thread(target=send)
    purges = [threading.Thread(target=lambda: results.append(purge(store))) for _ in range(2)]
    sender.start()
    for thread in purges:
        thread.start()
    for thread in purges:
        thread.join()
    over.set()
    sender.join()
    assert store.found() == set()
    assert store.total()["dmsSent"] == 30 + sum(counted)
    assert sum(removed.sent for removed in results) == 30 * 4
    assert store.db["instagram_accounts"].count_documents({"instagramId": MINE}) == 0


def test_an_audit_under_way_copes(store: Auditing) -> None:
    now = store.clock.now_ms()
    store.count(*store.traffic(now), *simulated(now))
    outcome = Outcome()
    steps = store.auditor().steps("test", outcome)
    next(steps)
    purge(store)
    for _ in steps:
        pass
    assert outcome.differences == []


def test_without_transactions_it_refuses(store: Auditing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransactionRunner, "transactional", property(lambda self: False))
    with pytest.raises(DmstatsError, match="needs transactions"):
        purge(store)
