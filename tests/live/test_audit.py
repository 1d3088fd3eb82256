"""The audit on a real server: each place is corrupted, found, named and repaired exactly once."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from pymongo.errors import OperationFailure

from dmstats.audit import auditor, checks
from dmstats.audit.auditor import Outcome
from dmstats.audit.checks import CheckResult
from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, to_datetime
from dmstats.core.errors import Conflict, TransactionExpired
from dmstats.db.audit import archive as archive_module
from dmstats.db.audit import runs as passes_module
from dmstats.db.audit.differences import Difference
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.audit.recount import SLICES, Recount, first_slice
from dmstats.db.audit.runs import AuditRuns
from dmstats.db.audit.snapshot_reader import AuditRun, View
from dmstats.db.counting.ledger import day_ms
from dmstats.ops.jobs import keep_partitions
from tests.auditing import Auditing, auditing, event, named

pytestmark = [pytest.mark.live, pytest.mark.slow(50)]

PAUSE_SECONDS = 0.05
"""Between the deliveries of traffic that goes on beside an audit; without it they take the whole
database, and the audits minutes."""


@pytest.fixture
def store(mongo: Any, clock: ManualClock) -> Iterator[Auditing]:
    with auditing(mongo, clock) as store:
        yield store


@pytest.fixture
def now(clock: ManualClock) -> int:
    return clock.now_ms()


def test_it_works(store: Auditing, now: int) -> None:
    store.count(*store.traffic(now))
    store.count(*store.traffic(now))
    outcome = store.audit()
    assert (outcome.differences, outcome.drift) == ([], 0)
    result = store.db["stats_cache"].find_one({"_id": "audit"})
    assert result == {
        "_id": "audit", "at": to_datetime(now), "drift": 0, "odd": 0, "oddDocuments": []
    }  # fmt: skip
    assert store.db["dmstats_audit_runs"].count_documents({"kind": "test"}) == 0
    assert store.db["dmstats_audit_pages"].count_documents({}) == 0


def test_an_empty_database_has_no_drift(store: Auditing) -> None:
    assert store.audit().drift == 0


CORRUPTIONS: dict[str, tuple[str, dict[str, Any], set[tuple[str, str, int]]]] = {
    "hour": ("dmstats_hours", {"$inc": {"sent": 2}}, {("hours", "sent", -2)}),
    "hour's kind": (
        "dmstats_hours", {"$inc": {"events.seen": -1}}, {("hours", "events.seen", 1)},
    ),
    "hour that is no number": (
        "dmstats_hours", {"$set": {"sent": "x"}}, {("hours", "sent", 1)},
    ),
    "minute": (
        "dmstats_hours", {"$inc": {"minutes.34.sent": -1, "minutes.7.sent": 3}},
        {("minutes", "minutes.34.sent", 1), ("minutes", "minutes.7.sent", -3)},
    ),
    "minutes that are none": (
        "dmstats_hours", {"$set": {"minutes": 5}},
        {("minutes", "minutes", 0), ("minutes", "minutes.34.sent", 1),
         ("minutes", "minutes.34.received", 1)},
    ),
    "day": ("dmstats_days", {"$inc": {"received": -1}}, {("days", "received", 1)}),
    "global": (
        "stats_cache", {"$inc": {"dmsSent": -3, "events.seen": 1}},
        {("global", "dmsSent", 3), ("global", "events.seen", -1)},
    ),
}  # fmt: skip
"""What is changed in a document of that collection (of hours, each in one of its own), and what an
audit then finds there."""


def test_what_is_corrupted_is_found_named_and_repaired_once(store: Auditing, now: int) -> None:
    hours = [now - number * HOUR_MS for number in range(len(CORRUPTIONS))]
    store.count(*store.traffic(now))
    for at in hours[1:]:
        store.count(event(at), event(at, kind="received"), event(at, kind="seen"))
    expected, before = set(), {}
    for (name, (collection, update, of_it)), at in zip(CORRUPTIONS.items(), hours, strict=True):
        starts = {"dmstats_hours": at - at % HOUR_MS, "dmstats_days": now - now % DAY_MS}
        start = starts.get(collection)
        which = {"_id": "global" if start is None else to_datetime(start)}
        before[name] = (collection, which, store.db[collection].find_one(which))
        assert store.db[collection].update_one(which, update).matched_count == 1
        expected |= {(place, str(start or ""), *rest) for place, *rest in of_it}
    # What belongs into a group that is none is missing when the group is there again.
    groups = {each for each in expected if each[2:] == ("minutes", 0)}
    ((_, spoilt, _, _),) = groups
    later = {each for each in expected if each[:2] == ("minutes", spoilt)} - groups
    assert keyed(store.audit().differences) == expected - later
    repaired = store.audit(repair=True)
    assert (keyed(repaired.repaired), repaired.differences) == (expected, [])
    for name, (collection, which, document) in before.items():
        after = store.db[collection].find_one(which)
        assert after is not None
        if name == "minute":
            assert after["minutes"].pop("7") == {"sent": 0}
        assert after == document, name
    again = store.audit(repair=True)
    assert (again.repaired, again.differences) == ([], [])
    records = list(store.db["dmstats_audit_repairs"].find())
    found = {(d["place"], d["key"], d["field"], d["by"]) for r in records for d in r["differences"]}
    assert found == expected
    assert {record["at"] for record in records} == {to_datetime(now)}


def keyed(differences: Sequence[Difference]) -> set[tuple[str, str, str, int]]:
    return {(each.place, each.key, each.field, each.missing) for each in differences}


def test_a_missing_row_and_an_extra_one_are_found_everywhere(store: Auditing, now: int) -> None:
    store.count(event(now), event(now), event(now, account="b"))
    partition = store.db["dmstats_ledger_20261115"]
    gone = partition.find_one_and_delete({"account": "a"})
    assert gone is not None
    lacking = {
        ("hours", "sent", -1), ("minutes", "minutes.34.sent", -1), ("days", "sent", -1),
        ("accounts", "dmUsed", -1), ("months", "monthlyDmUsed", -1), ("global", "dmsSent", -1),
    }  # fmt: skip
    outcome = store.audit()
    assert named(outcome.differences) == lacking
    assert outcome.drift == 1
    partition.insert_many([gone, gone | {"_id": gone["_id"][:4] + b"x" * 16}])
    extra = {(place, field, 1) for place, field, _ in lacking}
    repaired = store.audit(repair=True)
    assert (named(repaired.repaired), repaired.differences) == (extra, [])
    assert store.total()["dmsSent"] == 4
    assert store.found() == set()


def test_what_the_host_platform_had_counted_is_no_drift(store: Auditing, now: int) -> None:
    accounts = store.db["instagram_accounts"]
    accounts.insert_many(
        [
            {"instagramId": "old", "dmUsed": 100, "dmReceived": 7,
             "currentMonth": "2026-11", "monthlyDmUsed": 30},
            {"instagramId": "untouched", "dmUsed": 5},
        ]
    )  # fmt: skip
    store.count(event(now, account="old"), event(now, account="old", kind="received"))
    store.count(event(now, account="old"))
    found = accounts.find_one({"instagramId": "old"}) or {}
    assert (found["dmUsed"], found["dmReceived"], found["monthlyDmUsed"]) == (102, 8, 32)
    assert store.found() == set()
    accounts.update_one({"instagramId": "old"}, {"$inc": {"dmUsed": -1}})
    assert store.changed() == {("old", "dmUsed", "changed")}


MONTH = "2026-11"
ALL = ("dmUsed", "dmReceived", "monthlyDmUsed")
PLATFORM: dict[str, tuple[dict[str, Any] | None, str, set[str]]] = {
    "raised": ({"$inc": {"dmUsed": 5}}, "changed", {"dmUsed"}),
    "lowered": ({"$set": {"dmUsed": 1, "dmReceived": 0}}, "changed", {"dmUsed", "dmReceived"}),
    "month reset": ({"$set": {"monthlyDmUsed": 0}}, "changed", {"monthlyDmUsed"}),
    "emptied": ({"$unset": {"dmUsed": "", "dmReceived": ""}}, "changed", {"dmUsed", "dmReceived"}),
    "replaced": ({"dmUsed": 105, "monthlyDmUsed": 8, "currentMonth": MONTH},
                 "replaced", set(ALL)),
    "connected anew": ({"dmUsed": 0}, "replaced", set(ALL)),
    "deleted": (None, "deleted", set(ALL)),
}  # fmt: skip


@pytest.mark.parametrize("audited_before", [True, False])
def test_what_the_platform_did_is_explained_once(
    store: Auditing, now: int, *, audited_before: bool
) -> None:
    accounts = store.db["instagram_accounts"]
    for name in PLATFORM:
        accounts.insert_one({"instagramId": name, "dmUsed": 100, "monthlyDmUsed": 3,
                             "currentMonth": MONTH})  # fmt: skip
        store.count(*(event(now, account=name) for _ in range(5)))
        store.count(event(now, account=name, kind="received"))
    store.count(event(now, account="b"))
    if audited_before:
        assert store.changed() == set()
    for name, (change, why, _) in PLATFORM.items():
        if change is None:
            accounts.delete_one({"instagramId": name})
        elif why == "replaced":
            accounts.replace_one({"instagramId": name}, {"instagramId": name, **change})
        else:
            accounts.update_one({"instagramId": name}, change)
    before = {each["instagramId"]: each for each in accounts.find()}
    assert store.changed(repair=True) == {
        (name, field, why) for name, (_, why, fields) in PLATFORM.items() for field in fields
    }
    for _ in range(2):
        assert store.changed(repair=True) == set(), "known"
    untouched = {each["instagramId"]: each for each in accounts.find()}
    assert untouched == before, "nothing was put right, or created"
    assert store.db["dmstats_audit_repairs"].count_documents({}) == 0
    for name in PLATFORM:
        store.count(event(now, account=name), event(now, account=name, kind="received"))
    later = {field for _, field, _ in store.changed(repair=True)}
    assert later <= {"monthlyDmUsed"}, "a month that the platform began anew"
    assert store.changed() == set()
    used = {each["instagramId"]: each["dmUsed"] for each in accounts.find()}
    for name in PLATFORM:
        assert used[name] == before.get(name, {}).get("dmUsed", 0) + 1, name


def test_values_that_cannot_be_read_are_listed(store: Auditing, now: int) -> None:
    accounts = store.db["instagram_accounts"]
    store.count(*(event(now, account=name) for name in "abcde"))
    for name, change in {
        "a": {"dmUsed": "many"}, "b": {"ledgerBase": None}, "c": {"ledgerBase": {}},
        "d": {"currentMonth": 11},
    }.items():  # fmt: skip
        accounts.update_one({"instagramId": name}, {"$set": change})
    accounts.insert_many([{"username": "pending"}, {"instagramId": 5}])
    odd = {each.fields for each in store.audit().odd}
    assert odd == {("dmUsed",), ("ledgerBase",), ("currentMonth",), ("instagramId",)}
    listed = OddDocuments(store.mongo).listed()
    assert listed is not None
    assert (listed[0], len(listed[1])) == (6, 6)
    assert store.changed() == set()
    assert store.changed(repair=True) == set()
    bases = {a["instagramId"]: a["ledgerBase"] for a in accounts.find({"ledgerBase": {"$ne": 1}})
             if "ledgerBase" in a}  # fmt: skip
    assert bases["b"] == bases["c"] == {"sent": 0, "received": 0, "month": MONTH, "monthSent": 0}
    assert {each.fields for each in store.audit().odd} == odd - {("ledgerBase",)}
    store.count(*(event(now, account=name) for name in "bc"))
    assert store.changed() == set()


def test_counters_that_are_decimals_stay_right(store: Auditing, now: int) -> None:
    accounts = store.db["instagram_accounts"]
    counters = {"dmUsed": Decimal128("12"), "dmReceived": Decimal128("3")}
    accounts.insert_one({"instagramId": "a"} | counters)
    store.count(event(now), event(now, kind="received"))
    for _ in range(3):
        assert store.changed(repair=True) == set()
    assert str((accounts.find_one() or {})["dmUsed"]) == "13"


def test_foreign_documents_neither_go_nor_end_an_audit(store: Auditing, now: int) -> None:
    store.count(event(now))
    names = [
        "dmstats_account_activity", "dmstats_audit_runs", "dmstats_audit_pages",
        "dmstats_audit_repairs", "dmstats_ledger_archive_hours", "dmstats_ledger_archive_accounts",
        "stats_cache", "dmstats_days",
        "dmstats_hours", "dmstats_ledger_archive", "dmstats_ledger_20261340",
        "dmstats_ledger_20261115", "dmstats_ledger_other", "dmstats_account_changes",
        "dmstats_account_backlog",
    ]  # fmt: skip
    for name in names:
        store.db[name].insert_many([{"account": f"host{i}", "note": "own"} for i in range(3)])
    for _ in range(2):
        assert store.changed(repair=True) == set()
    left = {name: store.db[name].count_documents({"note": "own"}) for name in names}
    assert left == dict.fromkeys(names, 3)


def test_rows_of_an_account_that_nothing_was_counted_for(store: Auditing, now: int) -> None:
    """As a crash of a standalone server leaves them."""
    store.db["instagram_accounts"].insert_one({"instagramId": "old", "dmUsed": 9})
    for account in ("old", "new"):
        rows = [event(now, account=account), event(now, account=account, kind="received")]
        store.batches.find_existing(rows, seconds=5)
        store.ledger.insert_new(rows)
    assert store.audit().drift == 4
    assert store.audit(repair=True).differences == []
    accounts = {a["instagramId"]: a for a in store.db["instagram_accounts"].find()}
    assert accounts["old"]["dmUsed"] == 10
    assert set(accounts) == {"old"}, "a repair creates no account"
    assert store.changed() == {("new", field, "deleted") for field in ALL}
    assert store.changed() == set()


def test_refused_rows_count_nowhere(store: Auditing, now: int) -> None:
    store.count(event(now))
    refused = event(now)
    store.batches.reject(refused, seconds=5)
    assert store.found() == set()


def test_an_interrupted_audit_resumes(
    store: Auditing, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "ROWS_AT_ONCE", 0)
    store.count(*store.traffic(now))
    store.db["dmstats_hours"].update_one(
        {"_id": to_datetime(now - now % HOUR_MS - 3 * DAY_MS)}, {"$inc": {"sent": 1}}, upsert=True
    )
    first = store.auditor().steps("test", Outcome())
    for _ in range(40):
        done = next(first).done
    first.close()
    outcome = Outcome()
    rest = list(store.auditor().steps("test", outcome))
    assert rest[0].done > done
    assert named(outcome.differences) == {("hours", "sent", -1)}


def test_no_other_process_continues_a_run_that_makes_progress(
    store: Auditing, now: int, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_module, "PART", 1)
    monkeypatch.setattr(auditor, "DAYS_AT_ONCE", 1)
    store.count(*(event(now, account=f"a{number}") for number in range(5)))
    for _ in store.auditor().steps("test", Outcome()):
        (run,) = store.db["dmstats_audit_runs"].find({"kind": "test"})
        assert run["touchedAt"] == to_datetime(clock.now_ms())
        clock.advance(45)


def test_two_processes_that_continue_the_same_run_end_it_both(
    store: Auditing, now: int, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was suspended for so long that the other continued its run, then both store an hour."""
    store.count(*store.traffic(now))
    outcomes = Outcome(), Outcome()
    suspended, other = (store.auditor().steps("test", outcome) for outcome in outcomes)
    next(suspended)
    clock.advance(passes_module.SILENT_MS / 1000 + 1)
    invalidate = AuditRuns.invalidate

    def interrupted(runs: AuditRuns, audit: AuditRun, hours: Collection[int]) -> None:
        invalidate(runs, audit, hours)
        monkeypatch.setattr(AuditRuns, "invalidate", invalidate)
        next(other)

    monkeypatch.setattr(AuditRuns, "invalidate", interrupted)
    next(suspended)
    assert AuditRuns.invalidate is invalidate
    assert list(suspended)
    assert list(other)
    assert [outcome.differences for outcome in outcomes] == [[], []]
    assert store.db["dmstats_audit_runs"].count_documents({"kind": "test"}) == 0
    assert store.db["dmstats_audit_pages"].count_documents({}) == 0


