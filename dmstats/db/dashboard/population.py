"""Counts that may need a scan: accounts, users and inactive accounts, refreshed periodically."""

from __future__ import annotations

import logging
from typing import Any

import pymongo

from dmstats.core.clock import Clock, to_datetime
from dmstats.db import collection_names as names
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.documents import DocumentCount, counted

logger = logging.getLogger(__name__)

ACCOUNTS, USERS, INACTIVE = "accounts", "users", "inactive"
COUNTS = (ACCOUNTS, USERS, INACTIVE)
DocumentCounts = dict[str, DocumentCount]
"""The results of the last recount, by the names in ``COUNTS``."""

RECOUNT_SECONDS = 600.0
MAX_SHARE = 0.01
"""The largest share of time for recounts, which scan on the embedded database: the pause after a
recount grows with its duration."""

USABLE_SECONDS = 3600.0
COUNT_SECONDS = 120.0
SETTLED_MS = 60_000
"""Accounts younger than this are excluded from the recount and counted as new ones at each refresh:
transactions and clock differences make counts of recent accounts unreliable."""


class PopulationCounts:
    """Counts periodically and stores the result in ``stats_cache``.

    The document: ``{_id: "census", accounts: {n, at}, users: {n, at}, inactive: {n, at}}``, where
    ``accounts.n`` holds the accounts that were created before ``accounts.at``.
    """

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._cache = mongo.db[names.STATS_CACHE]
        self._db = mongo.replica
        self._clock = clock
        self._due: float | None = None

    def tick(self) -> bool:
        """Recount if due: 600 s after the last recount, or later if recounts are slow."""
        if self._due is None:
            self._due = self._clock.monotonic() + self._seconds_left()
        if self._clock.monotonic() < self._due:
            return False
        started = self._clock.monotonic()
        # Set first, so that a failing recount is not retried at every tick.
        self._due = started + RECOUNT_SECONDS
        self.recount()
        took = self._clock.monotonic() - started
        self._due = started + max(RECOUNT_SECONDS, took / MAX_SHARE)
        return True

    def fresh(self, population_counts: DocumentCounts, now_ms: int) -> DocumentCounts:
        """``population_counts``, or a recount if they cannot be read or are over an hour old (there
        is no leader, and only cron refreshes)."""
        if all(age_seconds(population_counts, name, now_ms) <= USABLE_SECONDS for name in COUNTS):
            return population_counts
        return self.recount()

    def recount(self) -> DocumentCounts:
        """Count accounts, users and inactive accounts; store and return the results."""
        since = self._clock.now_ms() - SETTLED_MS
        with translated(), pymongo.timeout(COUNT_SECONDS):
            counts = {
                ACCOUNTS: (self._settled_accounts(since), since),
                USERS: (self._db[names.USERS].estimated_document_count(), self._clock.now_ms()),
                INACTIVE: (self._inactive_accounts(), self._clock.now_ms()),
            }
            update: Document = {
                name: {"n": number, "at": to_datetime(at_ms)}
                for name, (number, at_ms) in counts.items()
            }
            self._cache.update_one({"_id": "census"}, {"$set": update}, upsert=True)
        counted = {name: number for name, (number, _) in counts.items()}
        logger.info("population_counted", extra=counted)
        return {name: DocumentCount(number, at_ms) for name, (number, at_ms) in counts.items()}

    def _inactive_accounts(self) -> int:
        return self._db[names.ACCOUNTS].count_documents({"isActive": False})

    def _settled_accounts(self, since: int) -> int:
        """All accounts minus the new ones; repeated until no account was created in between."""
        while True:
            before = self._new_accounts(since)
            total = self._db[names.ACCOUNTS].estimated_document_count()
            after = self._new_accounts(since)
            if before == after or after >= NEW_ACCOUNTS_LIMIT:
                return total - after

    def _new_accounts(self, since: int) -> int:
        return self._db[names.ACCOUNTS].count_documents(
            new_accounts(since), limit=NEW_ACCOUNTS_LIMIT
        )

    def _seconds_left(self) -> float:
        with translated():
            stored = document_counts(self._cache.find_one({"_id": "census"}) or {})
        ages = [age_seconds(stored, name, self._clock.now_ms()) for name in (USERS, INACTIVE)]
        return max(0.0, RECOUNT_SECONDS - max(ages))


def document_counts(found: Document) -> DocumentCounts:
    """The readable counts of the stored document, by name."""
    known = {name: counted(found.get(name)) for name in COUNTS}
    return {name: count for name, count in known.items() if count is not None}


NEW_ACCOUNTS_LIMIT = 1000


def new_accounts(since_ms: int) -> dict[str, Any]:
    """The filter for accounts created at or after ``since_ms``."""
    return {"createdAt": {"$gte": to_datetime(since_ms)}}


def age_seconds(population_counts: DocumentCounts, name: str, now_ms: int) -> float:
    """The age of that count; infinite if missing."""
    known = population_counts.get(name)
    return abs(now_ms - known.at_ms) / 1000 if known else float("inf")
