"""A DM is counted whatever its account's document is; the account is made good later, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

import migrations
from dmstats.commit.batch import Batch, Submission
from dmstats.commit.batch_writer import CONTENDED_SECONDS, BatchWriter
from dmstats.commit.increments import merge
from dmstats.core.clock import ManualClock, to_datetime
from dmstats.core.records import LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.client import Mongo
from dmstats.db.collection_names import LEDGER_PREFIX
from dmstats.db.counting import accounts as accounts_module
from dmstats.db.counting.account_backlog import backlog_writes
from dmstats.db.counting.backlog_drain import RETRY_SECONDS, AccountBacklog
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.db.transactions import Transactions
from dmstats.ops.account_findings import account_findings
from dmstats.ops.findings import Verdict

pytestmark = pytest.mark.live

GOOD, ODD = "good", "odd"


class Site:
    """Counts like a worker does, and drains the backlog like the leader does."""

    def __init__(self, mongo: Mongo, clock: ManualClock) -> None:
        self.mongo, self.clock = mongo, clock
        self.ledger = Ledger(mongo, retention_hours=168)
        self.transactions = Transactions(mongo)
        self.conflicts = 0
        self.deferred = 0
        self.writer = BatchWriter(
            Batches(mongo, self.ledger, self.transactions, clock), clock, self._on_conflict
        )
        self.backlog = AccountBacklog(mongo, TransactionRunner(mongo), clock, self._on_deferred)
        self.numbers = iter(range(1000))

    def count(self, *accounts: str) -> None:
        """One sent DM per account, in one batch."""
        now = self.clock.now_ms()
        day = to_datetime(now).strftime("%Y%m%d")
        rows = [
            LedgerRow(str(next(self.numbers)).encode().rjust(20), day, a, "sent", now, now)
            for a in accounts
        ]
        deadline = self.clock.monotonic() + 5
        batch = Batch([Submission(rows, rejected=0, deadline=deadline)], started=0)
        self.writer.write(batch)
        assert batch.outcomes()[0].sent == len(accounts)

    def account(self, name: str) -> dict[str, Any]:
        found = self.mongo.db["instagram_accounts"].find_one({"instagramId": name})
        assert found is not None
        return found

    def change(self, name: str, **fields: Any) -> None:
        self.mongo.db["instagram_accounts"].update_one({"instagramId": name}, {"$set": fields})

    def told(self) -> tuple[Verdict, bool]:
        """The doctor's finding about the backlog: its verdict, and whether it names the account."""
        *_, finding = account_findings(OddDocuments(self.mongo), self.backlog)
        return finding.verdict, f"{ODD}: 2 sent, 0 received" in finding.found

    def sums(self) -> dict[str, int]:
        """DMs sent by every place but the accounts."""
        rows = [self.mongo.db[LEDGER_PREFIX + day] for day in self.ledger.partitions()]
        total = self.mongo.db["stats_cache"].find_one({"_id": "global"}) or {}
        hours = self.mongo.db["dmstats_hours"].find()
        return {
            "ledger": sum(partition.count_documents({}) for partition in rows),
            "global": total.get("dmsSent", 0),
            "hours": sum(hour["sent"] for hour in hours),
        }

    def _on_deferred(self, accounts: int) -> None:
        self.deferred = accounts

    def _on_conflict(self, attempt: int) -> None:
        self.conflicts += 1


@pytest.fixture
def site(mongo: Mongo, clock: ManualClock) -> Iterator[Site]:
    migrations.apply(mongo, Settings())
    site = Site(mongo, clock)
    yield site
    site.transactions.close()


def add_account(site: Site, **fields: Any) -> None:
    site.mongo.db["instagram_accounts"].insert_one({"instagramId": ODD, **fields})


def test_it_works(site: Site) -> None:
    site.count(GOOD, ODD)
    assert not site.backlog.drain()
    assert site.sums() == dict.fromkeys(site.sums(), 2)


