"""Spreads what grows over the shards of a cluster; idempotent, safe beside live traffic.

The ledger's days go by their hashed ``_id``: it begins with the event's hour, so ranges would send
all of an hour to one shard. The same event has the same ``_id`` and so the same shard, which keeps
``_id`` unique over the cluster. The accounts go by ranges of ``instagramId``, because the unique
index that creating them relies on must begin with the shard key. All else is small, and stays on
the database's primary shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, LEDGER_PREFIX, OWN_PREFIX
from dmstats.db.counting.ledger import Ledger

NO_CLUSTER = "--shard needs a sharded cluster: let MONGODB_URI name a mongos"


class ShardPlan(NamedTuple):
    """How one collection is spread."""

    collection: str
    key: Mapping[str, object]
    unique: bool


def plan(partitions: list[str], today: datetime, days: int) -> list[ShardPlan]:
    """The accounts, the ledger's days that there are, today, and the ``days`` to come. Pure."""
    coming = [f"{today + timedelta(days=n):%Y%m%d}" for n in range(days + 1)]
    ledger = [LEDGER_PREFIX + day for day in sorted({*partitions, *coming})]
    return [
        ShardPlan(ACCOUNTS, {"instagramId": 1}, unique=True),
        *(ShardPlan(name, {"_id": "hashed"}, unique=False) for name in ledger),
    ]


def shard(mongo: Mongo, settings: Settings, *, days: int) -> list[str]:
    """Shard what is not sharded yet; the names of those collections.

    A day is spread best before its first row: run this daily. Raises :class:`ConfigError` where
    there is no cluster, or where a collection is sharded by another key.
    """
    with translated():
        if mongo.client.admin.command("hello").get("msg") != "isdbgrid":
            raise ConfigError(NO_CLUSTER)
        # Needed before MongoDB 6.0, and changes nothing after.
        mongo.client.admin.command("enableSharding", mongo.db.name)
        ledger = Ledger(mongo, retention_hours=settings.ledger_retention_hours)
        spreads = plan(ledger.partitions(), datetime.now(UTC), days)
        return [each.collection for each in spreads if _shard(mongo, each)]


def _shard(mongo: Mongo, spread: ShardPlan) -> bool:
    name = f"{mongo.db.name}.{spread.collection}"
    known = mongo.client["config"]["collections"].find_one({"_id": name, "key": {"$exists": True}})
    if known is None:
        if spread.unique:
            _index_whole(mongo.db[spread.collection], next(iter(spread.key)))
        mongo.client.admin.command(
            "shardCollection", name, key=dict(spread.key), unique=spread.unique
        )
        return True
    if dict(known["key"]) != dict(spread.key):
        raise ConfigError(f"{name} is sharded by {dict(known['key'])}, not {dict(spread.key)}")
    return False


def _index_whole(collection: Collection[Document], field: str) -> None:
    """A unique shard key needs a unique index over all documents, including those without the
    field."""
    partly = {"partialFilterExpression", "sparse"}
    for index in collection.list_indexes():
        if list(index["key"]) == [field] and index.get("unique") and not partly & set(index):
            return
    try:
        collection.create_index(field, unique=True, name=f"{OWN_PREFIX}{field}_shard")
    except DuplicateKeyError:
        raise ConfigError(
            f"--shard needs a unique {field} in every document of {collection.name}: give one "
            "to those that have none or null, or move them to another collection"
        ) from None
