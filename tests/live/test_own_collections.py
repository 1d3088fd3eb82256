"""The collections of before 0.1.0 get names of their own; the host platform's are left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

import migrations
from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo
from dmstats.db.health import Health

pytestmark = pytest.mark.live

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
OURS: dict[str, list[dict[str, Any]]] = {
    "stats_hours": [{"_id": NOW, "sent": 3}],
    "stats_days": [{"_id": NOW, "sent": 3}],
    "webhook_ledger_20261115": [{"_id": b"x" * 20, "kind": "sent"}, {"_id": b"y" * 20}],
    "webhook_ledger_other": [{"_id": b"z" * 20}],
    "webhook_ledger_closed_20261101_4": [{"_id": b"w" * 20}],
    "ledger_archive": [{"_id": "state", "generation": 4}, {"_id": "closed_20261101_4"}],
    "ledger_archive_hours": [{"_id": NOW}],
    "ledger_archive_accounts": [{"_id": "17841400000000001"}],
    "audits": [{"_id": "repairs", "version": 0}, {"_id": "ab", "kind": "a", "generation": 4}],
    "audit_pages": [{"_id": "ab:0", "pass": "ab"}],
    "audit_repairs": [{"_id": ObjectId(), "differences": []}],
    "account_activity": [{"_id": "index"}, {"_id": "ab:0", "draft": "ab", "pass": "ab"}],
    "committers": [{"_id": b"s" * 16, "beatAt": NOW}],
}
NEW_NAMES = {
    "stats_hours": "dmstats_hours",
    "stats_days": "dmstats_days",
    "webhook_ledger_20261115": "dmstats_ledger_20261115",
    "webhook_ledger_other": "dmstats_ledger_other",
    "webhook_ledger_closed_20261101_4": "dmstats_ledger_closed_20261101_4",
    "ledger_archive": "dmstats_ledger_archive",
    "ledger_archive_hours": "dmstats_ledger_archive_hours",
    "ledger_archive_accounts": "dmstats_ledger_archive_accounts",
    "audits": "dmstats_audit_runs",
    "audit_pages": "dmstats_audit_pages",
    "audit_repairs": "dmstats_audit_repairs",
    "account_activity": "dmstats_account_activity",
}


@pytest.fixture
def old(mongo: Mongo) -> Mongo:
    """A database as the version before left it."""
    for name, documents in OURS.items():
        mongo.db[name].insert_many(documents)
    mongo.db["schema_migrations"].insert_one({"_id": "0001_indexes", "appliedAt": NOW})
    mongo.db["webhook_ledger_other"].create_index("time")
    return mongo


def apply(mongo: Mongo) -> list[str]:
    return migrations.apply(mongo, Settings())


def held(mongo: Mongo, name: str) -> list[Any]:
    return [document["_id"] for document in mongo.db[name].find(sort=[("_id", 1)])]


def test_it_works(old: Mongo) -> None:
    assert apply(old) == migrations.names()
    names = set(old.db.list_collection_names())
    assert not names & {*OURS, "schema_migrations"}
    for name, documents in OURS.items():
        if name != "committers":  # heartbeats are no longer kept
            assert len(held(old, NEW_NAMES[name])) == len(documents), name
    assert Health(old).missing_indexes() == []
    assert apply(old) == []


def test_an_interrupted_one_is_finished_by_the_next(old: Mongo) -> None:
    for name in ("stats_hours", "webhook_ledger_20261115"):
        old.db[name].rename(NEW_NAMES[name])
    apply(old)
    assert not set(old.db.list_collection_names()) & set(OURS)
    assert len(held(old, "dmstats_ledger_20261115")) == 2


def test_a_new_database_takes_nothing_of_the_host_platform(mongo: Mongo) -> None:
    """Without our record there is nothing of ours, whatever the names."""
    for name, documents in OURS.items():
        mongo.db[name].insert_many(documents)
    mongo.db["schema_migrations"].insert_one({"version": 7, "dirty": False})
    apply(mongo)
    for name, documents in OURS.items():
        assert len(held(mongo, name)) == len(documents)
    assert mongo.db["schema_migrations"].count_documents({}) == 1


def test_another_tools_record_beside_ours_stays(old: Mongo) -> None:
    old.db["schema_migrations"].insert_one({"_id": "other", "version": 7, "dirty": False})
    apply(old)
    assert held(old, "schema_migrations") == ["other"]


@pytest.mark.parametrize("name", [name for name in OURS if name != "audits"])
def test_a_collection_of_the_host_platform_alone_stays(old: Mongo, name: str) -> None:
    old.db[name].delete_many({})
    old.db[name].insert_one({"_id": ObjectId(), "note": "the platform's"})
    apply(old)
    assert old.db[name].count_documents({"note": "the platform's"}) == 1


@pytest.mark.parametrize("name", ["audit_pages", "account_activity", "committers"])
def test_a_disposable_collection_with_foreign_documents_stays(old: Mongo, name: str) -> None:
    old.db[name].insert_one({"_id": ObjectId(), "note": "the platform's"})
    apply(old)
    assert old.db[name].count_documents({"note": "the platform's"}) == 1


@pytest.mark.parametrize("name", ["stats_hours", "webhook_ledger_20261115", "audits"])
def test_documents_of_others_between_ours_are_named(old: Mongo, name: str) -> None:
    foreign = old.db[name].insert_one({"note": "the platform's"}).inserted_id
    with pytest.raises(ConfigError, match=f"{name} holds documents of dmstats and of.*{foreign}"):
        apply(old)
    assert len(held(old, name)) == len(OURS[name]) + 1
    assert Health(old).migrations() == set()


def test_a_target_with_documents_is_refused_and_nothing_is_moved(old: Mongo) -> None:
    old.db["dmstats_hours"].insert_one({"_id": NOW, "sent": 1})
    with pytest.raises(ConfigError, match="stats_hours should become dmstats_hours, but both"):
        apply(old)
    assert held(old, "stats_days") == [NOW]


def test_an_empty_target_is_replaced(old: Mongo) -> None:
    old.db.create_collection("dmstats_hours")
    apply(old)
    assert held(old, "dmstats_hours") == [NOW]


def test_a_service_that_still_runs_is_named(old: Mongo) -> None:
    alive = {"_id": b"t" * 16, "beatAt": old.server_time() - timedelta(seconds=1)}
    old.db["committers"].insert_one(alive)
    with pytest.raises(ConfigError, match="stop the service on every host"):
        apply(old)
    assert held(old, "stats_hours") == [NOW]
