"""Whatever a platform's documents hold, each DM is counted once: in its account, or in the backlog.

Also on a standalone server, where no transaction takes back what was written before a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from bson.code import Code
from bson.int64 import Int64
from pymongo.errors import DuplicateKeyError, OperationFailure

import migrations
from dmstats.core.clock import ManualClock, month_of
from dmstats.core.settings import Settings
from dmstats.db import typed
from dmstats.db.client import Mongo
from dmstats.db.counting import accounts as accounts_module
from dmstats.db.counting.backlog_documents import account_of, delta_of
from dmstats.db.counting.backlog_drain import RETRY_SECONDS
from dmstats.db.transaction_runner import TransactionRunner
from tests.bson_values import ODD_VALUES
from tests.live.test_account_backlog import GOOD, Site

pytestmark = [pytest.mark.live, pytest.mark.slow(50)]

FIELDS = (
    "instagramId", "dmUsed", "dmReceived", "monthlyDmUsed", "currentMonth", "ledgerBase",
    "lastDMSent", "_id",
)  # fmt: skip
BATCHES = 3


@pytest.fixture(params=["transactions", "standalone"])
def site(
    request: pytest.FixtureRequest,
    mongo: Mongo,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    if request.param == "standalone":
        monkeypatch.setattr(Mongo, "transactional", lambda _: False)
    migrations.apply(mongo, Settings())
    site = Site(mongo, clock)
    yield site
    site.transactions.close()


def usual(name: str, month: str) -> dict[str, Any]:
    """An account into which dmstats has counted."""
    return {
        "instagramId": name, "isActive": True, "dmUsed": 40, "dmReceived": 7, "currentMonth": month,
        "monthlyDmUsed": 4, "ledgerBase": {"sent": 40, "received": 7, "month": "", "monthSent": 4},
    }  # fmt: skip


def odd_documents(site: Site, field: str) -> dict[str, int]:
    """Documents with any value in ``field`` that the database stores, by the id of their account;
    what they had sent before."""
    month = month_of(site.clock.now_ms())
    accounts, before = site.mongo.db["instagram_accounts"], {}
    values = [*ODD_VALUES, Code(month), [month], [Int64(5)], Int64(2**53 - 2)]
    for number, value in enumerate(values):
        name = f"odd{number}"
        found = usual(name, month)
        has_own_id = field == "instagramId" and isinstance(value, list)
        found[field] = [name, *value] if has_own_id else value
        try:
            accounts.insert_one(found)
        except (OperationFailure, DuplicateKeyError):
            continue
        before[name] = 0 if field == "instagramId" else typed.integer(found["dmUsed"]) or 0
    return before


def counted(site: Site, before: Mapping[str, int]) -> dict[str, int]:
    """The DMs of these accounts that were added to their documents, or wait for them."""
    wanted = {"instagramId": {"$in": list(before)}}
    accounts = list(site.mongo.db["instagram_accounts"].find(wanted))
    found = {each["instagramId"]: each for each in accounts if typed.is_text(each["instagramId"])}
    backlog: dict[str, list[dict[str, Any]]] = {}
    for each in site.mongo.db["dmstats_account_backlog"].find():
        backlog.setdefault(account_of(each), []).append(each)
    sent = {}
    for name, had in before.items():
        held = typed.integer(found[name]["dmUsed"]) if name in found else 0
        added = held - had if held is not None else 0
        sent[name] = delta_of(backlog.get(name, ())).sent + added
    return sent


@pytest.mark.parametrize("field", FIELDS)
def test_any_value_in_any_field(site: Site, field: str) -> None:
    before = odd_documents(site, field)
    assert len(before) > 20
    for number in range(BATCHES):
        site.count(GOOD, *before)
        if number:
            site.clock.advance(RETRY_SECONDS + 1)
            site.backlog.drain()
    assert counted(site, before) == dict.fromkeys(before, BATCHES)
    assert site.account(GOOD)["dmUsed"] == BATCHES
    assert set(site.sums().values()) == {BATCHES * (len(before) + 1)}
    assert site.conflicts == 0


def test_an_id_in_an_array_waits_until_the_platform_fixes_it(site: Site) -> None:
    accounts = site.mongo.db["instagram_accounts"]
    accounts.insert_one({"instagramId": ["17", "18"], "dmUsed": 5})
    site.count(GOOD, "17")
    site.backlog.drain()
    (waiting,) = site.backlog.waiting()
    assert (waiting.account, waiting.sent) == ("17", 1)
    assert "array" in waiting.reason
    accounts.update_one({"instagramId": ["17", "18"]}, {"$set": {"instagramId": "17"}})
    site.clock.advance(RETRY_SECONDS + 1)
    assert site.backlog.drain()
    assert site.account("17")["dmUsed"] == 6
    assert site.backlog.waiting() == []


def test_a_validator_refuses_one_of_several(site: Site) -> None:
    month = month_of(site.clock.now_ms())
    site.mongo.db["instagram_accounts"].insert_many([usual("17", month), usual("18", month)])
    rule = {"$or": [{"instagramId": {"$ne": "17"}}, {"dmUsed": {"$lte": 40}}]}
    site.mongo.db.command("collMod", "instagram_accounts", validator=rule)
    for _ in range(BATCHES):
        site.count("17", "18", "19")
        site.clock.advance(RETRY_SECONDS + 1)
        site.backlog.drain()
    before = {"17": 40, "18": 40, "19": 0}
    assert counted(site, before) == dict.fromkeys(before, BATCHES)
    assert site.account("17")["dmUsed"] == 40
    assert [each.account for each in site.backlog.waiting()] == ["17"]


def test_a_bug_in_reading_accounts_loses_no_dm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account with the defect waits, and the others are counted by the next drain."""
    uncountable = accounts_module.uncountable

    def defective(document: dict[str, Any]) -> str:
        if document["instagramId"] == "17":
            raise TypeError
        return uncountable(document)

    site.count("17", "18")
    with monkeypatch.context() as patch:
        patch.setattr(accounts_module, "uncountable", defective)
        site.count("17", "18")
        site.backlog.drain()
        site.count("18")
    assert site.account("18")["dmUsed"] == 3
    assert [each.account for each in site.backlog.waiting()] == ["17"]
    site.clock.advance(RETRY_SECONDS + 1)
    site.backlog.drain()
    assert site.account("17")["dmUsed"] == 2


def test_accounts_that_cannot_be_changed_take_no_transaction_each(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside them, the others are added."""
    month = month_of(site.clock.now_ms())
    names = [f"1{number}" for number in range(20)]
    odd = [usual(name, month) | {"dmUsed": "many"} for name in names]
    site.mongo.db["instagram_accounts"].insert_many([*odd, usual("99", month) | {"dmUsed": "x"}])
    site.count(GOOD, "99", *names)
    site.change("99", dmUsed=5)
    transactions, run = [], TransactionRunner.run_transaction

    def counted(runner: TransactionRunner, *arguments: Any, **options: Any) -> Any:
        transactions.append(runner.transactional)
        return run(runner, *arguments, **options)

    monkeypatch.setattr(TransactionRunner, "run_transaction", counted)
    site.backlog.drain()
    assert site.account("99")["dmUsed"] == 6
    assert {each.account for each in site.backlog.waiting(limit=99)} == set(names)
    assert transactions.count(True) <= 1
    assert site.deferred == len(names)
