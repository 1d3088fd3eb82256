"""Typed records for documents: accounts, hours, days, totals and what ``stats_cache`` holds.

Each function accepts a document with any content and never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from dmstats.core.clock import to_ms
from dmstats.core.records import OTHER_KINDS, RECEIVED, SENT
from dmstats.db import typed
from dmstats.db.client import Document

Bucket = tuple[int | None, int | None]
"""DMs sent and received in an hour, a day or a minute; None if the value cannot be read."""
EMPTY: Bucket = (0, 0)


class LedgerBase(msgspec.Struct, frozen=True):
    """An account's counters before our first event; None if one cannot be read.

    ``month`` is empty if the month was unknown.
    """

    sent: int | None = None
    received: int | None = None
    month: str = ""
    month_sent: int | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account. Times are ms since the epoch, None if unknown.

    ``instagram_id`` is empty if the document has no readable one. ``base`` is None if dmstats has
    never counted into this document. ``odd`` lists the fields whose values cannot be read. It
    includes ``instagramId`` if that is not a string, since webhooks identify accounts by string.
    """

    document_id: str = ""
    instagram_id: str = ""
    username: str | None = None
    is_active: bool = True
    created_ms: int | None = None
    dm_used: int | None = 0
    monthly_dm_used: int | None = 0
    current_month: str | None = None
    monthly_dm_limit: int | None = None
    last_sent_ms: int | None = None
    dm_received: int | None = 0
    last_received_ms: int | None = None
    base: LedgerBase | None = None
    odd: tuple[str, ...] = ()

    def used_in(self, running_month: str) -> int | None:
        """DMs sent in ``running_month``; 0 if the counter is for another or an unreadable month."""
        if "currentMonth" in self.odd or (self.current_month or running_month) != running_month:
            return 0
        return self.monthly_dm_used


def limit_of(account: Account, default: int) -> int | None:
    """An account's monthly limit: its own (which may be 0), otherwise ``default`` unless that is 0.

    An unreadable limit is unknown; the default does not apply.
    """
    if account.monthly_dm_limit is None and "monthlyDmLimit" not in account.odd:
        return default or None
    return account.monthly_dm_limit


ACCOUNT_FIELDS: dict[str, Callable[[object], bool]] = {
    "username": lambda value: typed.text(value) is not None,
    "isActive": lambda value: isinstance(value, bool),
    "createdAt": lambda value: typed.moment(value) is not None,
    "dmUsed": lambda value: typed.integer(value) is not None,
    "dmReceived": lambda value: typed.integer(value) is not None,
    "monthlyDmUsed": lambda value: typed.integer(value) is not None,
    "currentMonth": lambda value: value == "" or typed.month(value) is not None,
    "monthlyDmLimit": lambda value: typed.limit(value) is not None,
    "lastDMSent": lambda value: typed.moment(value) is not None,
    "lastDMReceived": lambda value: typed.moment(value) is not None,
    "ledgerBase": lambda value: is_known(ledger_base(value)),
}
"""The account fields that are read, except the id, each with a test for readable values."""
USUAL_TYPES: dict[str, type | None] = {
    "username": str,
    "isActive": bool,
    "createdAt": datetime,
    "dmUsed": int,
    "dmReceived": int,
    "monthlyDmUsed": int,
    "currentMonth": None,
    "monthlyDmLimit": int,
    "lastDMSent": datetime,
    "lastDMReceived": datetime,
    "ledgerBase": None,
}
"""The type of which every value is readable, if there is one: it spares a test for each field of
each account."""


def account(found: Mapping[str, Any]) -> Account:
    """Parse a document of ``instagram_accounts``."""
    base = found.get("ledgerBase")
    return Account(
        document_id=typed.document_id(found.get("_id")),
        instagram_id=typed.identifier(found.get("instagramId")) or "",
        username=typed.text(found.get("username")),
        is_active=typed.active(found.get("isActive")),
        created_ms=typed.moment(found.get("createdAt")),
        dm_used=typed.counter(found.get("dmUsed")),
        monthly_dm_used=typed.counter(found.get("monthlyDmUsed")),
        current_month=typed.month(found.get("currentMonth")),
        monthly_dm_limit=typed.limit(found.get("monthlyDmLimit")),
        last_sent_ms=typed.moment(found.get("lastDMSent")),
        dm_received=typed.counter(found.get("dmReceived")),
        last_received_ms=typed.moment(found.get("lastDMReceived")),
        base=ledger_base(base) if "ledgerBase" in found else None,
        odd=odd_fields(found),
    )


