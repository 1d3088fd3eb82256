"""Repairs counters: adds each difference exactly once, and records it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import MINUTE_MS, Clock, hour_start, month_of, to_datetime
from dmstats.core.errors import DmstatsError
from dmstats.core.records import AccountDelta
from dmstats.db import typed
from dmstats.db.audit.differences import Difference, Place
from dmstats.db.audit.snapshot_reader import REPAIRS
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import (
    ACCOUNTS,
    AUDIT_REPAIRS,
    AUDIT_RUNS,
    DAYS,
    HOURS,
    STATS_CACHE,
)
from dmstats.db.counting.accounts import BASE, Accounts
from dmstats.db.documents import LedgerBase, is_known, ledger_base
from dmstats.db.transaction_runner import TransactionRunner

READ_SECONDS = 3.0


class _Stale(DmstatsError):
    """Another repair was applied after the differences were read."""


class Repairs:
    """Applies differences with ``$inc``; a counter of ours that is not a number is set.

    Traffic changes a counter and its ledger rows together, so it does not change a difference; only
    a repair does. Optimistic locking: each repair increments, in its transaction, the ``version``
    that was read with the differences. Of two repairs that read the same version, one is refused.

    Repairs never create an account: one that the platform deleted stays deleted.
    """

    def __init__(self, mongo: Mongo, work: TransactionRunner, clock: Clock) -> None:
        self._db = mongo.db
        self._accounts = Accounts(mongo)
        self._work = work
        self._clock = clock

    def apply(self, differences: Sequence[Difference], *, version: int) -> bool:
        """Apply all ``differences``, read at ``version``, or none; whether they were applied."""
        with translated():
            self._db[AUDIT_RUNS].update_one(
                {"_id": REPAIRS}, {"$setOnInsert": {"version": 0}}, upsert=True
            )
            if not version:  # 0 also means unreadable
                self._db[AUDIT_RUNS].update_one(
                    {"_id": REPAIRS, "version": {"$not": {"$type": "number"}}},
                    {"$set": {"version": 0}},
                )
        try:
            self._work.run_transaction(lambda session: self._apply(differences, version, session))
        except _Stale:
            return False
        return True

    def rebase(self, bases: Mapping[str, LedgerBase]) -> None:
        """Set the ``ledgerBase`` of accounts where the stored one cannot be read.

        A DM changes an account's counters and its rows together, so a base computed a moment ago is
        still correct. Accounts with an unreadable counter are skipped until it is readable.
        """
        known = {name: base for name, base in bases.items() if is_known(base)}
        self._work.run_transaction(lambda session: self._rebase(known, session))

    def _rebase(self, bases: Mapping[str, LedgerBase], session: ClientSession | None) -> None:
        accounts = self._db[ACCOUNTS]
        wanted = {"instagramId": {"$in": list(bases)}}
        for found in list(accounts.find(wanted, {"instagramId": 1, BASE: 1}, session=session)):
            # An id that is an array matches what it contains.
            name = found["instagramId"]
            base = bases.get(name) if typed.is_text(name) else None
            if base is None or BASE not in found or is_known(ledger_base(found[BASE])):
                continue
            right: Document = {"sent": base.sent, "received": base.received}
            right |= {"month": base.month, "monthSent": base.month_sent}
            accounts.update_one({"_id": found["_id"]}, {"$set": {BASE: right}}, session=session)

    def _apply(
        self, differences: Sequence[Difference], version: int, session: ClientSession | None
    ) -> None:
        hours = {hour_start(int(d.key)) for d in differences if d.place in {"hours", "minutes"}}
        marks = {f"hours.{hour}": version + 1 for hour in hours}
        claimed = self._db[AUDIT_RUNS].update_one(
            {"_id": REPAIRS, "version": version},
            {"$inc": {"version": 1}} | ({"$set": marks} if marks else {}),
            session=session,
        )
        if not claimed.matched_count:
            raise _Stale
        self._add(differences, session)
        now_ms = self._clock.now_ms()
        record = {
            "at": to_datetime(now_ms),
            "version": version + 1,
            "differences": [msgspec.to_builtins(d) | {"by": d.missing} for d in differences],
        }
        self._db[AUDIT_REPAIRS].insert_one(record, session=session)

    def _add(self, differences: Sequence[Difference], session: ClientSession | None) -> None:
        now_ms = self._clock.now_ms()
        uncounted = _deltas((d for d in differences if d.why == "replaced"), month_of(now_ms))
        self._accounts.apply(self._existing(uncounted, session), now_ms, session)
        for collection, places in COLLECTIONS.items():
            writes = [_write(d) for d in differences if d.place in places and d.why in BY_INC]
            if writes:
                self._db[collection].bulk_write(writes, session=session)

    def _existing(
        self, deltas: dict[str, AccountDelta], session: ClientSession | None
    ) -> dict[str, AccountDelta]:
        """The deltas of existing accounts: applying one to a missing account would create it."""
        wanted = {"instagramId": {"$in": list(deltas)}}
        accounts = self._db[ACCOUNTS]
        found = accounts.find(wanted, {"instagramId": True}, session=session) if deltas else ()
        names = [each["instagramId"] for each in found if typed.is_text(each["instagramId"])]
        return {name: deltas[name] for name in names}


class RepairRecords:
    """Reads what was repaired, and when."""

    def __init__(self, mongo: Mongo) -> None:
        self._repairs = mongo.db[AUDIT_REPAIRS]

    def between(self, from_ms: int, to_ms: int, limit: int) -> list[tuple[int, int]]:
        """When (ms), and how many counters, newest first: at most ``limit`` repairs from
        ``from_ms`` up to, but not at, ``to_ms``. Those of one minute are one."""
        # An id begins with the second in which it was made, so that no other index is needed.
        first, last = (ObjectId.from_datetime(to_datetime(ms)) for ms in (from_ms, to_ms))
        with translated(), deadline(READ_SECONDS):
            found = list(
                self._repairs.find(
                    {"_id": {"$gte": first, "$lt": last}}, {"at": 1, "differences.place": 1}
                ).sort("_id", -1).limit(limit)
            )  # fmt: skip
        counters = Counter[int]()
        for each in found:
            at, differences = typed.moment(each.get("at")), each.get("differences")
            if at is not None:
                number = len(differences) if isinstance(differences, list) else 0
                counters[at - at % MINUTE_MS] += number
        return list(counters.items())


BY_INC = ("", "changed")
"""The causes of differences that are repaired with ``$inc`` in place."""

COLLECTIONS: dict[str, set[Place]] = {
    HOURS: {"hours", "minutes"},
    DAYS: {"days"},
    ACCOUNTS: {"accounts", "months"},
    STATS_CACHE: {"global"},
}


def _write(difference: Difference) -> UpdateOne:
    update: Document = {"$inc": {difference.field: difference.missing}}
    if difference.unreadable:
        group = difference.field in {"events", "minutes"} or (
            difference.field.count(".") == 1 and (difference.field.startswith("minutes."))
        )
        update = {"$set": {difference.field: {} if group else difference.expected}}
    if difference.place == "accounts":
        return UpdateOne({"instagramId": difference.key}, update)
    if difference.place == "months":
        # The account may have moved to a newer month by now.
        return UpdateOne({"instagramId": difference.key, "currentMonth": difference.month}, update)
    if difference.place == "global":
        return UpdateOne({"_id": "global"}, update, upsert=True)
    return UpdateOne({"_id": to_datetime(int(difference.key))}, update, upsert=True)


def _deltas(differences: Iterable[Difference], month: str) -> dict[str, AccountDelta]:
    """Differences of replaced accounts as deltas, to be counted like events of ``month``."""
    deltas: dict[str, AccountDelta] = {}
    for difference in differences:
        delta = deltas.setdefault(difference.key, AccountDelta(month=month))
        if difference.field == "dmUsed":
            delta.sent = difference.missing
        elif difference.field == "dmReceived":
            delta.received = difference.missing
        else:
            delta.month_sent = difference.missing
    return deltas
