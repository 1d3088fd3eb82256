"""`python -m migrations` on a database whose platform has made indexes and odd accounts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from bson import ObjectId
from bson.int64 import Int64
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

import migrations
from dmstats.core.clock import SystemClock
from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Document, Mongo
from dmstats.db.health import Health
from migrations import ensure_indexes
from tests.auditing import auditing, event

pytestmark = pytest.mark.live

Prepare = Callable[[Mongo], object]
Models = Sequence[IndexModel]


def names_of(models: Models) -> set[str]:
    return {model.document["name"] for model in models}


def on(collection: str, *args: Any, **options: Any) -> Prepare:
    return lambda mongo: mongo.db[collection].create_index(*args, **options)


ACCEPTED: dict[str, Prepare] = {
    "plain id": on("instagram_accounts", "instagramId"),
    "unique and sparse id": on("instagram_accounts", "instagramId", unique=True, sparse=True),
    "unique username": on("instagram_accounts", "username", unique=True),
    "unique time": on("users", "createdAt", unique=True),
    "own name": on("instagram_accounts", "isActive", name="host_active"),
    "expiring": on("instagram_accounts", "createdAt", expireAfterSeconds=10**9),
    "partial": on("instagram_accounts", "dmUsed", partialFilterExpression={"isActive": True}),
    "compound": on("instagram_accounts", [("isActive", 1), ("createdAt", -1)]),
    "without an id": lambda mongo: mongo.db["instagram_accounts"].insert_many(
        [{"username": "pending1"}, {"username": "pending2"}]
    ),
    "with null": lambda mongo: mongo.db["instagram_accounts"].insert_many(
        [{"instagramId": None, "n": n} for n in range(2)]
    ),
}


@pytest.mark.parametrize("prepare", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_suits_is_taken_and_what_is_missing_made(mongo: Mongo, prepare: Prepare) -> None:
    prepare(mongo)
    lines: list[str] = []
    assert migrations.apply(mongo, Settings(), lines.append) == migrations.names()
    assert Health(mongo).missing_indexes() == []
    assert lines
    lines.clear()
    assert migrations.apply(mongo, Settings(), lines.append) == []
    assert lines == []


def test_pending_accounts_and_one_that_a_dm_creates(mongo: Mongo) -> None:
    clock = SystemClock()
    with auditing(mongo, clock) as store:
        mongo.db["instagram_accounts"].insert_many([{"username": "a"}, {"username": "b"}])
        store.count(event(clock.now_ms(), account="17841400000000001"))
        store.count(event(clock.now_ms(), account="17841400000000001"))
        used = mongo.db["instagram_accounts"].distinct("dmUsed")
    assert used == [2]


@pytest.mark.parametrize("other", ["17841400000000061", ["1784", "17841400000000061"]])
def test_doubles_are_listed_and_every_other_index_is_made(mongo: Mongo, other: object) -> None:
    accounts = mongo.db["instagram_accounts"]
    doubles = [{"_id": ObjectId(), "instagramId": each} for each in ("17841400000000061", other)]
    accounts.insert_many([*doubles, {"instagramId": "17841400000000062"}])
    with pytest.raises(ConfigError, match="several documents have the same value") as caught:
        migrations.apply(mongo, Settings())
    for double in doubles:
        assert repr(double["_id"]) in str(caught.value)
    assert "17841400000000061" in str(caught.value)
    assert "17841400000000062" not in str(caught.value)
    assert Health(mongo).missing_indexes() == ["instagram_accounts.instagramId"]
    accounts.delete_one({"_id": doubles[0]["_id"]})
    migrations.apply(mongo, Settings())
    assert Health(mongo).missing_indexes() == []


def test_very_many_doubles_are_not_all_listed(mongo: Mongo) -> None:
    accounts = mongo.db["instagram_accounts"]
    accounts.insert_many([{"instagramId": f"1784{n // 2:04d}"} for n in range(60)])
    with pytest.raises(ConfigError, match="and more") as caught:
        migrations.apply(mongo, Settings())
    assert len(str(caught.value).splitlines()) == 2 + ensure_indexes.MAX_LISTED


def test_an_index_that_the_server_will_not_have_beside_ours_is_named_with_two_commands(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers before 5.0 answer, and all for the same filter."""
    mongo.db["instagram_accounts"].create_index("dmUsed", name="host", sparse=True)
    create_indexes = Collection.create_indexes

    def refused(collection: Collection[Document], models: Models) -> list[str]:
        if "dmstats_dmUsed" in names_of(models):
            raise OperationFailure("Index already exists with a different name", 85)
        return create_indexes(collection, models)

    monkeypatch.setattr(Collection, "create_indexes", refused)
    with pytest.raises(ConfigError) as caught:
        migrations.apply(mongo, Settings())
    why, drop, create = str(caught.value).splitlines()
    assert why.startswith('instagram_accounts.dmUsed: the index "host" on the same field leaves')
    assert drop == '    db.instagram_accounts.dropIndex("host")'
    assert create == "    db.instagram_accounts.createIndex({dmUsed: 1}, {})"
    assert Health(mongo).missing_indexes() == ["instagram_accounts.dmUsed"]