ODD_VALUES: tuple[Any, ...] = (
    None, True, "12", "", "many", [], [1], {}, {"n": 1}, 0.5, float("nan"), float("inf"), 1e300,
    Int64(2**63 - 1), datetime(2026, 1, 1, tzinfo=UTC), Decimal128("NaN"), Decimal128("1.5"),
)  # fmt: skip


@pytest.mark.parametrize("field", ["dmUsed", "dmReceived", "monthlyDmUsed"])
def test_a_counter_that_is_not_a_whole_number_loses_no_dm(site: Site, field: str) -> None:
    for value in ODD_VALUES:
        site.mongo.db["instagram_accounts"].delete_many({"instagramId": ODD})
        site.mongo.db["dmstats_account_backlog"].delete_many({})
        before = site.sums()["global"]
        add_account(site, **{field: value})
        site.count(GOOD, ODD)
        site.count(ODD)
        assert set(site.sums().values()) == {before + 3}
        assert site.backlog.waiting() == []  # not tried yet
        assert site.backlog.drain()
        (waiting,) = site.backlog.waiting()
        assert (waiting.account, waiting.sent) == (ODD, 2)
        assert field in waiting.reason
        assert site.told() == (Verdict.WARNING, True)
        assert site.deferred == 1
        kept = site.account(ODD)[field]
        assert type(kept) is type(value) or kept != kept, value
        # The platform mends its document: the next attempt counts what is missing, once.
        site.change(ODD, **{field: 40})
        assert not site.backlog.drain()
        site.clock.advance(RETRY_SECONDS + 1)
        assert site.backlog.drain()
        site.clock.advance(RETRY_SECONDS + 1)
        assert not site.backlog.drain()
        expected = 42 if field == "dmUsed" else 2
        assert site.account(ODD)["dmUsed"] == expected
        assert site.backlog.waiting() == []
        assert site.told() == (Verdict.OK, False)
        assert site.deferred == 0
    assert site.conflicts == 0


@pytest.mark.parametrize("value", [7, Int64(7), 7.0, Decimal128("7")])
def test_whole_numbers_of_any_type_are_counted_into(site: Site, value: Any) -> None:
    add_account(site, dmUsed=value)
    site.count(ODD)
    assert not site.backlog.drain()
    assert str(site.account(ODD)["dmUsed"]) in {"8", "8.0"}


def test_another_unique_index_does_not_affect_other_accounts(site: Site) -> None:
    """Mongoose's ``unique: true``: a second account without ``userId`` cannot be created."""
    site.mongo.db["instagram_accounts"].create_index("userId", unique=True)
    site.count(GOOD)
    site.count(GOOD, ODD)
    site.count(GOOD, ODD)
    assert set(site.sums().values()) == {5}
    assert site.backlog.drain()
    assert site.account(GOOD)["dmUsed"] == 3
    (waiting,) = site.backlog.waiting()
    assert (waiting.account, waiting.sent) == (ODD, 2)
    assert "userId" in waiting.reason
    # The platform makes the account itself.
    add_account(site, userId="u2", dmUsed=10, currentMonth="2026-11", monthlyDmUsed=1)
    site.clock.advance(RETRY_SECONDS + 1)
    assert site.backlog.drain()
    found = site.account(ODD)
    assert (found["dmUsed"], found["monthlyDmUsed"]) == (12, 3)
    assert found["ledgerBase"]["sent"] == 10
    assert site.conflicts == 0


def test_a_validator_of_the_platform_loses_no_dm(site: Site) -> None:
    site.mongo.db.command(
        "collMod", "instagram_accounts", validator={"username": {"$type": "string"}}
    )
    site.count(ODD)
    site.count(ODD)
    assert set(site.sums().values()) == {2}
    site.backlog.drain()
    (waiting,) = site.backlog.waiting()
    assert (waiting.account, waiting.sent) == (ODD, 2)


