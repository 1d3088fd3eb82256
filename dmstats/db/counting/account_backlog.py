"""Stores increments of accounts that cannot be changed now, until they can be.

``dmstats_account_backlog`` has two kinds of documents, ``{_id, sent, received, months: {YYYY-MM:
sent}, lastSent, lastReceived, since}``. They are written in the counting transaction, and emptied
by :mod:`dmstats.db.counting.backlog_drain`.

- An account whose document the database refuses to change: one document, whose ``_id`` is the
  Instagram id, with ``reason``, ``retryAt`` and ``attention``.
- An account that the host platform is changing at this moment: one more document per transaction,
  with ``account``. Only inserts cannot conflict with the job that removes these documents.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from pymongo import InsertOne, UpdateOne

from dmstats.core.clock import to_datetime
from dmstats.core.records import AccountDelta
from dmstats.db.client import Document

SEPARATOR = "\0"


def backlog_writes(
    deltas: Mapping[str, AccountDelta], deferred: Mapping[str, str], now_ms: int
) -> list[UpdateOne | InsertOne[Document]]:
    """The writes that store the ``deltas`` of the ``deferred`` accounts (account to reason)."""
    return [
        UpdateOne({"_id": account}, _update(deltas[account], reason, now_ms), upsert=True)
        if reason
        else InsertOne(_inserted(account, deltas[account], now_ms))
        for account, reason in sorted(deferred.items())
        if account in deltas
    ]


def _update(delta: AccountDelta, reason: str, now_ms: int) -> Document:
    increments = {"sent": delta.sent, "received": delta.received}
    # A month is stored even without sent DMs, since it advances the account to that month.
    update: Document = {"$inc": {**increments, f"months.{delta.month}": delta.month_sent}}
    if seen := latest(delta):
        update["$max"] = seen
    update["$setOnInsert"] = {"reason": reason, "since": to_datetime(now_ms)}
    return update


def _inserted(account: str, delta: AccountDelta, now_ms: int) -> Document:
    return {
        "_id": f"{account}{SEPARATOR}{uuid.uuid4().hex}",
        "account": account,
        "sent": delta.sent,
        "received": delta.received,
        "months": {delta.month: delta.month_sent},
        "since": to_datetime(now_ms),
    } | latest(delta)


def latest(delta: AccountDelta) -> Document:
    """The fields with the times of its last DMs."""
    times = {"lastSent": delta.last_sent_ms, "lastReceived": delta.last_received_ms}
    return {field: to_datetime(ms) for field, ms in times.items() if ms}
