"""The committers' heartbeats: a small document each, written every few seconds."""

from __future__ import annotations

from datetime import timedelta

import pymongo

from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import HEARTBEATS

BEAT_SECONDS = 1.0
SILENT_AFTER = timedelta(seconds=5)
WRITE_SECONDS = 1.5


class Beats:
    """Heartbeats by the server's own clock, so that no host's clock matters."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._beats = mongo.db[HEARTBEATS]

    def beat(self, session_id: bytes) -> None:
        """Say that the owner of ``session_id`` lives."""
        with translated(), pymongo.timeout(WRITE_SECONDS):
            self._beats.update_one(
                {"_id": session_id}, {"$currentDate": {"beatAt": True}}, upsert=True
            )

    def silent(self) -> list[bytes]:
        """The sessions whose owners have not been heard of for too long."""
        with translated(), pymongo.timeout(WRITE_SECONDS):
            now = self._mongo.server_time()
            found = self._beats.find({"beatAt": {"$lt": now - SILENT_AFTER}}, {"_id": True})
            return [document["_id"] for document in found]

    def forget(self, session_id: bytes) -> None:
        """Its owner is gone, and so is what it held."""
        with translated(), pymongo.timeout(WRITE_SECONDS):
            self._beats.delete_one({"_id": session_id})
