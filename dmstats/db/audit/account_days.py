"""Each account's days and months, once their ledger rows were archived.

``dmstats_account_days`` has a document per account and month, ``<account>:<YYYY-MM>``: ``sent`` and
``received`` by the day of the month, and ``until``, when it expires. Months stay in
``dmstats_ledger_archive_accounts``. Both are written in the transaction that archives the rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pymongo.database import Database

from dmstats.core.clock import DAY_MS, next_month_start, to_datetime, to_ms
from dmstats.core.records import RECEIVED, SENT
from dmstats.db import typed
from dmstats.db.audit.activity_store import Counts
from dmstats.db.audit.recount import HourCounts
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_DAYS, ARCHIVE, ARCHIVE_ACCOUNTS

FIRST = "accountDays"
"""The document of ``dmstats_ledger_archive`` that has the first day that is kept, as ``since``."""


def increments(
    buckets: Mapping[int, HourCounts], days_kept: int
) -> tuple[dict[str, dict[str, int]], dict[str, datetime]]:
    """What hours (by their start in ms) add to each account's days, and when these expire, by the
    document's id; nothing if no days are kept."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    expiry: dict[str, datetime] = {}
    for hour, bucket in buckets.items() if days_kept else ():
        at = to_datetime(hour)
        for (account, _), (sent, received) in bucket.accounts.items():
            key = f"{account}:{at:%Y-%m}"
            found[key].update({f"{SENT}.{at.day}": sent, f"{RECEIVED}.{at.day}": received})
            expiry[key] = expires_at(at, days_kept)
    days = {key: {field: n for field, n in counts.items() if n} for key, counts in found.items()}
    return days, expiry


def expires_at(at: datetime, days_kept: int) -> datetime:
    """When the days of the month of ``at`` expire."""
    return next_month_start(at) + timedelta(days=days_kept)


def note_first_day(database: Database[Document], day_ms: int) -> None:
    """Note ``day_ms`` as the first day whose accounts are kept, unless there is an earlier one."""
    with translated():
        database[ARCHIVE].update_one(
            {"_id": FIRST}, {"$setOnInsert": {"since": to_datetime(day_ms)}}, upsert=True
        )


class AccountDays:
    """Reads an account's archived days and months."""

    def __init__(self, mongo: Mongo) -> None:
        self._db = mongo.db

    def first_ms(self) -> int | None:
        """The first day that was kept; None if nothing was archived yet."""
        with translated():
            first = self._db[ARCHIVE].find_one({"_id": FIRST}) or {}
        return typed.own_moment(first.get("since"))

    def days(self, account: str, months: Iterable[str]) -> dict[int, Counts]:
        """The archived DMs in ``months`` ("YYYY-MM"), by the start of the day (ms)."""
        ids = [f"{account}:{month}" for month in months]
        with translated():
            found = list(self._db[ACCOUNT_DAYS].find({"_id": {"$in": ids}}))
        days: dict[int, Counts] = {}
        for document in found:
            days |= _days(document)
        return days

    def months(self, account: str) -> dict[str, Counts]:
        """The archived DMs by month ("YYYY-MM")."""
        with translated():
            return _months(self._db[ARCHIVE_ACCOUNTS].find_one({"_id": account}) or {})


def _days(document: Document) -> dict[int, Counts]:
    start = to_ms(datetime.strptime(str(document["_id"])[-7:], "%Y-%m").replace(tzinfo=UTC))
    sent, received = (typed.document(document.get(kind)) for kind in (SENT, RECEIVED))
    return {
        start + (int(day) - 1) * DAY_MS: (
            typed.counter(sent.get(day)) or 0, typed.counter(received.get(day)) or 0,
        )
        for day in sent.keys() | received.keys()
        if day.isdecimal()
    }  # fmt: skip


def _months(document: Document) -> dict[str, Counts]:
    sent = typed.document(document.get("months"))
    received = typed.document(document.get("monthsReceived"))
    return {
        month: (typed.counter(sent.get(month)) or 0, typed.counter(received.get(month)) or 0)
        for month in sent.keys() | received.keys()
    }
