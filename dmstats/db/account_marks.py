"""Meta's requests about accounts, in ``dmstats_account_marks``."""

from __future__ import annotations

import msgspec

from dmstats.core.clock import EpochMs, to_datetime
from dmstats.db import typed
from dmstats.db.audit.activity_store import Activities
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import (
    ACCOUNT_BACKLOG,
    ACCOUNT_CHANGES,
    ACCOUNT_DAYS,
    ACCOUNT_EDITS,
    ACCOUNT_MARKS,
    ACCOUNT_STATES,
    ACCOUNTS,
    ARCHIVE_ACCOUNTS,
    SEND_DAYS,
    SENDS,
)
from dmstats.db.counting.account_backlog import SEPARATOR
from dmstats.db.send_store import day_keys

SECONDS = 3.0

BY_ID = (ACCOUNT_MARKS, ACCOUNT_CHANGES, ARCHIVE_ACCOUNTS, ACCOUNT_EDITS, ACCOUNT_STATES,
         ACCOUNT_BACKLOG)  # fmt: skip
"""Where an account's id is the ``_id``."""
BY_PREFIX = ((ACCOUNT_DAYS, ":"), (ACCOUNT_BACKLOG, SEPARATOR))
"""Collections whose ``_id`` is the account's id, this character, and more."""


class Marks(msgspec.Struct, frozen=True):
    """When an account's access was withdrawn, and when its owner asked for deletion; in ms since
    the epoch, None for never."""

    deauthorized_ms: EpochMs | None = None
    deletion_asked_ms: EpochMs | None = None


class AccountMarks:
    """Every method may raise :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._db = mongo.db
        self._marks = mongo.db[ACCOUNT_MARKS]
        self._activities = Activities(mongo)
        self._copies = mongo.replica[ACCOUNT_MARKS]

    def is_known(self, account: str, now_ms: int) -> bool:
        """Whether the account exists, or data is left of one that the platform deleted.

        Uses only indexes. The ledger has no index by account; its rows count once an audit has
        found the account in them. Reported DMs count in the account's sums once their echo was
        looked for; before that, the few of the last minutes are read.
        """
        by_number: Document = {"instagramId": {"$in": typed.id_values(account)}}
        places: list[tuple[str, Document]] = [(ACCOUNTS, by_number)]
        places += [(place, {"_id": account}) for place in BY_ID]
        places.append((SEND_DAYS, {"_id": {"$in": day_keys(account, now_ms)}}))
        unsettled: Document = {"due": {"$gt": to_datetime(0)}, "account": account}
        places.append((SENDS, unsettled))
        places += [
            (place, {"_id": {"$gte": account + mark, "$lt": account + chr(ord(mark) + 1)}})
            for place, mark in BY_PREFIX
        ]
        with translated(), deadline(SECONDS):
            return any(
                self._db[place].find_one(wanted, {"_id": True}) is not None
                for place, wanted in places
            ) or self._activities.names(account)

    def deauthorize(self, account: str, at_ms: int) -> None:
        """Record that access was withdrawn. Repeating an older request changes nothing."""
        self._update(account, {"$max": {"deauthorizedAt": to_datetime(at_ms)}})

    def ask_deletion(self, account: str, at_ms: int, code: str) -> str:
        """Record that the owner requested deletion. Returns the confirmation code: ``code``, or the
        one of an earlier request, so that one status page covers all requests."""
        self._update(account, {"$min": {"deletionAskedAt": to_datetime(at_ms)}})
        with translated(), deadline(SECONDS):
            self._marks.update_one({"_id": account, "code": None}, {"$set": {"code": code}})
            found = self._marks.find_one({"_id": account}, {"code": True}) or {}
        # Without a mark, the account was forgotten at this moment.
        return typed.text(found.get("code")) or code

    def is_waiting(self, code: str) -> bool:
        """Whether the account with the confirmation ``code`` has not been forgotten yet."""
        with translated(), deadline(SECONDS):
            return self._marks.find_one({"code": code}, {"_id": True}) is not None

    def of(self, account: str) -> Marks:
        """The marks of an account, read with the same read preference as the account."""
        with translated(), deadline(SECONDS):
            found = self._copies.find_one({"_id": account}) or {}
        return Marks(
            typed.moment(found.get("deauthorizedAt")), typed.moment(found.get("deletionAskedAt"))
        )

    def _update(self, account: str, update: Document) -> None:
        with translated(), deadline(SECONDS):
            self._marks.update_one({"_id": account}, update, upsert=True)
