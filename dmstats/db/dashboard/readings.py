"""The reads of a refresh: at most seven queries, whose cost does not grow with DMs or accounts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import pymongo

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, to_datetime, to_ms
from dmstats.db import collection_names as names
from dmstats.db import documents, typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.dashboard.history import COUNTS
from dmstats.db.dashboard.population import (
    ACCOUNTS,
    INACTIVE,
    NEW_ACCOUNTS_LIMIT,
    USERS,
    DocumentCounts,
    PopulationCounts,
    document_counts,
    new_accounts,
)
from dmstats.db.documents import Account, AuditResult, Bucket, DocumentCount, Hour, Totals
from dmstats.db.states.summary import SUMMARY, Summary, summary

T = TypeVar("T")
Population = Mapping[int, tuple[int, int]]
"""Active accounts and users by the day's start, ms since the epoch."""

HOURS = 26
DAYS = 62
"""The comparison with yesterday needs the last 26 hours, and with last month the last 62 days."""
TOP = 10
SMALL_COLLECTION = 500
"""Up to this many documents are counted at each refresh; :class:`PopulationCounts` counts larger
collections."""
LONG_READ_SECONDS = 120.0
ACCOUNT_FIELDS = {
    "instagramId": 1,
    "username": 1,
    "dmUsed": 1,
    "monthlyDmUsed": 1,
    "currentMonth": 1,
    "monthlyDmLimit": 1,
    "lastDMSent": 1,
}
MOST_USED = 2**63 - 1
"""The largest value of a counter. Excludes infinity from the top accounts."""
CACHE_FIELDS = {"body": 0, "unknown": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The counters at one moment. ``hours`` and ``days`` are keyed by their start in ms since the
    epoch; a value that cannot be read is None. ``hour_counts`` are the additional hours that are
    needed for days of another time zone."""

    totals: Totals = field(default_factory=Totals)
    hours: Mapping[int, Hour] = field(default_factory=dict)
    days: Mapping[int, Bucket] = field(default_factory=dict)
    hour_counts: Mapping[int, Bucket] = field(default_factory=dict)
    top: list[Account] = field(default_factory=list)
    accounts: int = 0
    inactive: int = 0
    users: int = 0
    audit: AuditResult | None = None
    population: Population = field(default_factory=dict)
    canary: Mapping[str, float | None] = field(default_factory=dict)
    states: Summary | None = None
    queries: int = 0


class ReadingsStore:
    """Reads the counters with the configured read preference."""

    def __init__(self, mongo: Mongo, population_counts: PopulationCounts) -> None:
        self._db = mongo.replica
        self._population_counts = population_counts
        self._top_failed = False

    def read(
        self,
        now_ms: int,
        days: Collection[int] = (),
        hours: Collection[int] = (),
        minutes: Collection[int] = (),
    ) -> Readings:
        """Everything for a snapshot at ``now_ms``, and additionally these ``days``, the counts of
        these ``hours`` and the minutes of the hours in ``minutes``, by start in ms.

        Six queries, and one more for ``hours``. Raises :class:`StoreUnavailable`.
        """
        query = _QueryCounter()
        with translated():
            cache = query(self._cache)
            # A list of ids, not a range: the embedded database scans the collection for a range.
            hour, day = hour_start(now_ms), day_start(now_ms)
            last_hours = [hour - i * HOUR_MS for i in range(HOURS)]
            then = month_before(now_ms)
            hours_then = range(day_start(then), then + 1, HOUR_MS)
            whole_hours = query(self._buckets, names.HOURS, {*last_hours, *hours_then, *minutes})
            last_days = (day - i * DAY_MS for i in range(DAYS))
            whole_days = query(self._buckets, names.DAYS, {*last_days, *days})
            hour_counts = query(self._hour_counts, hours) if hours else {}
            top = query(self._top, typed.integer(cache.get("snapshot", {}).get("floor")))
        population_counts = document_counts(cache.get("census", {}))
        accounts, inactive, users = self._population(query, population_counts, now_ms)
        return Readings(
            totals=documents.totals(cache.get("global", {})),
            hours={start: documents.hour(found) for start, found in whole_hours.items()},
            days={start: documents.bucket(found) for start, found in whole_days.items()},
            hour_counts={start: documents.bucket(found) for start, found in hour_counts.items()},
            top=[documents.account(found) for found in top],
            accounts=accounts,
            inactive=inactive,
            users=users,
            audit=documents.audit_result(cache.get("audit")),
            population=documents.population(cache.get("snapshot", {}).get("population")),
            canary=documents.canary_stages(cache.get("canary")),
            states=summary(cache.get(SUMMARY, {})),
            queries=query.queries,
        )

    def _cache(self) -> dict[str, Document]:
        wanted = {"_id": {"$in": ["global", "audit", "canary", "census", "snapshot", SUMMARY]}}
        return {
            found["_id"]: found for found in self._db[names.STATS_CACHE].find(wanted, CACHE_FIELDS)
        }

    def _buckets(self, name: str, starts_ms: Collection[int]) -> dict[int, Document]:
        return documents.by_start(list(self._db[name].find(_ids(starts_ms))))

    def _hour_counts(self, starts_ms: Collection[int]) -> dict[int, Document]:
        found = self._db[names.HOURS].find(_ids(starts_ms), COUNTS)
        return documents.by_start(list(found))

    def _top(self, floor: int | None) -> list[Document]:
        """The accounts with the most DMs sent, at least ``floor``.

        MongoDB walks the index backwards and stops after ten. The embedded database sorts all
        matches first, so it needs the floor: the tenth account's counter at the last refresh, which
        can only grow, leaves few more than ten matches. The time limit is longer without a floor
        (the first refresh) and after a failure: then many accounts may be above a floor that rises
        only after a successful read.
        """
        least = max(1, floor or 1)
        usual = bool(floor) and not self._top_failed
        self._top_failed = True
        with pymongo.timeout(None if usual else LONG_READ_SECONDS):
            top = list(
                self._db[names.ACCOUNTS]
                .find({"dmUsed": {"$gte": least, "$lte": MOST_USED}}, ACCOUNT_FIELDS)
                .sort("dmUsed", -1)
                .limit(TOP)
            )
        self._top_failed = False
        return top

    def _population(
        self, query: _QueryCounter, population_counts: DocumentCounts, now_ms: int
    ) -> tuple[int, int, int]:
        """The numbers of accounts, inactive accounts, and users.

        Small collections are counted now. For large ones the stored counts are used, plus the
        accounts created since. If those are missing or too old, a recount runs first; its queries
        are not part of this refresh.
        """
        few_accounts = self._count_small(query, names.ACCOUNTS, population_counts.get(ACCOUNTS))
        many = few_accounts is None
        # The query that found this out is saved at the users: there are never more than six.
        known = population_counts.get(ACCOUNTS)
        just_found = many and (known is None or known.n <= SMALL_COLLECTION)
        few_users = (
            None
            if just_found
            else self._count_small(query, names.USERS, population_counts.get(USERS))
        )
        if many or few_users is None:
            population_counts = self._population_counts.fresh(population_counts, now_ms)
        users = few_users[0] if few_users else population_counts[USERS].n
        if few_accounts:
            return (*few_accounts, users)
        known = population_counts[ACCOUNTS]
        with translated():
            new = query(
                self._db[names.ACCOUNTS].count_documents,
                new_accounts(known.at_ms),
                limit=NEW_ACCOUNTS_LIMIT,
            )
        return known.n + new, population_counts[INACTIVE].n, users

    def _count_small(
        self, query: _QueryCounter, collection: str, known: DocumentCount | None
    ) -> tuple[int, int] | None:
        """The number of documents and of inactive ones; None if the collection is large."""
        if known and known.n > SMALL_COLLECTION:
            return None
        # The same condition as in the recount: false, or an array that contains it.
        each = {"$cond": [{"$isArray": ["$isActive"]}, "$isActive", ["$isActive"]]}
        inactive = {"$cond": [{"$in": [False, each]}, 1, 0]}
        group = {"_id": None, "all": {"$sum": 1}, "inactive": {"$sum": inactive}}
        with translated():
            found = query(
                lambda: list(
                    self._db[collection].aggregate(
                        [{"$limit": SMALL_COLLECTION + 1}, {"$group": group}]
                    )
                )
            )
        sums = found[0] if found else {}
        number, inactive_ones = (typed.counter(sums.get(k)) or 0 for k in ("all", "inactive"))
        return (number, inactive_ones) if number <= SMALL_COLLECTION else None


def _ids(starts_ms: Collection[int]) -> Document:
    return {"_id": {"$in": [to_datetime(start) for start in sorted(starts_ms)]}}


def month_before(now_ms: int) -> int:
    """The same day and time in the previous month, or that month's last moment (ms)."""
    end = to_ms(to_datetime(day_start(now_ms)).replace(day=1))
    day, last_day = to_datetime(now_ms).day, to_datetime(end - 1).day
    return end - (last_day - day + 1) * DAY_MS + now_ms % DAY_MS if day <= last_day else end - 1


class _QueryCounter:
    """Calls a query and counts it."""

    def __init__(self) -> None:
        self.queries = 0

    def __call__(self, query: Callable[..., T], *args: object, **kwargs: object) -> T:
        self.queries += 1
        return query(*args, **kwargs)
