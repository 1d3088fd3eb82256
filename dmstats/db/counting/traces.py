"""Removes an account's id from all places without counters."""

from __future__ import annotations

from dmstats.core.clock import Clock
from dmstats.db import typed
from dmstats.db.audit.activity_store import leave_out
from dmstats.db.client import Document, Mongo, deadline
from dmstats.db.collection_names import (
    ACCOUNT_DAYS,
    ACCOUNT_EDITS,
    ACCOUNT_MARKS,
    ACCOUNT_STATES,
    ARCHIVE,
    AUDIT_PAGES,
    AUDIT_REPAIRS,
    AUDIT_RUNS,
    DELIVERIES,
    SEND_DAYS,
    SENDS,
    STATS_CACHE,
)
from dmstats.db.send_store import day_keys

SCAN_SECONDS = 600.0
"""The time limit for reading a whole collection: an index on the account would cost every write."""
BEYOND = ";"
"""The character after ":", which separates an account from its month."""


class Traces:
    """Every removal can be repeated."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._db = mongo.db
        self._clock = clock

    def remove(self, account: str) -> None:
        """Remove ``account`` after its rows and counters are gone."""
        months = {"$gte": f"{account}:", "$lt": account + BEYOND}
        self._db[ACCOUNT_DAYS].delete_many({"_id": months})
        self._db[ACCOUNT_MARKS].delete_one({"_id": account})
        self._db[ACCOUNT_STATES].delete_one({"_id": account})
        leave_out(self._db, account, account + "\0")
        self._end_audits()
        self._db[ACCOUNT_EDITS].delete_one({"_id": account})
        with deadline(SCAN_SECONDS):
            self._from_repairs(account)
            self._from_deliveries(account)
        cache = self._db[STATS_CACHE]
        listed: Document = {"$pull": {"oddDocuments": {"key": account}}}
        cache.update_one({"_id": "audit", "oddDocuments.key": account}, listed)
        # The next query for top accounts starts at this floor, which may be the account's counter.
        cache.update_one({"_id": "snapshot"}, {"$set": {"floor": 0}})
        # Last, since it takes longest.
        self._from_sends(account)

    def _from_sends(self, account: str) -> None:
        # The DMs first: while one still has the account, its sums may be written again.
        with deadline(SCAN_SECONDS):
            self._db[SENDS].update_many({"account": account}, {"$unset": {"account": ""}})
        ids = day_keys(account, self._clock.now_ms())
        self._db[SEND_DAYS].delete_many({"_id": {"$in": ids}})

    def _end_audits(self) -> None:
        """Delete the data of running audits: they start again, but an abandoned one would not."""
        state = self._db[ARCHIVE].find_one({"_id": "state"}) or {}
        older = {"kind": {"$type": "string"}, "generation": {"$lt": state.get("generation")}}
        for run in list(self._db[AUDIT_RUNS].find(older, {"_id": True})):
            self._db[AUDIT_PAGES].delete_many({"pass": run["_id"]})
            self._db[AUDIT_RUNS].delete_one({"_id": run["_id"]})

    def _from_repairs(self, account: str) -> None:
        """Repairs stay recorded, without the account."""
        repairs = self._db[AUDIT_REPAIRS]
        for record in list(repairs.find({"differences.key": account})):
            differences = [
                each | {"key": ""} if each.get("key") == account else each
                for each in map(typed.document, record["differences"])
            ]
            repairs.update_one({"_id": record["_id"]}, {"$set": {"differences": differences}})

    def _from_deliveries(self, account: str) -> None:
        deliveries = self._db[DELIVERIES]
        for record in list(deliveries.find({"rejected.account": account}, {"rejected": True})):
            rejected = [
                each | {"account": ""} if each.get("account") == account else each
                for each in map(typed.document, record["rejected"])
            ]
            deliveries.update_one({"_id": record["_id"]}, {"$set": {"rejected": rejected}})
