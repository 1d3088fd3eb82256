"""The state of the database: server, clock, indexes, migrations."""

from __future__ import annotations

from dataclasses import dataclass

import pymongo
from pymongo.errors import OperationFailure

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNTS,
    DAYS,
    HOURS,
    LEDGER_PREFIX,
    MIGRATIONS,
    STATS_CACHE,
)
from dmstats.db.commit_probe import CommitProbe
from dmstats.db.indexes import WANTED, exists, unique_on_other_fields, unwritable

SECONDS = 3.0

ACCOUNTS_SECONDS = 10.0
WRITTEN = (ACCOUNTS, STATS_CACHE, HOURS, DAYS)
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Server:
    """The server's version, whether it supports transactions, and how long one may run (seconds;
    None if not reported)."""

    version: str
    transactional: bool
    transaction_seconds: int | None


class Health:
    """Queries the state; every method may raise
    :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    def server(self) -> Server:
        """The server's version and capabilities."""
        admin = self._mongo.client.admin
        with translated(), pymongo.timeout(SECONDS):
            version = str(admin.command("buildInfo")["version"])
            return Server(version, self._mongo.transactional(), self._transaction_seconds())

    def ahead_ms(self, now_ms: int) -> float:
        """By how much the server's clock is ahead of ``now_ms``, in ms."""
        return self._mongo.server_time().timestamp() * 1000 - now_ms

    def missing_indexes(self) -> list[str]:
        """``collection.field`` of every required index that has no equivalent in the database."""
        with translated(), pymongo.timeout(SECONDS):
            must = [each for each in WANTED if not (each.optional or each.if_possible)]
            found = {name: self._indexes(name) for name in {each.collection for each in must}}
        return [each.title for each in must if not exists(each, found[each.collection])]

    def unwritable(self) -> list[str]:
        """The collections in which nothing can be counted, each with the reason."""
        with translated(), pymongo.timeout(SECONDS):
            found = list(self._mongo.db.list_collections(filter={"name": {"$in": [*WRITTEN]}}))
        return [f"{each['name']} {why}" for each in found if (why := unwritable(each))]

    def blocking_unique_indexes(self) -> list[tuple[str, str]]:
        """Name and fields of the platform's unique indexes that would reject a second account
        created by a DM."""
        with translated(), pymongo.timeout(SECONDS):
            return unique_on_other_fields(self._indexes(ACCOUNTS))

    def accounts_without_text_id(self) -> list[str]:
        """The ``_id`` of the first accounts whose ``instagramId`` is neither a string nor
        missing."""
        other = {"instagramId": {"$exists": True, "$ne": None, "$not": {"$type": "string"}}}
        with translated(), pymongo.timeout(ACCOUNTS_SECONDS):
            found = self._mongo.db[ACCOUNTS].find(other, {"_id": True}).limit(MAX_LISTED)
            return [repr(document["_id"]) for document in found]

    def _indexes(self, collection: str) -> list[Document]:
        return [dict(index) for index in self._mongo.db[collection].list_indexes()]

    def try_commit(self) -> None:
        """Raise unless a delivery could be counted now; see :class:`CommitProbe`."""
        CommitProbe(self._mongo).try_commit()

    def migrations(self) -> set[str]:
        """The names of the applied migrations."""
        with translated(), pymongo.timeout(SECONDS):
            return {
                str(record["_id"]) for record in self._mongo.db[MIGRATIONS].find({}, {"_id": 1})
            }

    def late_rows_seconds(self) -> int | None:
        """The retention of late ledger rows in seconds; None if they never expire."""
        with translated(), pymongo.timeout(SECONDS):
            for index in self._mongo.db[LEDGER_PREFIX + OTHER_PARTITION].list_indexes():
                if "expireAfterSeconds" in index:
                    return int(index["expireAfterSeconds"])
        return None

    def _transaction_seconds(self) -> int | None:
        name = "transactionLifetimeLimitSeconds"
        try:
            return int(self._mongo.client.admin.command({"getParameter": 1, name: 1})[name])
        except (OperationFailure, KeyError):
            return None  # the user lacks the privilege, or the server has no such parameter
