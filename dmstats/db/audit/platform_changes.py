"""What the host platform did to accounts' counters, as the audit has explained it.

``dmstats_account_changes`` has a document for each account whose counters differ from what it
brought along and the ledger: ``_id`` (the Instagram id), ``sent``, ``received``, ``month`` and
``monthSent`` (the differences), ``why`` and ``at``. The next audit takes them for known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pymongo import UpdateOne

from dmstats.core.clock import to_datetime
from dmstats.db import typed
from dmstats.db.audit.differences import Difference, Offset
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_CHANGES

AT_ONCE = 500
FIELDS = {"dmUsed": "sent", "dmReceived": "received", "monthlyDmUsed": "monthSent"}


class KnownChange(msgspec.Struct, frozen=True):
    """One account that the platform changed; ``at_ms`` is when the audit saw it last change."""

    account: str
    why: str
    sent: int
    received: int
    at_ms: int | None


class PlatformChanges:
    """Keeps them; raises :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._changes = mongo.db[ACCOUNT_CHANGES]

    def keep(self, differences: Sequence[Difference], now_ms: int) -> None:
        """Take these differences of accounts for known from now on.

        Whole differences are stored, not what they grew by: an audit that sees the same at the
        same time stores the same.
        """
        updates: dict[str, Document] = defaultdict(dict)
        for each in differences:
            update = updates[each.key]
            update[FIELDS[each.field]] = each.offset
            if each.place == "months":
                update["month"] = each.month
            update |= {"why": each.why, "at": to_datetime(now_ms)}
        writes = [UpdateOne({"_id": k}, {"$set": u}, upsert=True) for k, u in updates.items()]
        with translated():
            for start in range(0, len(writes), AT_ONCE):
                self._changes.bulk_write(writes[start : start + AT_ONCE], ordered=False)

    def newest(self, most: int) -> tuple[int, list[KnownChange]]:
        """How many accounts are known to be changed, and the ``most`` that were last."""
        with translated():
            number = self._changes.estimated_document_count()
            found = list(self._changes.find().sort("at", -1).limit(most))
        return number, [
            KnownChange(
                typed.document_id(each.get("_id")),
                typed.text(each.get("why")) or "",
                typed.counter(each.get("sent")) or 0,
                typed.counter(each.get("received")) or 0,
                typed.moment(each.get("at")),
            )
            for each in found
        ]


def offset_of(found: Mapping[str, Any]) -> Offset:
    """What a document of the changes, or of the backlog, says; what cannot be read is none."""
    return Offset(
        typed.counter(found.get("sent")) or 0,
        typed.counter(found.get("received")) or 0,
        typed.month(found.get("month")) or "",
        typed.counter(found.get("monthSent")) or 0,
    )
