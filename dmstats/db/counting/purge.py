"""Removes exactly what `dmstats simulate` counted, during live traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from dmstats.core.clock import HOUR_MS, day_start, hour_start, month_of, to_datetime, to_ms
from dmstats.core.errors import DmstatsError
from dmstats.core.records import (
    CANARY,
    DIRECT_MESSAGES,
    OTHER_PARTITION,
    RECEIVED,
    SENT,
    SIMULATED_RANGE,
    Deltas,
    LedgerRow,
)
from dmstats.db import typed
from dmstats.db.audit.activity_store import leave_out
from dmstats.db.audit.archive import Archive
from dmstats.db.audit.recount import FIELDS, ids_between
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNT_BACKLOG,
    ACCOUNT_CHANGES,
    ACCOUNT_DAYS,
    ACCOUNT_EDITS,
    ACCOUNT_MARKS,
    ACCOUNT_STATES,
    ACCOUNTS,
    ARCHIVE,
    ARCHIVE_ACCOUNTS,
    ARCHIVE_HOURS,
    ARCHIVE_SIMULATED,
    DAYS,
    HOURS,
    LEDGER_PREFIX,
    SEND_DAYS,
    SENDS,
    SIMULATIONS,
    STATS_CACHE,
)
from dmstats.db.counting.backlog_documents import account_of, whole
from dmstats.db.counting.ledger import Ledger
from dmstats.db.send_store import ALL, COUNTED
from dmstats.db.transaction_runner import TransactionRunner

ROWS_AT_ONCE = 500
NOTHING = {"$in": [0, None]}

Merge = Callable[[Iterable[LedgerRow]], Deltas]


class Removed(NamedTuple):
    """The events and accounts that a purge removed."""

    sent: int = 0
    received: int = 0
    other: int = 0
    accounts: int = 0


class _Changed(DmstatsError):
    """Some of the rows were removed or archived since they were read."""


class Purge:
    """Removes the rows of simulated accounts and subtracts them from all counters.

    ``merge`` computes the increments of rows, as for counting. Each transaction removes some rows
    with everything they added, so the data is consistent at every moment, and an interrupted purge
    can be run again.
    """

    def __init__(self, mongo: Mongo, ledger: Ledger, merge: Merge) -> None:
        self._db = mongo.db
        self._ledger = ledger
        self._merge = merge
        self._work = TransactionRunner(mongo)
        self._archive = Archive(mongo, ledger, self._work)
        self._kinds: Counter[str] = Counter()
        self._hours: set[int] = set()
        self._names: set[str] = set()

    def run(self, progress: Callable[[int], object]) -> Removed:
        """Remove everything; calls ``progress`` with the number of events removed so far.

        Raises :class:`DmstatsError` on a standalone server, which has no transactions.
        """
        if not self._work.transactional:
            raise DmstatsError(
                "A purge needs transactions, and this MongoDB runs standalone: use a replica set "
                "(one member is enough)."
            )
        with translated():
            self._archive.finish_closing()
            for partition in [*self._ledger.partitions(), OTHER_PARTITION]:
                for rows in self._found(partition):
                    self._remove(partition, rows)
                    progress(self._kinds.total())
            self._archive.finish_closing()  # in case a day was closed during the loop
            for sums in list(self._db[ARCHIVE_SIMULATED].find()):
                self._note(self._work.run_transaction(partial(self._take_archived, sums)))
                progress(self._kinds.total())
            accounts = self._work.run_transaction(self._drop_accounts)
            self._tidy()
        other = self._kinds.total() - self._kinds[SENT] - self._kinds[RECEIVED]
        return Removed(self._kinds[SENT], self._kinds[RECEIVED], other, accounts)

    def _found(self, partition: str) -> Iterator[list[Document]]:
        rows = iter(self._rows(partition).find({"account": dict(SIMULATED_RANGE)}))
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            yield chunk

    def _rows(self, partition: str) -> Collection[Document]:
        return self._db[LEDGER_PREFIX + partition]

    def _remove(self, partition: str, documents: Sequence[Document]) -> None:
        while documents:
            try:
                for some in self._work.run_in_parts(documents, partial(self._take, partition)):
                    self._note(row for row, counted in _rows_of(partition, some) if counted)
            except _Changed:
                ids = [document["_id"] for document in documents]
                documents = list(self._rows(partition).find({"_id": {"$in": ids}}))
            else:
                return

    def _take(
        self, partition: str, documents: Sequence[Document], session: ClientSession | None
    ) -> None:
        rows = [row for row, counted in _rows_of(partition, documents) if counted]
        refused = sum(bool(document.get("rejected")) for document in documents)
        # The shared documents come first, as in a commit, so that a conflict is detected early.
        self._subtract(rows, session, rejected=refused)
        # Rows that were archived since they were read are handled with the archive.
        gone = 0
        for archived in (True, False):
            ids = [row["_id"] for row in documents if bool(row.get("archived")) is archived]
            match = {"_id": {"$in": ids}, "archived": True if archived else {"$ne": True}}
            gone += self._rows(partition).delete_many(match, session=session).deleted_count
        if gone != len(documents):
            raise _Changed

    def _subtract(
        self, rows: Sequence[LedgerRow], session: ClientSession | None, *, rejected: int = 0
    ) -> None:
        deltas = self._merge(rows)
        totals = dict(deltas.totals) | ({"rejected": rejected} if rejected else {})
        if totals:
            self._db[STATS_CACHE].update_one(
                {"_id": "global"}, {"$inc": _negative(totals)}, session=session
            )
        for name, buckets in ((HOURS, deltas.hours), (DAYS, deltas.days)):
            writes = [
                UpdateOne({"_id": to_datetime(start)}, {"$inc": _negative(fields)})
                for start, fields in buckets.items()
            ]
            if writes:
                self._db[name].bulk_write(writes, session=session)
        if accounts := [*_from_accounts(rows)]:
            self._db[ACCOUNTS].bulk_write(accounts, session=session)

    def _take_archived(self, sums: Document, session: ClientSession | None) -> list[LedgerRow]:
        """Remove archived rows, of which the archive stored counts by minute, account and kind."""
        gone = self._db[ARCHIVE_SIMULATED].delete_one({"_id": sums["_id"]}, session=session)
        if not gone.deleted_count:
            return []
        rows = [_archived_row(sums)] * int(sums["n"])
        self._subtract(rows, session)
        row, counts = rows[0], _negative(Counter(FIELDS[row.kind] for row in rows))
        state = self._db[ARCHIVE]
        state.update_one({"_id": "state"}, {"$inc": {"generation": 1}}, session=session)
        state.update_one({"_id": "totals"}, {"$inc": counts}, session=session)
        hour = {"_id": to_datetime(hour_start(row.time_ms))}
        self._db[ARCHIVE_HOURS].update_one(hour, {"$inc": counts}, session=session)
        if row.kind in DIRECT_MESSAGES:
            fewer = {row.kind: -len(rows)}
            if row.kind == SENT:
                fewer[f"months.{month_of(row.time_ms)}"] = -len(rows)
            else:
                fewer[f"monthsReceived.{month_of(row.time_ms)}"] = -len(rows)
            self._db[ARCHIVE_ACCOUNTS].update_one(
                {"_id": row.account}, {"$inc": fewer}, session=session
            )
        return rows

    def _note(self, rows: Iterable[LedgerRow]) -> None:
        for row in rows:
            self._kinds[row.kind] += 1
            self._hours.add(hour_start(row.time_ms))
            if row.name:
                self._names.add(row.name)

    def _drop_accounts(self, session: ClientSession | None) -> int:
        """Delete accounts without DMs; one with new traffic is left to the next purge."""
        accounts, backlog = self._db[ACCOUNTS], self._db[ACCOUNT_BACKLOG]
        for waiting in list(backlog.find({"_id": dict(SIMULATED_RANGE)}, session=session)):
            key = {"instagramId": account_of(waiting)}
            counts = {"dmUsed": whole(waiting.get("sent"))}
            counts["dmReceived"] = whole(waiting.get("received"))
            accounts.update_one(key, {"$inc": counts}, session=session)
            backlog.delete_one({"_id": waiting["_id"]}, session=session)
        empty = {"instagramId": dict(SIMULATED_RANGE), "dmUsed": NOTHING, "dmReceived": NOTHING}
        gone = accounts.delete_many(empty, session=session)
        for archived in (ARCHIVE_ACCOUNTS, ACCOUNT_DAYS):
            self._db[archived].delete_many({"_id": dict(SIMULATED_RANGE)}, session=session)
        return gone.deleted_count

    def _tidy(self) -> None:
        """Remove the remaining traces of the traffic that are not counters."""
        for run in list(self._db[SIMULATIONS].find()):
            self._work.run_transaction(partial(self._forget, run))
        cache = self._db[STATS_CACHE]
        for name in self._names:
            field = f"unknown.{name}"
            cache.update_one({"_id": "global", field: 0}, {"$unset": {field: ""}})
        for hour in sorted(self._hours):
            self._work.run_transaction(partial(self._prune, hour))
        if self._hours:
            self._work.run_transaction(self._set_last_event)
        # The next query for top accounts starts at this floor, which came from a simulated account.
        cache.update_one({"_id": "snapshot"}, {"$set": {"floor": 0}})
        low, high = SIMULATED_RANGE.values()
        leave_out(self._db, low, high)
        for name in (ACCOUNT_STATES, ACCOUNT_EDITS, ACCOUNT_MARKS):
            self._db[name].delete_many({"_id": dict(SIMULATED_RANGE)})
        # An account with new traffic keeps its audit data.
        changes = self._db[ACCOUNT_CHANGES]
        for change in list(changes.find({"_id": dict(SIMULATED_RANGE)}, {"_id": True})):
            if not self._db[ACCOUNTS].find_one({"instagramId": change["_id"]}, {"_id": True}):
                changes.delete_one(change)
        # First the DMs: while one names the account, its sums may be written again.
        of_accounts = {"account": dict(SIMULATED_RANGE)}
        self._db[SENDS].delete_many(of_accounts)
        for day in list(self._db[SEND_DAYS].find(of_accounts)):
            self._work.run_transaction(partial(self._take_sends, day))

    def _take_sends(self, found: Document, session: ClientSession | None) -> None:
        """Remove an account's sums of a day of sends, also from those of all accounts."""
        days = self._db[SEND_DAYS]
        day = days.find_one_and_delete({"_id": found["_id"]}, session=session)
        fewer = {state: -(typed.count(day.get(state)) or 0) for state in COUNTED} if day else {}
        if day and any(fewer.values()):
            of_all = {"account": ALL, "day": day.get("day")}
            days.update_one(of_all, {"$inc": fewer}, session=session)

    def _forget(self, run: Document, session: ClientSession | None) -> None:
        if self._db[SIMULATIONS].delete_one({"_id": run["_id"]}, session=session).deleted_count:
            fewer = {"$inc": {"duplicates": -int(run.get("duplicates", 0))}}
            self._db[STATS_CACHE].update_one({"_id": "global"}, fewer, session=session)

    def _prune(self, hour: int, session: ClientSession | None) -> None:
        """Remove counters that became zero, and hours and days without counters."""
        places = {
            HOURS: hour,
            DAYS: day_start(hour),
            ARCHIVE_HOURS: hour,
        }
        for name, start in places.items():
            key = {"_id": to_datetime(start)}
            found = self._db[name].find_one(key, session=session)
            if found is None:
                continue
            kept = _without_zeros(found)
            if len(kept) <= 1:
                self._db[name].delete_one(key, session=session)
            elif kept != found:
                self._db[name].replace_one(key, kept, session=session)

    def _set_last_event(self, session: ClientSession | None) -> None:
        """Set the time of the last event from the newest hour that has any."""
        newest = self._db[HOURS].find_one({}, {"_id": True}, sort=[("_id", -1)],
                                                  session=session)  # fmt: skip
        if newest is None:
            gone: Document = {"$unset": {"lastEventAt": ""}}
            self._db[STATS_CACHE].update_one({"_id": "global"}, gone, session=session)
            return
        hour = to_ms(newest["_id"])
        events: Document = {"kind": {"$ne": CANARY}, "rejected": {"$ne": True}}
        span = {"time": {"$gte": newest["_id"], "$lt": to_datetime(hour + HOUR_MS)}}
        day = f"{newest['_id']:%Y%m%d}"
        latest = [
            found["at"]
            for place, match in ((day, ids_between(hour, hour)), (OTHER_PARTITION, span))
            for found in self._rows(place).aggregate(
                [{"$match": events | match}, {"$group": {"_id": None, "at": {"$max": "$time"}}}],
                session=session,
            )
        ]
        if latest:
            last = {"$set": {"lastEventAt": max(latest)}}
            self._db[STATS_CACHE].update_one({"_id": "global"}, last, session=session)


