"""Stores how long the last returned canary took."""

from __future__ import annotations

from collections.abc import Mapping

import pymongo

from dmstats.core.clock import to_datetime
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import STATS_CACHE

KEY = "canary"
SECONDS = 3.0


class Canaries:
    """Writes it to ``stats_cache``, from which the next snapshot reads it."""

    def __init__(self, mongo: Mongo) -> None:
        self._cache = mongo.db[STATS_CACHE]

    def save(self, at_ms: int, stages: Mapping[str, float]) -> None:
        """Store the duration in seconds of each stage of the canary sent at ``at_ms``."""
        took = {f"{stage}Ms": round(seconds * 1000, 1) for stage, seconds in stages.items()}
        with translated(), pymongo.timeout(SECONDS):
            self._cache.replace_one({"_id": KEY}, {"at": to_datetime(at_ms), **took}, upsert=True)
