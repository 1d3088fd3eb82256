"""Stores increments of accounts whose documents cannot be changed, until they can be.

``dmstats_account_backlog`` has one document per account: ``{_id: instagramId, sent, received,
months: {YYYY-MM: sent}, lastSent, lastReceived, reason, since, retryAt, attention}``. It is written
in the counting transaction, and emptied by :mod:`dmstats.db.counting.backlog_drain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from dmstats.core.clock import to_datetime, to_ms
from dmstats.core.records import AccountDelta
from dmstats.db.client import Document


def backlog_writes(
    deltas: Mapping[str, AccountDelta], deferred: Mapping[str, str], now_ms: int
) -> list[UpdateOne]:
    """The upserts that store the ``deltas`` of the ``deferred`` accounts (account to reason)."""
    return [
        UpdateOne({"_id": account}, _update(deltas[account], reason, now_ms), upsert=True)
        for account, reason in sorted(deferred.items())
        if account in deltas
    ]


def delta_of(document: Mapping[str, Any]) -> AccountDelta:
    """The increments in a backlog document; unreadable values count as 0."""
    months = document.get("months")
    counts = {
        month: count
        for month, count in (months.items() if isinstance(months, dict) else ())
        if isinstance(count, int)
    }
    month = max(counts, default="")
    return AccountDelta(
        sent=whole(document.get("sent")),
        received=whole(document.get("received")),
        month=month,
        month_sent=counts.get(month, 0),
        last_sent_ms=moment_ms(document.get("lastSent")),
        last_received_ms=moment_ms(document.get("lastReceived")),
    )


def _update(delta: AccountDelta, reason: str, now_ms: int) -> Document:
    increments = {"sent": delta.sent, "received": delta.received}
    # A month is stored even without sent DMs, since it advances the account to that month.
    update: Document = {"$inc": {**increments, f"months.{delta.month}": delta.month_sent}}
    latest = {"lastSent": delta.last_sent_ms, "lastReceived": delta.last_received_ms}
    if seen := {field: to_datetime(ms) for field, ms in latest.items() if ms}:
        update["$max"] = seen
    update["$setOnInsert"] = {"reason": reason, "since": to_datetime(now_ms)}
    return update


def whole(value: object) -> int:
    """``value`` as a count; 0 if it is not an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def moment_ms(value: object) -> int:
    """``value`` in ms since the epoch; 0 if it is not a date."""
    return to_ms(value) if isinstance(value, datetime) else 0
