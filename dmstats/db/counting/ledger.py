"""The ledger: one row per event, in a collection per UTC day, which is dropped whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, CollectionInvalid, OperationFailure
from pymongo.read_concern import ReadConcern

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime, to_ms
from dmstats.core.errors import Conflict, Repeated
from dmstats.core.records import OTHER_PARTITION, LedgerRow
from dmstats.db.client import DUPLICATE_KEY, Document, Mongo, translated

PREFIX = "webhook_ledger_"
RETRY_HOURS = 36
"""Meta retries a delivery for so long; a row must outlive that."""
MIN_MAX_AGE_HOURS = 24
CLOCKS_DIFFER_MS = HOUR_MS // 2
"""How much the clocks of two hosts may differ."""

_DAY = re.compile(rf"{PREFIX}(\d{{8}})")


def max_age_ms(retention_hours: int) -> int:
    """How old an event may be, in ms, so that its row still outlives all retries.

    A row goes with its day's partition, so an event that arrives when its day is nearly over
    its time is kept in the partition ``other`` instead, whose rows expire by their arrival.
    """
    return max(retention_hours - RETRY_HOURS, MIN_MAX_AGE_HOURS) * HOUR_MS


class Ledger:
    """Reads and writes ledger rows; the caller brings the transaction."""

    def __init__(self, mongo: Mongo, *, retention_hours: int) -> None:
        self._db = mongo.db
        self._max_age_ms = max_age_ms(retention_hours)
        self._keep_ms = self._max_age_ms + RETRY_HOURS * HOUR_MS
        self._ensured: set[str] = set()

    def find_existing(
        self, rows: Iterable[LedgerRow], *, majority: bool = False, here: bool = True
    ) -> set[bytes]:
        """The ids of those of ``rows`` that are in the ledger already, here or elsewhere.

        One query per partition met: usually two. With ``majority`` a row counts as known only
        when no failover can take it back: its event is then acknowledged as a duplicate. Without
        ``here`` only elsewhere is looked at, where no insert would meet it.
        """
        concern = ReadConcern("majority" if majority else None)
        wanted: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for row in rows:
            if here:
                wanted[row.partition][row.row_id] = row.row_id
            if row.alternate_id is not None:
                partition, row_id = row.alternate_id
                wanted[partition][row_id] = row.row_id
        found: set[bytes] = set()
        with translated():
            for partition, ids in wanted.items():
                collection = self._db[PREFIX + partition].with_options(read_concern=concern)
                cursor = collection.find(
                    {"_id": {"$in": list(ids)}}, {"_id": True}, batch_size=len(ids) + 1
                )
                found.update(ids[document["_id"]] for document in cursor)
        return found

    def check_alternates(self, rows: Iterable[LedgerRow], session: ClientSession) -> None:
        """Raise :class:`Repeated` if one of ``rows`` was counted elsewhere since it was looked up.

        Two deliveries of one event that are judged by different clocks get different ids, so no
        duplicate key tells. Only an event whose time is near a bound can be judged differently.
        Belongs into the transaction, which meets the other one at the global document.
        """
        alternate_id: dict[str, list[bytes]] = defaultdict(list)
        for row in rows:
            ahead_ms = row.time_ms - row.arrived_ms
            clear = CLOCKS_DIFFER_MS - self._max_age_ms < ahead_ms < CLOCKS_DIFFER_MS
            if row.alternate_id is not None and (row.late or not clear):
                alternate_id[row.alternate_id[0]].append(row.alternate_id[1])
        with translated():
            for partition, ids in alternate_id.items():
                if self._db[PREFIX + partition].find_one({"_id": {"$in": ids}}, session=session):
                    raise Repeated("an event was counted elsewhere meanwhile")

    def prepare(self, rows: Iterable[LedgerRow]) -> None:
        """Create the partitions of ``rows`` that are not there yet.

        Outside any transaction: a collection made inside one conflicts with every other
        committer that needs it in the same moment.
        """
        for partition in {row.partition for row in rows} - self._ensured:
            self.create(partition)

    def create(self, partition: str) -> None:
        """Create one partition; nothing happens where it exists."""
        with translated():
            try:
                self._db.create_collection(PREFIX + partition, check_exists=False)
            except CollectionInvalid:
                pass
            except Exception as error:
                if getattr(error, "code", None) != NAMESPACE_EXISTS:
                    raise
        self._ensured.add(partition)

    def insert(
        self, rows: Sequence[LedgerRow], session: ClientSession, *, rejected: bool = False
    ) -> None:
        """Add ``rows`` in ``session``'s transaction; ``rejected`` marks rows that count nowhere."""
        with translated():
            for partition, documents in _documents(rows, rejected=rejected).items():
                self._db[PREFIX + partition].insert_many(documents, session=session)

    def insert_new(self, rows: Sequence[LedgerRow]) -> set[bytes]:
        """Add ``rows`` without a transaction; the ids of those that were new.

        For deployments without transactions, where the insert itself has to decide.
        """
        new = {row.row_id for row in rows}
        with translated():
            for partition, documents in _documents(rows, rejected=False).items():
                try:
                    self._db[PREFIX + partition].insert_many(documents, ordered=False)
                except BulkWriteError as error:
                    failures = (error.details or {}).get("writeErrors", [])
                    if any(failure["code"] != DUPLICATE_KEY for failure in failures):
                        raise
                    new -= {documents[failure["index"]]["_id"] for failure in failures}
        return new

    def partitions(self) -> list[str]:
        """The days that have a partition, ``YYYYMMDD``, oldest first."""
        with translated():
            names = self._db.list_collection_names(filter={"name": {"$regex": f"^{PREFIX}"}})
        days = (match[1] for name in names if (match := _DAY.fullmatch(name)))
        return sorted(day for day in days if _is_day(day))

    def expired(self, now_ms: int) -> list[str]:
        """The partitions that no delivery and no retry can need any more, oldest first."""
        return [day for day in self.partitions() if day_ms(day) + DAY_MS + self._keep_ms < now_ms]

    def close(self, partition: str, closed: str) -> None:
        """Rename a partition so that nobody can add to it; nothing happens the second time."""
        with translated():
            try:
                self._db[PREFIX + partition].rename(PREFIX + closed)
            except OperationFailure as error:
                if error.code not in {NAMESPACE_NOT_FOUND, NAMESPACE_EXISTS}:
                    raise
        self._ensured.discard(partition)

    def drop(self, partition: str) -> None:
        """Drop one partition whole."""
        if partition == OTHER_PARTITION:
            raise Conflict("the partition of late events expires row by row")
        with translated():
            self._db[PREFIX + partition].drop()
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


def _is_day(day: str) -> bool:
    """Whether eight digits are a date: another program's collection may be named like ours."""
    try:
        day_ms(day)
    except ValueError:
        return False
    return True


def day_ms(day: str) -> int:
    """The start of a partition's day, in ms since the epoch."""
    return to_ms(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC))
