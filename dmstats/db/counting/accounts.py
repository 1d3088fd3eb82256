"""The accounts' counters, and the roll-over of their monthly counter."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from dmstats.core.clock import DAY_MS, month_of, to_datetime
from dmstats.core.errors import AccountRefused, Repeated
from dmstats.core.records import AccountDelta
from dmstats.db.client import (
    DUPLICATE_KEY,
    POISON_CODES,
    Document,
    Mongo,
    duplicated_fields,
    translated,
)
from dmstats.db.collection_names import ACCOUNTS

BASE = "ledgerBase"
"""Holds the counters from before our first event; the audit expects counters to equal this base
plus the ledger."""
COUNTERS = ("dmUsed", "dmReceived", "monthlyDmUsed")
LARGEST = 2**53
"""Larger counters may be inexact as a double, and could overflow 64 bits."""

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class Accounts:
    """Applies deltas to ``instagram_accounts``; an unknown account is created as active."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._accounts = mongo.db[ACCOUNTS]

    def apply(
        self,
        deltas: Mapping[str, AccountDelta],
        now_ms: int,
        session: ClientSession | None,
        *,
        strict: bool = False,
    ) -> dict[str, str]:
        """Add ``deltas`` (by Instagram id): one read, then one bulk write.

        Returns the accounts whose counters are not whole numbers, with the reason. They are not
        changed; with ``strict`` the first one raises :class:`AccountRefused` instead. That is also
        raised if the database refuses a write because of the account's document (the platform's
        validator or unique index).

        On a sharded cluster every filter is the Instagram id, which is the shard key.
        """
        if not deltas:
            return {}
        with translated():
            if session is None and self._add_where_usual(deltas) == len(deltas):
                return {}
            found = {
                document["instagramId"]: document
                for document in self._accounts.find(
                    {"instagramId": {"$in": list(deltas)}},
                    dict.fromkeys(("instagramId", "currentMonth", BASE, *COUNTERS), True),
                    session=session,
                    batch_size=len(deltas) + 1,
                )
            }
            refused = {
                account: reason
                for account, document in found.items()
                if (reason := uncountable(document))
            }
            if refused and strict:
                raise AccountRefused(*next(iter(refused.items())))
            due = {
                account: delta
                for account, delta in deltas.items()
                if account not in refused and (session or not _is_usual(found.get(account), delta))
            }
            first = [a for a in due if a in found and BASE not in found[a]]
            bases = [_keep_base(self._filter(found[a]), found[a]) for a in first]
            self._write(first, bases, session)
            writes = [
                self._update(found[a], delta, now_ms) if a in found else _creation(a, delta, now_ms)
                for a, delta in due.items()
            ]
            self._write(list(due), writes, session)
        return refused

    def _write(
        self, accounts: list[str], writes: list[UpdateOne], session: ClientSession | None
    ) -> None:
        """One bulk write with an update per account; unordered, so that shards work in parallel."""
        if not writes:
            return
        try:
            self._accounts.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            raise _refusal(error, accounts) from error

    def _filter(self, found: Document) -> Document:
        """The filter of an update of ``found``: one field, so that one index fits.

        ``_id`` is the faster one (on SecantusDB an update by the Instagram id took 1.3 times as
        long, one by both 1.7 times). On a sharded cluster it would go to every shard, and an id of
        another type than the usual may have been decoded with a loss.
        """
        by_id = isinstance(found["_id"], ObjectId) and not self._mongo.sharded
        field = "_id" if by_id else "instagramId"
        return {field: found[field]}

    def _update(self, found: Document, delta: AccountDelta, now_ms: int) -> UpdateOne:
        month = known_month(found.get("currentMonth"), now_ms)
        return UpdateOne(self._filter(found), update_for(delta, month))

    def _add_where_usual(self, deltas: Mapping[str, AccountDelta]) -> int:
        """Without transactions: update accounts that have a base, the same month and readable
        counters with one conditional write each. Returns how many were updated."""
        number = {"$type": ["int", "long"]}
        writes = [
            UpdateOne(
                {
                    "instagramId": account,
                    "currentMonth": delta.month,
                    BASE: {"$exists": True},
                    **dict.fromkeys(COUNTERS, number),
                },
                _increments(delta, delta.month_sent),
            )
            for account, delta in deltas.items()
        ]
        return self._accounts.bulk_write(writes, ordered=False).matched_count


def uncountable(document: Mapping[str, Any]) -> str:
    """Why an account's counters cannot be incremented; empty if they can.

    ``$inc`` fails on values that are not numbers, and is inexact on fractions and beyond 2^53.
    """
    for field in COUNTERS:
        if field in document and not is_whole(document[field]):
            return f"{field} is not a whole number ({type(document[field]).__name__})"
    return ""


def is_whole(value: object) -> bool:
    """Whether ``value`` can be incremented exactly with ``$inc``."""
    if isinstance(value, bool):
        return False
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return number.is_finite() and number == number.to_integral_value() and abs(number) < LARGEST
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer() and abs(value) < LARGEST
    return isinstance(value, int) and abs(value) < LARGEST


def _refusal(error: BulkWriteError, accounts: list[str]) -> Exception:
    """Translate the error of a bulk write with one update per account."""
    for failure in (error.details or {}).get("writeErrors", ()):
        code, account = failure.get("code"), accounts[failure["index"]]
        if code == DUPLICATE_KEY:
            fields = duplicated_fields(failure)
            if fields and fields != {"instagramId"} and fields != {"_id"}:
                return AccountRefused(account, f"unique index on {', '.join(sorted(fields))}")
            return Repeated("another process created the account at the same moment")
        if code in POISON_CODES:
            return AccountRefused(account, f"MongoDB refuses the document (code {code})")
    return error


def _is_usual(found: Document | None, delta: AccountDelta) -> bool:
    return (
        found is not None
        and BASE in found
        and found.get("currentMonth") == delta.month
        and all(type(found.get(field)) is int for field in COUNTERS)
    )


def known_month(value: object, now_ms: int) -> str | None:
    """``value`` as a month, ``YYYY-MM``; None if it is not one, or more than a day in the future:
    the monthly counter would stay unused until that month."""
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        return None
    return value if value <= month_of(now_ms + DAY_MS) else None


def _keep_base(which: Document, found: Document) -> UpdateOne:
    """Store the host platform's own counts as the base, before our first increment."""
    month = found.get("currentMonth")
    base = {
        "sent": {"$ifNull": ["$dmUsed", 0]},
        "received": {"$ifNull": ["$dmReceived", 0]},
        "month": month if isinstance(month, str) else "",
        "monthSent": {"$ifNull": ["$monthlyDmUsed", 0]},
    }
    return UpdateOne({**which, BASE: {"$exists": False}}, [{"$set": {BASE: base}}])


def update_for(delta: AccountDelta, current_month: str | None) -> Document:
    """The update for an account whose monthly counter is for ``current_month``.

    A delta of a newer month resets the monthly counter to its own count. A delta of an older month
    is added to the totals only.
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
    """An upsert, not an insert, since another process may create the account at the same moment."""
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
