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
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import InsertOne, UpdateOne

from dmstats.core.clock import to_datetime
from dmstats.core.records import AccountDelta
from dmstats.db import typed
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


def account_of(document: Mapping[str, Any]) -> str:
    """The Instagram id that a backlog document belongs to; empty if it cannot be read."""
    account = document.get("account", document.get("_id"))
    return str(account) if typed.is_text(account) else ""


def delta_of(documents: Iterable[Mapping[str, Any]]) -> AccountDelta:
    """The increments of all backlog documents of one account; unreadable values count as 0."""
    delta, months = AccountDelta(), Counter[str]()
    for document in documents:
        delta.sent += whole(document.get("sent"))
        delta.received += whole(document.get("received"))
        for month, count in typed.document(document.get("months")).items():
            if typed.month(month):
                months[month] += whole(count)
        last_sent, last_received = document.get("lastSent"), document.get("lastReceived")
        delta.last_sent_ms = max(delta.last_sent_ms, moment_ms(last_sent))
        delta.last_received_ms = max(delta.last_received_ms, moment_ms(last_received))
    delta.month = max(months, default="")
    delta.month_sent = months[delta.month]
    return delta


def refusal(documents: Iterable[Document], reason: str, now_ms: int, retry_ms: int) -> Document:
    """The one document of a refused account that replaces all its ``documents``."""
    found = list(documents)
    delta, months = delta_of(found), Counter[str]()
    for document in found:
        counts = typed.document(document.get("months"))
        months.update({m: whole(n) for m, n in counts.items() if typed.month(m)})
    since = min((moment_ms(each.get("since")) or now_ms for each in found), default=now_ms)
    content: Document = {"sent": delta.sent, "received": delta.received, "months": dict(months)}
    content |= _last(delta) | {"since": to_datetime(since)}
    return content | {"reason": reason, "retryAt": to_datetime(retry_ms), "attention": True}


def _update(delta: AccountDelta, reason: str, now_ms: int) -> Document:
    increments = {"sent": delta.sent, "received": delta.received}
    # A month is stored even without sent DMs, since it advances the account to that month.
    update: Document = {"$inc": {**increments, f"months.{delta.month}": delta.month_sent}}
    if seen := _last(delta):
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
    } | _last(delta)


def _last(delta: AccountDelta) -> Document:
    latest = {"lastSent": delta.last_sent_ms, "lastReceived": delta.last_received_ms}
    return {field: to_datetime(ms) for field, ms in latest.items() if ms}


def whole(value: object) -> int:
    """``value`` as a count; 0 if it is not a whole number."""
    return typed.counter(value) or 0


def moment_ms(value: object) -> int:
    """``value`` in ms since the epoch; 0 if it is not a date."""
    return typed.moment(value) or 0
