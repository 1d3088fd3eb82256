"""The accounts with unreadable values that the last audit listed."""

from __future__ import annotations

from collections.abc import Sequence

import pymongo

from dmstats.db import typed
from dmstats.db.audit.differences import OddDocument
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import STATS_CACHE

MAX_LISTED = 20
SECONDS = 5.0


class OddDocuments:
    """Reads them; raises :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._db = mongo.db

    def listed(self) -> tuple[int, list[OddDocument]] | None:
        """The number that the last audit found, and the first of them; None before any audit."""
        with translated(), pymongo.timeout(SECONDS):
            found = self._db[STATS_CACHE].find_one({"_id": "audit"}) or {}
        number, first = typed.integer(found.get("odd")), found.get("oddDocuments")
        if number is None or not isinstance(first, list):
            return None
        return number, [_odd(typed.document(each)) for each in first[:MAX_LISTED]]


def stored(odd: Sequence[OddDocument]) -> Document:
    """The fields that an audit stores in ``stats_cache``."""
    first = [
        {"collection": each.collection, "key": each.key, "fields": list(each.fields)}
        for each in odd[:MAX_LISTED]
    ]
    return {"odd": len(odd), "oddDocuments": first}


def _odd(found: Document) -> OddDocument:
    fields = found.get("fields")
    named = [typed.text(each) or "" for each in (fields if isinstance(fields, list) else [])]
    return OddDocument(
        typed.text(found.get("collection")) or "", typed.text(found.get("key")) or "", tuple(named)
    )
