"""Putting counters right: what differs is added, once, and written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock, hour_start, to_datetime
from dmstats.core.errors import DmstatsError
from dmstats.core.records import AccountDelta
from dmstats.db.audit.differences import Difference, Place
from dmstats.db.audit.snapshot_reader import REPAIRS
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNTS,
    AUDIT_REPAIRS,
    AUDIT_RUNS,
    DAYS,
    HOURS,
    STATS_CACHE,
)
from dmstats.db.counting.accounts import Accounts
from dmstats.db.transaction_runner import TransactionRunner


class _Stale(DmstatsError):
    """Another repair came between the look and this one."""


class Repairs:
    """Applies differences by ``$inc``.

    Traffic changes a counter and its ledger rows together, so it leaves a difference as it is;
    only another repair changes it. Hence each repair counts the ``version`` up that the look had
    seen, in its transaction: of two that saw the same difference, one is refused.
    """

    def __init__(self, mongo: Mongo, work: TransactionRunner, clock: Clock) -> None:
        self._db = mongo.db
        self._accounts = Accounts(mongo)
        self._work = work
        self._clock = clock

    def apply(self, differences: Sequence[Difference], *, version: int) -> bool:
        """Whether ``differences``, seen at ``version``, are put right: all of them or none."""
        with translated():
            self._db[AUDIT_RUNS].update_one(
                {"_id": REPAIRS}, {"$setOnInsert": {"version": 0}}, upsert=True
            )
        try:
            self._work.run_transaction(lambda session: self._apply(differences, version, session))
        except _Stale:
            return False
        return True

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
        uncounted = [d for d in differences if d.uncounted]
        self._accounts.apply(_deltas(uncounted), self._clock.now_ms(), session)
        for collection, places in COLLECTIONS.items():
            writes = [_write(d) for d in differences if d.place in places and not d.uncounted]
            if writes:
                self._db[collection].bulk_write(writes, session=session)


COLLECTIONS: dict[str, set[Place]] = {
    HOURS: {"hours", "minutes"},
    DAYS: {"days"},
    ACCOUNTS: {"accounts", "months"},
    STATS_CACHE: {"global"},
}


def _write(difference: Difference) -> UpdateOne:
    update = {"$inc": {difference.field: difference.missing}}
    if difference.place == "accounts":
        return UpdateOne({"instagramId": difference.key}, update)
    if difference.place == "months":
        # The account may have moved to a newer month by now.
        return UpdateOne({"instagramId": difference.key, "currentMonth": difference.month}, update)
    if difference.place == "global":
        return UpdateOne({"_id": "global"}, update, upsert=True)
    return UpdateOne({"_id": to_datetime(int(difference.key))}, update, upsert=True)


def _deltas(differences: Iterable[Difference]) -> dict[str, AccountDelta]:
    """Accounts that nothing was counted for are counted now, as an event would be."""
    deltas: dict[str, AccountDelta] = {}
    for difference in differences:
        delta = deltas.setdefault(difference.key, AccountDelta())
        if difference.field == "dmUsed":
            delta.sent = difference.missing
        elif difference.field == "dmReceived":
            delta.received = difference.missing
        else:
            delta.month, delta.month_sent = difference.month, difference.missing
    return deltas
