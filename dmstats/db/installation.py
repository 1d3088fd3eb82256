"""Which installation this is: a random id in the database, made once and never changed."""

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
    """Names the installation: its database's name and the id that is kept there."""

    def __init__(self, mongo: Mongo) -> None:
        self._kept = mongo.db[INSTALLATION]
        self._database = mongo.db.name

    def name(self) -> str:
        """``<database>-<id>``; the first to ask makes the id. Raises :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(PING_SECONDS):
            for _ in range(TRIES):
                kept = self._find_or_create()
                if isinstance(kept, str) and ID.fullmatch(kept):
                    return f"{self._database}-{kept}"
        raise StoreUnavailable("The installation's id could neither be read nor made.")

    def _find_or_create(self) -> Any:
        found = self._kept.find_one({"_id": KEY})
        if found is None:
            return self._put({"_id": KEY}, {"$setOnInsert": {"id": secrets.token_hex(8)}})
        kept = found.get("id")
        if isinstance(kept, str) and ID.fullmatch(kept):
            return kept
        # A restore or a hand has put something else there. Only the first to notice replaces it.
        return self._put({"_id": KEY, "id": kept}, {"$set": {"id": secrets.token_hex(8)}})

    def _put(self, where: Document, update: Document) -> Any:
        try:
            put: Any = self._kept.find_one_and_update(
                where, update, upsert="$set" not in update, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            return None  # somebody else made it in this very moment: read again
        return put and put.get("id")
