"""Sums of the ledger rows that were dropped, so that all-time counters can still be verified."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import DAY_MS, HOUR_MS, MINUTE_MS, to_datetime
from dmstats.core.errors import DmstatsError, TransactionExpired
from dmstats.core.records import OTHER_PARTITION, SIMULATED_RANGE
from dmstats.core.settings import ACCOUNT_DAYS_KEPT
from dmstats.db import typed
from dmstats.db.audit.account_days import increments, note_first_day
from dmstats.db.audit.recount import (
    COUNTED,
    MS,
    SLICES,
    HourCounts,
    Recount,
    first_slice,
    merged,
    slices_between,
)
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNT_DAYS,
    ACCOUNTS,
    ARCHIVE,
    ARCHIVE_ACCOUNTS,
    ARCHIVE_HOURS,
    ARCHIVE_SIMULATED,
    LEDGER_PREFIX,
)
from dmstats.db.counting.counters import odd_counters
from dmstats.db.counting.ledger import Ledger, day_ms, is_day
from dmstats.db.transaction_runner import EXPIRED_TRIES, TransactionRunner

logger = logging.getLogger(__name__)

LATE_ROWS = 1_000
LATE_OLD_MS, LATE_DUE_MS = DAY_MS, 2 * DAY_MS
"""Late rows are archived when they are a day old, but only once the oldest is two days old: so at
most once a day."""

ROWS_AT_ONCE = 10_000
"""Target number of rows per transaction. The embedded database sums about 5,000 a second, and
``transactionLifetimeLimitSeconds`` may be 5."""
SHRINK = 4
"""By which a range is divided that takes longer than the server allows."""


def hour_chunks(hours: list[int], rows: int) -> Iterable[list[int]]:
    """Split ``hours`` of a day with about ``rows`` rows into one chunk per transaction."""
    size = max(1, min(24, 24 * ROWS_AT_ONCE // max(rows, 1)))
    return (hours[i : i + size] for i in range(0, len(hours), size))


def slices_at_once(rows: int) -> int:
    """How many slices (see :data:`~dmstats.db.audit.recount.SLICES`) of a day with about ``rows``
    rows go into one transaction."""
    return max(1, min(24 * SLICES, 24 * SLICES * ROWS_AT_ONCE // max(rows, 1)))


class Archive:
    """Stores the sums of archived rows in three collections, and those of simulated accounts also
    in a fourth.

    ``dmstats_ledger_archive_hours`` mirrors ``dmstats_hours`` without minutes.
    ``dmstats_ledger_archive_accounts`` has ``sent``, ``received`` and ``months.<YYYY-MM>`` (sent),
    ``monthsReceived.<YYYY-MM>`` since days by account are kept. Those are in
    ``dmstats_account_days`` for ``days_kept`` days (0: none).
    ``dmstats_ledger_archive`` has the ``totals`` and the ``state``: the partitions that are
    ``closing``, and a ``generation`` that is incremented whenever rows move into the archive.
    """

    def __init__(
        self,
        mongo: Mongo,
        ledger: Ledger,
        work: TransactionRunner,
        *,
        days_kept: int = ACCOUNT_DAYS_KEPT,
    ) -> None:
        self._db = mongo.db
        self._days_kept = days_kept
        self._state = mongo.db[ARCHIVE]
        self._ledger = ledger
        self._recount = Recount(mongo)
        self._work = work

    def close(self, *partitions: str) -> None:
        """Archive partitions that no delivery can need any more, and drop them.

        A partition is renamed first, so that no writer can add to it. Then its rows are archived in
        the order of their ids, range by range, each in the transaction that stores how far it got.
        After a crash :meth:`finish_closing` resumes.
        """
        for partition in partitions:
            generation = self._read_state()["generation"] + 1
            closing = {"partition": partition, "closed": f"closed_{partition}_{generation}"}
            with translated():
                self._state.update_one(
                    {"_id": "state", "closing.partition": {"$ne": partition}},
                    {"$set": {"generation": generation}, "$push": {"closing": closing}},
                )
        self.finish_closing()

    def finish_closing(self) -> int:
        """Finish closing every partition where it was started; returns the new generation.

        A partition that cannot be closed does not stop the others; its error is raised at the end.
        """
        failed: DmstatsError | None = None
        for closing in self._read_state()["closing"]:
            try:
                self._finish(closing["partition"], closing["closed"])
            except DmstatsError as error:
                failed = error
        if failed is not None:
            raise failed
        return int(self._read_state()["generation"])

    def archive_late(self, now_ms: int) -> None:
        """Archive the late rows that are old enough. The TTL index deletes only archived rows."""
        waiting: Document = {"archived": {"$ne": True}}
        due = waiting | {"arrived": {"$lt": to_datetime(now_ms - LATE_DUE_MS)}}
        old = waiting | {"arrived": {"$lt": to_datetime(now_ms - LATE_OLD_MS)}}
        late = self._db[LEDGER_PREFIX + OTHER_PARTITION]
        with translated():
            if late.find_one(due, {"_id": True}) is None:
                return
            while ids := [row["_id"] for row in late.find(old, {"_id": True}).limit(LATE_ROWS)]:
                self._take_late(ids)

    def _take_late(self, ids: list[bytes]) -> None:
        late = self._db[LEDGER_PREFIX + OTHER_PARTITION]

        def body(some: Sequence[bytes], session: ClientSession | None) -> None:
            chosen: Document = {"_id": {"$in": list(some)}}
            self._add(self._recount.late(session, ids=some), session)
            self._keep_simulated(OTHER_PARTITION, chosen, session)
            late.update_many(chosen, {"$set": {"archived": True}}, session=session)
            self._state.update_one({"_id": "state"}, {"$inc": {"generation": 1}}, session=session)

        self._read_state()
        for some in self._work.run_in_parts(ids, body):
            logger.info("late_rows_archived", extra={"rows": len(some)})

    def _finish(self, partition: str, closed: str) -> None:
        self._ledger.close(partition, closed)
        start = day_ms(partition)
        with translated():
            begun = self._state.find_one({"_id": closed}, {"_id": True}) is not None
        note_first_day(self._db, start + DAY_MS if begun else start)
        rows = self._recount.size(closed)
        self._take_day(closed, day_ms(partition), slices_at_once(rows))
        self._ledger.drop(closed)
        with translated():
            self._state.update_one(
                {"_id": "state", "closing.closed": closed},
                {"$inc": {"generation": 1}, "$pull": {"closing": {"closed": closed}}},
            )
            self._state.delete_one({"_id": closed})
        logger.info("partition_archived", extra={"partition": partition, "rows": rows})

    def _take_day(self, closed: str, day: int, size: int) -> None:
        """Archive the rows of ``day`` in ranges of ``size`` slices, or smaller ones if needed."""
        position, end = first_slice(day), first_slice(day + DAY_MS)
        while position < end:
            take = partial(self._take_slices, closed, day, size)
            try:
                tries = 1 if size > 1 else EXPIRED_TRIES
                position = self._work.run_transaction(take, expired_tries=tries)
            except TransactionExpired:
                if size == 1:
                    raise
                size = max(1, size // SHRINK)

    def _take_slices(self, closed: str, day: int, size: int, session: ClientSession | None) -> int:
        """Archive the next ``size`` slices of ``day``; the slice at which to go on."""
        found = self._state.find_one({"_id": closed}, session=session)
        first, end = _position(found, day), first_slice(day + DAY_MS)
        if first >= end:
            return end
        until = min(end, first + size)
        ids = slices_between(first, until)
        self._add(self._recount.between(closed, day, ids, session), session)
        self._keep_simulated(closed, ids, session)
        self._state.update_one(
            {"_id": closed}, {"$set": {"nextSlice": until}}, upsert=True, session=session
        )
        return until

    def _add(self, buckets: dict[int, HourCounts], session: ClientSession | None) -> None:
        if not buckets:
            return
        total = merged(buckets.values())
        hours = {to_datetime(hour): dict(bucket.counts) for hour, bucket in buckets.items()}
        accounts: dict[str, dict[str, int]] = {}
        for (account, month), (sent, received) in total.accounts.items():
            fields = accounts.setdefault(account, {"sent": 0, "received": 0})
            fields["sent"] += sent
            fields["received"] += received
            fields[f"months.{month}"] = sent
            fields[f"monthsReceived.{month}"] = received
        self._increment(ARCHIVE_HOURS, hours, session)
        self._increment(ARCHIVE_ACCOUNTS, accounts, session)
        days, expiry = increments(buckets, self._days_kept)
        self._increment(ACCOUNT_DAYS, days, session, expiry)
        self._increment(ARCHIVE, {"totals": dict(total.counts)}, session)

    def _increment(
        self,
        collection: str,
        increments: Mapping[Any, Mapping[str, int]],
        session: ClientSession | None,
        expiry: Mapping[Any, datetime] | None = None,
    ) -> None:
        """Add ``increments`` (by ``_id``) to documents that expire at ``expiry``. A sum that is
        not a whole number, after a bad restore, stays as it is: the audit lists it, and does not
        compare with it."""
        found = self._db[collection].find({"_id": {"$in": list(increments)}}, session=session)
        writes, before = [], {document["_id"]: document for document in found}
        for key, fields in increments.items():
            odd = odd_counters(before.get(key, {}), fields)
            within = tuple(f"{path}." for path in odd)
            fit = {f: n for f, n in fields.items() if f not in odd and not f.startswith(within)}
            if odd:
                logger.warning("archive_unreadable", extra={"document": str(key), "fields": odd})
            if fit:
                until = {"$set": {"until": expiry[key]}} if expiry else {}
                writes.append(UpdateOne({"_id": key}, {"$inc": fit} | until, upsert=True))
        if writes:
            self._db[collection].bulk_write(writes, session=session)

    def _keep_simulated(
        self, partition: str, rows: Document, session: ClientSession | None
    ) -> None:
        """Store counts of the simulated accounts among ``rows`` by minute, account and kind.

        Without simulated accounts this costs one index look-up.
        """
        own: Document = dict(SIMULATED_RANGE)
        if self._db[ACCOUNTS].find_one({"instagramId": own}, session=session) is None:
            return
        minute = {"$subtract": [MS, {"$mod": [MS, MINUTE_MS]}]}
        by = {"at": minute, "account": "$account", "kind": "$kind", "name": "$name"}
        sums = self._db[LEDGER_PREFIX + partition].aggregate(
            [
                {"$match": rows | COUNTED | {"account": own}},
                {"$group": {"_id": by, "n": {"$sum": 1}}},
            ],
            session=session,
        )
        late = partition == OTHER_PARTITION
        kept = [
            {**found["_id"], "at": to_datetime(int(found["_id"]["at"])), "late": late}
            | {"n": found["n"]}
            for found in sums
        ]
        if kept:
            self._db[ARCHIVE_SIMULATED].insert_many(kept, session=session)

    def _read_state(self) -> Document:
        """The state; created outside any transaction if missing."""
        with translated():
            found = self._state.find_one({"_id": "state"})
            if found is None:
                found = {"generation": 0, "closing": []}
                self._state.update_one({"_id": "state"}, {"$setOnInsert": found}, upsert=True)
            elif restored := _restored(found):
                # Running audits restart if the generation they started with is gone.
                self._state.update_one({"_id": "state"}, {"$set": restored})
                found |= restored
        return found


def _restored(state: Document) -> Document:
    """The fields to set so that a state damaged by a restore becomes readable."""
    changes: Document = {}
    if typed.integer(state.get("generation")) is None:
        changes["generation"] = 0
    closing = state.get("closing")
    readable = [
        each
        for each in (closing if isinstance(closing, list) else [])
        if isinstance(each, dict)
        and is_day(each.get("partition"))
        and typed.is_text(each.get("closed"))
    ]
    if readable != closing:
        changes["closing"] = readable
    return changes


def _position(marks: Document | None, day: int) -> int:
    """The first slice of ``day`` that is not archived."""
    marks = marks or {}
    # Earlier versions archived whole hours, in their order.
    before = marks.get("hours")
    hours = [hour for hour in before if isinstance(hour, int)] if isinstance(before, list) else []
    start = max((first_slice(hour + HOUR_MS) for hour in hours), default=first_slice(day))
    return max(start, typed.integer(marks.get("nextSlice")) or 0)