def test_a_summary_that_was_half_written_is_read_again(store: Auditing, now: int) -> None:
    """The sums by account that an interrupted write left are not counted."""
    store.count(*store.traffic(now))
    steps = store.auditor().steps("test", Outcome())
    while next(steps).what != "days":
        pass
    steps.close()
    pages = store.db["dmstats_audit_pages"]
    hours = [page["_id"] for page in pages.find({"page": {"$exists": True}})]
    stored = pages.count_documents({})
    assert stored < 2 * len(hours), "an hour without DMs has no sums"
    pages.delete_many({})
    left = [["a", MONTH, 5, 5], ["z", MONTH, 5, 5]]
    run = hours[0].partition(":")[0]
    pages.insert_many({"_id": f"{hour}:0", "pass": run, "accounts": left} for hour in hours)
    assert store.changed() == set()


def test_days_are_read_together(store: Auditing, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store.count(*store.traffic(now))
    reads, check = [], checks.check_days

    def counted(view: View, days: Collection[int]) -> CheckResult:
        reads.append(list(days))
        return check(view, days)

    monkeypatch.setattr(auditor, "check_days", counted)
    assert store.found() == set()
    assert reads == [[day_ms(partition) for partition in store.ledger.partitions()]]


def test_many_accounts_are_compared_part_by_part(
    store: Auditing, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_module, "PART", 3)
    store.count(*(event(now, account=f"a{number}") for number in range(10)))
    assert store.found() == set()
    store.db["instagram_accounts"].update_one({"instagramId": "a9"}, {"$inc": {"dmUsed": 1}})
    store.db["instagram_accounts"].update_one({"instagramId": "a3"}, {"$inc": {"dmReceived": 1}})
    assert store.changed() == {("a9", "dmUsed", "changed"), ("a3", "dmReceived", "changed")}
    assert store.changed() == set()


class TestArchive:
    @pytest.fixture(autouse=True)
    def aged(self, store: Auditing, clock: ManualClock) -> None:
        """Events of a day that is long over, and their accounts."""
        store.count(*store.traffic(clock.now_ms()))
        clock.advance(9 * 86_400)
        store.count(*store.traffic(clock.now_ms()))

    def test_totals_stay_provable_when_partitions_go(self, store: Auditing) -> None:
        keep_partitions(store.ledger, store.archive, store.clock.now_ms())
        assert store.ledger.partitions() == ["20261121", "20261123", "20261124", "20261125"]
        assert store.found() == set()
        store.db["instagram_accounts"].update_one({"instagramId": "b"}, {"$inc": {"dmUsed": 1}})
        store.db["dmstats_days"].update_one(
            {"_id": to_datetime(1_794_700_800_000)}, {"$inc": {"sent": 1}}
        )
        outcome = store.audit(repair=True)
        assert outcome.differences == []
        assert [(each.key, each.field) for each in outcome.changed] == [("b", "dmUsed")]
        assert store.db["dmstats_audit_repairs"].count_documents({}) == 1
        assert store.changed() == set()

    def test_a_change_of_a_day_that_was_verified_is_found(
        self, store: Auditing, clock: ManualClock
    ) -> None:
        """However long ago; also a document that was deleted."""
        keep_partitions(store.ledger, store.archive, store.clock.now_ms())
        clock.advance(400 * 86_400)
        store.count(*store.traffic(store.clock.now_ms()))
        keep_partitions(store.ledger, store.archive, store.clock.now_ms())
        assert store.found() == set()
        changes: list[dict[str, Any] | None] = [
            {"$inc": {"sent": 2}}, {"$unset": {"sent": ""}}, None,
        ]  # fmt: skip
        changed = set()
        for place in ("hours", "days"):
            documents = store.db[f"dmstats_{place}"]
            found = documents.find({"sent": 1}, sort=[("_id", 1)], limit=len(changes))
            for document, change in zip(list(found), changes, strict=True):
                changed.add((place, document["_id"]))
                which = {"_id": document["_id"]}
                if change is None:
                    documents.delete_one(which)
                else:
                    documents.update_one(which, change)
        differences = store.audit().differences
        assert {(each.place, to_datetime(int(each.key))) for each in differences} == changed
        assert store.audit(repair=True).differences == []
        for place, start in changed:
            again = store.db[f"dmstats_{place}"].find_one({"_id": start})
            assert again, (place, start)
            assert again["sent"] == 1, (place, start)
        assert store.found() == set()

    def test_old_days_are_read_a_month_at_a_time(
        self, store: Auditing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pass costs a few queries for each month, not for each day."""
        days = [{"_id": to_datetime(day * DAY_MS), "sent": 0} for day in range(20_000, 20_100)]
        store.db["dmstats_days"].insert_many(days)
        keep_partitions(store.ledger, store.archive, store.clock.now_ms())
        reads, check = [], checks.check_old_days

        def counted(view: View, days: Collection[int]) -> CheckResult:
            reads.append(len(days))
            return check(view, days)

        monkeypatch.setattr(auditor, "check_old_days", counted)
        assert store.found() == set()
        assert sum(reads) > 100
        assert len(reads) <= sum(reads) // auditor.DAYS_AT_ONCE + 1

    @pytest.mark.parametrize("where", ["close", "before a range", "after a range", "drop"])
    def test_a_crash_while_archiving_neither_loses_nor_doubles(
        self, store: Auditing, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        expired = store.ledger.expired(store.clock.now_ms())
        assert expired == ["20261112", "20261114", "20261115"]
        with monkeypatch.context() as patch:
            patch.setattr(archive_module, "slices_at_once", lambda rows: SLICES // 2)
            self.crash(store, where, patch)
            with pytest.raises(KeyboardInterrupt):
                store.archive.close(expired[-1])
        assert store.audit().differences == []  # having finished the archiving
        assert expired[-1] not in store.ledger.partitions()
        (state,) = store.db["dmstats_ledger_archive"].find({"_id": "state"})
        assert state["closing"] == []
        assert store.db["dmstats_ledger_archive_hours"].count_documents({}) == 2

    @staticmethod
    def crash(store: Auditing, where: str, patch: pytest.MonkeyPatch) -> None:
        """End the archiving as a kill would; at noon there are rows."""

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        def run(body: Any, **options: Any) -> int:
            if where.startswith("before") and reached[-1] >= noon:
                raise KeyboardInterrupt
            reached.append(really(body, **options))
            if where.startswith("after") and reached[-1] > noon:
                raise KeyboardInterrupt
            return reached[-1]

        really, reached = store.work.run_transaction, [0]
        noon = first_slice(day_ms("20261115") + 12 * HOUR_MS)
        if where.endswith("range"):
            patch.setattr(store.work, "run_transaction", run)
        else:
            patch.setattr(store.ledger, where, interrupt)

    @pytest.mark.parametrize("code", [251, 290])
    def test_a_range_that_takes_too_long_is_made_smaller(
        self, store: Auditing, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """Below the hour, until each transaction is within the server's limit."""
        most, taken = SLICES // 8, list[int]()
        really = Recount.between

        def limited(recount: Recount, partition: str, day: int, ids: Any, session: Any) -> Any:
            low, high = (int.from_bytes(ids["_id"][end][:6], "big") for end in ("$gte", "$lt"))
            if high - low > most:
                raise OperationFailure("too long", code)
            taken.append(high - low)
            return really(recount, partition, day, ids, session)

        with monkeypatch.context() as patch:
            patch.setattr(Recount, "between", limited)
            store.archive.close("20261115")
        assert sum(taken) == 24 * SLICES
        assert most // 4 < max(taken) <= most
        assert "20261115" not in store.ledger.partitions()
        assert store.found() == set()

    def test_a_partition_that_cannot_be_archived_stops_no_other(
        self, store: Auditing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = Recount.between

        def failing(recount: Recount, partition: str, *others: Any) -> Any:
            if partition.startswith("closed_20261112"):
                raise OperationFailure("too long", 290)
            return really(recount, partition, *others)

        with monkeypatch.context() as patch:
            patch.setattr(Recount, "between", failing)
            with pytest.raises(TransactionExpired):
                keep_partitions(store.ledger, store.archive, store.clock.now_ms())
        assert store.ledger.partitions()[0] == "20261121"
        (state,) = store.db["dmstats_ledger_archive"].find({"_id": "state"})
        assert [each["partition"] for each in state["closing"]] == ["20261112"]
        assert store.db["dmstats_ledger_other"].count_documents({"archived": True}) == 4
        assert store.found() == set()  # having finished the archiving

    def test_late_rows_that_take_too_long_are_archived_in_parts(
        self, store: Auditing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = Recount.late

        def limited(recount: Recount, session: Any, **chosen: Any) -> Any:
            if len(chosen["ids"]) > 1:
                raise OperationFailure("too long", 290)
            return really(recount, session, **chosen)

        with monkeypatch.context() as patch:
            patch.setattr(Recount, "late", limited)
            store.archive.archive_late(store.clock.now_ms())
        assert store.db["dmstats_ledger_other"].count_documents({"archived": True}) == 4
        assert store.found() == set()

    def test_late_rows_are_archived_before_they_may_expire(self, store: Auditing) -> None:
        late = store.db["dmstats_ledger_other"]
        store.archive.archive_late(store.clock.now_ms())
        assert late.count_documents({"archived": True}) == 4
        assert store.found() == set()
        late.delete_many({"archived": True})
        assert store.found() == set()
        late.delete_many({})
        places = {"hours", "minutes", "days", "accounts", "global"}
        assert {place for place, *_ in store.found()} == places

    def test_an_audit_restarts_if_rows_were_archived_during_it(self, store: Auditing) -> None:
        outcome = Outcome()
        steps = store.auditor().steps("test", outcome)
        next(steps)
        store.archive.close("20261115")
        list(steps)
        assert outcome.differences == []


ODD_SUMS: list[tuple[tuple[str, str, Any], ...]] = [
    (
        ("dmstats_ledger_archive", "sent", None),
        ("dmstats_ledger_archive_hours", "received", "12"),
        ("dmstats_ledger_archive_accounts", "sent", "12"),
    ),
    (
        ("dmstats_ledger_archive", "events", []),
        ("dmstats_ledger_archive_hours", "events", 1.5),
        ("dmstats_ledger_archive_accounts", "received", 1.5),
    ),
    (
        ("dmstats_ledger_archive", "events.reaction", float("nan")),
        ("dmstats_ledger_archive_accounts", "months", None),
    ),
]


def test_an_unreadable_archived_sum_affects_nothing_else(
    store: Auditing, clock: ManualClock
) -> None:
    """One in each place, and archiving goes on after it."""
    store.count(*store.traffic(clock.now_ms()))
    clock.advance(9 * 86_400)
    keep_partitions(store.ledger, store.archive, clock.now_ms())
    assert store.found() == set()
    accounts = [*store.db["instagram_accounts"].find()]
    for sums in ODD_SUMS:
        expected, before = [], {}
        for collection, field, value in sums:
            archive = store.db[collection]
            wanted = {"_id": "totals"} if collection.endswith("archive") else {}
            before[collection] = archive.find_one(wanted) or {}
            archive.update_one({"_id": before[collection]["_id"]}, {"$set": {field: value}})
            if field != "sent" or "accounts" not in collection:
                expected.append((collection, (field,)))
        outcome = store.audit(repair=True)
        assert outcome.repaired == outcome.changed == outcome.differences == [], sums
        listed = [(odd.collection, odd.fields) for odd in outcome.odd]
        assert sorted(listed) == sorted(expected), sums
        for collection, document in before.items():
            store.db[collection].replace_one({"_id": document["_id"]}, document)
    assert [*store.db["instagram_accounts"].find()] == accounts
    for collection, field, _ in itertools.chain(*ODD_SUMS):
        wanted = {"_id": "totals"} if collection.endswith("archive") else {}
        store.db[collection].update_many(wanted, {"$set": {field.partition(".")[0]: "odd"}})
    store.count(*store.traffic(clock.now_ms()))
    clock.advance(9 * 86_400)
    keep_partitions(store.ledger, store.archive, clock.now_ms())
    outcome = store.audit(repair=True)
    assert outcome.differences == outcome.repaired == []
    assert [*store.db["instagram_accounts"].find()] != accounts


@pytest.mark.parametrize("most", [1, 5])
def test_an_audit_reads_less_at_once_where_the_server_ends_its_transactions(
    store: Auditing, now: int, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    store.count(*store.traffic(now))
    really, read = Recount.hours, list[int]()

    def limited(recount: Recount, partition: str, hours: Any, session: Any) -> Any:
        if len(hours) > most:
            raise OperationFailure("too long", 290)
        read.extend(hours)
        return really(recount, partition, hours, session)

    outcome = Outcome()
    steps = store.auditor().steps("test", outcome)
    monkeypatch.setattr(Recount, "hours", limited)
    for progress in steps:
        if progress.what == "days":  # the hours are read; these change since
            store.count(event(now), event(now - HOUR_MS))
    assert outcome.differences == []
    assert set(read) >= set(range(now - now % DAY_MS, now, HOUR_MS))


def test_audits_beside_traffic_never_report_drift(
    store: Auditing, mongo: Any, clock: ManualClock, now: int
) -> None:
    over = threading.Event()
    counted = []

    def send() -> None:
        own = Auditing(mongo, clock)
        while not over.wait(PAUSE_SECONDS):
            rows = store.traffic(now)
            try:
                own.count(*rows)
            except Conflict:
                pass
            else:
                counted.append(len(rows))
        own.transactions.close()

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        audits = 0
        while audits < 8 or len(counted) < 40:
            assert store.audit().differences == []
            audits += 1
    finally:
        over.set()
        for sender in senders:
            sender.join()
    assert store.found() == set()


def test_two_repairs_at_once_beside_traffic_repair_once(
    store: Auditing, mongo: Any, clock: ManualClock, now: int
) -> None:
    store.count(*store.traffic(now))
    for collection, which in (
        ("dmstats_hours", {"_id": to_datetime(now - now % HOUR_MS)}),
        ("dmstats_days", {"_id": to_datetime(now - now % DAY_MS)}),
    ):
        store.db[collection].update_one(which, {"$inc": {"sent": 7}})
    store.db["instagram_accounts"].update_one({"instagramId": "a"}, {"$inc": {"dmUsed": -4}})
    store.db["stats_cache"].update_one({"_id": "global"}, {"$inc": {"dmsSent": 11}})
    over = threading.Event()

    def send() -> None:
        own = Auditing(mongo, clock)
        while not over.wait(PAUSE_SECONDS):
            with contextlib.suppress(Conflict):
                own.count(*store.traffic(now))
        own.transactions.close()

    outcomes: list[Outcome] = []

    def repair() -> None:
        outcomes.append(Auditing(mongo, clock).audit(repair=True))

    threads = [threading.Thread(target=repair) for _ in range(2)]
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        over.set()
        sender.join()
    assert len(outcomes) == 2
    assert [outcome.differences for outcome in outcomes] == [[], []]
    repaired = [d for outcome in outcomes for d in outcome.repaired if d.place != "minutes"]
    assert sorted((d.place, d.missing) for d in repaired) == [
        ("days", -7), ("global", -11), ("hours", -7)
    ]  # fmt: skip
    changed = {(d.key, d.field) for outcome in outcomes for d in outcome.changed}
    assert changed == {("a", "dmUsed")}
    assert store.found() == set()
