"""The ledger: one row per event, in one collection per UTC day, which is dropped as a whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from pymongo import InsertOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, CollectionInvalid, OperationFailure
from pymongo.read_concern import ReadConcern

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime, to_ms
from dmstats.core.errors import Conflict, Repeated
from dmstats.core.records import OTHER_PARTITION, LedgerRow
from dmstats.db.client import DUPLICATE_KEY, Document, Mongo, translated
from dmstats.db.collection_names import LEDGER_PREFIX

T = TypeVar("T")

RETRY_HOURS = 36
"""Meta retries a delivery for this long, so rows must be kept longer."""
MIN_MAX_AGE_HOURS = 24
CLOCKS_DIFFER_MS = HOUR_MS // 2
"""The largest clock difference between two hosts that is tolerated."""

SLICE = 200
"""Ids per look-up. The embedded database's time grows with the square of their number (1,000:
0.7 s; 200: 0.04 s); most deliveries have one."""

_DAY = re.compile(rf"{LEDGER_PREFIX}(\d{{8}})")


def max_age_ms(retention_hours: int) -> int:
    """The largest age of an event, in ms, at which its row still outlives all retries.

    A row is dropped with its day's partition. An event that is older than this goes to the
    partition ``other``, whose rows expire by their arrival time.
    """
    return max(retention_hours - RETRY_HOURS, MIN_MAX_AGE_HOURS) * HOUR_MS


class Ledger:
    """Reads and writes ledger rows; the caller provides the transaction."""

    def __init__(self, mongo: Mongo, *, retention_hours: int) -> None:
        self._db = mongo.db
        self._max_age_ms = max_age_ms(retention_hours)
        self._keep_ms = self._max_age_ms + RETRY_HOURS * HOUR_MS
        self._ensured: set[str] = set()

    def find_existing(
        self, rows: Iterable[LedgerRow], *, majority: bool = False, primary_ids: bool = True
    ) -> set[bytes]:
        """The ids of ``rows`` that are already in the ledger, by primary or alternate id.

        One query per partition and :data:`SLICE` ids. With ``majority`` only rows that survive a
        fail-over are found, so that their events can be acknowledged as duplicates. Without
        ``primary_ids`` only alternate ids are looked up, which an insert does not check.
        """
        concern = ReadConcern("majority" if majority else None)
        wanted: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for row in rows:
            if primary_ids:
                wanted[row.partition][row.row_id] = row.row_id
            if row.alternate_id is not None:
                partition, row_id = row.alternate_id
                wanted[partition][row_id] = row.row_id
        found: set[bytes] = set()
        with translated():
            for partition, ids in wanted.items():
                collection = self._db[LEDGER_PREFIX + partition].with_options(read_concern=concern)
                for some in batched(ids, SLICE):
                    cursor = collection.find(
                        {"_id": {"$in": some}}, {"_id": True}, batch_size=SLICE + 1
                    )
                    found.update(ids[document["_id"]] for document in cursor)
        return found

    def check_alternates(self, rows: Iterable[LedgerRow], session: ClientSession) -> None:
        """Raise :class:`Repeated` if another committer counted one of ``rows`` since the look-up.

        Must run in the transaction, after the global document was changed: that write conflicts
        with the other committer's, or sees it.
        """
        with translated():
            for partition, ids in self.alternates(rows).items():
                if self._db[LEDGER_PREFIX + partition].find_one(
                    {"_id": {"$in": ids}}, session=session
                ):
                    raise Repeated("an event was counted by another worker in the meantime")

    def alternates(self, rows: Iterable[LedgerRow]) -> dict[str, list[bytes]]:
        """The ids by partition that other committers may be giving to ``rows`` at this moment.

        Two deliveries of one event may get different ids if their hosts' clocks differ, so there is
        no duplicate-key error. That is only possible if the event's time is near a bound.
        """
        alternates: dict[str, list[bytes]] = defaultdict(list)
        for row in rows:
            ahead_ms = row.time_ms - row.arrived_ms
            clear = CLOCKS_DIFFER_MS - self._max_age_ms < ahead_ms < CLOCKS_DIFFER_MS
            if row.alternate_id is not None and (row.late or not clear):
                alternates[row.alternate_id[0]].append(row.alternate_id[1])
        return alternates

    def prepare(self, rows: Iterable[LedgerRow]) -> None:
        """Create the missing partitions of ``rows``.

        Outside any transaction: creating a collection inside one conflicts with every other
        committer that needs it at the same moment.
        """
        for partition in {row.partition for row in rows} - self._ensured:
            self.create(partition)

    def create(self, partition: str) -> None:
        """Create one partition; does nothing if it exists."""
        with translated():
            try:
                self._db.create_collection(LEDGER_PREFIX + partition, check_exists=False)
            except CollectionInvalid:
                pass
            except Exception as error:
                if getattr(error, "code", None) != NAMESPACE_EXISTS:
                    raise
        self._ensured.add(partition)

    def insert(
        self, rows: Sequence[LedgerRow], session: ClientSession, *, rejected: bool = False
    ) -> None:
        """Add ``rows`` in ``session``'s transaction; ``rejected`` rows are not counted."""
        with translated():
            for partition, documents in _documents(rows, rejected=rejected).items():
                self._db[LEDGER_PREFIX + partition].insert_many(documents, session=session)

    def insertions(self, rows: Sequence[LedgerRow]) -> list[InsertOne[Document]]:
        """The writes of :meth:`insert`, each with its namespace."""
        return [
            InsertOne(document, namespace=self._db[LEDGER_PREFIX + partition].full_name)
            for partition, documents in _documents(rows, rejected=False).items()
            for document in documents
        ]

    def insert_new(self, rows: Sequence[LedgerRow]) -> set[bytes]:
        """Add ``rows`` without a transaction; returns the ids of those that were new.

        For deployments without transactions, where the insert decides which events are new.
        """
        new = {row.row_id for row in rows}
        with translated():
            for partition, documents in _documents(rows, rejected=False).items():
                try:
                    self._db[LEDGER_PREFIX + partition].insert_many(documents, ordered=False)
                except BulkWriteError as error:
                    failures = (error.details or {}).get("writeErrors", [])
                    if any(failure["code"] != DUPLICATE_KEY for failure in failures):
                        raise
                    new -= {documents[failure["index"]]["_id"] for failure in failures}
        return new

    def partitions(self) -> list[str]:
        """The days with a partition, ``YYYYMMDD``, oldest first."""
        with translated():
            names = self._db.list_collection_names(filter={"name": {"$regex": f"^{LEDGER_PREFIX}"}})
        days = (match[1] for name in names if (match := _DAY.fullmatch(name)))
        return sorted(day for day in days if is_day(day))

    def expired(self, now_ms: int) -> list[str]:
        """The partitions that no delivery or retry can need any more, oldest first."""
        return [day for day in self.partitions() if day_ms(day) + DAY_MS + self._keep_ms < now_ms]

    def close(self, partition: str, closed: str) -> None:
        """Rename a partition so that no writer can add to it; does nothing if already renamed."""
        with translated():
            try:
                self._db[LEDGER_PREFIX + partition].rename(LEDGER_PREFIX + closed)
            except OperationFailure as error:
                if error.code not in {NAMESPACE_NOT_FOUND, NAMESPACE_EXISTS}:
                    raise
        self._ensured.discard(partition)

    def drop(self, partition: str) -> None:
        """Drop one partition."""
        if partition == OTHER_PARTITION:
            raise Conflict("the partition of late events expires row by row")
        with translated():
            self._db[LEDGER_PREFIX + partition].drop()
        self._ensured.discard(partition)


NAMESPACE_EXISTS = 48
NAMESPACE_NOT_FOUND = 26


def _documents(rows: Iterable[LedgerRow], *, rejected: bool) -> dict[str, list[Document]]:
    documents: dict[str, list[Document]] = defaultdict(list)
    for row in rows:
        document: Document = {
            "_id": row.row_id,
            "account": row.account,
            "kind": row.kind,
            "time": to_datetime(row.time_ms),
            "arrived": to_datetime(row.arrived_ms),
        }
        if row.name:
            document["name"] = row.name
        if rejected:
            document["rejected"] = True
        documents[row.partition].append(document)
    return documents


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of at most ``size``."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def is_day(value: object) -> bool:
    """Whether ``value`` names a partition of one day, ``YYYYMMDD``."""
    if not isinstance(value, str):
        return False
    try:
        day_ms(value)
    except (ValueError, OverflowError):
        return False
    return True


def day_ms(day: str) -> int:
    """The start of a partition's day, in ms since the epoch."""
    return to_ms(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC))
