"""What Meta told about accounts, in ``dmstats_account_marks``."""

from __future__ import annotations

import msgspec

from dmstats.core.clock import EpochMs, to_datetime
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import ACCOUNT_MARKS, ACCOUNTS

SECONDS = 3.0


class Marks(msgspec.Struct, frozen=True):
    """When an account's access was withdrawn, and when its owner asked for deletion; in ms since
    the epoch, None for never."""

    deauthorized_ms: EpochMs | None = None
    deletion_asked_ms: EpochMs | None = None


class AccountMarks:
    """Every method may raise :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._marks = mongo.db[ACCOUNT_MARKS]
        self._accounts = mongo.db[ACCOUNTS]
        self._copies = mongo.replica[ACCOUNT_MARKS]

    def is_known(self, account: str) -> bool:
        """Whether there is such an account."""
        with translated(), deadline(SECONDS):
            found = self._accounts.find_one({"instagramId": account}, {"_id": True})
        return found is not None

    def deauthorize(self, account: str, at_ms: int) -> None:
        """Its access was withdrawn. An older request that is repeated changes nothing."""
        self._update(account, {"$max": {"deauthorizedAt": to_datetime(at_ms)}})

    def ask_deletion(self, account: str, at_ms: int, code: str) -> None:
        """Its owner asked for deletion, and was told ``code``."""
        self._update(account, {"$set": {"deletionAskedAt": to_datetime(at_ms), "code": code}})

    def is_waiting(self, code: str) -> bool:
        """Whether the account that was told ``code`` is still to be forgotten."""
        with translated(), deadline(SECONDS):
            return self._marks.find_one({"code": code}, {"_id": True}) is not None

    def of(self, account: str) -> Marks:
        """What is known of an account; read as the account itself is."""
        with translated(), deadline(SECONDS):
            found = self._copies.find_one({"_id": account}) or {}
        return Marks(
            typed.moment(found.get("deauthorizedAt")), typed.moment(found.get("deletionAskedAt"))
        )

    def _update(self, account: str, update: Document) -> None:
        with translated(), deadline(SECONDS):
            self._marks.update_one({"_id": account}, update, upsert=True)