def odd_fields(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of an account that need attention. Null counts as missing, except in
    ``ledgerBase``, which only dmstats writes."""
    odd = [
        field
        for field, readable in ACCOUNT_FIELDS.items()
        if type(value := found.get(field)) is not USUAL_TYPES[field]
        and (value is not None or (field == "ledgerBase" and field in found))
        and not readable(value)
    ]
    by_text = typed.is_text(found.get("instagramId")) and found["instagramId"]
    return tuple(odd if by_text else ["instagramId", *odd])


def ledger_base(value: object) -> LedgerBase:
    """Parse ``ledgerBase``; missing counters are None."""
    base = typed.document(value)
    return LedgerBase(
        typed.integer(base.get("sent")),
        typed.integer(base.get("received")),
        typed.month(base.get("month")) or "",
        typed.integer(base.get("monthSent")),
    )


def is_known(base: LedgerBase) -> bool:
    """Whether all counters of ``base`` can be read."""
    return None not in (base.sent, base.received, base.month_sent)


# Our own documents ------------------------------------------------------------------------------


class Hour(msgspec.Struct, frozen=True):
    """An hour's DMs, and the DMs by minute (0 to 59); minutes without DMs are omitted."""

    counts: Bucket = EMPTY
    minutes: Mapping[int, Bucket] = {}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The global document; ``counting`` is false before the first event."""

    counting: bool = False
    sent: int | None = 0
    received: int | None = 0
    duplicates: int | None = 0
    rejected: int | None = 0
    late: int | None = 0
    events: Mapping[str, int | None] = {}
    last_event_ms: int | None = None
    canary_ms: int | None = None


class AuditResult(msgspec.Struct, frozen=True):
    """When the last audit ended (ms since the epoch), and by how many events counters differed."""

    at_ms: int
    drift: int


class DocumentCount(msgspec.Struct, frozen=True):
    """A number of documents, as of ``at_ms``."""

    n: int
    at_ms: int


def bucket(value: object) -> Bucket:
    """Parse the counts of an hour, a day or a minute; missing counts are 0."""
    found = typed.document(value)
    return typed.count(found.get(SENT)), typed.count(found.get(RECEIVED))


def hour(found: Mapping[str, Any]) -> Hour:
    """Parse a document of ``dmstats_hours``."""
    minutes = typed.document(found.get("minutes"))
    return Hour(
        bucket(found),
        {int(at): bucket(counts) for at, counts in minutes.items() if typed.MINUTE.fullmatch(at)},
    )


def totals(found: Mapping[str, Any]) -> Totals:
    """Parse the global document."""
    events = typed.document(found.get("events"))
    return Totals(
        counting=bool(found),
        sent=typed.count(found.get("dmsSent")),
        received=typed.count(found.get("dmsReceived")),
        duplicates=typed.count(found.get("duplicates")),
        rejected=typed.count(found.get("rejected")),
        late=typed.count(found.get("late")),
        events={kind: typed.count(events[kind]) for kind in OTHER_KINDS if kind in events},
        last_event_ms=typed.moment(found.get("lastEventAt")),
        canary_ms=typed.moment(found.get("canaryAt")),
    )


def audit_result(value: object) -> AuditResult | None:
    """Parse the result of the last audit; None if it cannot be read."""
    found = typed.document(value)
    at_ms, drift = typed.moment(found.get("at")), typed.integer(found.get("drift"))
    return None if at_ms is None or drift is None else AuditResult(at_ms, drift)


def counted(value: object) -> DocumentCount | None:
    """Parse one stored document count; None if it cannot be read."""
    found = typed.document(value)
    n, at_ms = _present(found.get("n")), typed.moment(found.get("at"))
    return None if n is None or at_ms is None else DocumentCount(n, at_ms)


def population(value: object) -> dict[int, tuple[int, int]]:
    """Active accounts and users by start of day (ms); unreadable days are omitted."""
    days = {}
    for day in value if isinstance(value, list) else []:
        found = typed.document(day)
        at_ms = _iso(found.get("at"))
        accounts, users = (_present(found.get(k)) for k in ("activeAccounts", "users"))
        if at_ms is not None and accounts is not None and users is not None:
            days[at_ms] = (accounts, users)
    return days


def canary_stages(value: object) -> dict[str, float | None]:
    """The duration of each stage of the last canary, in ms."""
    found = typed.document(value)
    return {stage: typed.number(found.get(stage)) for stage in STAGES}


STAGES = ("countedMs", "streamedMs", "shownMs")


def _present(value: object) -> int | None:
    return None if value is None else typed.count(value)


def _iso(value: object) -> int | None:
    try:
        return to_ms(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def by_start(documents: list[Document]) -> dict[int, Document]:
    """Hours or days by their start, in ms since the epoch. Documents whose ``_id`` is not a date
    are ignored."""
    starts = ((typed.own_moment(found.get("_id")), found) for found in documents)
    return {start: found for start, found in starts if start is not None}
