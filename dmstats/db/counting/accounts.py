"""The accounts' counters, and the roll-over of their monthly counter."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from dmstats.core.clock import DAY_MS, month_of, to_datetime
from dmstats.core.errors import AccountRefused, DmstatsError, PoisonError, Repeated
from dmstats.core.records import AccountDelta
from dmstats.db import typed
from dmstats.db.client import (
    DUPLICATE_KEY,
    POISON_CODES,
    Document,
    Mongo,
    duplicated_fields,
    translated,
)
from dmstats.db.collection_names import ACCOUNTS

log = logging.getLogger(__name__)

BASE = "ledgerBase"
"""Holds the counters from before our first event; the audit expects counters to equal this base
plus the ledger."""
COUNTERS = ("dmUsed", "dmReceived", "monthlyDmUsed")
MAX_EXACT = 2**53
"""Larger counters may be inexact as a double, and could overflow 64 bits."""


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
    ) -> dict[str, str]:
        """Add ``deltas`` (by Instagram id): one read, then one bulk write.

        Returns the accounts that cannot be changed, with the reason: their counters are not whole
        numbers, their id is in an array, or the database refuses the write because of their
        document (the platform's validator or unique index). Such a write aborts the transaction of
        ``session``, and raises :class:`AccountRefused`. So does whatever else goes wrong because of
        a document, then without an account: nothing that the host platform stores may keep a DM
        from being counted.

        On a sharded cluster every filter is the Instagram id, which is the shard key.
        """
        try:
            return self._apply(deltas, now_ms, session)
        except PoisonError as error:
            raise AccountRefused("", f"a document cannot be read: {error.reason}") from error
        except DmstatsError:
            raise
        except Exception as error:
            log.exception("account_defect")
            raise AccountRefused(
                "", f"a document cannot be read: {type(error).__name__}"
            ) from error

    def _apply(
        self,
        deltas: Mapping[str, AccountDelta],
        now_ms: int,
        session: ClientSession | None,
    ) -> dict[str, str]:
        if not deltas:
            return {}
        refused: dict[str, str] = {}
        with translated():
            found = self._read(deltas.keys(), refused, session)
            due = {account: delta for account, delta in deltas.items() if account not in refused}
            if session is None:
                found, due = self._add_where_usual(due, refused)
            self._add(found, due, refused, now_ms, session)
        return refused

    def _add(
        self,
        found: Mapping[str, Document],
        deltas: Mapping[str, AccountDelta],
        refused: dict[str, str],
        now_ms: int,
        session: ClientSession | None,
    ) -> None:
        first = [account for account in deltas if account in found and BASE not in found[account]]
        bases = [_keep_base(self._filter(found[a]), found[a]) for a in first]
        self._write(first, bases, refused, session)
        due = [account for account in deltas if account not in refused]
        writes = [
            self._update(found[a], deltas[a], now_ms)
            if a in found
            else _creation(a, deltas[a], now_ms)
            for a in due
        ]
        self._write(due, writes, refused, session)

    def _read(
        self, accounts: Collection[str], refused: dict[str, str], session: ClientSession | None
    ) -> dict[str, Document]:
        """The documents by Instagram id; adds accounts that cannot be changed to ``refused``."""
        found: dict[str, Document] = {}
        for document in self._accounts.find(
            {"instagramId": {"$in": list(accounts)}},
            dict.fromkeys(("instagramId", "currentMonth", BASE, *COUNTERS), True),
            session=session,
            batch_size=len(accounts) + 1,
        ):
            name = document["instagramId"]
            if typed.is_text(name):
                found[name] = document
                if reason := uncountable(document):
                    refused[name] = reason
            elif isinstance(name, list):
                # It matches each id that it contains, and an update would match it as well.
                for each in filter(typed.is_text, name):
                    if each in accounts:
                        refused[each] = "instagramId is an array that contains it"
        return found

    def _write(
        self,
        accounts: list[str],
        writes: list[UpdateOne],
        refused: dict[str, str],
        session: ClientSession | None,
    ) -> int:
        """One bulk write with an update per account; unordered, so that shards work in parallel.

        Returns how many documents matched. Without a session, adds the accounts to ``refused``
        whose documents the database refuses to change.
        """
        if not writes:
            return 0
        try:
            return self._accounts.bulk_write(writes, ordered=False, session=session).matched_count
        except BulkWriteError as error:
            refusals = _refusals(error, accounts)
            if session is not None or error in refusals.values() or not refusals:
                raise next(iter(refusals.values()), error) from error
            # One that another process is creating is only deferred: it has no fault.
            refused |= {
                account: str(each) if isinstance(each, AccountRefused) else ""
                for account, each in refusals.items()
            }
            return int((error.details or {}).get("nMatched", 0))

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

    def _add_where_usual(
        self, deltas: Mapping[str, AccountDelta], refused: dict[str, str]
    ) -> tuple[dict[str, Document], dict[str, AccountDelta]]:
        """Without transactions: update accounts that have a base, the same month and readable
        counters with one conditional write each. Returns the documents and deltas of the others."""
        # Each of these conditions would also match an array that contains such a value.
        no_array = {"$not": {"$type": "array"}}
        number = {"$type": ["int", "long"]} | no_array
        writes = [
            UpdateOne(
                {
                    "instagramId": {"$eq": account} | no_array,
                    "currentMonth": {"$eq": delta.month} | no_array,
                    BASE: {"$exists": True},
                    **dict.fromkeys(COUNTERS, number),
                },
                _increments(delta, delta.month_sent),
            )
            for account, delta in deltas.items()
        ]
        if self._write(list(deltas), writes, refused, None) == len(deltas):
            return {}, {}
        found = self._read(deltas.keys() - refused.keys(), {}, None)
        left = deltas.keys() - refused.keys()
        return found, {a: deltas[a] for a in left if not _is_usual(found.get(a), deltas[a])}


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
        return (
            number.is_finite() and number == number.to_integral_value() and abs(number) < MAX_EXACT
        )
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer() and abs(value) < MAX_EXACT
    return isinstance(value, int) and abs(value) < MAX_EXACT


def _refusals(error: BulkWriteError, accounts: list[str]) -> dict[str, Exception]:
    """Translate the errors of a bulk write with one update per account."""
    refusals: dict[str, Exception] = {}
    for failure in (error.details or {}).get("writeErrors", ()):
        code, account = failure.get("code"), accounts[failure["index"]]
        refusals[account] = error
        if code == DUPLICATE_KEY:
            fields = duplicated_fields(failure)
            if fields and fields != {"instagramId"} and fields != {"_id"}:
                named = f"unique index on {', '.join(sorted(fields))}"
                refusals[account] = AccountRefused(account, named)
            else:
                refusals[account] = Repeated(
                    "another process created the account at the same moment"
                )
        elif code in POISON_CODES:
            refused = f"MongoDB refuses the document (code {code})"
            refusals[account] = AccountRefused(account, refused)
    return refusals


def _is_usual(found: Document | None, delta: AccountDelta) -> bool:
    """Whether it matches the conditions of :meth:`Accounts._add_where_usual`."""
    return (
        found is not None
        and BASE in found
        and typed.is_text(found.get("currentMonth"))
        and found["currentMonth"] == delta.month
        and all(type(found.get(field)) in (int, Int64) for field in COUNTERS)
    )


def known_month(value: object, now_ms: int) -> str | None:
    """``value`` as a month, ``YYYY-MM``; None if it is not one, or more than a day in the future:
    the monthly counter would stay unused until that month."""
    month = typed.month(value)
    return month if month and month <= month_of(now_ms + DAY_MS) else None


def _keep_base(which: Document, found: Document) -> UpdateOne:
    """Store the host platform's own counts as the base, before our first increment."""
    month = found.get("currentMonth")
    base = {
        "sent": {"$ifNull": ["$dmUsed", 0]},
        "received": {"$ifNull": ["$dmReceived", 0]},
        "month": month if typed.is_text(month) else "",
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