def test_a_server_with_one_index_per_field_has_the_unique_one(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before MongoDB 5.0."""
    create_indexes = Collection.create_indexes

    def refused(collection: Collection[Document], models: Models) -> list[str]:
        if "dmstats_instagramId" in names_of(models):
            raise OperationFailure("Index already exists with different options", 85)
        return create_indexes(collection, models)

    monkeypatch.setattr(Collection, "create_indexes", refused)
    migrations.apply(mongo, Settings())
    assert Health(mongo).missing_indexes() == []


def test_a_view_is_named(mongo: Mongo) -> None:
    mongo.db.create_collection("real_accounts")
    mongo.db.command("create", "instagram_accounts", viewOn="real_accounts", pipeline=[])
    with pytest.raises(ConfigError, match="instagram_accounts is a view"):
        migrations.apply(mongo, Settings())


@pytest.mark.parametrize("kind", ["view", "capped", "refused"])
def test_users_are_only_counted_so_they_may_be_anything(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A view, for example, or a collection whose indexes the user of dmstats must not change."""
    create_indexes = Collection.create_indexes

    def refused(collection: Collection[Document], models: Models) -> list[str]:
        if collection.name == "users":
            raise OperationFailure("not authorized", 13)
        return create_indexes(collection, models)

    if kind == "view":
        mongo.db.create_collection("people")
        mongo.db.command("create", "users", viewOn="people", pipeline=[])
    elif kind == "capped":
        mongo.db.create_collection("users", capped=True, size=10_000)
    else:
        monkeypatch.setattr(Collection, "create_indexes", refused)
    lines: list[str] = []
    migrations.apply(mongo, Settings(), lines.append)
    assert any("left out" in line for line in lines) == (kind == "refused")
    assert Health(mongo).missing_indexes() == []
    assert Health(mongo).unwritable() == []


@pytest.mark.parametrize(
    ("options", "why"),
    [({"capped": True, "size": 10_000}, "is capped"),
     ({"timeseries": {"timeField": "at"}}, "is a time-series collection")],
)  # fmt: skip
def test_a_collection_that_takes_no_counters_is_named(
    mongo: Mongo, options: dict[str, Any], why: str
) -> None:
    mongo.db.create_collection("instagram_accounts", **options)
    with pytest.raises(ConfigError, match=f"instagram_accounts {why}"):
        migrations.apply(mongo, Settings())
    (fault,) = Health(mongo).unwritable()
    assert fault.startswith(f"instagram_accounts {why}")


def test_a_long_build_is_reported_and_waited_for(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_indexes = Collection.create_indexes

    def slow(collection: Collection[Document], models: Models) -> list[str]:
        if "dmstats_username" in names_of(models):
            time.sleep(1)
        return create_indexes(collection, models)

    mongo.db["instagram_accounts"].insert_one({"instagramId": "1"})
    monkeypatch.setattr(ensure_indexes, "PROGRESS_SECONDS", 0.3)
    monkeypatch.setattr(Collection, "create_indexes", slow)
    lines: list[str] = []
    migrations.apply(mongo, Settings(), progress=lines.append)
    assert any("still building indexes of instagram_accounts" in line for line in lines)
    assert Health(mongo).missing_indexes() == []


def test_ids_that_are_no_text_are_found(mongo: Mongo) -> None:
    migrations.apply(mongo, Settings())
    accounts = mongo.db["instagram_accounts"]
    accounts.insert_many([{"instagramId": "1"}, {"instagramId": None}, {"username": "a"}])
    assert Health(mongo).accounts_without_text_id() == []
    values: list[object] = [Int64(5), 5.5, {}]
    odd = [accounts.insert_one({"instagramId": value}).inserted_id for value in values]
    assert set(Health(mongo).accounts_without_text_id()) == {repr(found) for found in odd}
