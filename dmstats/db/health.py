"""What the database says about itself: server, clock, indexes, migrations."""

from __future__ import annotations

from dataclasses import dataclass

import pymongo
from pymongo.errors import OperationFailure

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, ADMINS, LEDGER_PREFIX, MIGRATIONS, USERS
from dmstats.db.commit_probe import CommitProbe

SECONDS = 3.0

REQUIRED = {
    ACCOUNTS: (("instagramId", True), ("dmUsed", False), ("isActive", False),
                           ("createdAt", False)),
    USERS: (("createdAt", False),),
    ADMINS: (("email", True),),
    LEDGER_PREFIX + OTHER_PARTITION: (("arrived", False),),
}  # fmt: skip
"""Per collection the fields that must have an index of their own, and whether it is unique."""


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
        """``collection.field`` of every index that is not there, or not unique as it must be."""
        missing = []
        with translated(), pymongo.timeout(SECONDS):
            for collection, wanted in REQUIRED.items():
                found = {
                    tuple(index["key"]): bool(index.get("unique"))
                    for index in self._mongo.db[collection].list_indexes()
                }
                missing += [
                    f"{collection}.{field}"
                    for field, unique in wanted
                    if found.get((field,)) not in ({True} if unique else {True, False})
                ]
        return missing

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
