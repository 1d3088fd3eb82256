"""Tells an account's counts by dmstats from the host platform's own values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import msgspec

from dmstats.db import typed
from dmstats.db.client import Document
from dmstats.db.counting.accounts import BASE, uncountable
from dmstats.db.counting.backlog_documents import whole
from dmstats.db.documents import ledger_base

OURS = frozenset({
    "_id", "instagramId", "isActive", "createdAt", "dmUsed", "monthlyDmUsed", "currentMonth",
    "lastDMSent", "dmReceived", "lastDMReceived", BASE,
})  # fmt: skip
"""The fields of an account that a DM created. Any other field is the host platform's."""
LAST = ("lastDMSent", "lastDMReceived")


class Sums(msgspec.Struct):
    """DMs of the account; ``months`` are those sent, by month ("YYYY-MM")."""

    sent: int = 0
    received: int = 0
    months: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: Sums) -> None:
        """Add ``other`` in place."""
        self.sent += other.sent
        self.received += other.received
        self.months.update(other.months)


def of_the_platform(found: Document, edits: Mapping[str, object]) -> set[str]:
    """The fields of an account that neither a DM nor an operator's edit wrote."""
    edited = typed.document(edits.get("fields"))
    return {
        field
        for field in found.keys() - OURS
        if field not in edited or str(found[field]) != str(edited[field])
    }


def is_counted(found: Mapping[str, object] | None) -> TypeGuard[Document]:
    """Whether an account's document has counted DMs that can be subtracted from its counters."""
    return found is not None and BASE in found and not uncountable(found)


def own_counters(found: Document, backlog: Sums) -> dict[str, int]:
    """The readable counters of an account without our DMs; no less than 0, since the platform may
    have lowered them."""
    month = found.get("currentMonth")
    if uncountable(found):  # no DM could be taken out of it
        base = ledger_base(found[BASE])
        own = {"dmUsed": base.sent, "dmReceived": base.received}
        own["monthlyDmUsed"] = base.month_sent if base.month == month else 0
    else:
        waiting = {"dmUsed": backlog.sent, "dmReceived": backlog.received}
        waiting["monthlyDmUsed"] = backlog.months[month] if isinstance(month, str) else 0
        own = {field: whole(found.get(field)) + n for field, n in waiting.items()}
    return {
        field: max(0, n or 0)
        for field, n in own.items()
        if typed.counter(found.get(field)) is not None
    }


def waiting_sums(documents: Sequence[Document]) -> Sums:
    sums = Sums()
    for each in documents:
        sums.add(sums_of(each))
    return sums


def sums_of(document: Mapping[str, object]) -> Sums:
    """The counts of a document of the backlog, or of the archive."""
    months = typed.document(document.get("months"))
    counts = Counter({month: whole(n) for month, n in months.items() if typed.month(month)})
    return Sums(whole(document.get("sent")), whole(document.get("received")), counts)
