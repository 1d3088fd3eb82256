"""Reads the documents of ``dmstats_account_backlog``, which may be damaged after a restore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dmstats.core.clock import to_datetime
from dmstats.core.records import AccountDelta
from dmstats.db import typed
from dmstats.db.client import Document
from dmstats.db.counting.account_backlog import latest


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
    content |= latest(delta) | {"since": to_datetime(since)}
    return content | {"reason": reason, "retryAt": to_datetime(retry_ms), "attention": True}


def whole(value: object) -> int:
    """``value`` as a count; 0 if it is not a whole number."""
    return typed.counter(value) or 0


def moment_ms(value: object) -> int:
    """``value`` in ms since the epoch; 0 if it is not a date."""
    return typed.moment(value) or 0
