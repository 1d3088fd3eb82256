"""How the updates of accounts find their documents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mongomock
import pytest
from bson.objectid import ObjectId

from dmstats.core.records import AccountDelta
from dmstats.db.client import Mongo
from dmstats.db.collection_names import ACCOUNTS
from dmstats.db.counting.accounts import BASE, Accounts

NOW = 1_790_000_000_000
MONTH = "2026-09"


class Hello:
    """Answers ``hello`` as ``msg`` says; everything else is mongomock's."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer
        self._client: Any = mongomock.MongoClient(tz_aware=True)
        self.admin = self

    def command(self, name: str) -> dict[str, Any]:
        assert name == "hello"
        return self._answer

    def get_database(self, name: str, **_: Any) -> Any:
        return self._client[name]


@pytest.mark.parametrize(
    ("hello", "key", "field"),
    [
        ({"msg": "isdbgrid"}, ObjectId(), "instagramId"),
        ({"setName": "rs0"}, ObjectId(), "_id"),
        ({"setName": "rs0"}, "text, which may have been invalid UTF-8", "instagramId"),
    ],
    ids=["the shard key in a cluster", "_id in a replica set", "no _id of another type"],
)
def test_an_update_goes_to_one_shard_and_by_one_index(
    hello: dict[str, Any], key: object, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = Hello(**hello)
    mongo = Mongo(client, "dms", "primary")
    assert mongo.transactional()
    known = {"instagramId": "1", "currentMonth": MONTH, "dmUsed": 3, "dmReceived": 0}
    mongo.db[ACCOUNTS].insert_one(
        {"_id": key, **known, "monthlyDmUsed": 1}
    )  # BASE is written first
    filters: list[dict[str, Any]] = []

    def recorded(writes: list[Any], **_: Any) -> Any:
        filters.extend(write._filter for write in writes)
        return SimpleNamespace(matched_count=0)

    accounts = Accounts(mongo)
    monkeypatch.setattr(accounts._accounts, "bulk_write", recorded)
    delta = AccountDelta(sent=2, month=MONTH, month_sent=2, last_sent_ms=NOW)
    assert accounts.apply({"1": delta}, NOW, None) == {}
    _usual, *by_document = filters
    assert [set(each) - {BASE} for each in by_document] == [{field}, {field}]
