"""What `python -m migrations --shard` asks a cluster for; the cluster is a stand-in that remembers.

No mongos can be had by the package managers that the project uses, so the commands are held here
as MongoDB documents them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo
from migrations import sharding

TODAY = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


class Cluster:
    """Answers as a mongos does, and keeps what was sharded as `config.collections` does."""

    def __init__(self, *, hello: dict[str, Any] | None = None) -> None:
        self.sharded: dict[str, dict[str, Any]] = {}
        self.enabled: set[str] = set()
        self.indexes: list[dict[str, Any]] = []
        self.doubles = False
        self._hello = hello or {"msg": "isdbgrid"}

    @property
    def name(self) -> str:
        return "dms"

    @property
    def client(self) -> Any:
        return self

    db = admin = client

    def command(self, name: str, namespace: str = "", **options: Any) -> dict[str, Any]:
        if name == "hello":
            return self._hello
        if name == "enableSharding":
            self.enabled.add(namespace)
            return {"ok": 1}
        assert name == "shardCollection"
        if namespace.partition(".")[0] not in self.enabled:
            raise OperationFailure("sharding not enabled for db dms", 20)  # before 6.0
        assert namespace not in self.sharded
        self.sharded[namespace] = options
        return {"ok": 1}

    def list_collection_names(self, **_: Any) -> list[str]:
        return ["dmstats_ledger_20261229", "dmstats_ledger_other"]

    def __getitem__(self, name: str) -> Any:
        return self

    def list_indexes(self) -> list[dict[str, Any]]:
        return self.indexes

    def create_index(self, field: str, **options: Any) -> None:
        if self.doubles:
            raise DuplicateKeyError("E11000", 11000)
        self.indexes.append({"key": {field: 1}, **options})

    def find_one(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        return self.sharded.get(wanted["_id"])


def shard(cluster: Cluster, days: int = 2) -> list[str]:
    return sharding.shard(cast("Mongo", cluster), Settings(), days=days)


def test_days_that_there_are_and_days_to_come() -> None:
    names = [each.collection for each in sharding.plan(["20261229"], TODAY, 2)]
    assert names == [
        "instagram_accounts",
        "dmstats_ledger_20261229",
        "dmstats_ledger_20261231",
        "dmstats_ledger_20270101",
        "dmstats_ledger_20270102",
    ]


def test_accounts_stay_unique_and_the_ledger_is_hashed() -> None:
    cluster = Cluster()
    done = shard(cluster)
    assert len(done) == len(cluster.sharded) == 5
    accounts = cluster.sharded.pop("dms.instagram_accounts")
    assert accounts == {"key": {"instagramId": 1}, "unique": True}
    # A hashed key cannot be declared unique; the same _id is always on the same shard.
    assert {name.rpartition("_")[0] for name in cluster.sharded} == {"dms.dmstats_ledger"}
    for options in cluster.sharded.values():
        assert options == {"key": {"_id": "hashed"}, "unique": False}


def test_the_unique_shard_key_gets_an_index_over_all_documents() -> None:
    cluster = Cluster()
    cluster.indexes = [{"key": {"instagramId": 1}, "unique": True, "partialFilterExpression": {}}]
    shard(cluster)
    assert [index.get("name") for index in cluster.indexes] == [None, "dmstats_instagramId_shard"]
    shard(cluster)
    assert len(cluster.indexes) == 2


def test_accounts_without_an_id_are_named() -> None:
    cluster = Cluster()
    cluster.doubles = True
    with pytest.raises(ConfigError, match="a unique instagramId in every document"):
        shard(cluster)


def test_done_twice_changes_nothing_and_a_later_day_is_added() -> None:
    cluster = Cluster()
    shard(cluster)
    assert shard(cluster) == []
    assert len(shard(cluster, days=3)) == 1


def test_another_shard_key_is_refused() -> None:
    cluster = Cluster()
    cluster.sharded["dms.instagram_accounts"] = {"key": {"instagramId": "hashed"}}
    with pytest.raises(ConfigError, match="hashed"):
        shard(cluster)


def test_a_replica_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="mongos"):
        shard(Cluster(hello={"setName": "rs0"}))
