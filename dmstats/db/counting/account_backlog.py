"""Increments of accounts whose documents could not be changed, until they can be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import pymongo
from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock, to_datetime, to_ms
from dmstats.core.errors import AccountRefused, DmstatsError, PoisonError
from dmstats.core.records import AccountDelta
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.counting.accounts import Accounts
from dmstats.db.transaction_runner import TransactionRunner

log = logging.getLogger(__name__)

COLLECTION = "dmstats_account_backlog"
RETRY_SECONDS = 60.0
MOST_PER_TICK = 200
READ_SECONDS = 5.0


class Deferred(msgspec.Struct, frozen=True):
    """An account with increments that its document lacks: why, and since when (ms)."""

    account: str
    reason: str
    since_ms: int
    sent: int
    received: int


class AccountBacklog:
    """``dmstats_account_backlog``: one document per account, kept in the counting transaction.

    The document: ``{_id: instagramId, sent, received, months: {YYYY-MM: sent}, lastSent,
    lastReceived, reason, since, retryAt}``. :meth:`drain` moves increments to the account.
    """

    def __init__(self, mongo: Mongo, runner: TransactionRunner, clock: Clock) -> None:
        self._backlog = mongo.db[COLLECTION]
        self._accounts = Accounts(mongo)
        self._runner = runner
        self._clock = clock

    def drain(self) -> bool:
        """Move what is due to its accounts, each in a transaction of its own; whether any was.

        An account that still cannot be changed stays, and is tried again after a minute.
        """
        now = to_datetime(self._clock.now_ms())
        with translated(), pymongo.timeout(READ_SECONDS):
            due = self._backlog.find({"retryAt": {"$not": {"$gt": now}}}, {"_id": True})
            accounts = [str(found["_id"]) for found in due.limit(MOST_PER_TICK)]
        for account in accounts:
            try:
                self._runner.run_transaction(partial(self._move, account))
            except (AccountRefused, PoisonError) as error:
                self._postpone(account, str(error))
            except DmstatsError as error:
                log.info("backlog_not_drained", extra={"reason": str(error)})
                break
        return bool(accounts)

    def waiting(self, *, limit: int = 20) -> list[Deferred]:
        """The accounts that need attention, oldest first, at most ``limit``: those that were tried
        and could not be changed."""
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._backlog.find({"attention": True}).sort("since", 1).limit(limit)
            return [_deferred(document) for document in found]

    def count(self) -> int:
        """How many accounts need attention."""
        with translated(), pymongo.timeout(READ_SECONDS):
            return self._backlog.count_documents({"attention": True})

    def _move(self, account: str, session: ClientSession | None) -> None:
        found = self._backlog.find_one_and_delete({"_id": account}, session=session)
        if found is not None:
            delta = delta_of(found)
            self._accounts.apply({account: delta}, self._clock.now_ms(), session, strict=True)

    def _postpone(self, account: str, reason: str) -> None:
        retry_at = to_datetime(self._clock.now_ms() + round(RETRY_SECONDS * 1000))
        update = {"$set": {"reason": reason, "retryAt": retry_at, "attention": True}}
        with translated(), pymongo.timeout(READ_SECONDS):
            self._backlog.update_one({"_id": account}, update)


def backlog_writes(
    deltas: Mapping[str, AccountDelta], deferred: Mapping[str, str], now_ms: int
) -> list[UpdateOne]:
    """The upserts that keep the ``deltas`` of the ``deferred`` accounts (with the reason)."""
    return [
        UpdateOne({"_id": account}, _update(deltas[account], reason, now_ms), upsert=True)
        for account, reason in sorted(deferred.items())
        if account in deltas
    ]


def delta_of(document: Mapping[str, Any]) -> AccountDelta:
    """What a backlog document adds to its account; odd values count as nothing."""
    months = document.get("months")
    counts = {
        month: count
        for month, count in (months.items() if isinstance(months, dict) else ())
        if isinstance(count, int)
    }
    month = max(counts, default="")
    return AccountDelta(
        sent=_int(document.get("sent")),
        received=_int(document.get("received")),
        month=month,
        month_sent=counts.get(month, 0),
        last_sent_ms=_ms(document.get("lastSent")),
        last_received_ms=_ms(document.get("lastReceived")),
    )


def _update(delta: AccountDelta, reason: str, now_ms: int) -> Document:
    increments = {"sent": delta.sent, "received": delta.received}
    # A month without DMs sent is kept, too: it moves the account on to that month.
    update: Document = {"$inc": {**increments, f"months.{delta.month}": delta.month_sent}}
    latest = {"lastSent": delta.last_sent_ms, "lastReceived": delta.last_received_ms}
    if seen := {field: to_datetime(ms) for field, ms in latest.items() if ms}:
        update["$max"] = seen
    update["$setOnInsert"] = {"reason": reason, "since": to_datetime(now_ms)}
    return update


def _deferred(document: Document) -> Deferred:
    return Deferred(
        account=str(document["_id"]),
        reason=str(document.get("reason", "")),
        since_ms=_ms(document.get("since")),
        sent=_int(document.get("sent")),
        received=_int(document.get("received")),
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _ms(value: object) -> int:
    return to_ms(value) if isinstance(value, datetime) else 0
