"""Sums of ledger rows by hour and account, or by minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec
from pymongo.client_session import ClientSession

from dmstats.core.clock import HOUR_MS, day_start, month_of, to_datetime
from dmstats.core.records import CANARY, DIRECT_MESSAGES, KINDS, OTHER_PARTITION, SENT
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import LEDGER_PREFIX

FIELDS = {kind: kind if kind in DIRECT_MESSAGES else f"events.{kind}" for kind in KINDS}
"""The field of the hour's document that counts rows of each kind."""

COUNTED: Document = {"rejected": {"$ne": True}, "archived": {"$ne": True}}
"""Rows that are included in the counters and not yet archived."""

DATED: Document = {"time": {"$type": "date"}}
"""Rows without a valid time belong to no hour, and must not fail the whole query."""

MS: Document = {"$toLong": "$time"}
START_OF_HOUR: Document = {"$subtract": [MS, {"$mod": [MS, HOUR_MS]}]}
BATCH = 1_000
HOUR_BYTES, SLICE_BYTES, ID_BYTES = 4, 2, 20
"""A row's id consists of its hour (since 1970) and a digest."""
SLICES: int = 256**SLICE_BYTES
"""The slices of an hour, by the first bytes of the digest. Each has about as many rows. A slice has
a number: its hour's times this, plus its own within the hour."""

Sums = dict[tuple[str, str], tuple[int, int]]
"""DMs sent and received, by account and month."""


class HourCounts(msgspec.Struct):
    """The rows of one hour: their number by field (see ``FIELDS``), and the DMs by account."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    accounts: Sums = msgspec.field(default_factory=dict)


def merged(buckets: Iterable[HourCounts]) -> HourCounts:
    """All of ``buckets`` as one."""
    total = HourCounts()
    for bucket in buckets:
        total.counts.update(bucket.counts)
        add(total.accounts, bucket.accounts)
    return total


def add(sums: Sums, more: Sums) -> None:
    """Add ``more`` to ``sums`` in place."""
    for key, (sent, received) in more.items():
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + sent, before[1] + received)


class Recount:
    """Sums ledger rows on the server; hours are given by their start in ms since the epoch."""

    def __init__(self, mongo: Mongo) -> None:
        self._db = mongo.db

    def size(self, partition: str) -> int:
        """The approximate number of rows in a partition."""
        with translated():
            return self._db[LEDGER_PREFIX + partition].estimated_document_count()

    def hours(
        self, partition: str, hours: Collection[int], session: ClientSession | None
    ) -> dict[int, HourCounts]:
        """The rows of ``hours`` of one day's partition: a range of ``_id``."""
        day, ids = day_start(min(hours)), ids_between(min(hours), max(hours))
        found = self.between(partition, day, ids, session)
        return {hour: bucket for hour, bucket in found.items() if hour in hours}

    def between(
        self, partition: str, day: int, ids: Document, session: ClientSession | None
    ) -> dict[int, HourCounts]:
        """The rows with these ``ids`` (see :func:`slices_between`) in one ``day``'s partition."""
        found = self._by_hour(partition, ids | COUNTED | DATED, {"$hour": "$time"}, session)
        starts = {day + hour * HOUR_MS: sums for hour, sums in found.items()}
        return {hour: _bucket(hour, sums) for hour, sums in starts.items()}

    def late(
        self,
        session: ClientSession | None,
        *,
        hours: Collection[int] | None = None,
        ids: Collection[bytes] | None = None,
    ) -> dict[int, HourCounts]:
        """The late rows that were counted in ``hours``, or those with ``ids``, or all."""
        match = COUNTED | DATED
        if hours is not None:
            end = to_datetime(max(hours) + HOUR_MS)
            match["time"] = {"$gte": to_datetime(min(hours)), "$lt": end}
        if ids is not None:
            match["_id"] = {"$in": list(ids)}
        found = self._by_hour(OTHER_PARTITION, match, START_OF_HOUR, session)
        return {hour: _bucket(hour, sums) for hour, sums in found.items()}

    def minutes(self, partition: str | None, hour: int, session: ClientSession | None) -> Document:
        """All rows of an hour by minute, as its document names them: ``minutes.<m>.<kind>``."""
        counts: Counter[str] = Counter()
        dms = COUNTED | {"kind": {"$in": sorted(DIRECT_MESSAGES)}}
        time = {"$gte": to_datetime(hour), "$lt": to_datetime(hour + HOUR_MS)}
        places = [(OTHER_PARTITION, dms | {"time": time})]
        if partition:
            places.append((partition, dms | ids_between(hour, hour)))
        for place, match in places:
            by = {"minute": {"$minute": "$time"}, "kind": "$kind"}
            for found in self._groups(place, match, by, session):
                counts[f"minutes.{found['_id']['minute']}.{found['_id']['kind']}"] += found["n"]
        return dict(counts)

    def _by_hour(
        self, partition: str, match: Document, hour: Document, session: ClientSession | None
    ) -> dict[int, list[tuple[str, str, int]]]:
        """Accounts, kinds and numbers of rows for each value of the expression ``hour``."""
        sums: dict[int, list[tuple[str, str, int]]] = {}
        by = {"hour": hour, "account": "$account", "kind": "$kind"}
        for found in self._groups(partition, match, by, session):
            of = found["_id"]
            hour_of, account, n = typed.integer(of.get("hour")), of.get("account"), found["n"]
            if hour_of is not None:
                # A row whose account cannot be read still counts in its hour.
                name = str(account) if typed.is_text(account) else ""
                sums.setdefault(hour_of, []).append((name, str(of.get("kind")), int(n)))
        return sums

    def _groups(
        self, partition: str, match: Document, by: Document, session: ClientSession | None
    ) -> list[Document]:
        # Small batches: decoding a large one would block this process's other greenlets.
        pipeline = [{"$match": match}, {"$group": {"_id": by, "n": {"$sum": 1}}}]
        with translated():
            rows = self._db[LEDGER_PREFIX + partition]
            return list(rows.aggregate(pipeline, session=session, batchSize=BATCH))


def _bucket(hour: int, sums: Iterable[tuple[str, str, int]]) -> HourCounts:
    bucket = HourCounts()
    for account, kind, n in sums:
        if kind == CANARY or kind not in FIELDS:
            continue
        bucket.counts[FIELDS[kind]] += n
        if kind in DIRECT_MESSAGES and account:
            dms = (n, 0) if kind == SENT else (0, n)
            add(bucket.accounts, {(account, month_of(hour)): dms})
    return bucket


def ids_between(first: int, last: int) -> Document:
    """The ids of the rows from one hour to another (their starts in ms), both included."""
    return slices_between(first_slice(first), first_slice(last + HOUR_MS))


def first_slice(hour: int) -> int:
    """The number of the first slice of an hour, which is given by its start in ms."""
    return hour // HOUR_MS * SLICES


def slices_between(first: int, end: int) -> Document:
    """The ids of the rows from slice number ``first`` up to, but without, ``end``.

    MongoDB compares binary data by its length first: the bounds must be as long as the ids.
    """
    low, high = (
        number.to_bytes(HOUR_BYTES + SLICE_BYTES, "big").ljust(ID_BYTES, b"\0")
        for number in (first, end)
    )
    return {"_id": {"$gte": low, "$lt": high}}
