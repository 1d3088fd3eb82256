"""Changes of accounts' counters that the audit attributed to the host platform.

``dmstats_account_changes`` has a document for each account whose counters differ from base plus
ledger: ``_id`` (the Instagram id), ``sent``, ``received``, ``month`` and ``monthSent`` (the
differences), ``why`` and ``at``. The next audit includes these differences in what it expects.
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
    """An account that the platform changed; ``at_ms`` is when the audit last saw a change."""

    account: str
    why: str
    sent: int
    received: int
    at_ms: int | None


class PlatformChanges:
    """Stores the changes; raises :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._changes = mongo.db[ACCOUNT_CHANGES]

    def keep(self, differences: Sequence[Difference], now_ms: int) -> None:
        """Record these differences of accounts as known.

        Stores the whole differences, not increments, so that two audits that see the same
        difference at the same time store the same.
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
        """The number of changed accounts, and up to ``most`` of the latest changes."""
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
    """Parse a document of the changes; unreadable values count as 0."""
    return Offset(
        typed.counter(found.get("sent")) or 0,
        typed.counter(found.get("received")) or 0,
        typed.month(found.get("month")) or "",
        typed.counter(found.get("monthSent")) or 0,
    )