@pytest.mark.parametrize(
    "month", ["2026-9", "2026-11-01", "November", "2027-05", "9999-12", 11, ""]
)
def test_what_is_no_month_yet_does_not_stop_the_month(site: Site, month: Any) -> None:
    add_account(site, currentMonth=month, monthlyDmUsed=40)
    site.count(ODD)
    found = site.account(ODD)
    assert (found["currentMonth"], found["monthlyDmUsed"]) == ("2026-11", 1)


def test_a_backlog_of_two_months_leaves_the_newer_one(site: Site) -> None:
    add_account(site, dmUsed=None)
    site.count(ODD)
    site.clock.advance(20 * 86400)
    site.count(ODD)
    site.count(ODD)
    site.change(ODD, dmUsed=0)
    assert site.backlog.drain()
    found = site.account(ODD)
    assert (found["dmUsed"], found["currentMonth"], found["monthlyDmUsed"]) == (3, "2026-12", 2)


class BusyPlatform:
    """Changes each account after a transaction has read it, so that the write to it conflicts."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        uncountable = accounts_module.uncountable

        def beside_the_platform(document: dict[str, Any]) -> str:
            site.change(document["instagramId"], username=f"name {next(site.numbers)}")
            return uncountable(document)

        monkeypatch.setattr(accounts_module, "uncountable", beside_the_platform)


def test_a_platform_that_keeps_changing_accounts_fails_no_delivery(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.count(GOOD, ODD)
    with monkeypatch.context() as patch:
        BusyPlatform(site, patch)
        site.count(GOOD, ODD, ODD)
        assert site.conflicts == 2
        site.count(GOOD, ODD)  # at once, without another attempt
        assert site.conflicts == 2
        site.clock.advance(CONTENDED_SECONDS)
        site.count(GOOD)  # it is tried again
        assert site.conflicts == 4
    assert set(site.sums().values()) == {8}
    assert site.mongo.db["dmstats_account_backlog"].count_documents({}) == 5
    assert site.backlog.waiting() == []
    assert site.deferred == 0
    assert site.backlog.drain()
    assert (site.account(GOOD)["dmUsed"], site.account(ODD)["dmUsed"]) == (4, 4)
    assert site.account(ODD)["monthlyDmUsed"] == 4
    assert not site.backlog.drain()


def test_an_account_that_is_refused_later_does_not_affect_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.count(GOOD, ODD)
    with monkeypatch.context() as patch:
        BusyPlatform(site, patch)
        site.count(GOOD, ODD)
        site.count(GOOD, ODD)
    site.change(ODD, dmUsed="1")
    assert site.backlog.drain()
    assert site.account(GOOD)["dmUsed"] == 3
    (waiting,) = site.backlog.waiting()
    assert (waiting.account, waiting.sent) == (ODD, 2)
    assert site.mongo.db["dmstats_account_backlog"].count_documents({}) == 1
    site.count(ODD)
    site.change(ODD, dmUsed=1)
    site.clock.advance(RETRY_SECONDS + 1)
    assert site.backlog.drain()
    assert (site.account(ODD)["dmUsed"], site.account(ODD)["monthlyDmUsed"]) == (4, 4)
    assert site.backlog.waiting() == []


def test_what_was_contended_is_kept_beside_what_was_refused_before(site: Site) -> None:
    """An attempt fails while the account's other increments are not due yet."""
    add_account(site, dmUsed="many")
    site.count(ODD)
    assert site.backlog.drain()
    delta = merge([LedgerRow(b"", "", ODD, "sent", site.clock.now_ms(), 0)]).accounts
    (contended,) = backlog_writes(delta, {ODD: ""}, site.clock.now_ms())
    site.mongo.db["dmstats_account_backlog"].bulk_write([contended])
    assert site.backlog.drain()
    (waiting,) = site.backlog.waiting()
    assert waiting.sent == 2
    site.change(ODD, dmUsed=40)
    site.clock.advance(RETRY_SECONDS + 1)
    assert site.backlog.drain()
    assert site.account(ODD)["dmUsed"] == 42
