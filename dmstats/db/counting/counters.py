"""The global document and the hour and day buckets; changed by ``$inc`` alone."""

from __future__ import annotations

from collections.abc import Mapping

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import to_datetime
from dmstats.core.records import Deltas
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import DAYS, HOURS, STATS_CACHE


class Counters:
    """Adds deltas to ``dmstats_hours``, ``dmstats_days`` and ``stats_cache``."""

    def __init__(self, mongo: Mongo) -> None:
        self._hours = mongo.db[HOURS]
        self._days = mongo.db[DAYS]
        self._cache = mongo.db[STATS_CACHE]

    def add_buckets(self, deltas: Deltas, session: ClientSession | None) -> None:
        """One upsert per hour and day met."""
        with translated():
            if deltas.hours:
                self._hours.bulk_write(_upserts(deltas.hours), session=session)
            if deltas.days:
                self._days.bulk_write(_upserts(deltas.days), session=session)

    def add_totals(self, deltas: Deltas, now_ms: int, session: ClientSession | None) -> None:
        """One upsert of the global document, which every committer needs: come here first."""
        if not (deltas.totals or deltas.canary_ms):
            return
        latest = {"lastEventAt": deltas.last_event_ms, "canaryAt": deltas.canary_ms}
        if deltas.totals:
            latest["updatedAt"] = now_ms
        update: Document = {"$max": {name: to_datetime(ms) for name, ms in latest.items() if ms}}
        if deltas.totals:
            update["$inc"] = dict(deltas.totals)
        with translated():
            self._cache.update_one({"_id": "global"}, update, upsert=True, session=session)


def _upserts(buckets: Mapping[int, Mapping[str, int]]) -> list[UpdateOne]:
    return [
        UpdateOne({"_id": to_datetime(start)}, {"$inc": dict(fields)}, upsert=True)
        for start, fields in sorted(buckets.items())
    ]
