"""The installation's identity: a random id in the database, generated once and never changed."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from dmstats.core.errors import StoreUnavailable
from dmstats.db.client import PING_SECONDS, Document, Mongo, translated
from dmstats.db.collection_names import INSTALLATION

KEY = "installation"
ID = re.compile(r"[0-9a-f]{16}")
TRIES = 5


class Installation:
    """Identifies the installation by its database's name and the id stored there."""

    def __init__(self, mongo: Mongo) -> None:
        self._kept = mongo.db[INSTALLATION]
        self._database = mongo.db.name

    def name(self) -> str:
        """``<database>-<id>``; generates the id at first use. Raises :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(PING_SECONDS):
            for _ in range(TRIES):
                kept = self._find_or_create()
                if isinstance(kept, str) and ID.fullmatch(kept):
                    return f"{self._database}-{kept}"
        raise StoreUnavailable("The installation's id could be neither read nor generated.")

    def _find_or_create(self) -> Any:
        found = self._kept.find_one({"_id": KEY})
        if found is None:
            return self._put({"_id": KEY}, {"$setOnInsert": {"id": secrets.token_hex(8)}})
        kept = found.get("id")
        if isinstance(kept, str) and ID.fullmatch(kept):
            return kept
        # Damaged by a restore or a manual change. The filter on the old value lets only one
        # process replace it.
        return self._put({"_id": KEY, "id": kept}, {"$set": {"id": secrets.token_hex(8)}})

    def _put(self, where: Document, update: Document) -> Any:
        try:
            put: Any = self._kept.find_one_and_update(
                where, update, upsert="$set" not in update, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            return None  # another process generated it at the same moment: read again
        return put and put.get("id")
