"""The accounts' counters, and how an account moves from month to month."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from bson.decimal128 import Decimal128
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
"""Holds what the host platform had counted before the first event of ours: the audit compares the
counters with this and the ledger."""
COUNTERS = ("dmUsed", "dmReceived", "monthlyDmUsed")
LARGEST = 2**53
"""Larger counters may not be exact as a double, and a little more overflows 64 bits."""

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class Accounts:
    """Applies deltas to ``instagram_accounts``; an unknown account is created, active."""

    def __init__(self, mongo: Mongo) -> None:
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

        Returns the accounts that cannot be counted into, with the reason: a counter there is no
        whole number. They are left as they are; with ``strict`` the first raises
        :class:`AccountRefused` instead. That is also raised where the database refuses a write
        because of the account's document (the platform's validator or unique index).

        Every filter holds the Instagram id, which is the shard key.
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
            self._write(first, [_keep_base(a, found[a]) for a in first], session)
            writes = [_write(a, delta, found.get(a), now_ms) for a, delta in due.items()]
            self._write(list(due), writes, session)
        return refused

    def _write(
        self, accounts: list[str], writes: list[UpdateOne], session: ClientSession | None
    ) -> None:
        """One bulk write, an update per account; unordered, so that shards work side by side."""
        if not writes:
            return
        try:
            self._accounts.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            raise _refusal(error, accounts) from error

    def _add_where_usual(self, deltas: Mapping[str, AccountDelta]) -> int:
        """Without transactions: count into the accounts that were counted into before, in the same
        month, by one conditional write each; how many there were."""
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
    """Why nothing can be added to an account's counters; empty where it can.

    ``$inc`` fails on what is no number, and is inexact on fractions and beyond 2^53.
    """
    for field in COUNTERS:
        if field in document and not is_whole(document[field]):
            return f"{field} is not a whole number ({type(document[field]).__name__})"
    return ""


def is_whole(value: object) -> bool:
    """Whether ``$inc`` by a whole number is exact on ``value``, and stays so."""
    if isinstance(value, bool):
        return False
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return number.is_finite() and number == number.to_integral_value() and abs(number) < LARGEST
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer() and abs(value) < LARGEST
    return isinstance(value, int) and abs(value) < LARGEST


def _refusal(error: BulkWriteError, accounts: list[str]) -> Exception:
    """What a failed bulk write of one update per account means."""
    for failure in (error.details or {}).get("writeErrors", ()):
        code, account = failure.get("code"), accounts[failure["index"]]
        if code == DUPLICATE_KEY:
            fields = duplicated_fields(failure)
            if fields and fields != {"instagramId"} and fields != {"_id"}:
                return AccountRefused(account, f"unique index on {', '.join(sorted(fields))}")
            return Repeated("another process creates the account in this moment")
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
    """``value`` as a month, ``YYYY-MM``; None for anything else, and for a month that has not
    begun yet: an account must not wait there until it has."""
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        return None
    return value if value <= month_of(now_ms + DAY_MS) else None


def _write(account: str, delta: AccountDelta, found: Document | None, now_ms: int) -> UpdateOne:
    if found is None:
        return _creation(account, delta, now_ms)
    update = update_for(delta, known_month(found.get("currentMonth"), now_ms))
    return UpdateOne({"_id": found["_id"], "instagramId": account}, update)


def _keep_base(account: str, found: Document) -> UpdateOne:
    """Keep the host platform's own counts apart, before the first of ours is added."""
    month = found.get("currentMonth")
    base = {
        "sent": {"$ifNull": ["$dmUsed", 0]},
        "received": {"$ifNull": ["$dmReceived", 0]},
        "month": month if isinstance(month, str) else "",
        "monthSent": {"$ifNull": ["$monthlyDmUsed", 0]},
    }
    return UpdateOne(
        {"_id": found["_id"], "instagramId": account, BASE: {"$exists": False}},
        [{"$set": {BASE: base}}],
    )


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
    """An upsert rather than an insert: another process may create the account in this moment."""
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
