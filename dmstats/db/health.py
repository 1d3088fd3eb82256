"""What the database says about itself: server, clock, indexes, migrations."""

from __future__ import annotations

from dataclasses import dataclass

import pymongo
from pymongo.errors import OperationFailure

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, LEDGER_PREFIX, MIGRATIONS
from dmstats.db.commit_probe import CommitProbe
from dmstats.db.indexes import WANTED, exists, unique_on_other_fields

SECONDS = 3.0

ACCOUNTS_SECONDS = 10.0
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Server:
    """Its version, whether it has transactions, and for how long it lets one run (seconds; None
    where it does not tell)."""

    version: str
    transactional: bool
    transaction_seconds: int | None


class Health:
    """Asks; every method may raise :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    def server(self) -> Server:
        """What kind of server it is."""
        admin = self._mongo.client.admin
        with translated(), pymongo.timeout(SECONDS):
            version = str(admin.command("buildInfo")["version"])
            return Server(version, self._mongo.transactional(), self._transaction_seconds())

    def ahead_ms(self, now_ms: int) -> float:
        """By how much the server's clock is ahead of ``now_ms``, in ms."""
        return self._mongo.server_time().timestamp() * 1000 - now_ms

    def missing_indexes(self) -> list[str]:
        """``collection.field`` of every index that has no equal, of ours or of the platform's."""
        with translated(), pymongo.timeout(SECONDS):
            found = {name: self._indexes(name) for name in {each.collection for each in WANTED}}
        must = [each for each in WANTED if not each.optional]
        return [each.title for each in must if not exists(each, found[each.collection])]

    def blocking_unique_indexes(self) -> list[tuple[str, str]]:
        """Name and fields of the platform's unique indexes by which a DM cannot create a second
        account."""
        with translated(), pymongo.timeout(SECONDS):
            return unique_on_other_fields(self._indexes(ACCOUNTS))

    def accounts_without_text_id(self) -> list[str]:
        """The ``_id`` of the first accounts whose ``instagramId`` is something else than text; one
        that has none yet does no harm."""
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
        """The names of those that are recorded as applied."""
        with translated(), pymongo.timeout(SECONDS):
            return {
                str(record["_id"]) for record in self._mongo.db[MIGRATIONS].find({}, {"_id": 1})
            }

    def late_rows_seconds(self) -> int | None:
        """How long the ledger keeps late rows; None if they never expire."""
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
            return None  # not allowed to this user, or not known to this server