def _rows_of(partition: str, documents: Iterable[Document]) -> Iterator[tuple[LedgerRow, bool]]:
    """The rows as created by counting, and whether they are counted as rows of the ledger.

    Rejected rows were never counted; archived ones are handled with the archive.
    """
    for document in documents:
        late = partition == OTHER_PARTITION
        row = LedgerRow(
            row_id=document["_id"],
            partition=partition,
            account=document["account"],
            kind=document["kind"],
            time_ms=to_ms(document["time"]),
            arrived_ms=to_ms(document["arrived"]),
            late=late,
            name=document.get("name", ""),
        )
        yield row, not (document.get("rejected") or document.get("archived"))


def _archived_row(sums: Document) -> LedgerRow:
    time_ms = to_ms(sums["at"])
    return LedgerRow(
        row_id=b"",
        partition="",
        account=sums["account"],
        kind=sums["kind"],
        time_ms=time_ms,
        arrived_ms=time_ms,
        late=bool(sums["late"]),
        name=sums.get("name") or "",
    )


def _from_accounts(rows: Iterable[LedgerRow]) -> Iterator[UpdateOne]:
    sums: Counter[tuple[str, str]] = Counter()
    months: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.kind in (SENT, RECEIVED):
            sums[row.account, "dmUsed" if row.kind == SENT else "dmReceived"] += 1
        if row.kind == SENT:
            months[row.account, month_of(row.time_ms)] += 1
    for (account, field), n in sums.items():
        yield UpdateOne({"instagramId": account}, {"$inc": {field: -n}})
    for (account, month), n in months.items():
        # The monthly counter of an account in a newer month no longer includes this month.
        standing = {"instagramId": account, "currentMonth": month}
        yield UpdateOne(standing, {"$inc": {"monthlyDmUsed": -n}})


def _negative(counts: Mapping[str, int]) -> dict[str, int]:
    return {field: -n for field, n in counts.items() if n}


def _without_zeros(document: Mapping[str, Any]) -> Document:
    kept: Document = {}
    for field, value in document.items():
        if isinstance(value, Mapping):
            if inner := _without_zeros(value):
                kept[field] = inner
        elif isinstance(value, bool) or value != 0:
            kept[field] = value
    return kept
