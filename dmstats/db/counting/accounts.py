"""The accounts' counters, and how an account moves from month to month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import to_datetime
from dmstats.core.records import AccountDelta
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNTS

BASE = "ledgerBase"
"""Holds what the host platform had counted before the first event of ours: the audit compares the
counters with this and the ledger."""


class Accounts:
    """Applies deltas to ``instagram_accounts``; an unknown account is created, active."""

    def __init__(self, mongo: Mongo) -> None:
        self._accounts = mongo.db[ACCOUNTS]

    def apply(
        self, deltas: Mapping[str, AccountDelta], now_ms: int, session: ClientSession | None
    ) -> None:
        """Add ``deltas`` (by Instagram id): one read, then one bulk write by ``_id``.

        In a transaction nobody can change an account unnoticed between the two. Without one
        (``session`` is ``None``) the common case, an account counted before and in the delta's
        month, is one write that asks for that itself.
        """
        if not deltas:
            return
        with translated():
            if session is None and self._add_where_usual(deltas) == len(deltas):
                return
            known = {
                found["instagramId"]: found
                for found in self._accounts.find(
                    {"instagramId": {"$in": list(deltas)}},
                    {"instagramId": True, "currentMonth": True, BASE: True},
                    session=session,
                    batch_size=len(deltas) + 1,
                )
            }
            writes = [
                write
                for account, delta in deltas.items()
                if session or not _is_usual(known.get(account), delta)
                for write in _writes(account, delta, known.get(account), now_ms)
            ]
            self._accounts.bulk_write(writes, ordered=True, session=session)

    def _add_where_usual(self, deltas: Mapping[str, AccountDelta]) -> int:
        writes = [
            UpdateOne(
                {"instagramId": account, "currentMonth": delta.month, BASE: {"$exists": True}},
                _increments(delta, delta.month_sent),
            )
            for account, delta in deltas.items()
        ]
        return self._accounts.bulk_write(writes, ordered=True).matched_count


def _is_usual(found: Document | None, delta: AccountDelta) -> bool:
    return found is not None and BASE in found and found.get("currentMonth") == delta.month


def _writes(
    account: str, delta: AccountDelta, found: Document | None, now_ms: int
) -> Iterable[UpdateOne]:
    if found is None:
        yield _creation(account, delta, now_ms)
        return
    if BASE not in found:
        yield _taking_over(account)
    month = found.get("currentMonth")
    # The host platform may keep something else there; that must not stop the counting.
    update = update_for(delta, month if isinstance(month, str) else None)
    yield UpdateOne({"_id": found["_id"]}, update)


def _taking_over(account: str) -> UpdateOne:
    """Keep the host platform's own counts apart, before the first of ours is added."""
    base = {
        "sent": {"$ifNull": ["$dmUsed", 0]},
        "received": {"$ifNull": ["$dmReceived", 0]},
        "month": {"$ifNull": ["$currentMonth", ""]},
        "monthSent": {"$ifNull": ["$monthlyDmUsed", 0]},
    }
    return UpdateOne({"instagramId": account, BASE: {"$exists": False}}, [{"$set": {BASE: base}}])


def update_for(delta: AccountDelta, current_month: str | None) -> Document:
    """The update of an account that stands in ``current_month``.

    A delta of a newer month moves the account on: the month's counter starts anew with it. One
    of an older month adds to the totals and never to the running month.
    """
    update = _increments(delta, delta.month_sent if delta.month == current_month else 0)
    if current_month is None or delta.month > current_month:
        update["$set"] = {"currentMonth": delta.month, "monthlyDmUsed": delta.month_sent}
        update["$inc"].pop("monthlyDmUsed", None)
    return update


def _increments(delta: AccountDelta, month_sent: int) -> Document:
    increments = {"dmUsed": delta.sent, "dmReceived": delta.received, "monthlyDmUsed": month_sent}
    latest = {"lastDMSent": delta.last_sent_ms, "lastDMReceived": delta.last_received_ms}
    update: Document = {"$inc": {field: n for field, n in increments.items() if n}}
    if seen := {field: to_datetime(ms) for field, ms in latest.items() if ms}:
        update["$max"] = seen
    return update


def _creation(account: str, delta: AccountDelta, now_ms: int) -> UpdateOne:
    """An upsert rather than an insert: somebody else may create the account in this moment."""
    update = _increments(delta, delta.month_sent)
    fresh: Document = {
        "isActive": True,
        "createdAt": to_datetime(now_ms),
        "currentMonth": delta.month,
        "dmUsed": 0,
        "dmReceived": 0,
        "monthlyDmUsed": 0,
        BASE: {"sent": 0, "received": 0, "month": "", "monthSent": 0},
    }
    update["$setOnInsert"] = {k: v for k, v in fresh.items() if k not in update["$inc"]}
    return UpdateOne({"instagramId": account}, update, upsert=True)
